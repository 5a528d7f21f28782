"""Physical memory as the kernel hands it out: the frame cache, watermarks, shrinkers, runs, DMA buffers.

Whatever a test does: the frames of memory are those that are free, cached, in use or reserved, each one once.
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from emulator.machine import MIB, Machine
from gdb.client import GdbSession
from guest_script import Guest, Line, Script, run
from oracle.frames import Zone, usable_frames
from profiles import built, built_with
from test_monitor import PROMPT, Console

ALL = 0xFFFFFFFF
HOT, ZEROED, BATCH, MAX_ORDER = 256, 64, 8, 10
POISON = 0xF4EEDF4E
FREE, ALLOCATED, CACHED = 2, 3, 4  # FrameUse
KERNELS = {"runs": "03-buddy", "single frames": "01-frames"}

Boot = Callable[..., AbstractContextManager[Guest]]


@dataclass(frozen=True)
class Counts:
    """physical.counts: what the kernel says of all frames."""

    memory: int
    reserved: int
    in_use: int
    zones: tuple[tuple[int, int, int], ...]  # free in the allocator, hot, zeroed

    @classmethod
    def of(cls, guest: Guest, line: Line) -> Counts:
        memory, reserved, in_use, *rest = guest[line].values
        counts = cls(memory, reserved, in_use, tuple(zip(rest[0::3], rest[1::3], rest[2::3])))
        assert memory == reserved + in_use + sum(map(sum, counts.zones)), f"each frame counts once: {counts}"
        return counts

    def free(self, zone: Zone) -> int:
        return self.zones[zone][0]

    def hot(self, zone: Zone) -> int:
        return self.zones[zone][1]

    def zeroed(self, zone: Zone) -> int:
        return self.zones[zone][2]

    @property
    def available(self) -> int:
        return sum(map(sum, self.zones))


@pytest.fixture(scope="module")
def session() -> Iterator[GdbSession]:
    with GdbSession() as gdb:
        yield gdb


@pytest.fixture
def boot(session: GdbSession, tmp_path: Path) -> Boot:
    """boot(script, MiB, profile or ELF file): the guest that has run the script."""

    def boot(script: Script, megabytes: int = 16, kernel: str | Path = "grading") -> AbstractContextManager[Guest]:
        elf = kernel if isinstance(kernel, Path) else built(kernel)
        return run(session, script, elf, Machine(megabytes), tmp_path)

    return boot


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> Path:
    """The grading kernel with an allocator of all orders, and with one of single frames."""
    return built_with(KERNELS[request.param])


@pytest.fixture(scope="module")
def single_frames() -> Path:
    return built_with(KERNELS["single frames"])


def finished(guest: Guest) -> Guest:
    assert not guest.panicked, guest.text[-1500:]
    return guest


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


# Zones and watermarks


@pytest.mark.parametrize("megabytes", [8, 16, 17, 64, 300, 1024])
def test_watermarks_follow_from_the_frames_of_the_zone(boot: Boot, megabytes: int) -> None:
    script = Script()
    lines = [script("physical.marks", zone) for zone in ("dma", "normal", "high")]
    with boot(script, megabytes=megabytes) as guest:
        usable = usable_frames(Machine(megabytes).entries)
        for zone, line in zip(Zone, lines):
            frames = len(usable & zone.frames)
            low = min(max(frames // 256, 8), 1024) if frames else 0
            assert finished(guest)[line].values == (low, low * 5 // 4, low * 3 // 2), zone


def test_ordinary_requests_leave_every_zone_its_last_frames(boot: Boot, kernel: Path) -> None:
    script = Script()
    marks = [script("physical.marks", zone) for zone in ("dma", "normal", "high")]
    script("physical.drain")
    start = script("physical.counts")
    dma_first = script("physical.exhaust", "normal", "mark")
    full = script("physical.counts")
    refused = [script("physical.allocate", zone, contents) for zone in ("dma", "normal", "high") for contents in ("unspecified", "zeroed")]
    last = script("physical.exhaust", "normal", "last")
    empty = script("physical.counts")
    refused += [script("physical.reserve", "normal", "zeroed"), script("physical.run", 0, "normal", "unspecified")]
    script("physical.give_back", ALL)
    script("physical.drain")
    end = script("physical.counts")
    with boot(script, megabytes=24, kernel=kernel) as guest:
        start, full, empty, end = (Counts.of(finished(guest), line) for line in (start, full, empty, end))
        minimum = [guest[line].values[0] for line in marks]
        assert [free for free, _, _ in full.zones] == minimum and minimum[Zone.NORMAL] > 0
        assert guest[dma_first].value == start.available - sum(minimum)
        assert [guest[line].error for line in refused] == ["OutOfMemory"] * len(refused)
        assert guest[last].value == sum(minimum) and empty.available == 0
        assert end == start


def test_a_request_moves_down_when_its_zone_is_at_the_mark_and_back_up_when_it_is_not(boot: Boot, kernel: Path) -> None:
    script = Script()
    high = script("physical.allocate", "normal", "unspecified")
    script("physical.exhaust", "normal", "mark")
    script("physical.give_back", 1)
    last = script("physical.allocate", "normal", "unspecified")
    script("physical.give_back", ALL)
    again = script("physical.allocate", "normal", "unspecified")
    dma = script("physical.allocate", "dma", "unspecified")
    with boot(script, megabytes=20, kernel=kernel) as guest:
        assert finished(guest)[high].value in Zone.NORMAL.frames
        assert guest[last].value in Zone.DMA.frames
        assert guest[again].value in Zone.NORMAL.frames
        assert guest[dma].value in Zone.DMA.frames


def test_a_frame_below_the_mark_comes_back_for_reserve_requests_only(boot: Boot, kernel: Path) -> None:
    script = Script()
    script("physical.exhaust", "dma", "mark")
    reserve = [script("physical.reserve", "dma", "zeroed") for _ in range(3)]
    script("physical.release", reserve[0])
    given = script("physical.counts")
    refused = script("physical.allocate", "dma", "unspecified")
    served = script("physical.reserve", "dma", "unspecified")
    for line in reserve[1:] + [served]:
        script("physical.release", line)
    script("physical.give_back", 5)
    ordinary = script("physical.allocate", "dma", "unspecified")
    counts = script("physical.counts")
    with boot(script, kernel=kernel) as guest:
        assert not any(finished(guest)[line].error for line in reserve)
        assert Counts.of(guest, given).hot(Zone.DMA) == 0
        assert guest[refused].error == "OutOfMemory" and guest[served].value
        assert guest[ordinary].value and Counts.of(guest, counts).hot(Zone.DMA) == 4


def test_high_memory_is_cached_like_any_other(boot: Boot, kernel: Path) -> None:
    script = Script()
    before = script("physical.counts")
    first = script("physical.allocate", "high", "unspecified")
    script("paging.poke", first, 0, 0xABCD)
    script("physical.release", first)
    again = script("physical.allocate", "high", "zeroed")
    words = script("physical.words", again, 0)
    script("physical.release", again)
    counts = script("physical.counts")
    with boot(script, megabytes=300, kernel=kernel) as guest:
        assert finished(guest)[first].value in Zone.HIGH.frames and guest[again].value == guest[first].value
        at_hand = Counts.of(guest, before).hot(Zone.HIGH) or BATCH  # what the boot has left of its last batch, or a new one
        assert guest[words].value == 0 and Counts.of(guest, counts).hot(Zone.HIGH) == at_hand


# Shrinkers


def test_shrinkers_are_asked_when_no_frame_is_left_and_not_from_within_one(boot: Boot, kernel: Path) -> None:
    script = Script()
    script("physical.add_shrinker", 3)
    first = script("physical.allocate", "normal", "unspecified")
    unasked = script("physical.shrinker")
    script("physical.release", first)
    script("physical.limit_shrinker", 0)
    script("physical.exhaust", "normal", "mark")
    before = script("physical.shrinker")
    script("physical.limit_shrinker", 3)
    frame = script("physical.allocate", "normal", "unspecified")
    after = script("physical.shrinker")
    counts = script("physical.counts")
    with boot(script, kernel=kernel) as guest:
        assert finished(guest)[unasked].values == (0, 0)
        calls = guest[before].value
        assert calls == 1, "exhaust ends with one failure, before which the shrinkers are asked once"
        assert guest[frame].value and guest[after].values == (calls + 1, 0)
        assert Counts.of(guest, counts).hot(Zone.DMA) == 2


def test_shrink_all_says_how_many_frames_came_back(boot: Boot, kernel: Path) -> None:
    script = Script()
    script("physical.exhaust", "normal", "mark")
    script("physical.add_shrinker", 7)
    script("physical.give_back", 10)
    given = script("physical.shrink_all")
    counts = script("physical.counts")
    with boot(script, kernel=kernel) as guest:
        assert finished(guest)[given].value == 10 + 7, "the frame cache's ten, then the test's seven"
        assert Counts.of(guest, counts).hot(Zone.DMA) == 7


# Failures on purpose


@pytest.mark.parametrize("prepare", [["physical.drain"], ["physical.fill_zeroed 9"], ["physical.allocate normal unspecified"]])
def test_fail_after_changes_nothing(boot: Boot, kernel: Path, prepare: list[str]) -> None:
    script = Script()
    for line in prepare:
        script(line)
    script("physical.add_shrinker", 1)
    before = script("physical.counts")
    script("frames.limit", 0)
    requests = [script(request) for request in ("physical.allocate normal unspecified", "physical.allocate high zeroed", "physical.reserve dma zeroed",
                                                "physical.run 0 normal zeroed", "physical.run 3 normal unspecified", "physical.page 0 zeroed",
                                                "physical.page 2 unspecified", "physical.dma 4096", "physical.dma 65536")]
    after = script("physical.counts")
    asked = script("physical.shrinker")
    script("frames.limit", "none")
    works = script("physical.allocate", "normal", "zeroed")
    with boot(script, kernel=kernel) as guest:
        assert [finished(guest)[line].error for line in requests] == ["OutOfMemory"] * len(requests)
        assert Counts.of(guest, after) == Counts.of(guest, before)
        assert guest[asked].value == 0 and guest[works].value


def test_fail_after_counts_what_succeeds(boot: Boot, kernel: Path) -> None:
    script = Script()
    script("frames.limit", 3)
    served = [script("physical.allocate", "normal", "unspecified"), script("physical.allocate", "high", "zeroed"), script("physical.reserve", "dma", "unspecified")]
    refused = [script("physical.allocate", "normal", "unspecified"), script("physical.reserve", "normal", "unspecified")]
    counts = script("physical.counts")
    with boot(script, kernel=kernel) as guest:
        assert not any(finished(guest)[line].error for line in served)
        assert [guest[line].error for line in refused] == ["OutOfMemory"] * 2
        assert Counts.of(guest, counts).memory


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


# At random


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_work_loses_no_frame(boot: Boot, kernel: Path, seed: int) -> None:
    chance = random.Random(seed)
    script = Script()
    script("physical.drain")
    start = script("physical.counts")
    held: list[Line] = []
    counts: list[Line] = []
    for _ in range(400):
        choice = chance.random()
        if choice < 0.45:
            held.append(script("physical.allocate", chance.choice(("dma", "normal", "high")), chance.choice(("zeroed", "unspecified"))))
        elif choice < 0.85 and held:
            script("physical.release", held.pop(chance.randrange(len(held))))
        elif choice < 0.92:
            script("physical.fill_zeroed", chance.randrange(20))
        elif choice < 0.95:
            script("physical.drain")
        else:
            counts.append(script("physical.counts"))
    holding = script("physical.counts")
    for line in held:
        script("physical.release", line)
    script("physical.drain")
    end = script("physical.counts")
    with boot(script, megabytes=24, kernel=kernel) as guest:
        for line in counts:
            Counts.of(finished(guest), line)
        frames = [guest[line].value for line in held]
        assert len(set(frames)) == len(frames) == Counts.of(guest, holding).in_use - Counts.of(guest, start).in_use
        assert Counts.of(guest, end) == Counts.of(guest, start)


# At the monitor's prompt


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
