#!/usr/bin/python3
"""Random system calls with random and edge arguments, from several processes: `make fuzz-syscalls [COUNT=n] [SEED=s]`.

The kernel with the grader's guest boots in Bochs and runs grader/programs/fuzz in rounds. After each round all its processes are
gone, and the guest looks for contradictions: areas against page tables, heap, vmalloc, frames against the frame table, and whether every
frame is back. After the run no process and no open file may be left, and fsck.fat must find nothing wrong with the disk. A run
follows from its seed alone, so it repeats.

Exit status: 0 the kernel has survived; 1 it has not; 3 usage; 4 the machine did not work; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import re
import secrets
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emulator.disk import build_program_disk, programs_in
from emulator.elf import BootImageError
from emulator.machine import Machine
from emulator.rom import Module, build_rom
from emulator.volume import check_file_system
from gdb.client import EmulatorError, GdbSession, Stop, Target

ROOT = Path(__file__).resolve().parent.parent
KERNEL = ROOT / "build/grading/kernel.elf"
PROGRAMS = ROOT / "build/user/bin"
HEADER = ROOT / "kernel/abi/system_calls.h"

CALLS = 1_000_000
PROCESSES = 4
MEGABYTES = 16  # so little that memory runs out now and then
ROUND_SECONDS = 180  # a round takes two; on a busy machine, ten
RECORD = struct.Struct("<8I")  # fuzz_guest::Recorded
RECORDS = 64  # fuzz_guest::kRecorded
SHOWN = 12  # of the last calls
OK, FAILED, USAGE, BROKEN, INTERRUPTED = 0, 1, 3, 4, 130


@dataclass(frozen=True)
class Settings:
    """What a run depends on, and nothing else."""

    seed: int
    calls: int = CALLS
    processes: int = PROCESSES
    kernel: Path = KERNEL

    @property
    def repeat(self) -> str:
        count = f" COUNT={self.calls}" if self.calls != CALLS else ""
        return f"make fuzz-syscalls SEED={self.seed}{count}"


@dataclass(frozen=True)
class Recorded:
    """A system call that was about to be made."""

    number: int  # 0 was the first
    pid: int
    call: int
    arguments: tuple[int, ...]

    def __str__(self) -> str:
        names = call_names()
        name = names[self.call] if self.call < len(names) else f"call {self.call:#x}"
        shown = list(self.arguments)
        while shown and shown[-1] == 0:
            shown.pop()
        return f"{self.number:8}  process {self.pid:<4} {name}({', '.join(map(hex, shown))})"


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    settings: Settings
    calls: int
    rounds: int
    exited: int = 0  # workers
    killed: int = 0
    trouble: str = ""  # what is wrong; empty when nothing is
    serial: str = ""  # what the kernel said about it
    last_calls: tuple[Recorded, ...] = ()

    def __str__(self) -> str:
        if not self.trouble:
            workers = f"{self.exited + self.killed} processes, {self.killed} of them ended by a signal"
            return f"{self.calls} calls in {self.rounds} rounds by {workers}: no contradiction, every frame is back, the disk is clean"
        lines = [f"after {self.calls} calls: {self.trouble}"]
        if self.serial:
            lines += ["", self.serial]
        if self.last_calls:
            lines += ["", "the last calls; the last of all may still have been running", *map(str, self.last_calls)]
        return "\n".join([*lines, "", f"again: {self.settings.repeat}"])


def call_names() -> list[str]:
    """The calls by their numbers, as the header has them."""
    body = HEADER.read_text().partition("enum class SystemCall")[2].partition("};")[0]
    return re.findall(r"^    (\w+)(?: = 0)?,", body, re.MULTILINE)[:-1]  # Count is none


class FuzzRun:
    """One boot."""

    def __init__(self, settings: Settings, folder: Path, progress: Callable[[int, int], None]) -> None:
        self._settings = settings
        self._folder = folder
        self._disk = folder / "disk.img"
        self._progress = progress
        self._rounds = 0

    def run(self) -> Outcome:
        """Raises EmulatorError or BootImageError when the fault is not the kernel's."""
        build_program_disk(self._disk, programs_in(PROGRAMS))
        s = self._settings
        rom = self._folder / "rom.bin"
        script = f"fuzz.run {s.seed} {s.calls} {s.processes}\nfuzz.unmount\nsay done\n"
        command_line = f"harness seed={s.seed}"
        machine = Machine(MEGABYTES)
        rom.write_bytes(build_rom(s.kernel, machine=machine, command_line=command_line, modules=[Module("script", script.encode())]))
        with GdbSession() as session:
            with session.boot(s.kernel, rom, machine, self._folder, tick_budget=0, wall_seconds=2 * ROUND_SECONDS, disk=self._disk) as target:
                for symbol in ("harness_checkpoint", "harness_finished", "panic_stop"):
                    target.breakpoint(symbol)
                return self._watch(session, target)

    def _watch(self, session: GdbSession, target: Target) -> Outcome:
        while True:
            stop = self._resume(session, target)
            calls = word(target, "fuzz_guest::made")
            if stop.symbol != "harness_checkpoint":
                break
            self._rounds += 1
            self._progress(calls, self._rounds)
        if stop.symbol == "harness_finished":
            return self._judge(target, calls)
        said = target.serial().decode("ascii", "backslashreplace").replace("\r", "").strip()
        return Outcome(self._settings, calls, self._rounds, trouble=_trouble(stop, target), serial=said, last_calls=last_calls(target, calls))

    def _resume(self, session: GdbSession, target: Target) -> Stop:
        """Runs to the next stop; a kernel that hangs is stopped from here."""
        watchdog = threading.Timer(ROUND_SECONDS, session.interrupt)
        watchdog.start()
        try:
            return target.resume()
        finally:
            watchdog.cancel()

    def _judge(self, target: Target, calls: int) -> Outcome:
        """The run has ended well. So must what it leaves behind be."""
        records = re.findall(r"^=(\d+) (\w+) ?([^\r\n]*)", target.serial().decode("ascii", "replace"), re.MULTILINE)
        answers = {int(operation): (status, values) for operation, status, values in records}
        status, values = answers[1]
        if status != "ok":
            raise EmulatorError(f"the fuzzer does not start: {values}")
        ended, _, rounds, exited, killed, frames, processes = (int(value, 16) for value in values.split())
        wrong = []
        if ended != 0:
            wrong.append(f"the fuzzer itself ended with wait status {ended:#x}")
        if processes != 0:
            wrong.append(f"{processes} processes are left")
        if frames != 0:
            wrong.append(f"{struct.unpack('<i', struct.pack('<I', frames))[0]} frames are not back")
        if answers[2][0] != "ok":
            wrong.append(f"a file is still open: unmounting the volume gives {answers[2][1]}")
        try:
            check_file_system(self._disk)
        except BootImageError as error:
            wrong.append(str(error))
        return Outcome(self._settings, calls, rounds, exited, killed, trouble="; ".join(wrong), last_calls=last_calls(target, calls))


def _trouble(stop: Stop, target: Target) -> str:
    if stop.symbol == "panic_stop":
        return "the kernel has panicked"
    where = target.line_of(stop.eip) or hex(stop.eip)
    if stop.kind == "interrupted":
        return f"the round does not end ({ROUND_SECONDS} s); it is in {where}"
    return f"the machine has stopped ({stop.kind}{f': {stop.detail}' if stop.detail else ''}) in {where}"


def word(target: Target, symbol: str) -> int:
    return struct.unpack("<I", target.physical(target.symbol(symbol), 4))[0]


def last_calls(target: Target, made: int) -> tuple[Recorded, ...]:
    """What the guest has written down, oldest first."""
    ring = target.physical(target.symbol("fuzz_guest::ring"), RECORDS * RECORD.size)
    numbers = range(max(0, made - SHOWN), made)
    records = [(number, RECORD.unpack_from(ring, number % RECORDS * RECORD.size)) for number in numbers]
    return tuple(Recorded(number, pid, call, tuple(arguments)) for number, (pid, call, *arguments) in records)


def fuzz(settings: Settings, progress: Callable[[int, int], None] = lambda calls, rounds: None) -> Outcome:
    """One run, from power on to fsck.fat."""
    with tempfile.TemporaryDirectory(prefix="faultline-fuzz-") as folder:
        return FuzzRun(settings, Path(folder), progress).run()


class Progress:
    """A line that is written over, or a line for every tenth when nobody watches."""

    def __init__(self, calls: int) -> None:
        self._all = calls
        self._begin = time.monotonic()
        self._tenth = 0

    def __call__(self, calls: int, rounds: int) -> None:
        text = f"{calls} of {self._all} calls, {rounds} rounds, {time.monotonic() - self._begin:.0f} s"
        if sys.stdout.isatty():
            print(f"\r{text}", end="", flush=True)
        elif calls * 10 // self._all > self._tenth:
            self._tenth = calls * 10 // self._all
            print(text, flush=True)

    def end(self) -> None:
        if sys.stdout.isatty():
            print()


def number(text: str) -> int:
    value = int(text, 0)
    if not 0 <= value < 1 << 32:
        raise ValueError(text)
    return value


def positive(text: str) -> int:
    value = number(text)
    if value == 0:
        raise ValueError(text)
    return value


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main() -> int:
    parser = Parser(prog="fuzz_syscalls.py", description="Random system calls against the kernel.")
    parser.add_argument("--count", type=positive, default=CALLS, help=f"system calls to make (default {CALLS})")
    parser.add_argument("--seed", type=number, help="repeats a run; without it, chance decides")
    parser.add_argument("--processes", type=positive, default=PROCESSES, help=f"at a time (default {PROCESSES}), their own children not counted")
    parser.add_argument("--kernel", type=Path, default=KERNEL, help="another kernel with the grader's guest")
    arguments = parser.parse_args()
    seed = secrets.randbelow(1 << 32) if arguments.seed is None else arguments.seed
    settings = Settings(seed, arguments.count, arguments.processes, arguments.kernel)
    print(f"{settings.calls} system calls from {settings.processes} processes at a time, seed {seed}", flush=True)
    progress = Progress(settings.calls)
    try:
        outcome = fuzz(settings, progress)
    except KeyboardInterrupt:
        print(f"\nstopped; again: {settings.repeat}", file=sys.stderr)
        return INTERRUPTED
    except (EmulatorError, BootImageError, OSError) as error:
        print(f"fuzz_syscalls.py: {error}", file=sys.stderr)
        return BROKEN
    progress.end()
    print(outcome)
    return FAILED if outcome.trouble else OK


if __name__ == "__main__":
    sys.exit(main())
