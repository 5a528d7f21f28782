#!/usr/bin/python3
"""Where the ticks of one system call or page fault go: `make profile OF=copy-on-write`.

The program bench makes a checkpoint before and after one round of the measurement that has this name in `make bench`. Between them Bochs
prints every instruction that it executes; from the first reading of the clock to the second one they are counted, function by function.
An instruction is a tick, and so is each element of a repeated string instruction, of which the trace holds only one line: the tick count at
the beginning of each line tells.
"""

from __future__ import annotations

import argparse
import bisect
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile
from rich import box
from rich.console import Console
from rich.table import Table

from emulator.bochs import BochsDebugger
from emulator.disk import program_disk, programs_in
from emulator.machine import Machine
from emulator.rom import Module, build_rom
from emulator.volume import copy_image

ROOT = Path(__file__).resolve().parent.parent
ELF = ROOT / "build/no-memory-debugging/kernel.elf"
MEGABYTES = 64
USER_CODE = "(user code)"
TRACE_SECONDS = 120.0
_LINE = re.compile(r"^\(0\)\.\[(\d+)\] \[0x[0-9a-f]+\] ([0-9a-f]{4}):([0-9a-f]+) \([^)]*\): (.*?) *;")


@dataclass(frozen=True)
class Instruction:
    """One line of the trace."""

    tick: int
    in_user_code: bool
    address: int
    text: str


@dataclass
class Spent:
    """What one function took."""

    ticks: int = 0
    calls: int = 0


class Functions:
    """The kernel's functions by address."""

    def __init__(self, elf: Path) -> None:
        with elf.open("rb") as file:
            symbols = ELFFile(file).get_section_by_name(".symtab")
            found = {s["st_value"]: s.name for s in symbols.iter_symbols() if s["st_info"]["type"] == "STT_FUNC" and s["st_shndx"] != "SHN_UNDEF"}
        self._begins = sorted(found)
        names = subprocess.run(["c++filt", "-p"], input="\n".join(found[begin] for begin in self._begins), capture_output=True, text=True, check=True)
        self._names = names.stdout.splitlines()

    def at(self, address: int) -> tuple[str, int]:
        """The function that an address lies in, and its begin."""
        index = bisect.bisect_right(self._begins, address) - 1
        return (self._names[index], self._begins[index]) if index >= 0 else ("?", 0)


def record(name: str) -> str:
    """What Bochs prints between the two checkpoints."""
    with tempfile.TemporaryDirectory(prefix="faultline-profile-") as folder_name:
        folder = Path(folder_name)
        rom, disk, machine = folder / "bench.rom", folder / "disk.img", Machine(MEGABYTES)
        script = f"program.run bench {name}\n".encode()
        rom.write_bytes(build_rom(ELF, machine=machine, command_line="harness seed=1", modules=[Module("script", script)]))
        copy_image(program_disk(programs_in(ROOT / "build/user/bin")), disk)
        with ELF.open("rb") as file:
            symbols = ELFFile(file).get_section_by_name(".symtab")
            stops = {stop: symbols.get_symbol_by_name(stop)[0]["st_value"] for stop in ("harness_checkpoint", "harness_finished")}
        with BochsDebugger(rom, disk, machine, folder) as debugger:
            debugger.command(";".join(f"lb {address:#x}" for address in stops.values()))
            stop = debugger.resume(wall_seconds=TRACE_SECONDS)
            if stop.eip != stops["harness_checkpoint"]:
                raise SystemExit(f"profile: bench has no measurement {name}")
            debugger.command("trace on")
            return debugger.run_and_print(time.monotonic() + TRACE_SECONDS)


def instructions(trace: str) -> Iterator[Instruction]:
    """The lines from one RDTSC of user code to the next, of any process. An instruction before which an interrupt came stands there twice."""
    begin = 0
    for line in trace.splitlines():
        found = _LINE.match(line)
        if not found:
            continue
        tick, selector, address, text = found.groups()
        instruction = Instruction(int(tick), int(selector, 16) & 3 == 3, int(address, 16), text)
        is_clock = instruction.in_user_code and text == "rdtsc"
        begin = begin or (instruction.address if is_clock else 0)
        if begin:
            yield instruction
        if is_clock and instruction.address != begin:
            return


def count(trace: list[Instruction], functions: Functions) -> dict[str, Spent]:
    """Ticks and entries of each function."""
    spent: dict[str, Spent] = defaultdict(Spent)
    for this, following in zip(trace, trace[1:]):
        name, begin = (USER_CODE, 0) if this.in_user_code else functions.at(this.address)
        spent[name].ticks += following.tick - this.tick
        spent[name].calls += this.address == begin
    return spent


def table(name: str, spent: dict[str, Spent]) -> Table:
    total = sum(function.ticks for function in spent.values())
    result = Table(title=f"{name}: {total:,} ticks", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("ticks", "%", "calls"):
        result.add_column(column, justify="right")
    result.add_column("function", overflow="fold")
    for function, figures in sorted(spent.items(), key=lambda item: -item[1].ticks):
        result.add_row(f"{figures.ticks:,}", f"{100 * figures.ticks / total:.1f}", str(figures.calls or ""), function)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description="Where the ticks of one measurement of `make bench` go.")
    parser.add_argument("names", nargs="+", metavar="NAME", help="of grader/programs/bench: first-write, copy-on-write, munmap-page ...")
    parser.add_argument("--instructions", action="store_true", help="print every instruction as well")
    arguments = parser.parse_args()
    functions = Functions(ELF)
    console = Console(width=None if sys.stdout.isatty() else 130)
    for name in arguments.names:
        trace = list(instructions(record(name)))
        if arguments.instructions:
            for line in trace:
                console.print(f"{line.tick} {line.address:08x} {USER_CODE if line.in_user_code else functions.at(line.address)[0]}: {line.text}", markup=False, highlight=False)
        console.print(table(name, count(trace, functions)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
