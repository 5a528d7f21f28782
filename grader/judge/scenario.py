"""A scenario is what one test does to the machine: a script of operations, booted once, and what came back.

A lab has one subclass, in `labs/<fixture>.py`, whose methods give the lab's verbs readable names. A test reads like this:

    def test_reuse(frames):
        \"\"\"A frame that was freed can be allocated again.\"\"\"
        first = frames.allocate()                 # an Op: line 1 of the script
        frames.op("frames.free", first)           # uses the first result: "frames.free $1"
        again = frames.op("frames.allocate", "Normal", note="after the free")
        frames.boot()                             # runs the script; crashes and hangs end the test here
        expect(again.ok, "a free frame can be allocated", again.says)

Before `boot()` a test only writes the script; after it, every Op has its result. The numbers that a test invents come
from `scenario.random`, which the run's seed and the test's name decide.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NoReturn, Protocol

from emulator.machine import Machine
from emulator.rom import Module
from emulator.swap_disk import SwapDisk
from judge.plot import Plot, Series
from judge.table import Cell, Table
from judge.verdict import EmulatorTrouble, Failure, expect, fail

if TYPE_CHECKING:
    from judge.image import KernelImage

__all__ = ["Scenario", "Op", "Reference", "Checkpoint", "Run", "Failure", "EmulatorTrouble", "fail", "expect", "Machine", "SwapDisk"]

MAX_OPERATIONS = 4096
MAX_LINE = 199  # characters, as the guest's harness reads them


@dataclass(frozen=True)
class Reference:
    """The first value of an operation's result, plus or minus a constant: "$3+0x1000"."""

    number: int
    offset: int = 0

    def __add__(self, offset: int) -> Reference:
        return Reference(self.number, self.offset + offset)

    def __sub__(self, offset: int) -> Reference:
        return self + -offset

    def __str__(self) -> str:
        if self.offset == 0:
            return f"${self.number}"
        return f"${self.number}{'+' if self.offset > 0 else '-'}{abs(self.offset):#x}"


class Op:
    """One line of the script, and after the boot its result."""

    def __init__(self, number: int, line: str, note: str = "") -> None:
        self.number = number  # counts from 1
        self.line = line
        self.note = note
        self._done = False
        self._error: str | None = None
        self._values: list[int] = []
        self._ticks: int | None = None

    def finish(self, error: str | None, values: list[int], ticks: int | None) -> None:
        """Called by the engine with what the machine answered."""
        self._done, self._error, self._values, self._ticks = True, error, values, ticks

    def _after_boot(self) -> None:
        if not self._done:
            raise RuntimeError(f"{self} has no result before scenario.boot()")

    @property
    def is_done(self) -> bool:
        """Whether the machine came this far."""
        return self._done

    @property
    def ok(self) -> bool:
        """Whether the function succeeded."""
        self._after_boot()
        return self._error is None

    @property
    def error(self) -> str | None:
        """The error's name, as in lib/result.h ("OutOfMemory"), or None."""
        self._after_boot()
        return self._error

    @property
    def values(self) -> list[int]:
        """What it returned. A test that asks for values expects success: an error fails the test, with a sentence."""
        self._after_boot()
        if self._error is not None:
            raise Failure(f"{self} succeeds", f"it returned Error::{self._error}", operation=self.number)
        return self._values

    @property
    def value(self) -> int:
        """The first value."""
        values = self.values
        if not values:
            raise EmulatorTrouble(f"{self} answered no value")
        return values[0]

    @property
    def ticks(self) -> int:
        """Ticks of the time-stamp counter that the piece's function took; the same for the same seed on any computer."""
        self._after_boot()
        if self._ticks is None:
            raise EmulatorTrouble(f"{self} reported no ticks")
        return self._ticks

    @property
    def has_ticks(self) -> bool:
        return self._ticks is not None

    @property
    def says(self) -> str:
        """The result in words, for `seen`: "Error::OutOfMemory" or "0x1234, 0x5"."""
        self._after_boot()
        if self._error is not None:
            return f"Error::{self._error}"
        return ", ".join(f"{value:#x}" for value in self._values) or "success"

    def __add__(self, offset: int) -> Reference:
        return Reference(self.number) + offset

    def __sub__(self, offset: int) -> Reference:
        return Reference(self.number) - offset

    def __str__(self) -> str:
        note = f", {self.note}" if self.note else ""
        return f"operation {self.number} ({self.line}{note})"

    __repr__ = __str__


class Checkpoint:
    """A line of the script at which the machine is stopped and read from outside."""

    def __init__(self, name: str, op: Op, probe: Callable[[Any], Any] | None, tables: bool) -> None:
        self.name = name
        self.word = op.line.partition(" ")[2]  # its name in the script
        self.op = op
        self._probe = probe
        self._wants_tables = tables
        self._registers: dict[str, int] | None = None
        self._tables: Any = None
        self.probe: Any = None  # what the probe returned

    @property
    def is_a_programs(self) -> bool:
        """Made by a program while its operation runs, not by a line of the script."""
        return not self.op.line.startswith("checkpoint ")

    @property
    def registers(self) -> dict[str, int]:
        """All registers, with cr0, cr2, cr3 and cr4."""
        if self._registers is None:
            raise RuntimeError(f"checkpoint {self.name} was not reached: call scenario.boot() first")
        return self._registers

    @property
    def tables(self) -> Any:
        """The page tables that CR3 points to (paging.tables.TableSet), read from physical memory."""
        if self._tables is None:
            raise RuntimeError(f"checkpoint {self.name} has no tables: not reached yet, or made with tables=False")
        return self._tables

    def __str__(self) -> str:
        return f"checkpoint {self.name!r} ({self.op})"

    __repr__ = __str__


@dataclass
class Run:
    """One boot, after it ended well."""

    operations: list[Op]
    checkpoints: list[Checkpoint]
    ticks: int  # from reset to the end of the script
    serial: bytes
    image: KernelImage
    layout: Any  # emulator.rom.BootLayout: where command line, map and modules lie
    machine: Machine
    directory: Path
    disk: Path | None = None  # the machine's disk as the run left it: emulator.volume reads it
    swap_image: Path | None = None  # its swap disk as well: emulator.swap_disk reads it

    @property
    def serial_text(self) -> str:
        """What the machine printed, with every unprintable byte escaped."""
        return self.serial.decode("ascii", "backslashreplace")

    def symbol(self, name: str) -> int:
        """The address of a symbol of the kernel, by its demangled or mangled name."""
        return self.image.symbol(name)


class Booter(Protocol):
    """What carries out a scenario: the engine, or the debug command, which hands the machine to a person."""

    def boot(self, scenario: Scenario) -> Run: ...


@dataclass
class Partial:
    points: float
    why: str


@dataclass
class Scenario:
    """The base of every lab's scenario; the engine makes one per test."""

    test: str  # the test's id, such as "frames.unique"
    seed: int
    booter: Booter
    salt: str = ""  # differs between the machines of one test
    # False: the checkpoints of this lab read no page tables unless asked to (faster)
    reads_tables = True

    machine: Machine = field(default_factory=Machine, init=False)
    command_line: str = field(default="harness", init=False)
    modules: list[Module] = field(default_factory=list, init=False)  # files for the guest, beside the script
    # An image (emulator.disk.program_disk): the machine gets a copy of it as its first disk. None: no disk.
    disk: Path | None = field(default=None, init=False)
    # The machine gets such a swap disk at its second channel, fresh for each boot. None: none.
    swap: SwapDisk | None = field(default=None, init=False)
    on_reference: bool = field(default=False, init=False)  # boots the reference's kernel, not the submission's
    operations: list[Op] = field(default_factory=list, init=False)
    checkpoints: list[Checkpoint] = field(default_factory=list, init=False)
    run: Run | None = field(default=None, init=False)
    earned: Partial | None = field(default=None, init=False)
    tables: list[Table] = field(default_factory=list, init=False)
    plots: list[Plot] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.seed:#x} {self.test} {self.salt}")
        self.prepare()

    def prepare(self) -> None:
        """For subclasses: what every test of the lab starts with."""

    # The script

    def op(self, verb: str, *args: object, note: str = "") -> Op:
        """Adds a line. An Op or Reference as argument stands for that operation's first value; `note` says what the
        line is for, and is repeated in failures."""
        line = " ".join([verb, *(_argument(arg) for arg in args)])
        if self.run is not None:
            raise RuntimeError(f"{line!r} comes after boot(): a script cannot grow any more")
        if len(line) > MAX_LINE:
            raise ValueError(f"line longer than {MAX_LINE} characters: {line}")
        if not line.isprintable():
            raise ValueError(f"not one line of text: {line!r}")
        if len(self.operations) >= MAX_OPERATIONS:
            raise ValueError(f"more than {MAX_OPERATIONS} operations in a script")
        op = Op(len(self.operations) + 1, line, note)
        self.operations.append(op)
        return op

    def say(self, words: str) -> Op:
        """Text for people on the console."""
        return self.op("say", words)

    def checkpoint(self, name: str, probe: Callable[[Any], Any] | None = None, *, tables: bool | None = None) -> Checkpoint:
        """Stops the machine here and reads registers and page tables. `probe` is called with the stopped machine
        (gdb.client.Target) and may read more, its swap disk too (`swap_image`); what it returns is kept in `checkpoint.probe`."""
        wants = self.reads_tables if tables is None else tables
        word = "-".join(name.split())  # a word of the script
        checkpoint = Checkpoint(name, self.op("checkpoint", word), probe, wants)
        self.checkpoints.append(checkpoint)
        return checkpoint

    def module(self, name: str, data: bytes) -> None:
        """A file that the guest finds among its boot modules, such as a trace that would be too long for a script. After the run
        it must still hold the same bytes."""
        if self.run is not None:
            raise RuntimeError(f"module {name!r} comes after boot()")
        if not name.isidentifier() or name in ("script", *(module.name for module in self.modules)):
            raise ValueError(f"{name!r} is taken, or no name for a module")
        self.modules.append(Module(name, bytes(data)))

    @property
    def script(self) -> bytes:
        """The script as the guest reads it."""
        return "".join(f"{op.line}\n" for op in self.operations).encode("ascii")

    @property
    def boot_arguments(self) -> dict[str, Any]:
        """What emulator.rom.build_rom() is to put beside the kernel."""
        return {"machine": self.machine, "command_line": self.command_line, "modules": [Module("script", self.script), *self.modules]}

    # The run

    def boot(self) -> Run:
        """Boots the kernel with this script, once. A crash, a hang or a missing function ends the test here."""
        if self.run is not None:
            raise RuntimeError("a scenario boots once; see second_machine()")
        self.run = self.booter.boot(self)
        return self.run

    def second_machine(self, machine: Machine | None = None) -> Any:
        """Another machine for the same test (of the same class, with its own script), to compare two boots."""
        other = type(self)(self.test, self.seed, self.booter, self.salt + "'")
        other.machine, other.disk, other.swap = machine or self.machine, self.disk, self.swap
        return other

    def reference_machine(self) -> Any:
        """The same machine with the reference's kernel, of the profile that the test asks for: what a submission's figures are
        compared with, in the same run. Its script is its own; the random numbers are the same. What goes wrong there is
        the grader's fault."""
        other = type(self)(self.test, self.seed, self.booter, self.salt)
        other.machine, other.disk, other.swap, other.on_reference = self.machine, self.disk, self.swap, True
        return other

    # The verdict

    def partial(self, points: float, why: str) -> None:
        """The test gives only `points` of its points, unless it still fails. `why` is what the student reads."""
        self.earned = Partial(points, why)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """Figures for the reports, whether the test passes or fails afterwards. Whole numbers and fractions are kept as such."""
        self.tables.append(Table.of(title, columns, rows))

    def plot(self, title: str, x: str, y: str, series: Sequence[Series]) -> None:
        """Lines for the report's page; `x` and `y` name the axes. Their figures belong into a table as well, for who reads text."""
        self.plots.append(Plot.of(title, x, y, series))

    def fail(self, expected: str, seen: str, hint: str = "", *, operation: int | None = None) -> NoReturn:
        fail(expected, seen, hint, operation=operation)

    def expect(self, condition: object, expected: str, seen: str, hint: str = "", *, operation: int | None = None) -> None:
        expect(condition, expected, seen, hint, operation=operation)


def _argument(value: object) -> str:
    if isinstance(value, Op):
        return str(Reference(value.number))
    if isinstance(value, Checkpoint):
        raise TypeError("a checkpoint has no value")
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int):
        if value < 0:
            raise ValueError(f"negative argument {value}")
        return str(value) if value < 10 else f"{value:#x}"
    return str(value)
