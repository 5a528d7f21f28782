"""Scripts of the grader's guest, as the kernel's own tests write them, and the kernel that has run one.

    script = Script()
    area = script.add("vmalloc.allocate 4096")      # the operation's number
    script.add(f"vmalloc.free ${area}")
    script.checkpoint("freed")                      # the machine stops here, for the host to look around
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emulator.machine import Machine
from emulator.rom import Module, build_rom
from gdb.client import GdbSession, Target
from paging.tables import TableSet, read_tables
from profiles import built

TICK_BUDGET = 2_000_000_000


class Script:
    """Operations, numbered from 1."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> int:
        self.lines.append(line)
        return len(self.lines)

    def checkpoint(self, name: str) -> None:
        self.add(f"checkpoint {name}")


@dataclass(frozen=True)
class Record:
    """What one operation answered."""

    error: str  # "" for a success
    values: tuple[int, ...]
    ticks: int | None

    @staticmethod
    def of(words: list[str]) -> Record:
        ticks = next((int(word[2:]) for word in words if word.startswith("t=")), None)
        if words[1] == "error":
            return Record(words[2], (), ticks)
        assert words[1] == "ok", words
        return Record("", tuple(int(word, 16) for word in words[2:] if not word.startswith("t=")), ticks)


class Run:
    """A booted kernel that is running a script."""

    def __init__(self, target: Target) -> None:
        self.target = target
        for symbol in ("harness_finished", "harness_checkpoint", "panic_stop"):
            target.breakpoint(symbol)

    def to_checkpoint(self, name: str) -> None:
        stop = self.target.resume()
        assert stop.symbol == "harness_checkpoint", f"{stop}\n{self.text()}"
        reached = self.target.string(self.target.argument(0))
        assert reached == name

    def to_end(self) -> None:
        stop = self.target.resume()
        assert stop.symbol == "harness_finished", f"{stop}\n{self.text()}"

    def to_panic(self) -> str:
        """The one sentence of the panic."""
        stop = self.target.resume()
        assert stop.symbol == "panic_stop", f"{stop}\n{self.text()}"
        return self.text().partition("*** kernel panic: ")[2].partition("\n")[0]

    def text(self) -> str:
        return self.target.serial().decode("ascii", "replace").replace("\r", "")

    def records(self) -> dict[int, Record]:
        """All records so far, by the number of their operation."""
        lines = (line[1:].split() for line in self.text().splitlines() if line.startswith("="))
        return {int(words[0]): Record.of(words) for words in lines}

    def values(self, operation: int) -> tuple[int, ...]:
        record = self.records()[operation]
        assert not record.error, f"operation {operation}: {record.error}"
        return record.values

    def value(self, operation: int) -> int:
        return self.values(operation)[0]

    def error(self, operation: int) -> str:
        return self.records()[operation].error

    def tables(self, directory: int | None = None) -> TableSet:
        """The page tables that CR3, or the frame `directory`, leads to."""
        registers = self.target.registers()
        cr3 = registers["cr3"] if directory is None else directory * 4096
        return read_tables(self.target.physical, cr3, registers["cr4"])


class Boots:
    """Boots kernels one after the other, for the tests of one module."""

    def __init__(self, session: GdbSession, folder: Path) -> None:
        self._session = session
        self._folder = folder

    def __call__(self, script: Script, *, profile: str = "grading", megabytes: int = 16, kernel: Path | None = None,
                 options: str = "", disk: Path | None = None, swap: Path | None = None) -> Run:
        """`kernel` instead of the profile's own; `options` stand on the command line. The machine writes to `disk` and `swap` themselves."""
        elf, machine = kernel or built(profile), Machine(megabytes)
        rom = self._folder / "rom.bin"
        text = "\n".join([*script.lines, "say done"]) + "\n"
        command_line = f"harness {options}".strip()
        rom.write_bytes(build_rom(elf, machine=machine, command_line=command_line, modules=[Module("script", text.encode())]))
        return Run(self._session.boot(elf, rom, machine, self._folder, tick_budget=TICK_BUDGET, wall_seconds=60, disk=disk, swap=swap))

    def finished(self, script: Script, **options) -> Run:
        """The same, when the whole script has run."""
        run = self(script, **options)
        run.to_end()
        return run


def boots(folder: Path) -> Iterator[Boots]:
    """The body of a fixture."""
    with GdbSession() as session:
        yield Boots(session, folder)
