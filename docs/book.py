#!/usr/bin/python3
"""Filters a file for Doxygen: `docs/book.py labs/01-frames/README.md` prints the page as Doxygen wants it.

The pages are written in the Markdown that any viewer shows. Doxygen needs more: an identifier for every heading that is
unique in the whole book, and links by these identifiers instead of by file. This filter adds both, so that

- `[step 2](#step-2)` and `[the handout](../labs/01-frames/README.md#allocate)` lead to that heading,
- `[the contract](../kernel/mm/paging/page_table.h)` leads to the page of that header,
- a link to a file outside the book becomes its text, and one to a file or heading that does not exist fails the build,
- `dot` blocks become drawings, and signs that Doxygen would take for commands are escaped.

In docs/index.md, links to pages also make these pages its chapters. In headers, only the names of exceptions (#PF) are escaped.
"""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INDEX = "docs/index.md"
IN_BOOK = ("docs/", "labs/", "kernel/", "grader/guest/", "grader/report/")

HEADING = re.compile(r"(#{1,6})\s+(.*?)(?:\s+\{#([\w-]+)\})?\s*#*\s*$")
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
FENCE = re.compile(r"\s*(```+|~~~+)\s*(\w*)")


def label(page: str, anchor: str = "") -> str:
    """The identifier of a page or of a heading on it, in the whole book."""
    name = "mainpage" if page == INDEX and not anchor else "page-" + re.sub(r"\W+", "-", page.removesuffix(".md"))
    return f"{name}-{anchor}" if anchor else name


def anchor_of(title: str) -> str:
    """The anchor that Markdown viewers give a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@lru_cache
def anchors(page: str) -> frozenset[str]:
    """All anchors of a page."""
    found, fenced = set(), False
    for line in (ROOT / page).read_text("utf-8").splitlines():
        fenced ^= bool(FENCE.match(line))
        heading = None if fenced else HEADING.match(line)
        if heading:
            found.add(heading[3] or anchor_of(heading[2]))
    return frozenset(found)


def link(page: str, text: str, target: str) -> str:
    """One link as Doxygen wants it. A broken one becomes a reference that Doxygen complains about."""
    if re.match(r"[a-z]+:", target) or target.startswith("@"):
        return f"[{text}]({target})"
    path, _, anchor = target.partition("#")
    file = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
    if not (ROOT / file).exists():
        return f"[{text}](@ref no-such-file-{re.sub(r'[^a-zA-Z0-9]+', '-', target)})"
    if file.endswith(".md") and file.startswith(IN_BOOK):
        if anchor and anchor not in anchors(file):
            return f"[{text}](@ref no-such-heading-{anchor})"
        if page == INDEX and not anchor:
            return f'@subpage {label(file)} "{text.replace("`", "")}"'
        return f"[{text}](@ref {label(file, anchor)})"
    if file.endswith(".h") and file.startswith(IN_BOOK):
        return f'@ref {file.partition("/")[2]} "{text.replace("`", "")}"'
    return text


def prose(page: str, text: str) -> str:
    """Text outside code: links are rewritten, signs of Doxygen's own escaped. `code` between backticks stays."""
    result, last = [], 0
    for found in re.finditer(r"(`+)(?:(?!\1).)+?\1(?!`)|" + LINK.pattern, text):
        result.append(escape(text[last:found.start()]))
        result.append(found[0] if found[1] else link(page, found[2], found[3]))
        last = found.end()
    return "".join(result) + escape(text[last:])


def escape(text: str) -> str:
    text = re.sub(r"\bi386\b(?!::)", "%i386", text)  # the processor, not the namespace
    return re.sub(r"@(?=\w)", r"\\@", re.sub(r"(?<![\w&])#(?=\w)", r"\\#", text.replace("\\", "\\\\")))


def convert(page: str, lines: list[str]) -> list[str]:
    """The page, line by line."""
    result: list[str] = []
    fence, dot, first = "", False, True
    for line in lines:
        mark = FENCE.match(line)
        if mark and not fence:
            fence, dot = mark[1], mark[2] == "dot"
            result.append("@dot" if dot else line)
        elif fence:
            closes = bool(mark) and mark[1].startswith(fence) and not mark[2]
            result.append("@enddot" if closes and dot else line)
            fence = "" if closes else fence
        elif heading := HEADING.match(line):
            anchor = "" if first else heading[3] or anchor_of(heading[2])
            result.append(f"{heading[1]} {prose(page, heading[2])} {{#{label(page, anchor)}}}")
            first = False
        else:
            result.append(prose(page, line))
    return result


def header(line: str) -> str:
    """A line of a header: in its comment, #PF is the name of an exception and not a reference."""
    code, slashes, comment = line.partition("///")
    return code + slashes + re.sub(r"(?<!\w)#(?=[A-Z]{2}\b)", r"\\#", comment)


def main() -> int:
    page = str(Path(sys.argv[1]).resolve().relative_to(ROOT))
    lines = Path(sys.argv[1]).read_text("utf-8").splitlines()
    print("\n".join(convert(page, lines) if page.endswith(".md") else map(header, lines)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
