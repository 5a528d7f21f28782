"""The serial line of a run: one record per operation, and text for people.

    =3 ok 0x1234 t=57            operation 3 returned 0x1234; the piece ran for 57 ticks
    =4 error OutOfMemory t=31    operation 4 returned an error
    =5 bad ...                   the script asks for what does not exist: the grader's fault
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from judge.scenario import Op
from judge.verdict import EmulatorTrouble, Failure

_RECORD = re.compile(r"=(\d{1,4}) (?:ok((?: 0x[0-9a-f]{1,16})*)|error ([A-Za-z]{1,40}))(?: t=(\d{1,20}))?")
_BAD = re.compile(r"=(\d+) bad (.*)")
_LAST_RECORD = re.compile(r".*(=\d+ (?:ok|error|bad).*)$")


@dataclass(frozen=True)
class Answer:
    number: int
    error: str | None
    values: list[int]
    ticks: int | None


def escaped(text: str | bytes) -> str:
    """Serial text made safe to show: no control characters, no terminal sequences."""
    if isinstance(text, bytes):
        text = text.decode("ascii", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def read_answers(serial: bytes, operations: list[Op], *, finished: bool = False) -> list[Answer]:
    """The records so far, which must be 1, 2, 3 ... without a gap; anything else was not sent by the harness alone.

    `finished`: the guest says that it has come to its end. Only then a last record `=N bad` is believed.
    """
    answers: list[Answer] = []
    # What follows the last newline may be half a line.
    lines = [candidate for raw in serial.split(b"\n")[:-1] if (candidate := _candidate(raw))]
    for index, line in enumerate(lines):
        awaited = len(answers) + 1
        found = _RECORD.fullmatch(line)
        if not found or int(found[1]) != awaited or awaited > len(operations):
            bad = _BAD.fullmatch(line)
            if bad and int(bad[1]) == awaited and finished and index == len(lines) - 1:
                text = operations[awaited - 1].line if awaited <= len(operations) else "?"
                raise EmulatorTrouble(f"the guest refused the script's line {awaited} ({text}): {bad[2]}")
            _forged(line, awaited, operations)
        values = [int(value, 16) for value in (found[2] or "").split()]
        answers.append(Answer(awaited, found[3], values, int(found[4]) if found[4] else None))
    return answers


def _candidate(raw: bytes) -> str:
    """The part of a line that is a record, or looks like one; "" for text.

    The harness ends its line with the record, whatever text without a newline came before: the last thing that looks like a
    record is looked at, and a line that begins with '=' as a whole.
    """
    line = raw.rstrip(b"\r").decode("ascii", "backslashreplace")
    if line.startswith("="):
        return line
    last = _LAST_RECORD.match(line)
    return last[1] if last and (_RECORD.fullmatch(last[1]) or _BAD.fullmatch(last[1])) else ""


def _forged(line: str, awaited: int, operations: list[Op]) -> None:
    awaited_text = str(operations[awaited - 1]) if awaited <= len(operations) else "the end of the script"
    raise Failure("one record for each operation, sent by the harness and by nobody else",
                  f"a forged record: the line \"{escaped(line)[:120]}\" on the serial line while {awaited_text} was awaited",
                  "A line that begins with '=' belongs to the harness. Verdicts come from the machine's own state, never from text.",
                  kind="forged record", operation=min(awaited, len(operations)))
