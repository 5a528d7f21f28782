"""C++ source cut into tokens, as far as the checks need it: nothing hidden in comments, strings or spliced lines.

The translation phases that matter (C++20 [lex.phases]): a backslash at the end of a line joins it to the next one before
anything else is looked at; comments count as a space; a line that begins with `#` (or its other spelling `%:`) is a directive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Token:
    kind: str  # "name", "number", "text" (string or character), "mark", "directive", "end" of a directive
    text: str
    line: int


class Evasion(Exception):
    """Source that two readers would cut differently."""

    def __init__(self, line: int, what: str, cure: str) -> None:
        super().__init__(what)
        self.line, self.what, self.cure = line, what, cure


_SPLICE = re.compile(r"\\[ \t\f\v\r]*\n")
_PIECES = re.compile(
    r"""(?P<space>[ \t\f\v\r]+)
      | (?P<newline>\n)
      | (?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<raw>(?:u8|u|U|L)?R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)")
      | (?P<text>(?:u8|u|U|L)?"(?:\\.|[^"\\\n])*"|(?:u8|u|U|L)?'(?:\\.|[^'\\\n])*')
      | (?P<name>[^\W\d]\w*)
      | (?P<number>\.?\d(?:'?[\w.]|(?<=[eEpP])[+-])*)
      | (?P<hash>%:%:|%:|\#\#|\#)
      | (?P<rest>::|->|\[\[|\]\]|.)
    """, re.VERBOSE | re.DOTALL)


def spliced(text: str) -> tuple[str, list[int]]:
    """The text with spliced lines joined, and the offsets in it where a splice was."""
    parts, splices, position, length = [], [], 0, 0
    for found in _SPLICE.finditer(text):
        parts.append(text[position : found.start()])
        length += found.start() - position
        splices.append(length)
        position = found.end()
    parts.append(text[position:])
    return "".join(parts), splices


def tokens(text: str) -> Iterator[Token]:
    """All tokens; a directive is one "directive" token (its name), its tokens, and an "end" token."""
    joined, splices = spliced(text.replace("\r\n", "\n"))
    line, splice_index = 1, 0
    at_start, in_directive, wants_name = True, False, False
    for found in _PIECES.finditer(joined):
        while splice_index < len(splices) and splices[splice_index] <= found.start():
            splice_index += 1
            line += 1
        kind, word = found.lastgroup, found.group()
        if kind == "mark":
            kind = "raw"
        inside = sum(1 for splice in splices[splice_index:] if splice < found.end())
        here = line
        if kind == "newline":
            if in_directive:
                yield Token("end", "", line)
            at_start, in_directive, wants_name = True, False, False
        elif kind == "raw":
            if inside:
                raise Evasion(line, "a line that ends with a backslash inside a raw string", "write the string without R\"...\"")
            yield Token("text", word, here)
        elif kind == "hash" and at_start and word in ("#", "%:"):
            in_directive, wants_name = True, True
        elif kind not in ("space", "comment"):
            if wants_name:
                yield Token("directive", word, here)
                wants_name = False
            else:
                yield Token({"rest": "mark", "hash": "mark"}.get(kind or "", kind or ""), word, here)
        if kind not in ("space", "comment", "newline"):
            at_start = False
        line += word.count("\n")
    if in_directive:
        yield Token("end", "", line)
