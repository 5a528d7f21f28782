"""What swapping costs: pages out and in, without the time of the disk itself, and searches for a victim, on a small machine and a large one.

The disk's own ticks are counted by the kernel (mm/reclaim/swap_area.h) and subtracted: an emulated disk says nothing about a real one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.table import Table

from emulator.machine import Machine
from emulator.rom import Module, build_rom
from emulator.swap_disk import SwapDisk
from gdb.client import GdbSession

ROOT = Path(__file__).resolve().parent.parent
ELF = ROOT / "build/no-memory-debugging/kernel.elf"
TICK_BUDGET = 20_000_000_000
WALL_SECONDS = 300
PAGES = 512  # that leave and come back; a disk of twice as many


@dataclass(frozen=True)
class Row:
    """One operation of bench.swap in grader/guest/bench_swap_verbs.cpp."""

    name: str
    what: str


ROWS = (
    Row("dirty-out", "swap-out of a page that was written to"),
    Row("batch-out", "the same, eight at a time, for each"),
    Row("clean-out", "swap-out of a page whose slot is still good: no write"),
    Row("in-with-neighbours", "swap-in, with its neighbours read ahead"),
    Row("in-from-copy", "swap-in of a page that is in memory already"),
    Row("in-mean", "swap-in, pages in an order that goes from block to block"),
)
SCANS = ("fifo", "clock", "aging", "two-lists", "working-set")
SCAN_SIZES = {16: 2_048, 1024: 32_768}  # MiB: pages of user memory, all of them used


def run(session: GdbSession, folder: Path, machine: Machine, lines: list[str]) -> list[list[int]]:
    """The figures of each line of a script."""
    rom, swap = folder / "swap.rom", folder / "swap.img"
    script = "".join(f"{line}\n" for line in lines)
    rom.write_bytes(build_rom(ELF, machine=machine, command_line="harness seed=1", modules=[Module("script", script.encode())]))
    SwapDisk(kib=PAGES * 2 * 4).write(swap)
    with session.boot(ELF, rom, machine, folder, tick_budget=TICK_BUDGET, wall_seconds=WALL_SECONDS, swap=swap) as target:
        for symbol in ("harness_finished", "panic_stop"):
            target.breakpoint(symbol)
        stop = target.resume()
        serial = target.serial().decode(errors="replace")
        if stop.symbol != "harness_finished":
            raise SystemExit(f"bench: the kernel stopped at {stop.symbol or stop.kind}:\n{serial}")
    return [[int(word, 16) for word in line.split()[2:] if word.startswith("0x")] for line in serial.splitlines() if line.startswith("=")]


def page_table(session: GdbSession, folder: Path) -> Table:
    """Pages out and in."""
    table = Table(title=f"Swap: ticks without the disk's, memory debugging off, {PAGES} pages", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("operation", no_wrap=True)
    for column in ("median", "worst"):
        table.add_column(column, justify="right")
    for row, (median, worst) in zip(ROWS, run(session, folder, Machine(16), [f"bench.swap {row.name} {PAGES}" for row in ROWS])):
        table.add_row(row.what, f"{median:,}", f"{worst:,}")
    return table


def scan_table(session: GdbSession, folder: Path) -> Table:
    """A search for a victim when every page was used, and when none was."""
    table = Table(title="Search for a victim: ticks for each page that was used and is passed by; and of a search that finds one at once",
                  title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("policy")
    columns = []
    for megabytes, pages in SCAN_SIZES.items():
        table.add_column(f"{megabytes} MiB, {pages:,} pages: each", justify="right")
        table.add_column("at once", justify="right")
        columns.append(run(session, folder, Machine(megabytes), [f"bench.swap scan-{policy} {pages}" for policy in SCANS]))
    for policy, *figures in zip(SCANS, *columns):
        table.add_row(policy, *(f"{figure:,}" for pair in figures for figure in pair))
    return table


def tables(session: GdbSession, folder: Path) -> list[Table]:
    """All of them."""
    return [page_table(session, folder), scan_table(session, folder)]
