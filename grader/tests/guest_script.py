"""Scripts of the grader's guest for tests: written line by line, run in one boot, their records read by the number of the line.

    script = Script()
    frame = script("physical.allocate", "normal", "zeroed")
    script("physical.release", frame)
    with run(session, script, elf, Machine(16), folder) as guest:
        assert guest[frame].value >= 1
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emulator.machine import Machine
from emulator.rom import Module, build_rom
from gdb.client import GdbSession, Target

TICK_BUDGET = 4_000_000_000


@dataclass(frozen=True)
class Line:
    """One operation of a script. As an argument of a later one it stands for its result."""

    number: int

    def __str__(self) -> str:
        return f"${self.number}"

    def __add__(self, offset: int) -> str:
        return f"${self.number}+{offset}"


class Script:
    """Lines for the guest. A call adds one."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, *words: object) -> Line:
        self.lines.append(" ".join(map(str, words)))
        return Line(len(self.lines))

    @property
    def text(self) -> str:
        return "\n".join([*self.lines, "say done"]) + "\n"


@dataclass(frozen=True)
class Answer:
    """What one operation said."""

    error: str  # "" for a success
    values: tuple[int, ...]

    @classmethod
    def of(cls, words: list[str]) -> Answer:
        values = [word for word in words[1:] if not word.startswith("t=")]
        return cls(values[0], ()) if words[0] == "error" else cls("", tuple(int(value, 16) for value in values))

    @property
    def value(self) -> int:
        """The first value; an error is a failure of the test."""
        assert not self.error, self.error
        return self.values[0]


class Guest:
    """A kernel that has run a script, and stands still."""

    def __init__(self, target: Target, script: Script, stopped_at: str | None) -> None:
        self.target = target
        self.script = script
        self.text = target.serial().decode(errors="replace")
        self.panicked = stopped_at == "panic_stop"
        records = [line[1:].split() for line in self.text.splitlines() if line.startswith("=")]
        self._answers = {int(words[0]): Answer.of(words[1:]) for words in records}

    def __getitem__(self, line: Line) -> Answer:
        return self._answers[line.number]

    def says(self, line: Line) -> str:
        """The operation and its answer, for messages."""
        answer = self[line]
        return f"{self.script.lines[line.number - 1]} -> {answer.error or [hex(value) for value in answer.values]}"


@contextmanager
def run(session: GdbSession, script: Script, elf: Path, machine: Machine, folder: Path) -> Iterator[Guest]:
    """Boots the machine and runs the script, to its end or to a panic."""
    rom = folder / "script.rom"
    rom.write_bytes(build_rom(elf, machine=machine, command_line="harness", modules=[Module("script", script.text.encode())]))
    with session.boot(elf, rom, machine, folder, tick_budget=TICK_BUDGET) as target:
        for symbol in ("harness_finished", "panic_stop"):
            target.breakpoint(symbol)
        stop = target.resume()
        assert stop.symbol in ("harness_finished", "panic_stop"), target.serial().decode(errors="replace")
        yield Guest(target, script, stop.symbol)
