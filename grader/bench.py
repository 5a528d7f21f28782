#!/usr/bin/python3
"""Figures of the kernel and of the grader: `make bench`.

Ticks are the emulated processor's (one per instruction, one per element of a repeated string instruction): they are exact, and
the same on every machine. Seconds are this machine's own, and say where the time of one graded boot goes.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from emulator.machine import Machine
from emulator.rom import Module, build_rom
from gdb.client import GdbSession, Target
from paging.tables import read_tables

ROOT = Path(__file__).resolve().parent.parent
MEMORY_SIZES = (16, 1024)  # MiB, side by side
PROFILES = {"grading": "on", "no-memory-debugging": "off"}
ROUNDS = 200
BOOTS = 10
TICK_BUDGET = 1_000_000_000


@dataclass(frozen=True)
class Ticks:
    """What one operation costs over many calls."""

    median: float
    worst: int

    @classmethod
    def of(cls, values: list[int]) -> Ticks:
        return cls(statistics.median(values), max(values))

    def __str__(self) -> str:
        return f"{self.median:,.0f} / {self.worst:,}"


def run_to_the_end(target: Target) -> None:
    """Run the script; anything but its end is a defect of this benchmark or of the reference."""
    for symbol in ("harness_finished", "panic_stop"):
        target.breakpoint(symbol)
    stop = target.resume()
    if stop.symbol != "harness_finished":
        raise SystemExit(f"bench: the kernel stopped at {stop.symbol or stop.kind}:\n{target.serial().decode(errors='replace')}")


def ticks_of(record: str) -> int:
    """`=3 ok 0x1234 t=57` -> 57"""
    words = record.split()
    if words[1] != "ok":
        raise SystemExit(f"bench: an operation failed: {record}")
    return int(words[-1].removeprefix("t="))


def frame_script() -> list[str]:
    """Allocate and free one frame at a time, then a zeroed one: after the first round the frame is always the same."""
    lines = []
    for contents in ("unspecified", "zeroed"):
        for _ in range(ROUNDS):
            lines.append(f"frames.allocate 0 high {contents}")
            lines.append(f"frames.free ${len(lines)} 0")
    return lines


def measure_frames(session: GdbSession, elf: Path, megabytes: int, folder: Path) -> dict[str, Ticks]:
    """Ticks of the frame allocator's functions on a machine of this size."""
    script = "\n".join(frame_script()) + "\n"
    machine = Machine(megabytes)
    rom = folder / "bench.rom"
    rom.write_bytes(build_rom(elf, machine=machine, command_line="harness", modules=[Module("script", script.encode())]))
    with session.boot(elf, rom, machine, folder, tick_budget=TICK_BUDGET) as target:
        run_to_the_end(target)
        records = [line for line in target.serial().decode().splitlines() if line.startswith("=")]
    ticks = [ticks_of(record) for record in records]
    plain, zeroed = ticks[: 2 * ROUNDS], ticks[2 * ROUNDS :]
    return {"allocate": Ticks.of(plain[0::2]), "allocate, zeroed": Ticks.of(zeroed[0::2]), "free": Ticks.of(plain[1::2])}


def frame_table(session: GdbSession, folder: Path) -> Table:
    """Machine sizes side by side: a cost that grows with memory would show at once."""
    table = Table(title="Frame allocator, ticks per call: median / worst", title_justify="left")
    for column in ("operation", "debugging"):
        table.add_column(column)
    for size in MEMORY_SIZES:
        table.add_column(f"{size} MiB", justify="right")
    for profile, debugging in PROFILES.items():
        elf = ROOT / "build" / profile / "kernel.elf"
        results = [measure_frames(session, elf, size, folder) for size in MEMORY_SIZES]
        for operation in results[0]:
            table.add_row(operation, debugging, *(str(result[operation]) for result in results))
    return table


def measure_boot(session: GdbSession, elf: Path, folder: Path) -> dict[str, float]:
    """Seconds of each part of one graded boot."""
    machine = Machine(16)
    rom = folder / "bench.rom"
    times = [time.perf_counter()]
    rom.write_bytes(build_rom(elf, machine=machine, command_line="harness", modules=[Module("script", b"say hello\n")]))
    times.append(time.perf_counter())
    with session.boot(elf, rom, machine, folder, tick_budget=TICK_BUDGET) as target:
        times.append(time.perf_counter())
        run_to_the_end(target)
        times.append(time.perf_counter())
        registers = target.registers()
        read_tables(target.physical, registers["cr3"], registers["cr4"])
        times.append(time.perf_counter())
    times.append(time.perf_counter())
    names = ("boot ROM built", "Bochs and bridge started, GDB attached", "kernel booted, guest's script run", "registers and page tables read", "all ended")
    return {name: after - before for name, before, after in zip(names, times, times[1:])}


def boot_table(session: GdbSession, folder: Path) -> Table:
    elf = ROOT / "build" / "grading" / "kernel.elf"
    boots = [measure_boot(session, elf, folder) for _ in range(BOOTS)]
    table = Table(title=f"One graded boot, milliseconds: median of {BOOTS}", title_justify="left")
    table.add_column("part")
    table.add_column("ms", justify="right")
    medians = {name: statistics.median(boot[name] for boot in boots) * 1000 for name in boots[0]}
    for name, value in medians.items():
        table.add_row(name, f"{value:.0f}")
    table.add_row("together", f"{sum(medians.values()):.0f}", style="bold")
    return table


def main() -> int:
    console = Console()
    with tempfile.TemporaryDirectory(prefix="faultline-bench-") as name, GdbSession() as session:
        console.print(frame_table(session, Path(name)))
        console.print(boot_table(session, Path(name)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
