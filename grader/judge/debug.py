"""`faultline debug`: one test's machine handed to a person, in GDB, stopped where the test failed."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from emulator.machine import Machine
from emulator.rom import build_rom
from emulator.volume import copy_image
from judge import paths
from judge.boot import Boots
from judge.build import Build
from judge.engine import Engine
from judge.lab import Test
from judge.record import Record
from judge.scenario import Scenario


def debug(build: Build, test: Test | None) -> int:
    """Opens GDB; returns its exit status."""
    with tempfile.TemporaryDirectory(prefix="faultline-") as scratch:
        folder = Path(scratch)
        rom, machine, disk, swap = folder / "boot.rom", Machine(), None, None
        elf = build.of_profile(test.profile).elf if test else build.elf
        if test is None:
            rom.write_bytes(build_rom(elf, machine=machine, command_line="monitor"))
            start = ["hbreak kernel_main", "continue"]
        else:
            record, scenario = run_once(build, test)
            machine = scenario.machine
            rom.write_bytes(build_rom(elf, **scenario.boot_arguments))
            if scenario.disk:
                disk = folder / "disk.img"
                copy_image(scenario.disk, disk)
            if scenario.swap:
                swap = folder / "swap.img"
                scenario.swap.write(swap)
            start = _to_the_failure(record, scenario)
        return _open_gdb(elf, rom, machine, start, disk, swap)


def run_once(build: Build, test: Test) -> tuple[Record, Scenario]:
    """The test as `grade` runs it, to learn where it fails, and the script that it booted last."""
    last: list[Boots] = []
    with Engine() as engine:
        record = engine.run_test(build, test, observe=last.append)
    if not last or last[-1].last is None:
        raise RuntimeError(f"test {test.id} booted nothing: {record.seen}")
    return record, last[-1].last


def _to_the_failure(record: Record, scenario: Scenario) -> list[str]:
    """GDB commands that stop at the operation that failed, or at the first checkpoint, or at the first operation."""
    if record.kind == "panic" and record.operation is None:
        return ["hbreak panic_stop", "continue", "backtrace"]
    if record.operation is not None:
        number = record.operation
    elif scenario.checkpoints:
        number = scenario.checkpoints[-1].op.number
    else:
        number = 1
    line = scenario.operations[number - 1].line if 0 < number <= len(scenario.operations) else ""
    told = [f"{record.status}: {record.id}"]
    if record.status != "pass":
        told += [f"expected {record.expected}", f"seen: {record.seen}"]
    told.append(f"Stopped before operation {number}: {line}")
    told.append("`finish` leaves harness_operation(), `break` and `step` lead into the piece, `monitor help` shows the emulator's commands.")
    echo = ["printf " + _gdb_string(text + "\n") for text in told]
    return [f"hbreak harness_operation if number == {number}", "continue", *echo, "backtrace 3"]


def _gdb_string(text: str) -> str:
    """A string for GDB's printf: no formats, nothing but printable ASCII."""
    plain = "".join(char if char == "\n" or (char.isprintable() and ord(char) < 128) else "?" for char in text)
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return f'"{escaped}"'


def _open_gdb(elf: Path, rom: Path, machine: Machine, start: list[str], disk: Path | None, swap: Path | None) -> int:
    bridge = [str(paths.GRADER / "gdb" / "bridge"), "--rom", str(rom), "--memory", str(machine.megabytes)]
    bridge += [*(["--disk", str(disk)] if disk else []), *(["--swap", str(swap)] if swap else [])]
    registers = "set struct-convention reg"  # where a Result comes back: kernel.mk's -freg-struct-return
    commands = ["set confirm off", "set pagination off", registers, f"directory {paths.ROOT}", f"target remote | {shlex.join(bridge)}", *start]
    helper = paths.GRADER / "gdb" / "debug.py"
    if helper.is_file():
        commands.insert(3, f"source {helper}")
    arguments = ["gdb", "-nx", "-q", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off", str(elf)]
    for command in commands:
        arguments += ["-ex", command]
    arguments += shlex.split(os.environ.get("GDBFLAGS", ""))
    return subprocess.call(arguments, cwd=paths.ROOT)
