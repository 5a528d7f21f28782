"""What the monitor's commands say of physical memory."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from physical_guest import KERNELS, ZEROED
from profiles import built_with
from test_monitor import PROMPT, Console


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> Path:
    return built_with(KERNELS[request.param])


@pytest.fixture
def console(kernel: Path) -> Iterator[Console]:
    console = Console(kernel)
    try:
        console.until(PROMPT)
        yield console
    finally:
        console.close()


def meminfo(console: Console) -> dict[str, int]:
    """Frames by kind."""
    lines = re.findall(r"^  ([a-z, ]+?) +(\d+) KiB +(\d+) frames$", console.run("meminfo"), re.MULTILINE)
    assert all(int(kib) == 4 * int(frames) for _, kib, frames in lines)
    return {kind: int(frames) for kind, _, frames in lines}


def zones(console: Console) -> dict[str, list[int]]:
    return {name: [int(word) for word in words] for name, *words in (line.split() for line in console.run("zones").splitlines()[1:])}


def test_meminfo_accounts_for_every_frame(console: Console) -> None:
    before = meminfo(console)
    console.run("frame alloc normal")
    after = meminfo(console)
    for frames in (before, after):
        assert frames["memory"] == frames["reserved"] + frames["free"] + frames["cached, hot"] + frames["cached, zeroed"] + frames["in use"]
    assert after["in use"] == before["in use"] + 1 and after["reserved"] > 40
    drained = int(console.run("frame drain").split()[0])
    assert drained > 0 and meminfo(console)["cached, hot"] == 0


def test_zones_show_watermarks_and_count_cached_frames_as_free(console: Console) -> None:
    console.run("frame alloc dma")
    memory, free, cached, low, _, _ = zones(console)["DMA"]
    assert zones(console)["DMA"][3:] == [low, low * 5 // 4, low * 3 // 2] and low == memory // 256
    assert zones(console)["High"] == [0] * 6
    frames = meminfo(console)
    assert free == frames["free"] + frames["cached, hot"] + frames["cached, zeroed"] and 0 < cached < free


def test_frames_are_cleared_while_the_machine_waits_for_a_key(console: Console) -> None:
    assert meminfo(console)["cached, zeroed"] <= ZEROED
    deadline = time.monotonic() + 20
    while meminfo(console)["cached, zeroed"] < ZEROED:
        assert time.monotonic() < deadline
    console.run("frame drain")
    while meminfo(console)["cached, zeroed"] < ZEROED:
        assert time.monotonic() < deadline


def test_buddyinfo_adds_up_or_says_that_there_are_no_runs(console: Console, request: pytest.FixtureRequest) -> None:
    text = console.run("buddyinfo")
    if request.node.callspec.params["kernel"] == "single frames":
        assert text == "this frame allocator does not know runs: it hands out single frames\n"
        assert console.run("run alloc 3") == "run alloc: Unsupported\n"
        return
    runs, unusable = (dict((line.split()[0], [int(word) for word in line.split()[1:]]) for line in part.splitlines()[1:])
                      for part in re.split(r"free memory that.*", text))
    unusable = {name: words for name, words in unusable.items() if name != "order"}
    frames = [count << order for order, count in enumerate(runs["DMA"])]
    assert sum(frames) > 3000 and runs["Normal"] == runs["High"] == [0] * 11
    assert unusable["DMA"] == [sum(frames[:order]) * 1000 // sum(frames) for order in range(11)]


def test_runs_are_taken_and_given_back_by_hand(console: Console, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["kernel"] == "single frames":
        assert console.run("run alloc 3 dma") == "run alloc: Unsupported\n" and console.run("run free 0x300 3") == "run free: NotAllocated\n"
        return
    before = meminfo(console)["in use"]
    first = re.match(r"run of 8 frames from (0x[0-9a-f]+) on", console.run("run alloc 3 dma"))[1]
    assert int(first, 16) % 8 == 0 and meminfo(console)["in use"] == before + 8
    assert console.run(f"run free {first} 2") == "run free: NotAllocated\n"
    assert console.run(f"frame free {first}") == "frame free: NotAllocated\n"
    assert console.run(f"run free {first} 3").startswith("run of 8 frames")
    assert meminfo(console)["in use"] == before
    assert console.run("run alloc 3 moon").startswith("run alloc: InvalidArgument\n")
