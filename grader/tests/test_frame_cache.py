"""The frame cache: which frames it hands out, what lies in them, and who finds a write to a frame that is free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_script import Script
from oracle.frames import Zone
from physical_guest import ALLOCATED, BATCH, CACHED, FREE, HOT, KERNELS, ZEROED, Boot, Counts, booter, finished
from profiles import built_with

POISON = 0xF4EEDF4E


@pytest.fixture(scope="module")
def boot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boot]:
    yield from booter(tmp_path_factory.mktemp("frame-cache"))


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> Path:
    return built_with(KERNELS[request.param])


# The frame cache


def test_the_frame_that_was_freed_last_is_handed_out_first(boot: Boot, kernel: Path) -> None:
    script = Script()
    taken = [script("physical.allocate", "normal", "unspecified") for _ in range(5)]
    before = script("physical.counts")
    for line in taken:
        script("physical.release", line)
    after = script("physical.counts")
    again = [script("physical.allocate", "normal", "unspecified") for _ in range(5)]
    with boot(script, kernel=kernel) as guest:
        finished(guest)
        frames = [guest[line].value for line in taken]
        assert len(set(frames)) == 5
        assert [guest[line].value for line in again] == frames[::-1]
        assert Counts.of(guest, before).in_use - Counts.of(guest, after).in_use == 5
        assert Counts.of(guest, after).hot(Zone.DMA) - Counts.of(guest, before).hot(Zone.DMA) == 5


def test_frames_come_from_the_allocator_in_batches(boot: Boot, kernel: Path) -> None:
    script = Script()
    script("physical.drain")
    start = script("physical.counts")
    script("physical.allocate", "high", "unspecified")
    one = script("physical.counts")
    for _ in range(BATCH - 1):
        script("physical.allocate", "high", "unspecified")
    eight = script("physical.counts")
    with boot(script, kernel=kernel) as guest:
        start, one, eight = (Counts.of(finished(guest), line) for line in (start, one, eight))
        assert start.free(Zone.DMA) - one.free(Zone.DMA) == BATCH and one.hot(Zone.DMA) == BATCH - 1
        assert eight.free(Zone.DMA) == one.free(Zone.DMA) and eight.hot(Zone.DMA) == 0


def test_a_full_hot_stack_gives_its_coldest_frames_back(boot: Boot, kernel: Path) -> None:
    script = Script()
    script("physical.drain")
    taken = [script("physical.allocate", "dma", "unspecified") for _ in range(HOT + 1)]
    script("physical.drain")
    for line in taken[:HOT]:
        script("physical.release", line)
    full = script("physical.counts")
    script("physical.release", taken[HOT])
    spilt = script("physical.counts")
    uses = [script("physical.info", line) for line in taken]
    with boot(script, kernel=kernel) as guest:
        full, spilt = (Counts.of(finished(guest), line) for line in (full, spilt))
        assert full.hot(Zone.DMA) == HOT
        assert spilt.hot(Zone.DMA) == HOT - BATCH + 1 and spilt.free(Zone.DMA) == full.free(Zone.DMA) + BATCH
        assert [guest[line].values[1] for line in uses] == [FREE] * BATCH + [CACHED] * (HOT - BATCH + 1)


def test_drain_gives_everything_back(boot: Boot, kernel: Path) -> None:
    script = Script()
    start = script("physical.counts")
    script("physical.fill_zeroed", 20)
    for line in [script("physical.allocate", "normal", "unspecified") for _ in range(12)]:
        script("physical.release", line)
    filled = script("physical.counts")
    drained = script("physical.drain")
    empty = script("physical.counts")
    again = script("physical.drain")
    with boot(script, megabytes=64, kernel=kernel) as guest:
        start, filled, empty = (Counts.of(finished(guest), line) for line in (start, filled, empty))
        assert filled.hot(Zone.NORMAL) >= 12 and filled.zeroed(Zone.NORMAL) == 20
        assert guest[drained].value == sum(hot + zeroed for _, hot, zeroed in filled.zones)
        assert all(hot == zeroed == 0 for _, hot, zeroed in empty.zones) and empty.available == start.available
        assert guest[again].value == 0


def test_the_frame_table_says_what_the_kernel_counts(boot: Boot, kernel: Path) -> None:
    script = Script()
    script("physical.fill_zeroed", 10)
    for _ in range(3):
        script("physical.allocate", "normal", "zeroed")
    counts = script("physical.counts")
    with boot(script, megabytes=20, kernel=kernel) as guest:
        counts = Counts.of(finished(guest), counts)
        table, entries = (guest.target.word(guest.target.symbol(f"mm::frame_table::(anonymous namespace)::{name}")) for name in ("table", "entries"))
        uses = Counter(guest.target.physical(table, entries * 16)[4::16])
        assert uses[ALLOCATED] == counts.in_use
        assert uses[CACHED] == sum(hot + zeroed for _, hot, zeroed in counts.zones)
        assert uses[FREE] == sum(free for free, _, _ in counts.zones)


def test_a_shared_frame_stays_until_its_last_owner_goes(boot: Boot, kernel: Path) -> None:
    script = Script()
    frame = script("physical.allocate", "normal", "unspecified")
    script("physical.share", frame)
    script("physical.share", frame)
    three = script("physical.info", frame)
    releases = [script("physical.release", frame) for _ in range(2)]
    one = script("physical.info", frame)
    releases.append(script("physical.release", frame))
    none = script("physical.info", frame)
    refused = script("physical.release", frame)
    with boot(script, kernel=kernel) as guest:
        finished(guest)
        assert guest[three].values[:2] == (3, ALLOCATED) and guest[one].values[:2] == (1, ALLOCATED)
        assert not any(guest[line].error for line in releases)
        assert guest[none].values[1] == CACHED
        assert guest[refused].error == "NotAllocated"


@pytest.mark.parametrize("frame", [0, 0xA0, 0x100, 0xFFFF, 0xFFFFF, 0xFFFFFFFF])
def test_what_was_never_handed_out_is_not_taken_back(boot: Boot, frame: int) -> None:
    script = Script()
    script("physical.allocate", "normal", "unspecified")
    before = script("physical.counts")
    refused = [script("physical.release", frame), script("physical.release_run", frame, 3)]
    after = script("physical.counts")
    with boot(script) as guest:
        assert [finished(guest)[line].error for line in refused] == ["NotAllocated"] * 2
        assert Counts.of(guest, before) == Counts.of(guest, after)


# What lies in the frames


def test_frames_from_the_zeroed_stack_are_zero(boot: Boot, kernel: Path) -> None:
    script = Script()
    soiled = [script("physical.allocate", "normal", "unspecified") for _ in range(4)]
    for line in soiled:
        script("paging.poke", line, 8, 0xDEAD)
        script("physical.release", line)
    script("physical.drain")
    filled = script("physical.fill_zeroed", 6)
    before = script("physical.counts")
    taken = [script("physical.allocate", "normal", "zeroed") for _ in range(8)]  # six at hand, two cleared on the spot
    words = [script("physical.words", line, 0) for line in taken]
    after = script("physical.counts")
    with boot(script, kernel=kernel) as guest:
        assert finished(guest)[filled].value == 6
        assert [guest[line].value for line in words] == [0] * 8
        assert Counts.of(guest, before).zeroed(Zone.DMA) == 6 and Counts.of(guest, after).zeroed(Zone.DMA) == 0


def test_a_zeroed_frame_is_not_spent_on_who_does_not_need_it(boot: Boot) -> None:
    script = Script()
    script("physical.fill_zeroed", 5)
    for _ in range(BATCH + 1):
        script("physical.allocate", "normal", "unspecified")
    counts = script("physical.counts")
    with boot(script) as guest:
        assert Counts.of(finished(guest), counts).zeroed(Zone.DMA) == 5


def test_the_zeroed_stacks_have_an_end(boot: Boot) -> None:
    script = Script()
    filled = [script("physical.fill_zeroed", 1000), script("physical.fill_zeroed", 1000)]
    counts = script("physical.counts")
    with boot(script, megabytes=300) as guest:
        assert [finished(guest)[line].value for line in filled] == [3 * ZEROED, 0]
        assert [zeroed for _, _, zeroed in Counts.of(guest, counts).zones] == [ZEROED] * 3


def test_clearing_frames_stops_at_the_high_watermark(boot: Boot) -> None:
    script = Script()
    marks = script("physical.marks", "dma")
    script("physical.exhaust", "dma", "mark")
    at_the_mark = script("physical.fill_zeroed", 100)
    script("physical.give_back", 20)
    script("physical.drain")
    filled = script("physical.fill_zeroed", 100)
    counts = script("physical.counts")
    with boot(script) as guest:
        low, _, high = finished(guest)[marks].values
        assert guest[at_the_mark].value == 0
        assert guest[filled].value == low + 20 - high
        assert Counts.of(guest, counts).free(Zone.DMA) == high


@pytest.mark.parametrize("profile, different", [("grading", 0), ("no-memory-debugging", 1024)])
@pytest.mark.parametrize("zone", ["dma", "high"])
def test_a_freed_frame_is_poisoned_at_once_when_debugging(boot: Boot, profile: str, different: int, zone: str) -> None:
    script = Script()
    frame = script("physical.allocate", zone, "zeroed")
    script("physical.release", frame)
    words = script("physical.words", frame, POISON)
    with boot(script, megabytes=300, kernel=profile) as guest:
        assert finished(guest)[words].value == different


def test_a_write_to_a_freed_frame_is_found_when_it_is_handed_out_again(boot: Boot) -> None:
    script = Script()
    frame = script("physical.allocate", "normal", "unspecified")
    script("physical.release", frame)
    script("paging.poke", frame, 0x7F8, 0x1234)
    script("physical.allocate", "normal", "unspecified")
    with boot(script) as guest:
        assert guest.panicked and "a frame was written to while it was free" in guest.text
        assert f"frame {guest[frame].value:#x}: the word at offset 0x7f8 is 0x00001234, and should be {POISON:#x}" in guest.text.lower()


def test_a_write_to_a_zeroed_frame_is_found_when_it_is_handed_out(boot: Boot) -> None:
    script = Script()
    filled = script("physical.fill_zeroed", ZEROED)
    script("physical.soil_zeroed", "dma", 0xFFC, 7)
    for _ in range(ZEROED):
        script("physical.allocate", "high", "zeroed")
    with boot(script) as guest:
        assert guest[filled].value == ZEROED and guest.panicked
        assert "the word at offset 0xffc is 0x00000007, and should be 0x00000000" in guest.text


def test_without_debugging_nobody_looks(boot: Boot) -> None:
    script = Script()
    frame = script("physical.allocate", "normal", "unspecified")
    script("physical.release", frame)
    script("paging.poke", frame, 0x7F8, 0x1234)
    again = script("physical.allocate", "normal", "unspecified")
    with boot(script, kernel="no-memory-debugging") as guest:
        assert finished(guest)[again].value == guest[frame].value
