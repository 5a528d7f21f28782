"""What swapping costs: pages out and in, without the time of the disk itself, and searches for a victim, on a small machine and a large one.

The disk's own ticks are counted by the kernel (mm/reclaim/swap_area.h) and subtracted: an emulated disk says nothing about a real one.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.table import Table

from emulator.disk import program_disk, programs_in
from emulator.machine import Machine
from emulator.rom import Module, build_rom
from emulator.swap_disk import SwapDisk
from emulator.volume import copy_image
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
PAIR, PAIR_MEGABYTES, PAIR_SLOTS = "thrash 900 6 2", 8, 4096
SCANS = ("fifo", "clock", "aging", "two-lists", "working-set")
SCAN_SIZES = {16: 2_048, 1024: 32_768}  # MiB: pages of user memory, all of them used


def run(session: GdbSession, folder: Path, machine: Machine, lines: list[str], *, options: str = "", swap_pages: int = 2 * PAGES,
        disk: Path | None = None) -> list[list[int]]:
    """The figures of each line of a script; those of `t=`, the ticks of the whole operation, last."""
    rom, swap = folder / "swap.rom", folder / "swap.img"
    script = "".join(f"{line}\n" for line in lines)
    rom.write_bytes(build_rom(ELF, machine=machine, command_line=f"harness seed=1 {options}", modules=[Module("script", script.encode())]))
    SwapDisk(kib=swap_pages * 4).write(swap)
    with session.boot(ELF, rom, machine, folder, tick_budget=TICK_BUDGET, wall_seconds=WALL_SECONDS, disk=disk, swap=swap) as target:
        for symbol in ("harness_finished", "panic_stop"):
            target.breakpoint(symbol)
        stop = target.resume()
        serial = target.serial().decode(errors="replace")
        if stop.symbol != "harness_finished":
            raise SystemExit(f"bench: the kernel stopped at {stop.symbol or stop.kind}:\n{serial}")
    return [[int(word.removeprefix("t="), 0) for word in line.split()[2:]] for line in serial.splitlines() if line.startswith("=")]


def page_table(session: GdbSession, folder: Path) -> Table:
    """Pages out and in."""
    table = Table(title=f"Swap: ticks without the disk's, memory debugging off, {PAGES} pages", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("operation", no_wrap=True)
    for column in ("median", "worst"):
        table.add_column(column, justify="right")
    for row, (median, worst, *_) in zip(ROWS, run(session, folder, Machine(16), [f"bench.swap {row.name} {PAGES}" for row in ROWS])):
        table.add_row(row.what, f"{median:,}", f"{worst:,}")
    return table


def scan_table(session: GdbSession, folder: Path) -> Table:
    """A search for a victim when every page was used, and one more."""
    table = Table(title="Search for a victim: ticks for each page that was used and is passed by; and of the next search, when nobody has used any since",
                  title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("policy")
    columns = []
    for megabytes, pages in SCAN_SIZES.items():
        table.add_column(f"{megabytes} MiB, {pages:,} pages: each", justify="right")
        table.add_column("next search", justify="right")
        columns.append(run(session, folder, Machine(megabytes), [f"bench.swap scan-{policy} {pages}" for policy in SCANS]))
    for policy, *figures in zip(SCANS, *columns):
        table.add_row(policy, *(f"{figure:,}" for each, at_once, *_ in figures for figure in (each, at_once)))
    return table


def pair_table(session: GdbSession, folder: Path) -> Table:
    """Two processes that do not fit into memory together, with load control and without."""
    disk = folder / "disk.img"
    ticks = {}
    for control in ("off", "on"):
        copy_image(program_disk(programs_in(ROOT / "build/user/bin")), disk)
        (*words, ticks[control]), = run(session, folder, Machine(PAIR_MEGABYTES), [f"program.run {PAIR}"], options=f"overcommit=always loadcontrol={control}",
                                        swap_pages=PAIR_SLOTS, disk=disk)
        if words[1] != 0:
            raise SystemExit(f"bench: {PAIR} failed with load control {control}")
    table = Table(title=f"A pair of processes 1.5 times as large as memory (`{PAIR}`, {PAIR_MEGABYTES} MiB)", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("load control")
    table.add_column("million ticks, the disk's too", justify="right")
    table.add_column("throughput", justify="right")
    for control, taken in ticks.items():
        table.add_row(control, f"{taken / 1e6:,.0f}", f"{ticks['off'] / taken:.2f}")
    return table


def policy_tables() -> list[Table]:
    """What test `score` of lab 10 tells about the reference: faults of each policy and of the optimum, on strings of one seed."""
    with tempfile.TemporaryDirectory(prefix="faultline-bench-") as name:
        result = Path(name) / "result.json"
        subprocess.run([str(ROOT / "grader/faultline"), "grade", "10-replace", "--submission", str(ROOT / "solutions"), "--seed", "1", "-k", "test_score",
                        "--json", str(result)], check=True, stdout=subprocess.DEVNULL)
        tests = json.loads(result.read_text())["tests"]
    made = []
    for found in next(test for test in tests if test["id"] == "replace.score")["tables"]:
        table = Table(title=found["title"], title_justify="left", box=box.SIMPLE_HEAD)
        for i, column in enumerate(found["columns"]):
            table.add_column(column, justify="right" if i else "left")
        for row in found["rows"]:
            table.add_row(*map(str, row))
        made.append(table)
    return made


def tables(session: GdbSession, folder: Path) -> list[Table]:
    """All of them."""
    return [page_table(session, folder), scan_table(session, folder), pair_table(session, folder), *policy_tables()]
