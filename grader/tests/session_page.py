#!/usr/bin/python3
"""The page docs/session.md: `make session` types its lines at a real machine's shell and writes down what comes.

In the page's `session` blocks, lines that begin with the shell's prompt are typed, in the page's order and in one boot; what follows them up to
the next prompt is the machine's. The line that begins with `$ make run` stands for the boot. session_page.py --check says where the page
differs from what the shell prints now; numbers may differ, words not.
"""

from __future__ import annotations

import difflib
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shell_session import PROMPT, ROOT, ShellSession  # noqa: E402

PAGE = ROOT / "docs/session.md"
BEGIN, END = "```session", "```"
BOOT = "$ make run"
LEAVES = "shutdown"
KEPT_OF_BOOT = 4  # lines of the kernel's account; the rest is in other chapters

Recorder = Callable[[str], list[str]]


def rewrite(page: str, record: Recorder) -> Iterator[str]:
    """The page's lines, with every answer as `record` gives it."""
    in_block = False
    for line in page.splitlines():
        if line == BEGIN or (in_block and line == END):
            in_block = not in_block
            yield line
        elif not in_block:
            yield line
        elif line.startswith((PROMPT, BOOT)):
            yield from record(line)


class Machine:
    """A boot that answers the page's lines. It starts with the line that says how."""

    def __init__(self) -> None:
        self._shell: ShellSession | None = None
        self._in_background = ""

    def close(self) -> None:
        if self._shell:
            self._shell.close()

    def record(self, line: str) -> list[str]:
        """What stands on the terminal from this line to the next prompt."""
        if line.startswith(BOOT):
            return [line, *self._boot(line)]
        command = line.removeprefix(PROMPT)
        if command.startswith("kill "):
            command = f"kill {self._in_background}"
        if command == LEAVES:
            self._shell.type(command + "\r")
            return (PROMPT + self._shell.wait_for_end()).split("\n")[:-1]
        answer = self._shell.run(command)
        started = re.search(r"^\[(\d+)\] \w+ runs in the background$", answer, re.MULTILINE)
        self._in_background = started[1] if started else self._in_background
        return [PROMPT + command, *answer.split("\n")[:-1]]

    def _boot(self, line: str) -> list[str]:
        words = dict(word.split("=", 1) for word in shlex.split(line) if "=" in word)
        self._shell = ShellSession(append=words.get("APPEND", ""), terminal=True)
        self._shell.__enter__()
        said = self._shell.greeting.removesuffix(PROMPT).rstrip("\n").split("\n")
        init = next(number for number, text in enumerate(said) if text.startswith("init:"))
        return [*said[: 1 + KEPT_OF_BOOT], "...", *said[init:]]


def record() -> str:
    """The page as it would be if it were recorded now."""
    machine = Machine()
    try:
        return "\n".join(rewrite(PAGE.read_text("utf-8"), machine.record)) + "\n"
    finally:
        machine.close()


def mask(text: str) -> list[str]:
    """Lines in which no number counts, nor how wide it is."""
    text = re.sub(r"0x[0-9a-f]+|\d+", "#", text)
    return [re.sub(r" +", " ", line) for line in text.splitlines()]


def differences(recorded: str) -> list[str]:
    """Where the page says something else, as a patch. Empty: it is up to date."""
    return list(difflib.unified_diff(mask(PAGE.read_text("utf-8")), mask(recorded), "the page", "the machine", lineterm=""))


def main() -> int:
    recorded = record()
    if sys.argv[1:] == ["--check"]:
        found = differences(recorded)
        print("\n".join(found) or "docs/session.md shows what the shell prints")
        return 1 if found else 0
    PAGE.write_text(recorded, "utf-8")
    print("docs/session.md is recorded anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())
