"""Scenarios of user programs for the kernel's own tests: written like a lab's (labs/programs.py), booted without a judge.

    def test_something(machine):                    # a fixture made with booter()
        scenario = machine()
        programs = Programs(scenario)
        ran = programs.run("echo", "hello")
        scenario.boot()
        assert ran.text == "hello\\n"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator import torture
from emulator.machine import Machine
from emulator.rom import build_rom
from emulator.volume import copy_image
from gdb.client import GdbSession
from judge.boot import Probe
from judge.image import KernelImage
from judge.link import prepare_programs
from judge.scenario import Checkpoint, Run, Scenario
from judge.transcript import read_answers
from profiles import built

TICK_BUDGET = 4_000_000_000
MEGABYTES = 16


@dataclass
class Booter:
    """Boots scenarios, one after the other (judge.scenario.Booter)."""

    session: GdbSession
    folder: Path
    profile: str = "grading"
    kernel: Path | None = None  # instead of the profile's
    count: int = 0

    def __call__(self, megabytes: int = MEGABYTES) -> Scenario:
        """A new scenario."""
        scenario = Scenario("a test of the kernel", 1, self)
        scenario.machine = Machine(megabytes)
        return scenario

    def boot(self, scenario: Scenario) -> Run:
        self.count += 1
        torture.apply(scenario)
        image = KernelImage(self.kernel or built(self.profile))
        folder = self.folder / f"boot-{self.count}"
        folder.mkdir()
        rom, disk = folder / "boot.rom", folder / "disk.img"
        rom.write_bytes(build_rom(image.elf, **scenario.boot_arguments))
        if scenario.disk:
            copy_image(scenario.disk, disk)
        swap = folder / "swap.img" if scenario.swap else None
        if swap:
            scenario.swap.write(swap)
        disks = {"disk": disk if scenario.disk else None, "swap": swap}
        with self.session.boot(image.elf, rom, scenario.machine, folder, TICK_BUDGET, 60, **disks) as target:
            for symbol in ("harness_finished", "harness_checkpoint", "panic_stop"):
                target.breakpoint(symbol)
            ticks = self._run(scenario, target, Probe(target, image, swap))
            return Run(scenario.operations, scenario.checkpoints, ticks, target.serial(), image, None, scenario.machine, folder, disk, swap)

    def _run(self, scenario: Scenario, target: Any, probe: Probe) -> int:
        checkpoints = iter(scenario.checkpoints)
        while True:
            stop = target.resume()
            serial = target.serial()
            for op, answer in zip(scenario.operations, read_answers(serial, scenario.operations)):
                op.finish(answer.error, answer.values, answer.ticks)
            text = serial[-3000:].decode("ascii", "backslashreplace")
            if stop.symbol == "harness_finished":
                assert next(checkpoints, None) is None, f"a checkpoint was not reached\n{text}"
                assert all(op.is_done for op in scenario.operations), text
                return stop.ticks
            assert stop.symbol == "harness_checkpoint", f"{stop}\n{text}"
            self._look(next(checkpoints, None), target, probe)

    def _look(self, checkpoint: Checkpoint | None, target: Any, probe: Probe) -> None:
        name = target.string(target.argument(0))
        assert checkpoint and checkpoint.word == name, f"checkpoint {name!r} instead of {checkpoint}"
        checkpoint._registers = target.registers()
        if checkpoint._probe is not None:
            checkpoint.probe = checkpoint._probe(probe)


@contextmanager
def booter(folder: Path, profile: str = "grading") -> Iterator[Callable[..., Scenario]]:
    """For a fixture of a module's tests."""
    prepare_programs()
    with GdbSession() as session:
        yield Booter(session, folder, profile)
