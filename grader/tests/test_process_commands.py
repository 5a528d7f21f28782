"""The monitor's commands about processes, typed at like a person would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.disk import program_disk, programs_in
from emulator.swap_disk import SwapDisk
from emulator.volume import copy_image
from judge.link import prepare_programs
from judge.paths import ROOT
from test_monitor import PROMPT, Console


def monitor_with_disks(folder: Path, swap: SwapDisk | None = None) -> Iterator[Console]:
    """The body of a fixture: the monitor of a machine that has programs, and perhaps a swap disk."""
    prepare_programs()
    disk, swap_image = folder / "disk.img", folder / "swap.img"
    copy_image(program_disk(programs_in(ROOT / "build/user/bin")), disk)
    drives = ["-drive", f"file={disk},format=raw,if=ide,index=0"]
    if swap:
        swap.write(swap_image)
        drives += ["-drive", f"file={swap_image},format=raw,if=ide,index=2"]
    console = Console(options="monitor", machine=drives)
    try:
        console.until(PROMPT)
        yield console
    finally:
        console.close()


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    yield from monitor_with_disks(tmp_path_factory.mktemp("monitor"))


@pytest.fixture
def swapping_console(tmp_path: Path) -> Iterator[Console]:
    yield from monitor_with_disks(tmp_path, SwapDisk(kib=4096))


def names(console: Console) -> list[str]:
    return [line.split()[-1] for line in console.run("ps").splitlines()[1:]]


def test_a_program_runs_and_the_monitor_waits_for_it(console: Console) -> None:
    assert console.run("run echo hello   world") == "hello world\n"
    assert re.fullmatch(r"\d+ ended with status 1\n", console.run("run false"))
    assert re.fullmatch(r"(?s).*killed by SIGSEGV: null pointer.*\d+ ended by SIGSEGV\n", console.run("run faults null"))
    assert names(console) == ["kernel"]


def test_a_program_that_was_started_is_listed_mapped_killed_and_waited_for(console: Console) -> None:
    pid = re.fullmatch(r"process (\d+)\n", console.run("start sleep 1000"))[1]
    assert names(console) == ["kernel", "sleep"]
    assert re.search(rf"^ +{pid} 0x[0-9a-f]{{8}} +\d+ K +\d+ K +\d+ K +\d+ K +\d+ K +\d+ sleep$", console.run("spaces"), re.MULTILINE)
    assert re.search(r"r.x", console.run(f"maps {pid}"))
    assert console.run(f"kill {pid}") in ("", f"sleep[{pid}] killed by SIGKILL\n")
    assert f"{pid}: status 0, signal 9\n" in console.run(f"wait {pid}")
    assert names(console) == ["kernel"] and console.run("wait") == "wait: NoChild\n"


def test_the_scheduler_counts(console: Console) -> None:
    def figures() -> dict[str, int]:
        return {name: int(value) for name, value in re.findall(r"^ *(\D+?) +(\d+)", console.run("switches"), re.MULTILINE)}

    before = figures()
    console.run("run true")
    after = figures()
    assert after["switches"] >= before["switches"] + 2 and after["system calls"] > before["system calls"]
    assert after["processes"] == 1 and after["kernel stacks"] == 1, "that of the idle task"


@pytest.mark.parametrize(("line", "answer"), [
    ("run nothing", "run: NotFound\n"),
    ("run", "run: InvalidArgument\nusage: run PROGRAM [ARGUMENT...]\n"),
    ("kill 0", "kill: NotFound\n"),
    ("kill 4000", "kill: NotFound\n"),
    ("maps 0", "maps: NotFound\n"),
    ("wait 4000", "wait: NoChild\n"),
    ("swap out 1", "swap out: Unsupported\n"),  # without a swap disk
    ("swap limit 20", "swap limit: Unsupported\n"),
])  # fmt: skip
def test_what_cannot_be_done_is_named(console: Console, line: str, answer: str) -> None:
    assert console.run(line) == answer


def swapped_kib(maps: str) -> dict[int, int]:
    """Of each area, by its begin: what its line says to be in the swap area."""
    lines = re.findall(r"^0x([0-9a-f]{8})-0x[0-9a-f]{8} .*?(?:, (\d+) KiB in the swap area)?$", maps, re.MULTILINE)
    return {int(begin, 16): int(kib or 0) for begin, kib in lines}


def test_maps_tell_how_much_of_each_area_is_in_the_swap_area(swapping_console: Console) -> None:
    """The monitor's `maps` and the program of that name; the areas' sum is what `spaces`, `ps` and `swap` say."""
    console, mib, out = swapping_console, 2, 100
    console.type(f"start hog {mib} 1000\r")
    said = console.until("every page written\n")
    pid, hog = int(re.search(r"process (\d+)\n", said)[1]), int(re.search(r"mapped at 0x([0-9a-f]{8})\n", said)[1], 16)
    assert not any(swapped_kib(console.run(f"maps {pid}")).values())
    assert f"{out} frames given back\n" in console.run(f"swap out {out}")
    maps = console.run(f"maps {pid}")
    areas, line = swapped_kib(maps), re.search(rf"^{hog:#010x}-.* (\d+) KiB, +(\d+) resident.*", maps, re.MULTILINE)
    assert int(line[1]) == mib * 1024 == int(line[2]) + areas[hog] and areas[hog] > 0, "each of its pages is in memory or on the disk"
    of_programs = int(re.search(r"^  +pages of programs +(\d+)", console.run("swap"), re.MULTILINE)[1])
    spaces = re.search(rf"^ +{pid} 0x[0-9a-f]{{8}} +\d+ K +\d+ K +(\d+) K .* hog$", console.run("spaces"), re.MULTILINE)
    assert sum(areas.values()) == 4 * of_programs == int(spaces[1]) > 0, "nobody else has anything to swap"
    assert swapped_kib(console.run(f"run maps {pid}")) == areas
    ps = re.search(rf"^ +{pid} .* (\d+) K +\d+ K +\d+ K +\d+ +\d+ hog$", console.run("run ps"), re.MULTILINE)
    assert int(ps[1]) == sum(areas.values())
    assert console.run("swap limit 15").startswith("swap limit: InvalidArgument\n"), "a program could not go on"
    assert console.run("swap limit 16") == "" and console.run("run echo here") == "here\n"
    assert int(re.match(r"policy clock: (\d+) pages that can leave", console.run("swap"))[1]) <= 16
