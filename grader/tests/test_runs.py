"""Runs of frames, pages by their address, and DMA buffers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.machine import MIB
from guest_script import Script
from oracle.frames import Zone
from physical_guest import ALLOCATED, HOT, KERNELS, MAX_ORDER, Boot, Counts, booter, finished
from profiles import built_with


@pytest.fixture(scope="module")
def boot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boot]:
    yield from booter(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> Path:
    return built_with(KERNELS[request.param])


@pytest.fixture(scope="module")
def single_frames() -> Path:
    return built_with(KERNELS["single frames"])


# Runs and pages


def test_runs_of_all_orders_come_aligned_and_go_back(boot: Boot) -> None:
    script = Script()
    script("physical.drain")
    start = script("physical.counts")
    runs = [script("physical.run", order, "normal", "zeroed") for order in range(MAX_ORDER + 1)]
    taken = script("physical.counts")
    first_words = [script("physical.words", line, 0) for line in runs]
    last_words = [script("physical.words", line + ((1 << order) - 1), 0) for order, line in enumerate(runs)]
    infos = [(script("physical.info", line), script("physical.info", line + ((1 << order) - 1))) for order, line in enumerate(runs)]
    released = [script("physical.release_run", line, order) for order, line in enumerate(runs)]
    script("physical.drain")
    end = script("physical.counts")
    with boot(script, megabytes=32) as guest:
        start, taken, end = (Counts.of(finished(guest), line) for line in (start, taken, end))
        assert all(guest[line].value % (1 << order) == 0 for order, line in enumerate(runs))
        frames = [guest[line].value + i for order, line in enumerate(runs) for i in range(1 << order)]
        assert len(set(frames)) == len(frames) == taken.in_use - start.in_use
        assert [guest[line].value for line in first_words + last_words] == [0] * (2 * len(runs))
        for order, (first, last) in enumerate(infos):
            assert guest[first].values == (1, ALLOCATED, order)
            assert order == 0 or guest[last].values == (0, ALLOCATED, 0)
        assert not any(guest[line].error for line in released) and end == start


def test_a_run_is_taken_back_whole_or_not_at_all(boot: Boot) -> None:
    script = Script()
    first = script("physical.run", 3, "normal", "unspecified")
    frame = script("physical.allocate", "normal", "unspecified")
    before = script("physical.counts")
    refused = [script("physical.release", first), script("physical.release", first + 1), script("physical.release_run", first, 2),
               script("physical.release_run", first, 4), script("physical.release_run", first + 4, 2), script("physical.release_run", first + 1, 0),
               script("physical.release_run", frame, 1), script("physical.release_run", first, 11), script("physical.release_run", first, 0xFFFFFFFF),
               script("physical.release_run", 0, 3), script("physical.release_run", 0xFFFFF, 3)]
    after = script("physical.counts")
    script("physical.share", first)
    released = [script("physical.release_run", first, 3), script("physical.release_run", first, 3), script("physical.release_run", frame, 0)]
    again = script("physical.release_run", first, 3)
    with boot(script) as guest:
        assert [finished(guest)[line].error for line in refused] == ["NotAllocated"] * len(refused)
        assert Counts.of(guest, before) == Counts.of(guest, after)
        assert not any(guest[line].error for line in released) and guest[again].error == "NotAllocated"


@pytest.mark.parametrize("order", [11, 31, 32, 0xFFFFFFFF])
def test_orders_that_nobody_serves(boot: Boot, kernel: Path, order: int) -> None:
    script = Script()
    before = script("physical.counts")
    refused = script("physical.run", order, "normal", "unspecified")
    after = script("physical.counts")
    with boot(script, kernel=kernel) as guest:
        assert finished(guest)[refused].error == "Unsupported"
        assert Counts.of(guest, before) == Counts.of(guest, after)


def test_an_allocator_of_single_frames_serves_single_frames(boot: Boot, single_frames: Path) -> None:
    script = Script()
    one = script("physical.run", 0, "normal", "zeroed")
    before = script("physical.counts")
    refused = [script("physical.run", order, zone, "unspecified") for order in range(1, MAX_ORDER + 1) for zone in ("dma", "normal", "high")]
    refused += [script("physical.page", 1, "zeroed"), script("physical.dma", 4097)]
    after = script("physical.counts")
    buffer = script("physical.dma", 4096)
    script("physical.release_run", one, 0)
    with boot(script, kernel=single_frames) as guest:
        assert guest[one].value and finished(guest)[buffer].value
        assert {guest[line].error for line in refused} == {"Unsupported"}
        assert Counts.of(guest, before) == Counts.of(guest, after)


def test_runs_leave_every_zone_its_last_frames(boot: Boot) -> None:
    script = Script()
    marks = [script("physical.marks", zone) for zone in ("dma", "normal")]
    script("physical.drain")
    runs = [script("physical.run", 5, "normal", "unspecified") for _ in range(200)]
    counts = script("physical.counts")
    with boot(script, megabytes=20) as guest:
        counts = Counts.of(finished(guest), counts)
        errors = [guest[line].error for line in runs]
        served = errors.index("OutOfMemory")
        assert served > 100 and set(errors[served:]) == {"OutOfMemory"}
        zones = [guest[line].value in Zone.NORMAL.frames for line in runs[:served]]
        assert zones == sorted(zones, reverse=True) and not all(zones), "from Normal as long as it has any, then from DMA"
        for zone, line in zip((Zone.DMA, Zone.NORMAL), marks):
            assert counts.free(zone) >= guest[line].value


def test_a_run_that_falls_to_a_lower_zone_leaves_that_its_last_frames(boot: Boot) -> None:
    script = Script()
    mark = script("physical.marks", "dma")
    script("physical.exhaust", "normal", "mark")
    fragmented = script("physical.give_back_even", "normal")
    script("physical.drain")
    before = script("physical.counts")
    runs = [[script("physical.free_runs", zone, order) for order in range(MAX_ORDER + 1)] for zone in ("dma", "normal")]
    requests = [script("physical.run", 1, "normal", "unspecified") for _ in range(10)]
    after = script("physical.counts")
    with boot(script, megabytes=20) as guest:
        dma, normal = ([finished(guest)[line].value for line in lines] for lines in runs)
        low = guest[mark].values[0]
        assert guest[fragmented].value > 300 and sum(normal[1:]) < 8, "Normal has frames, but hardly a run"
        assert sum(dma[1:]) > 0 and Counts.of(guest, before).free(Zone.DMA) == low, "DMA has runs, but is at its mark"
        assert all(guest[line].value in Zone.NORMAL.frames for line in requests if not guest[line].error)
        assert guest[requests[-1]].error == "OutOfMemory"
        assert Counts.of(guest, after).free(Zone.DMA) == low


def test_a_run_is_made_of_cached_frames_when_nothing_else_is_left(boot: Boot) -> None:
    script = Script()
    script("physical.exhaust", "dma", "mark")
    script("physical.give_back", HOT)
    cached = script("physical.counts")
    first = script("physical.run", 1, "dma", "unspecified")
    with boot(script) as guest:
        assert Counts.of(finished(guest), cached).hot(Zone.DMA) == HOT
        assert guest[first].value % 2 == 0


def test_pages_are_frames_by_their_address(boot: Boot, kernel: Path) -> None:
    script = Script()
    page = script("physical.page", 0, "zeroed")
    refused = [script("physical.free_page", address, 0) for address in (page + 1, 0, 0xC000_0000, 0xFFFF_F000, 0x0FFF_F000)]
    freed = [script("physical.free_page", page, 0), script("physical.free_page", page, 0)]
    with boot(script, megabytes=300, kernel=kernel) as guest:
        assert finished(guest)[page].value % 4096 == 0 and guest[page].value < 256 * MIB
        assert [guest[line].error for line in refused] == ["NotAllocated"] * len(refused)
        assert [guest[line].error for line in freed] == ["", "NotAllocated"]


# DMA


def test_dma_buffers_lie_where_the_device_can_reach_them(boot: Boot) -> None:
    chance = random.Random(8237)
    sizes = [1, 4095, 4096, 4097, 8192, 32769, 65535, 65536, *(chance.randrange(1, 65537) for _ in range(30))]
    script = Script()
    script("physical.drain")
    start = script("physical.counts")
    frame = script("physical.allocate", "dma", "unspecified")
    buffers = [script("physical.dma", size) for size in sizes]
    frees = [script("physical.dma_free", line, line, size) for line, size in zip(buffers, sizes)]
    script("physical.release", frame)
    script("physical.drain")
    end = script("physical.counts")
    with boot(script, megabytes=64) as guest:
        taken: set[int] = set()
        for line, size in zip(buffers, sizes):
            physical, virtual = finished(guest)[line].values
            assert physical == virtual and physical + size <= 16 * MIB
            assert physical // 65536 == (physical + size - 1) // 65536
            pages = set(range(physical // 4096, (physical + size - 1) // 4096 + 1))
            assert not pages & taken
            taken |= pages
        assert not any(guest[line].error for line in frees)
        assert Counts.of(guest, start) == Counts.of(guest, end)


def test_dma_requests_and_frees_that_make_no_sense_are_refused(boot: Boot, kernel: Path) -> None:
    script = Script()
    frame = script("physical.allocate", "dma", "unspecified")
    buffer = script("physical.dma", 100)
    before = script("physical.counts")
    requests = [script("physical.dma", size) for size in (0, 65537, 0xFFFFFFFF)]
    frees = [script("physical.dma_free", buffer, buffer, 101), script("physical.dma_free", buffer, buffer, 0), script("physical.dma_free", buffer + 1, buffer, 100),
             script("physical.dma_free", buffer, buffer + 4096, 100), script("physical.dma_free", buffer + 4096, buffer + 4096, 100),
             script("physical.dma_free", 0xFFFFF000, 0xFFFFF000, 100), script("physical.dma_free", 0x100000, 0x100000, 100)]
    after = script("physical.counts")
    freed = [script("physical.dma_free", buffer, buffer, 100), script("physical.dma_free", buffer, buffer, 100)]
    script("physical.release", frame)
    with boot(script, kernel=kernel) as guest:
        assert [finished(guest)[line].error for line in requests] == ["InvalidArgument", "OutOfRange", "OutOfRange"]
        assert [guest[line].error for line in frees] == ["NotAllocated"] * len(frees)
        assert Counts.of(guest, before) == Counts.of(guest, after)
        assert [guest[line].error for line in freed] == ["", "NotAllocated"]


def test_a_dma_buffer_cannot_be_freed_after_its_frame_went_to_somebody_else(boot: Boot, kernel: Path) -> None:
    script = Script()
    buffer = script("physical.dma", 512)
    script("physical.dma_free", buffer, buffer, 512)
    frame = script("physical.allocate", "dma", "unspecified")
    refused = script("physical.dma_free", buffer, buffer, 512)
    released = script("physical.release", frame)
    with boot(script, kernel=kernel) as guest:
        assert finished(guest)[frame].value * 4096 == guest[buffer].value
        assert guest[refused].error == "NotAllocated" and not guest[released].error
