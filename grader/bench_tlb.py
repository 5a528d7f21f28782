"""What the TLB is worth: large pages against small ones, careful invalidation against full flushes, and from how many pages on a flush is
the cheaper way.

Emulated ticks do not see page walks: an instruction is a tick, whether or not its operand's translation is in the TLB. So these figures are
seconds of this computer's processor that Bochs takes for the same work in two ways, alternating in one boot, as ratios of medians; and
page walks, which Bochs counts exactly: its debugger prints every access to a page directory or page table in a short window.
"""

from __future__ import annotations

import re
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.table import Table

from emulator.bochs import BochsDebugger
from emulator.disk import program_disk, programs_in
from emulator.machine import Machine
from emulator.rom import Module, build_rom
from emulator.volume import copy_image
from gdb.client import symbol_addresses

ROOT = Path(__file__).resolve().parent.parent
ELF = ROOT / "build/no-memory-debugging/kernel.elf"
MEGABYTES = 64
SECONDS = 300.0  # for one stretch between two checkpoints
_WALK = re.compile(r"\[CPU0 (?:RD|WR)\]: PHY.*\b(PDE|PTE)\b")


@dataclass(frozen=True)
class Comparison:
    """Two ways to do the same: names of checkpoints in grader/programs/tlbwork.cpp."""

    title: str
    better: str
    worse: str
    target: int = 0  # per cent that the better one saves
    neither: str = ""  # the same work without either: what is compared is the overhead over it


COMPARISONS = (
    Comparison("pages of 4 MiB against 4 KiB: first writes", "large-first", "small-first", 15),
    Comparison("pages of 4 MiB against 4 KiB: reads", "large-pages", "small-pages", 15),
    Comparison("mprotect of a page, 256 reads: forget one page, or all", "careful", "flush"),
    Comparison("forget one page, or all: what it costs 256 reads", "singly-1", "at-once", 30, neither="nothing"),
)


@dataclass(frozen=True)
class Walks:
    """Accesses to page tables in one stretch."""

    directories: int
    tables: int

    @property
    def all(self) -> int:
        return self.directories + self.tables


@contextmanager
def _machine(arguments: str, folder: Path) -> Iterator[tuple[BochsDebugger, dict[str, int]]]:
    """Runs tlbwork; stops at checkpoints and at the end."""
    rom, disk, machine = folder / "tlb.rom", folder / "disk.img", Machine(MEGABYTES)
    script = f"program.run tlbwork {arguments}\n".encode()
    rom.write_bytes(build_rom(ELF, machine=machine, command_line="harness seed=1", modules=[Module("script", script)]))
    copy_image(program_disk(programs_in(ROOT / "build/user/bin")), disk)
    symbols = symbol_addresses(ELF)
    with BochsDebugger(rom, disk, machine, folder) as debugger:
        debugger.command(";".join(f"lb {symbols[name]:#x}" for name in ("harness_checkpoint", "harness_finished", "panic_stop")))
        yield debugger, symbols


def _next_checkpoint(debugger: BochsDebugger, symbols: dict[str, int]) -> str:
    """Runs to the next checkpoint; its name, or "" at the script's end."""
    stop = debugger.resume(wall_seconds=SECONDS)
    if stop.eip == symbols["harness_finished"]:
        return ""
    if stop.eip != symbols["harness_checkpoint"]:
        raise SystemExit(f"bench: tlbwork stopped at {stop.eip:#x} ({stop.kind})")
    return _checkpoint_name(debugger)


def _checkpoint_name(debugger: BochsDebugger) -> str:
    """The argument of harness_checkpoint(), at whose first instruction the machine stands."""
    stack = int(debugger.command("r").partition("rsp: ")[2].split()[0].replace("_", ""), 16)
    argument = int.from_bytes(debugger.memory.read_linear(stack + 4, 4), "little")
    return debugger.memory.read_linear(argument, 32).partition(b"\0")[0].decode("ascii", "replace")


def _processor_seconds(process: int) -> float:
    """What the emulator has computed so far. Others' work on this computer does not count."""
    return int(Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def measure_seconds(folder: Path) -> dict[str, list[float]]:
    """Seconds of every stretch, by its name."""
    seconds: dict[str, list[float]] = defaultdict(list)
    with _machine("", folder) as (debugger, symbols):
        while name := _next_checkpoint(debugger, symbols):
            begin = _processor_seconds(debugger.process)
            _next_checkpoint(debugger, symbols)
            seconds[name].append(_processor_seconds(debugger.process) - begin)
    return seconds


def count_walks(folder: Path) -> dict[str, Walks]:
    """Page walks of one short round of every stretch, by its name."""
    walks = {}
    with _machine("count", folder) as (debugger, symbols):
        while name := _next_checkpoint(debugger, symbols):
            debugger.command("trace-mem on")
            kinds = _WALK.findall(debugger.run_and_print(time.monotonic() + SECONDS))
            debugger.command("trace-mem off")
            walks[name] = Walks(kinds.count("PDE"), kinds.count("PTE"))
    return walks


def saving(better: float, worse: float, target: int) -> list[str]:
    """One cell: per cent; one below its target stands out."""
    saved = 100 * (1 - better / worse)
    return [f"[bold red]{-saved:.0f} %[/]" if saved < target else f"{-saved:.0f} %"]


def comparison_table(seconds: dict[str, list[float]], walks: dict[str, Walks]) -> Table:
    table = Table(title="TLB: what the better way saves. Time is the emulator's, median of the rounds of one boot; walks are accesses to page tables in one round",
                  title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("the same work in two ways")
    for column in ("target", "time", "ms", "ms", "walks", "of", "of"):
        table.add_column(column, justify="right")
    for item in COMPARISONS:
        medians = {name: statistics.median(values) * 1000 for name, values in seconds.items()}
        overhead_over = medians.get(item.neither, 0.0)
        better, worse = medians[item.better] - overhead_over, medians[item.worse] - overhead_over
        figures = [*saving(better, worse, item.target), f"{better:.1f}", f"{worse:.1f}"]
        if item.better in walks:
            few, many = walks[item.better].all, walks[item.worse].all
            figures += [*saving(few, many, item.target), f"{few:,}", f"{many:,}"]
        table.add_row(item.title, f"-{item.target} %" if item.target else "", *figures)
    return table


def range_table(seconds: dict[str, list[float]]) -> Table:
    """From how many pages on one flush is cheaper than as many invalidations."""
    table = Table(title="TLB: forgetting a range, then reading a working set of 256 other pages: milliseconds for 500 times", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("pages forgotten, one by one", justify="right")
    table.add_column("ms", justify="right")
    for name, values in seconds.items():
        if name.startswith("singly-"):
            table.add_row(name.removeprefix("singly-"), f"{statistics.median(values) * 1000:.0f}")
    table.add_row("all at once", f"{statistics.median(seconds['at-once']) * 1000:.0f}")
    return table


def tables(folder: Path) -> list[Table]:
    seconds = measure_seconds(folder)
    return [comparison_table(seconds, count_walks(folder)), range_table(seconds)]
