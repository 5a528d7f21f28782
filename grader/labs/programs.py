"""User programs in a test's script: what they print, how they end, and what the machine looks like while they run.

    programs = Programs(scenario)                       # the scenario's machine gets a disk with build/user/bin on it
    ran = programs.run("mapper", 5, checkpoints=["mapped"])
    scenario.boot()
    expect(ran.exit_status == 0, "mapper ends well", str(ran))
    programs.three_views_agree(ran.view("mapped"))

A program reaches a checkpoint with checkpoint("mapped") of grader/programs/debug.h; the test names them in the order in which they are
reached. What programs print comes back in the operation that let them run, byte by byte inside its record.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emulator.disk import program_disk, programs_in
from judge import paths
from judge.scenario import Checkpoint, EmulatorTrouble, Op, Reference, Scenario, fail
from labs.process_view import Area, ProcessView, disagreements, read_view

MAX_OUTPUT = 16 << 10  # bytes that the guest keeps for one record

SIGNALS = {"SIGILL": 4, "SIGTRAP": 5, "SIGBUS": 7, "SIGFPE": 8, "SIGKILL": 9, "SIGSEGV": 11, "SIGTERM": 15}
_SIGNAL_NAMES = {number: name for name, number in SIGNALS.items()}


Reader = Callable[[Any, ProcessView], Any]  # reads more of the stopped machine (gdb.client.Target): its memory, say


@dataclass
class Look:
    """A checkpoint at which a process is looked at."""

    checkpoint: Checkpoint
    found: Any = None  # what the reader brought

    @property
    def view(self) -> ProcessView:
        """The process as it was there."""
        if self.checkpoint.probe is None:
            raise EmulatorTrouble(f"{self.checkpoint} was not reached")
        return self.checkpoint.probe


@dataclass
class Ran:
    """An operation that let programs run, mostly until one had ended."""

    op: Op
    looks: dict[str, Look] = field(default_factory=dict)
    head: int = 2  # values before the output

    @property
    def pid(self) -> int:
        return self.op.values[0]

    @property
    def wait_status(self) -> int:
        return self.op.values[1]

    @property
    def exit_status(self) -> int | None:
        """What it passed to exit(), or None when a signal ended it."""
        return None if self.wait_status & 0xFF else self.wait_status >> 8 & 0xFF

    @property
    def signal(self) -> str | None:
        """The signal that ended it, by name, or None."""
        number = self.wait_status & 0xFF
        return _SIGNAL_NAMES.get(number, f"signal {number}") if number else None

    @property
    def text(self) -> str:
        """What was printed meanwhile, by anybody; unprintable bytes are escaped."""
        length, words = self.op.values[self.head], self.op.values[self.head + 1:]
        if length > MAX_OUTPUT:
            raise EmulatorTrouble(f"{self.op}: {length} bytes of output are more than a record holds")
        return struct.pack(f"<{len(words)}I", *words)[:length].decode("ascii", "backslashreplace")

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def view(self, name: str) -> ProcessView:
        """The process at a checkpoint."""
        return self.looks[name].view

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return f"ended by {self.signal}" if self.signal else f"exit status {self.exit_status}"

    def __str__(self) -> str:
        return f"{self.op}: {self.ending}, printed {self.text!r}" if self.op.ok else f"{self.op}: {self.op.says}"


class Programs:
    """Writes the operations of grader/guest/program_verbs.cpp into a scenario's script."""

    def __init__(self, scenario: Scenario, files: Mapping[str, bytes] | None = None) -> None:
        """Gives the scenario's machine a disk with all programs, and with `files` ("bin/name" or "folder/name") beside them."""
        self.scenario = scenario
        scenario.disk = program_disk({**programs_in(paths.programs_folder()), **(files or {})})
        scenario.command_line += f" seed={scenario.random.getrandbits(32):#x}"  # where programs lie repeats with the run's seed

    # -- running -----------------------------------------------------------------------------------------------------

    def run(self, name: str, *arguments: object, checkpoints: Sequence[str] = (), reader: Reader | None = None, note: str = "") -> Ran:
        """Runs /bin/`name` (or the program of that path) and waits until it has ended."""
        return self._ran(self.scenario.op("program.run", name, *arguments, note=note), checkpoints, reader)

    def start(self, name: str, *arguments: object, note: str = "") -> Op:
        """Starts a program; it runs in later operations that let programs run. The value is its process number."""
        return self.scenario.op("program.start", name, *arguments, note=note)

    def wait(self, process: Op | Reference | int, *, checkpoints: Sequence[str] = (), note: str = "") -> Ran:
        """Waits for the end of a program that start() has started."""
        return self._ran(self.scenario.op("program.wait", process, note=note), checkpoints)

    def let_run(self, times: int = 1, *, checkpoints: Sequence[str] = (), reader: Reader | None = None) -> Ran:
        """Lets everybody who is ready run, so many times. Nobody's end is waited for: only the text counts."""
        ran = self._ran(self.scenario.op("program.yield", times), checkpoints, reader)
        ran.head = 0
        return ran

    def kill(self, process: Op | Reference | int, signal: str) -> Op:
        return self.scenario.op("program.kill", process, SIGNALS[signal])

    def load(self, path: str) -> Op:
        """Loads a program and forgets it: values are an Error and a ProgramFault (kernel/proc/program.h)."""
        return self.scenario.op("program.load", path)

    # -- looking -----------------------------------------------------------------------------------------------------

    def look(self, process: Op | Reference | int, name: str, reader: Reader | None = None) -> Look:
        """Stops the machine and looks at a process that does not run."""
        return self._look(self.scenario.op("program.look", process, name), name, reader)

    def areas(self, process: Op | Reference | int) -> Op:
        """The areas of a process: seven values each, see areas_in()."""
        return self.scenario.op("program.areas", process)

    def maps(self, process: Op | Reference | int) -> Op:
        """The maps of a process, see text_in()."""
        return self.scenario.op("program.maps", process)

    def processes(self) -> Op:
        """Three values for each process: its number, its parent's, its state."""
        return self.scenario.op("program.ps")

    def frames(self) -> Op:
        """Frames in use, after the heap has given back what it keeps at hand."""
        return self.scenario.op("heap.settle")

    def check(self, process: Op | Reference | int) -> Op:
        """Has the kernel check areas, page tables and counts of a process."""
        return self.scenario.op("program.check", process)

    # -- what must hold ----------------------------------------------------------------------------------------------

    def three_views_agree(self, view: ProcessView, *, eager: bool = False, where: str = "", operation: int | None = None) -> None:
        """Areas, page tables and maps of a process tell the same story; the test fails with the first sentences of what they do not."""
        wrong = disagreements(view, eager=eager)
        if wrong:
            fail(f"areas, page tables and maps of process {view.pid} agree{f' {where}' if where else ''}", "; ".join(wrong[:3]),
                 "The areas are the law: page tables follow what insert(), remove() and protect() tell the kernel.", operation=operation)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _ran(self, op: Op, checkpoints: Sequence[str], reader: Reader | None = None) -> Ran:
        if len(set(checkpoints)) < len(checkpoints):
            raise ValueError("two checkpoints of one operation have the same name")
        return Ran(op, {name: self._look(op, name, reader) for name in checkpoints})

    def _look(self, op: Op, name: str, reader: Reader | None = None) -> Look:
        """A stop inside an operation: the guest makes it, not a line of the script."""

        def probe(target: Any) -> ProcessView:
            view = read_view(target, target.symbol("programs_guest::view"), self.scenario.machine.memory_bytes)
            look.found = reader(target, view) if reader else None
            return view

        checkpoint = Checkpoint(name, op, probe, False)
        checkpoint.word = name
        self.scenario.checkpoints.append(checkpoint)
        look = Look(checkpoint)
        return look


def areas_in(op: Op) -> list[Area]:
    """The areas that Programs.areas() brought."""
    values = op.values
    return [Area(*values[i:i + 7]) for i in range(0, len(values), 7)]


def text_in(op: Op) -> str:
    """The text that Programs.maps() brought."""
    length, *words = op.values
    return struct.pack(f"<{len(words)}I", *words)[:length].decode("ascii", "backslashreplace")
