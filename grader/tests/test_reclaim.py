"""Which pages leave memory, how many, and with how many commands to the disk: real boots, short of memory, of room in the swap area, or
with a disk that fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reclaim_script import ABSENT, PAGE, PRESENT, SWAP_KIB, SWAPPED, Pages, two_spaces
from scripted import Boots, boots

CLEANINGS = 8  # of one search for a victim
BATCH = 8  # pages that leave together


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("reclaim"))


@pytest.fixture
def image(tmp_path) -> Path:
    return tmp_path / "swap.img"


def test_an_original_that_nobody_shows_can_leave(boot, image):
    """Each page of a private file mapping is written at once: the file's own pages must not stay in memory for ever."""
    pages = Pages()
    pages.add("object.file 1 65536 100 1000")
    block = f"${pages.map(16, begin=0x4000_0000, file='1 0')}"
    pages.add("space.activate 0")
    pages.write(block, 16)
    pages.counts(32, "reclaim.count")
    pages.counts(32, "reclaim.take 32")
    pages.are(SWAPPED, block, 16)
    pages.read(block, 16)
    pages.run(boot, image)


def test_a_full_space_gives_its_own_pages(boot, image):
    """With a limit of 20 resident pages a space uses 40, and nobody else loses any."""
    pages = Pages()
    pages.add("space.create 2 3")
    theirs = f"${pages.map(8, space=2)}"
    pages.add("space.activate 2")
    pages.write(theirs, 8)
    block = f"${pages.map(40)}"
    pages.add("space.limits 0 10000 20 16")
    pages.add("space.activate 0")
    pages.write(block, 40)
    pages.read(block, 40)
    pages.are(PRESENT, theirs, 8, space=2)
    about = pages.add("space.statistics 0")
    run = pages.run(boot, image)
    assert run.values(about)[1] <= 20


def test_a_full_space_does_not_hide_from_the_policy_what_it_used(boot, image):
    """It clears the accessed bits of all its pages when it looks for one. Clock, which comes next, has seen none of these uses yet."""
    pages = Pages()
    pages.add("space.create 2 3")
    theirs = f"${pages.map(1, space=2)}"
    pages.add("space.activate 2")
    pages.write(theirs, 1)
    block = f"${pages.map(21)}"
    pages.add("space.limits 0 10000 20 16")
    pages.add("space.activate 0")
    pages.write(block, 21)
    pages.are(SWAPPED, block, 1)
    pages.counts(1, "reclaim.take 1")  # all were used, so it is the oldest
    pages.are(SWAPPED, theirs, 1, space=2)
    pages.are(PRESENT, f"{block}+{PAGE}", 20)
    pages.run(boot, image)


def test_large_pages_are_split_and_leave(boot, image):
    pages = Pages()
    block = f"${pages.map(1024, begin=0x4000_0000)}"
    pages.add("space.activate 0")
    pages.add(f"copy.write {block} 77")
    pages.add(f"copy.write {block}+{1023 * PAGE} 78")
    pages.counts(0, "reclaim.count")
    pages.counts(8, "reclaim.take 8")  # splits it
    pages.check()
    pages.counts(1016, "reclaim.count")
    pages.counts(392, "reclaim.take 392")
    pages.read_word(block, 77)
    pages.read_word(f"{block}+{1023 * PAGE}", 78)
    pages.read_word(f"{block}+{10 * PAGE}", 0)
    pages.add("space.activate none")
    pages.add("space.destroy 0")
    pages.run(boot, image, kib=4096)


def test_disk_errors_are_their_owners_alone(boot, image):
    pages = Pages()
    block = f"${pages.map(6)}"
    pages.add("space.activate 0")
    pages.write(block, 6)
    pages.add("reclaim.faults write:1+")
    pages.out(block, 6, left=0)
    pages.are(PRESENT, block, 6)
    pages.check()
    pages.add("reclaim.faults")
    pages.out(block, 6)
    pages.add("reclaim.faults read:1+")
    pages.add(f"copy.read {block}", "DeviceError")
    pages.are(SWAPPED, block, 6)
    pages.check()
    pages.add("reclaim.faults")
    pages.read(block, 6)
    pages.run(boot, image)


def test_a_full_swap_area_keeps_pages_where_they_are(boot, image):
    pages = Pages()
    block = f"${pages.map(30)}"
    pages.add("space.activate 0")
    pages.write(block, 30)
    pages.counts(19, "reclaim.take 30")
    pages.check()
    pages.add(f"space.unmap 0 {block} 30")
    pages.run(boot, image, kib=80)


def test_with_a_full_swap_area_pages_of_files_leave_and_the_others_keep_their_order(boot, image):
    pages = Pages()
    pages.add("object.file 1 65536 100 1000")
    block = f"${pages.map(100)}"
    file = f"${pages.map(16, begin=0x4000_0000, file='1 0')}"
    pages.add("space.activate 0")
    pages.write(block, 100)
    for i in range(16):
        pages._words[pages.add(f"copy.read {file}+{i * PAGE}")] = 100 + i * PAGE // 4
    pages.counts(19 + 16, "reclaim.take 80")  # all slots, and the file
    pages.are(ABSENT, file, 16)
    counters = pages.add("reclaim.counters")
    pages.check()
    run = pages.run(boot, image, kib=80)
    stayed, *_, files = run.values(counters)[4:]
    assert files == 16 and stayed <= 2 * BATCH, "not each of the 81 that could not leave was asked"


def test_victims_are_written_together_and_one_by_one_under_a_limit(boot, image):
    pages = Pages()
    block = f"${pages.map(40)}"
    pages.add("space.activate 0")
    pages.write(block, 16)
    before = pages.add("swaparea.statistics")
    pages.counts(16, "reclaim.take 16")
    after = pages.add("swaparea.statistics")
    pages.read(block, 16)
    pages.add("reclaim.limit 16")
    pages.write(f"{block}+{16 * PAGE}", 1, salt=2)
    pages.counts(16, "reclaim.count")
    pages.write(f"{block}+{17 * PAGE}", 8, salt=3)
    pages.counts(16, "reclaim.count")
    pages.read(block, 16)
    pages.read(f"{block}+{17 * PAGE}", 8, salt=3)
    run = pages.run(boot, image)
    commands, written = (run.values(after)[i] - run.values(before)[i] for i in (1, 3))
    assert (commands, written) == (2, 16)


@pytest.mark.parametrize("policy", ["fifo", "clock", "aging", "two-lists", "working-set"])
def test_every_policy_takes_pages_and_keeps_what_is_in_them(boot, image, policy):
    """Twice as many pages as may stay, read and written forwards and backwards by a space and its child."""
    pages = Pages()
    pages.add("reclaim.limit 24")
    block = two_spaces(pages, 48)
    pages.add("space.activate 1")
    pages.write(block, 24, salt=2)
    pages.check()
    pages.add("space.activate 0")
    for i in reversed(range(48)):
        pages.read(block, 1, first=i)
    pages.add("space.activate 1")
    for i in reversed(range(48)):
        pages.read(block, 1, salt=2 if i < 24 else 1, first=i)
    pages.check()
    pages.add("space.destroy 0")
    pages.read(block, 24, salt=2)
    pages.run(boot, image, options=f"policy={policy}")



@pytest.mark.parametrize("rules, retired, cleaned", [
    ("write:1+", CLEANINGS + 1, 0),  # the victim, chosen among dirty pages, is written as well
    ("write:1,write:2,write:5,write:6", 2, CLEANINGS - 2),  # each that fails is written twice
    ("slot:3,slot:5", 2, CLEANINGS - 2),
])
def test_a_page_that_cannot_be_cleaned_stays_and_is_dirty(boot, image, rules, retired, cleaned):
    """The policy of working sets cleans pages on its way to a victim, and the disk fails: what was not written is nowhere but in memory."""
    pages = Pages()
    block = f"${pages.map(24)}"
    pages.add("space.activate 0")
    pages.write(block, 24)
    pages.counts(1, "reclaim.take 1")  # to slot 1; now all have been looked at
    pages.add("replace.time 0 100")
    pages.add(f"reclaim.faults {rules}")
    victim = pages.add("reclaim.take_one", "" if cleaned else "DeviceError")
    pages.check()
    then = pages.add("reclaim.swapped")
    pages.counts(23 - bool(cleaned), "reclaim.count")
    pages.add("reclaim.faults")
    pages.counts(23 - bool(cleaned), "reclaim.take 23")
    pages.are(SWAPPED, block, 24)
    pages.read(block, 24)
    run = pages.run(boot, image, options="policy=working-set")
    slots, free, copies, out, without_a_write, *_ = run.values(then)
    assert slots == SWAP_KIB // 4 - 1 - retired
    assert copies == max(cleaned - 1, 0), "the victim was one of those that were cleaned"
    assert (out, without_a_write) == (1 + bool(cleaned), int(bool(cleaned)))
    assert slots - free == copies + out and run.error(victim) == ("" if cleaned else "DeviceError")
