#!/usr/bin/python3
"""Figures of the kernel and of the grader: `make bench`.

Ticks are the emulated processor's (one per instruction, one per element of a repeated string instruction): they are exact, and
the same on every machine. Where those of one row go, `make profile OF=NAME` tells (tick_profile.py). Seconds are this machine's own: for
the TLB, of which ticks know nothing (bench_tlb.py), and to say where the time of one graded boot goes.
"""

from __future__ import annotations

import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

import bench_swap
import bench_tlb
from emulator.disk import program_disk, programs_in
from emulator.machine import Machine
from emulator.rom import Module, build_rom
from emulator.volume import copy_image
from gdb.client import GdbSession, Target
from paging.tables import read_tables

ROOT = Path(__file__).resolve().parent.parent
MEMORY_SIZES = (16, 1024)  # MiB, one table each: a cost that grows with memory would show at once
PROFILES = {"off": "no-memory-debugging", "on": "grading"}  # memory debugging
ROUNDS = 500
BOOTS = 10
FILE_COLUMNS = 130  # of the tables when they go to a file
TICK_BUDGET = 4_000_000_000
TICKS_PER_MICROSECOND = 100  # of a processor that does 100 million instructions a second
SMALL = TICKS_PER_MICROSECOND  # what a small allocation may cost, and its free


@dataclass(frozen=True)
class Operation:
    """One operation of bench.measure: what is allocated and freed, and how many ticks that may cost without debugging."""

    name: str  # in grader/guest/bench_verbs.cpp
    what: str
    target: int | None = None
    free_target: int | None = None


OPERATIONS = (
    Operation("hot-page", "page, from the hot stack", 40, 40),
    Operation("zeroed-page", "zeroed page, from the pool", 60, 40),
    Operation("frame", "page, from the frame allocator", 150, 150),
    Operation("frames-3", "run of 8 pages, from the frame allocator", 150, 150),
    Operation("run-3", "run of 8 pages, with the kernel's accounts"),
    Operation("kmalloc-32", "kmalloc, 32 bytes", SMALL, SMALL),
    Operation("kmalloc-1000", "kmalloc, 1000 bytes", SMALL, SMALL),
    Operation("slab", "slab object, 64 bytes", SMALL, SMALL),
    Operation("vmalloc-64k", "vmalloc, 64 KiB"),
)


@dataclass(frozen=True)
class Call:
    """One row of what processes ask of the kernel."""

    name: str  # in grader/programs/bench
    what: str
    target: int | None = None
    linux: int | None = None  # Linux 6.1 (Debian 12's 32-bit kernel) on the same emulated processor, where it was measured


CALLS = (
    Call("null-call", "system call that does nothing, int 0x80", 60, 416),
    Call("null-call-sysenter", "the same, SYSENTER", 40),
    Call("yield", "switch to another process by yield, end to end", 350, 5_300),
    Call("first-write", "first write to an anonymous page; clearing it: 1,031", 1_300, 3_820),
    Call("first-write-zeroed", "the same, with a zeroed frame at hand", 300),
    Call("first-read", "first read of an anonymous page: the zero frame"),
    Call("write-after-read", "first write to it after that", 1_300),
    Call("copy-on-write", "write to a page shared since fork; the copy: 1,030", 1_350, 5_850),
    Call("last-owner", "write to it after the other one has gone", 250),
    Call("file-read", "first read of a cached file page", 300),
    Call("file-fault-around", "the same, with its 7 neighbours"),
    Call("file-read-mean", "that, for each of the 8 pages", 300, 700),
    Call("file-write", "first write to a private page of a file"),
    Call("stack-growth", "stack grows by a page"),
    Call("mmap-munmap", "mmap + munmap of one untouched page", 900, 15_500),
    Call("mmap-touch-munmap", "mmap + first write + munmap of one page"),
    Call("mprotect", "mprotect of one resident page"),
    Call("munmap-page", "munmap of 256 resident pages, for each", 120, 1_405),
    Call("fork-exit-wait", "fork + exit + wait, a small process", None, 174_000),
    Call("fork-exit-wait-256", "the same, with 256 resident pages", 25_000),
    Call("exec", "exec of a small program"),
)
PROCESS_MEGABYTES = 64


@dataclass(frozen=True)
class Ticks:
    """What one function costs over many calls."""

    median: int
    worst: int

    @property
    def microseconds(self) -> str:
        return f"{self.median / TICKS_PER_MICROSECOND:.2f}"


@dataclass(frozen=True)
class Row:
    """The figures of one operation; None for what the kernel does not do (yet)."""

    allocate: Ticks | None = None
    free: Ticks | None = None


def run_to_the_end(target: Target) -> None:
    """Run the script; anything but its end is a defect of this benchmark or of the reference."""
    for symbol in ("harness_finished", "panic_stop"):
        target.breakpoint(symbol)
    stop = target.resume()
    if stop.symbol != "harness_finished":
        raise SystemExit(f"bench: the kernel stopped at {stop.symbol or stop.kind}:\n{target.serial().decode(errors='replace')}")


def row_of(record: str) -> Row:
    """`=3 ok 0x22 0x24 0x25 0x25`: median and worst of the allocations, then of the frees."""
    words = record.split()
    if words[1] != "ok":
        return Row()
    median, worst, free_median, free_worst = (int(word, 16) for word in words[2:6])
    return Row(Ticks(median, worst), Ticks(free_median, free_worst))


def measure(session: GdbSession, elf: Path, megabytes: int, folder: Path) -> list[Row]:
    """All operations, in one boot of a machine of this size."""
    script = "".join(f"bench.measure {operation.name} {ROUNDS}\n" for operation in OPERATIONS)
    machine = Machine(megabytes)
    rom = folder / "bench.rom"
    rom.write_bytes(build_rom(elf, machine=machine, command_line="harness", modules=[Module("script", script.encode())]))
    with session.boot(elf, rom, machine, folder, tick_budget=TICK_BUDGET) as target:
        run_to_the_end(target)
        return [row_of(line) for line in target.serial().decode().splitlines() if line.startswith("=")]


def cells(ticks: Ticks | None, target: int | None) -> list[Text]:
    """Median, worst, microseconds; a median over its target stands out."""
    if ticks is None:
        return [Text("missing", style="bold red"), Text(), Text()]
    style = "bold red" if target is not None and ticks.median > target else ""
    return [Text(f"{ticks.median:,}", style=style), Text(f"{ticks.worst:,}"), Text(ticks.microseconds)]


def tick_table(megabytes: int, by_debugging: dict[str, Sequence[Row]]) -> Table:
    table = Table(title=f"Ticks per call, {ROUNDS} calls, on a machine of {megabytes} MiB; microseconds at {TICKS_PER_MICROSECOND} million "
                        "instructions a second", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("operation", no_wrap=True)
    table.add_column("target", justify="right")
    for debugging in by_debugging:
        for column in (f"debugging {debugging}: median", "worst", "us"):
            table.add_column(column, justify="right")
    for i, operation in enumerate(OPERATIONS):
        for part, target in (("allocate", operation.target), ("free", operation.free_target)):
            figures = [cell for debugging, rows in by_debugging.items()
                       for cell in cells(getattr(rows[i], part), target if debugging == "off" else None)]
            table.add_row(operation.what if part == "allocate" else "  its free", str(target or ""), *figures)
    return table


def tick_tables(session: GdbSession, folder: Path) -> list[Table]:
    elves = {debugging: ROOT / "build" / profile / "kernel.elf" for debugging, profile in PROFILES.items()}
    return [tick_table(size, {debugging: measure(session, elf, size, folder) for debugging, elf in elves.items()}) for size in MEMORY_SIZES]


def process_records(session: GdbSession, folder: Path) -> dict[str, list[int]]:
    """What grader/programs/bench prints: a name, then figures."""
    machine = Machine(PROCESS_MEGABYTES)
    rom, disk = folder / "bench.rom", folder / "disk.img"
    elf = ROOT / "build" / PROFILES["off"] / "kernel.elf"
    rom.write_bytes(build_rom(elf, machine=machine, command_line="harness seed=1", modules=[Module("script", b"program.run bench\nsay done\n")]))
    copy_image(program_disk(programs_in(ROOT / "build/user/bin")), disk)
    with session.boot(elf, rom, machine, folder, tick_budget=TICK_BUDGET, disk=disk) as target:
        run_to_the_end(target)
        record = next(line for line in target.serial().decode().splitlines() if line.startswith("=1 "))
    words = [int(word, 16) for word in record.split()[2:] if word.startswith("0x")]
    text = struct.pack(f"<{len(words) - 3}I", *words[3:])[: words[2]].decode("ascii", "replace")
    if words[1] != 0:
        raise SystemExit(f"bench: the program failed:\n{text}")
    lines = [line.split() for line in text.splitlines() if " killed by " not in line]
    return {line[0]: [int(word) for word in line[1:]] for line in lines}


def process_table(session: GdbSession, folder: Path) -> Table:
    records = process_records(session, folder)
    alive, frames, ticks = records["crowd"]
    table = Table(title=f"Processes: ticks, memory debugging off, {PROCESS_MEGABYTES} MiB. {alive} processes were alive at once, each of {frames} frames with its "
                        f"kernel stack and page tables, forked in {ticks:,} ticks", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("operation", no_wrap=True)
    for column in ("target", "median", "worst", "us", "Linux 6.1"):
        table.add_column(column, justify="right")
    for call in CALLS:
        figures = cells(Ticks(*records[call.name]) if call.name in records else None, call.target)
        table.add_row(call.what, f"{call.target:,}" if call.target else "", *figures, f"{call.linux:,}" if call.linux else "")
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
    if not console.is_terminal:
        console = Console(width=FILE_COLUMNS)
    with tempfile.TemporaryDirectory(prefix="faultline-bench-") as name, GdbSession() as session:
        for table in tick_tables(session, Path(name)):
            console.print(table)
        console.print(process_table(session, Path(name)))
        for table in bench_swap.tables(session, Path(name)):
            console.print(table)
        for table in bench_tlb.tables(Path(name)):
            console.print(table)
        console.print(boot_table(session, Path(name)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
