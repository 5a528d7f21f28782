"""One boot of a test: the machine from reset to the end of its script, read at the checkpoints; every way to stop before has a name."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator import torture
from emulator.rom import BootLayout, boot_layout, build_rom
from emulator.volume import copy_image
from gdb.client import GdbSession, ProbeError
from judge.build import Build
from judge.crash import Crash
from judge.image import KernelImage
from judge.lab import Test
from judge.link import reference_kernel
from judge.record import write_json
from judge.scenario import Checkpoint, Run, Scenario
from judge.transcript import Answer, escaped, read_answers
from judge.verdict import EmulatorTrouble, Failure
from paging.snapshot import NamedRange, take_snapshot
from paging.tables import read_tables

STOPS = ("harness_checkpoint", "harness_finished", "panic_stop", "not_implemented_stop")
WALL_SECONDS = 60  # a watchdog for a stuck emulator; what a test may take is counted in ticks
MAX_SERIAL = 4 << 20  # bytes of console output that a run may send
SNAPSHOT_MEGABYTES = 64  # of memory that is usable; frame maps of more would take longer to read than the test to run


@dataclass
class Boots:
    """Carries out the boots of one test (judge.scenario.Booter), and counts them."""

    build: Build
    test: Test
    session: GdbSession
    folder: Path  # scratch
    snapshots: Path | None  # where the checkpoints are kept for `view`
    count: int = 0
    ticks: int = 0
    console: list[bytes] = field(default_factory=list)
    last: Scenario | None = None  # the scenario that was booted last
    snapshots_taken: int = 0
    reference_runs: dict[Any, tuple[int, bytes, list[Answer]]] = field(default_factory=dict)  # what the reference did, by what it was given

    def boot(self, scenario: Scenario) -> Run:
        """Boots the submission's kernel, or the reference's for a scenario that says so."""
        if not scenario.on_reference:
            self.last = scenario
            return self._boot(scenario, self.build.image)
        try:
            return self._boot_reference(scenario)
        except Failure as failure:
            raise EmulatorTrouble(f"the reference's own kernel, which the submission is compared with, failed: {failure}") from failure

    def _boot_reference(self, scenario: Scenario) -> Run:
        """The same boot ROM on the same machine does the same again: such a run is remembered for the next test."""
        image = reference_kernel(self.build.lab, self.build.profile)
        rom = build_rom(image.elf, **scenario.boot_arguments)
        key = (hashlib.blake2b(rom).digest(), scenario.machine, self.test.ticks)
        if scenario.disk is not None or scenario.swap is not None:  # somebody may want to read it afterwards
            return self._boot(scenario, image)
        if scenario.checkpoints or key not in self.reference_runs:
            run = self._boot(scenario, image)
            self.reference_runs[key] = run.ticks, run.serial, read_answers(run.serial, scenario.operations)
            return run
        ticks, serial, answers = self.reference_runs[key]
        self.count += 1
        self.ticks += ticks
        self.console.append(serial)
        _note(scenario, answers)
        return Run(scenario.operations, [], ticks, serial, image, boot_layout(image.elf, **scenario.boot_arguments), scenario.machine, self.folder)

    def _boot(self, scenario: Scenario, image: KernelImage) -> Run:
        self.count += 1
        if scenario.disk:
            torture.apply(scenario)
        directory = self.folder / f"boot-{self.count}"
        directory.mkdir(parents=True, exist_ok=True)
        try:
            rom = directory / "boot.rom"
            rom.write_bytes(build_rom(image.elf, **scenario.boot_arguments))
            layout = boot_layout(image.elf, **scenario.boot_arguments)
            disk = self.folder / f"disk-{self.count}.img" if scenario.disk else None  # stays for those who read it after the run
            if disk:
                copy_image(scenario.disk, disk)
            swap = self.folder / f"swap-{self.count}.img" if scenario.swap else None
            if swap:
                scenario.swap.write(swap)
            with self.session.boot(image.elf, rom, scenario.machine, directory, self.test.ticks, WALL_SECONDS, disk=disk, swap=swap) as target:
                one = OneBoot(self, scenario, image, layout, target, swap)
                try:
                    one.run()
                finally:
                    self.console.append(one.serial)
                    self.ticks += one.ticks
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return Run(scenario.operations, scenario.checkpoints, one.ticks, one.serial, image, layout, scenario.machine, directory, disk, swap)


def _note(scenario: Scenario, answers: Sequence[Answer]) -> None:
    """Each operation learns what the machine answered."""
    for op, answer in zip(scenario.operations, answers):
        op.finish(answer.error, answer.values, answer.ticks)


class Probe:
    """The stopped machine as a test's probe sees it: gdb.client.Target, with the kernel's names looked up by the host (GDB
    would read all debug information first, at every boot)."""

    def __init__(self, target: Any, image: KernelImage, swap_image: Path | None = None) -> None:
        self._target = target
        self._image = image
        self.swap_image = swap_image  # what the machine has written is on it: emulator.swap_disk reads it

    def symbol(self, name: str) -> int:
        try:
            return self._image.symbol(name)
        except KeyError:
            return self._target.symbol(name)

    def count_hits(self, symbols: Sequence[str]) -> Any:
        return self._target.count_hits_at({symbol: self.symbol(symbol) for symbol in symbols})

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


class OneBoot:
    """The machine from reset to the end of the script, stop by stop."""

    def __init__(self, boots: Boots, scenario: Scenario, image: KernelImage, layout: BootLayout, target: Any,
                 swap_image: Path | None = None) -> None:
        self.boots = boots
        self.snapshots = None if scenario.on_reference else boots.snapshots
        self.scenario = scenario
        self.image = image
        self.layout = layout
        self.target = target
        self.swap_image = swap_image
        self.serial = b""
        self.ticks = 0
        self.reached = 0  # checkpoints

    def run(self) -> None:
        for symbol in STOPS:
            self.target.breakpoint(symbol)
        while True:
            stop = self.target.resume()
            self.ticks = stop.ticks
            self.serial = self.target.serial()
            if len(self.serial) > MAX_SERIAL:
                raise Failure("a run sends its records and little else", f"{len(self.serial):,} bytes on the serial line", kind="hang")
            finished = stop.kind == "breakpoint" and stop.symbol == "harness_finished"
            answers = read_answers(self.serial, self.scenario.operations, finished=finished)
            _note(self.scenario, answers)
            if finished:
                self.finished(answers)
                return
            try:
                self.stopped(stop, len(answers))
            except ProbeError as error:
                raise Failure("the kernel's memory can be read at every stop", f"GDB cannot read it: {error}",
                              "Is the kernel's own part of the page directory still there?", operation=len(answers) + 1) from None

    def stopped(self, stop: Any, answered: int) -> None:
        """Goes on from a checkpoint; raises a Failure at every other stop before the end."""
        if stop.kind != "breakpoint":
            self.ended(stop, answered)
        elif stop.symbol == "harness_checkpoint":
            self.checkpoint(answered)
        elif stop.symbol == "not_implemented_stop":
            words = [self.target.string(self.target.argument(index)) for index in (0, 1)]
            raise self.crash(answered).not_implemented(*words)
        else:
            raise self.crash(answered).panic(escaped(self.serial[-2000:]))

    def crash(self, answered: int) -> Crash:
        operations = self.scenario.operations
        # The kernel's banner comes before the first operation; without it the boot had not ended.
        running = operations[answered] if answered < len(operations) and self.started(answered) else None
        return Crash(self.target, self.image, self.boots.build.lab.files, running)

    def started(self, answered: int) -> bool:
        """Whether the script had begun: the harness counts its operations."""
        if answered:
            return True
        try:
            address = next(value for name, value in self.image.symbols.items() if name.endswith("current_operation"))
            return int.from_bytes(self.target.physical(address, 4), "little") > 0
        except StopIteration:
            return False

    def ended(self, stop: Any, answered: int) -> None:
        """Every way to stop that is not one of ours."""
        crash = self.crash(answered)
        if stop.kind == "budget":
            raise crash.hang(self.boots.test.ticks)
        if stop.kind == "halted":
            raise crash.halted()
        if stop.kind == "triple_fault":
            raise crash.triple_fault(stop.detail)
        raise EmulatorTrouble(f"the emulator stopped: {stop.kind} {stop.detail}")

    def checkpoint(self, answered: int) -> None:
        name = self.target.string(self.target.argument(0))
        if self.reached >= len(self.scenario.checkpoints):
            raise Failure("the harness alone reaches its checkpoints", f"checkpoint {escaped(name)!r} that the script does not have", kind="forged record")
        checkpoint = self.scenario.checkpoints[self.reached]
        if checkpoint.op.number <= answered and checkpoint.is_a_programs:
            raise self.missed(checkpoint)
        if checkpoint.word != name or checkpoint.op.number != answered + 1:
            raise Failure("the harness alone reaches its checkpoints, in the script's order",
                          f"checkpoint {escaped(name)!r} while {self.scenario.operations[min(answered, len(self.scenario.operations) - 1)]} was running",
                          kind="forged record", operation=answered + 1)
        self.reached += 1
        checkpoint._registers = self.target.registers()
        if checkpoint._wants_tables or self.snapshots is not None:
            registers = checkpoint._registers
            checkpoint._tables = read_tables(self.target.physical, registers["cr3"], registers["cr4"],
                                             memory_end=self.scenario.machine.memory_bytes)
        if checkpoint._probe is not None:
            checkpoint.probe = checkpoint._probe(Probe(self.target, self.image, self.swap_image))
        if self.snapshots is not None:
            self.keep(checkpoint, self.snapshots)

    def missed(self, checkpoint: Checkpoint) -> Failure:
        """A program that has ended too early, or another way."""
        return Failure(f"the program comes to its checkpoint {checkpoint.name!r}", f"{checkpoint.op} is over without it", operation=checkpoint.op.number)

    def keep(self, checkpoint: Checkpoint, folder: Path) -> None:
        """Writes the checkpoint for `view`, with the page directories that the probe has read (its `tables`, by name)."""
        image, machine = self.image, self.scenario.machine
        table, count = 0, 0
        symbols = image.symbols
        memory = [(0, 1 << 20), *((entry.base, entry.end) for entry in machine.entries if entry.kind == 1 and entry.base < 1 << 32)]
        if sum(max(0, min(end, machine.memory_bytes) - begin) for begin, end in memory) <= SNAPSHOT_MEGABYTES << 20:
            table, count = (int.from_bytes(self.target.physical(image.symbol(f"mm::frame_table::(anonymous namespace)::{name}"), 4), "little")
                            for name in ("table", "entries"))
        zeros = symbols.get("mm::spaces::(anonymous namespace)::zeros")
        layout = [NamedRange(symbols.get("kernel_begin", 0), symbols.get("kernel_end", 0), "kernel")]
        snapshot = take_snapshot(checkpoint.name, registers=checkpoint.registers, physical=self.target.physical, ranges=layout,
                                 memory_end=machine.memory_bytes, ticks=self.ticks, tables=checkpoint.tables, frame_table=table,
                                 frame_count=count, held=symbols.get("frames_guest::owned", 0), memory=memory,
                                 directories=getattr(checkpoint.probe, "tables", None),
                                 zero_frame=zeros and (int.from_bytes(self.target.physical(zeros, 4), "little") or None))
        self.boots.snapshots_taken += 1
        write_json(folder / self.boots.test.id / f"{self.boots.snapshots_taken:02}.json", snapshot.to_json())

    def finished(self, answers: list[Any]) -> None:
        operations = self.scenario.operations
        if len(answers) < len(operations):
            raise Failure("the whole script runs", f"the script ended before {operations[len(answers)]}", kind="forged record",
                          operation=len(answers) + 1)
        if self.reached < len(self.scenario.checkpoints):
            if self.scenario.checkpoints[self.reached].is_a_programs:
                raise self.missed(self.scenario.checkpoints[self.reached])
            raise Failure("every checkpoint is reached", f"the record of {self.scenario.checkpoints[self.reached]} came without a stop there",
                          kind="forged record")
        self.compare_image()
        self.compare_modules()

    def compare_image(self) -> None:
        """Code and constants must be what was loaded: a piece that rewrites the kernel is named here."""
        for part in self.image.protected:
            if self.differs(part.address, part.data):
                seen = self.target.physical(part.address, len(part.data))
                offset = next((i for i, (a, b) in enumerate(zip(seen, part.data)) if a != b), 0)
                address = part.address + offset
                raise Failure(f"the kernel's {part.name} is the same after the run as before",
                              f"tampered kernel: the byte at {address:#010x} ({self.target.line_of(address)}) was changed",
                              "Remapping or writing the kernel's own pages is not part of any lab.", kind="tampered kernel")

    def compare_modules(self) -> None:
        """So must the files be that the guest works from."""
        for module, (begin, end) in zip(self.scenario.boot_arguments["modules"], self.layout.modules):
            if self.differs(begin, module.data):
                raise Failure(f"the boot module {module.name!r} is the same after the run as before",
                              f"tampered kernel: bytes between {begin:#010x} and {end:#010x} were changed",
                              "Boot modules lie in reserved frames: no frame of them is ever handed out.", kind="tampered kernel")

    def differs(self, address: int, data: bytes) -> bool:
        """Whether memory there is not `data`."""
        return self.target.physical_digest(address, len(data)) != hashlib.blake2b(data, digest_size=16).hexdigest()
