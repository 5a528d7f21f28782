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


def read_answers(serial: bytes, operations: list[Op], *, finished: bool = True) -> list[Answer]:
    """The records so far, which must be 1, 2, 3 ... without a gap; anything else was not sent by the harness alone.

    A record "bad" is the harness's own only if it ended the run (`finished`) and nothing came after it: else a piece could
    make the grader take the blame.
    """
    answers: list[Answer] = []
    lines = serial.split(b"\n")[:-1]  # what follows the last newline may be half a line
    last_record = max((number for number, raw in enumerate(lines) if b"=" in raw), default=-1)
    for number, raw in enumerate(lines):
        line = raw.rstrip(b"\r").decode("ascii", "backslashreplace")
        if not line.startswith("="):
            # Text without a newline may stand before the record; the record still ends the line.
            behind = re.search(rf"={len(answers) + 1} (ok|error) .*$|={len(answers) + 1} ok$", line)
            if not behind or not _RECORD.fullmatch(behind.group()):
                continue
            line = behind.group()
        bad = _BAD.fullmatch(line)
        if bad and int(bad[1]) == len(answers) + 1 and finished and number == last_record:
            raise EmulatorTrouble(f"the guest refused the script's line {bad[1]} "
                                  f"({operations[int(bad[1]) - 1].line if int(bad[1]) <= len(operations) else '?'}): {bad[2]}")
        found = _RECORD.fullmatch(line)
        if not found or int(found[1]) != len(answers) + 1 or int(found[1]) > len(operations):
            _forged(line, len(answers) + 1, operations)
        values = [int(value, 16) for value in (found[2] or "").split()]
        answers.append(Answer(int(found[1]), found[3], values, int(found[4]) if found[4] else None))
    return answers


def _forged(line: str, awaited: int, operations: list[Op]) -> None:
    awaited_text = str(operations[awaited - 1]) if awaited <= len(operations) else "the end of the script"
    raise Failure("one record for each operation, sent by the harness and by nobody else",
                  f"a forged record: the line \"{escaped(line)[:120]}\" on the serial line while {awaited_text} was awaited",
                  "A line that begins with '=' belongs to the harness. Verdicts come from the machine's own state, never from text.",
                  kind="forged record", operation=min(awaited, len(operations)))
