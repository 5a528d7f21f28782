"""How a test says what it found: the exceptions that end it, and the two helpers that raise them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn


@dataclass(eq=False)
class Failure(Exception):
    """The piece did something wrong. What is said here is what the student reads.

    `kind` names the sort of failure in one word: "check" (a test's own), "panic", "page fault", "hang", "halted",
    "triple fault", "stack overflow", "harness overwritten", "not implemented", "forged record", "tampered kernel".
    """

    expected: str
    seen: str
    hint: str = ""
    kind: str = "check"
    operation: int | None = None  # number of the script's line that failed or was running
    where: str = ""  # "map() at page_table.cpp:41", where the machine was
    backtrace: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"expected {self.expected}; seen: {self.seen}"


class EmulatorTrouble(Exception):
    """Bochs, GDB or the grader itself failed: our fault, so the test is tried again and costs no points."""


def fail(expected: str, seen: str, hint: str = "", *, operation: int | None = None) -> NoReturn:
    """Ends the test: `expected` should hold (a sentence, with the reason if it is not plain), `seen` is what does."""
    raise Failure(expected, seen, hint, operation=operation)


def expect(condition: object, expected: str, seen: str, hint: str = "", *, operation: int | None = None) -> None:
    """Ends the test unless `condition` holds."""
    if not condition:
        fail(expected, seen, hint, operation=operation)
