"""Physical memory that comes to its end: watermarks, zones, shrinkers, failures on purpose; and work at random that loses no frame."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.machine import Machine
from guest_script import Line, Script
from oracle.frames import Zone, usable_frames
from physical_guest import BATCH, KERNELS, Boot, Counts, booter, finished
from profiles import built_with

ALL = 0xFFFFFFFF


@pytest.fixture(scope="module")
def boot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boot]:
    yield from booter(tmp_path_factory.mktemp("physical"))


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> Path:
    return built_with(KERNELS[request.param])


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
