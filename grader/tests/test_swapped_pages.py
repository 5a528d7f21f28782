"""What is in a page comes back with it, whatever has been done to it in the meantime: real boots, contents looked at from outside."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.swap_disk import read_slot
from reclaim_script import ABSENT, PAGE, PRESENT, SWAP_KIB, SWAPPED, Pages, two_spaces, word
from scripted import Boots, Run, boots


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("swapped-pages"))


@pytest.fixture
def image(tmp_path) -> Path:
    return tmp_path / "swap.img"


def test_private_pages_come_back_and_their_slots_are_free_again(boot, image):
    pages = Pages()
    block = f"${pages.map(12)}"
    pages.add("space.activate 0")
    pages.write(block, 12)
    pages.out(block, 12)
    swapped = pages.are(SWAPPED, block, 12)
    pages.check()
    pages.read(block, 12)
    pages.are(PRESENT, block, 12)
    pages.add("space.activate none")
    pages.add("space.destroy 0")
    free = pages.add("reclaim.swapped")
    run = pages.run(boot, image)
    for i, state in enumerate(run.values(swapped)):
        data = read_slot(image, state >> 8)
        assert int.from_bytes(data[4 * (i % 9):][:4], "little") == word(1, i)
    slots, left, *_ = run.values(free)
    assert slots == left == SWAP_KIB // 4 - 1


def test_a_page_that_was_written_again_is_written_out_again(boot, image):
    pages = Pages()
    block = f"${pages.map(8)}"
    pages.add("space.activate 0")
    pages.write(block, 8)
    pages.out(block, 8)
    pages.read(block, 8)
    pages.out(block, 8)  # clean: nothing is written
    pages.read(block, 8)
    pages.write(block, 4, salt=2)
    pages.out(block, 8)
    pages.read(block, 4, salt=2)
    pages.read(block, 4, first=4)
    counts = pages.add("reclaim.swapped")
    run = pages.run(boot, image)
    assert run.values(counts)[3:6] == (24, 12, 24)  # out, of these without a write, in


def test_a_clean_page_that_is_written_is_dirty_again(boot, image):
    pages = Pages()
    block = f"${pages.map(4)}"
    pages.add("space.activate 0")
    pages.write(block, 4)
    pages.counts(4, f"reclaim.clean 0 {block} 4")
    pages.check()
    pages.write(block, 4, salt=2)  # the TLB has forgotten that it was dirty
    pages.out(block, 4)
    pages.read(block, 4, salt=2)
    pages.run(boot, image)


def test_what_one_space_wrote_is_not_lost_with_its_entry(boot, image):
    """The dirty bit of a space that has gone, of a page that it has unmapped, of one that it may only read any more."""
    pages = Pages()
    block = f"${pages.map(6)}"
    pages.add("space.activate 0")
    pages.write(block, 6)
    pages.out(block, 6)
    pages.read(block, 6)  # all have slots with equal contents
    pages.write(block, 6, salt=2)
    pages.add("space.fork 0 1")
    pages.add("space.activate 1")
    pages.add(f"space.unmap 0 {block} 2")
    pages.add(f"space.protect 0 {block}+{2 * PAGE} 2 r--")
    pages.add(f"space.protect 0 {block}+{2 * PAGE} 2 rw-")
    pages.add("space.destroy 0")
    pages.check()
    pages.out(block, 6, space=1)
    pages.read(block, 6, salt=2)
    pages.run(boot, image)


def test_what_is_read_only_for_a_while_stays_dirty(boot, image):
    pages = Pages()
    block = f"${pages.map(4)}"
    pages.add("space.activate 0")
    pages.write(block, 4)
    pages.out(block, 4)
    pages.read(block, 4)
    pages.write(block, 4, salt=2)
    pages.add(f"space.protect 0 {block} 4 r--")
    pages.out(block, 4)
    pages.add(f"copy.write {block} 1", "BadAddress")
    pages.read(block, 4, salt=2)
    pages.add(f"space.protect 0 {block} 4 ---")
    pages.out(block, 4)
    pages.add(f"copy.read {block}", "BadAddress")
    pages.are(SWAPPED, block, 4)
    pages.add(f"space.protect 0 {block} 4 rw-")
    pages.read(block, 4, salt=2)
    pages.write(block, 4, salt=3)
    pages.out(block, 4)
    pages.read(block, 4, salt=3)
    pages.run(boot, image)


def test_the_kernels_own_writes_make_a_page_dirty(boot, image):
    pages = Pages()
    block = f"${pages.map(3)}"
    pages.add("space.activate 0")
    pages.write(block, 3)
    pages.out(block, 3)
    pages.read(block, 3)
    pages.add(f"copy.into 0 {block} 8192 5")
    pages.out(block, 3)
    sums = [pages.add(f"copy.from {block}+{i * PAGE} {PAGE}") for i in range(2)]
    pages.read(block, 1, first=2)
    run = pages.run(boot, image)
    for i, operation in enumerate(sums):
        assert run.value(operation) == sum((5 + (i * PAGE + at) * 7) % 256 for at in range(PAGE))


@pytest.mark.parametrize("gone", [0, 1])
def test_forked_pages_are_written_once_and_come_back_shared(boot, image, gone):
    pages = Pages()
    block = two_spaces(pages, 10)
    pages.out(block, 10)
    pages.are(SWAPPED, block, 10, space=1)
    pages.check()
    pages.read(block, 5)
    pages.check()
    pages.add("space.activate 1")
    pages.write(block, 3, salt=2)
    pages.check()
    pages.read(block, 7, first=3)
    pages.add("space.fork 1 2")
    pages.out(block, 10, space=1)
    pages.add(f"space.activate {1 - gone}")
    pages.add(f"space.destroy {gone}")
    pages.check()
    pages.read(block, 3, salt=2 if gone == 0 else 1)
    pages.read(block, 7, first=3)
    pages.add("space.activate 2")
    pages.add(f"space.destroy {1 - gone}")
    pages.read(block, 3, salt=2)
    pages.read(block, 7, first=3)
    pages.add("space.activate none")
    pages.add("space.destroy 2")
    free = pages.add("reclaim.swapped")
    run = pages.run(boot, image)
    assert run.values(free)[0] == run.values(free)[1]


def test_a_family_ends_in_any_order(boot, image):
    """Grandparent, parent and child with pages out before, between and after the forks."""
    pages = Pages()
    block = two_spaces(pages, 6, out=True)
    pages.check()
    pages.add("space.activate 1")
    pages.read(block, 3)
    pages.add("space.fork 1 2")
    pages.check()
    pages.add("space.activate 2")
    pages.write(block, 2, salt=2)
    pages.out(block, 6, space=2, left=3)
    pages.add("space.destroy 1")
    pages.check()
    pages.add("space.fork 2 3")
    pages.add("space.activate 3")
    pages.add("space.destroy 2")
    pages.read(block, 2, salt=2)
    pages.read(block, 4, first=2)
    pages.write(block, 6, salt=3)
    pages.add("space.activate 0")
    pages.read(block, 6)
    pages.add("space.destroy 3")
    pages.read(block, 6)
    pages.run(boot, image)


def test_a_fork_that_fails_half_way_leaves_the_slots_as_they_were(boot, image):
    pages = Pages()
    blocks = [f"${pages.map(4, begin=0x3000_0000 + i * 0x80_0000)}" for i in range(4)]  # a page table each
    pages.add("space.activate 0")
    for i, block in enumerate(blocks):
        pages.write(block, 4, salt=i)
        pages.out(block, 2)
    for frames in range(12):
        pages.add(f"heapk.fail_after {frames}")
        pages.script.add(f"space.fork 0 {frames + 1}")
        pages.add("heapk.fail_never")
        pages.check()
    for i, block in enumerate(blocks):
        pages.read(block, 4, salt=i)
    pages.run(boot, image)


def test_slots_go_with_what_replaces_their_pages(boot, image):
    """munmap() of a part, MADV_DONTNEED, MAP_FIXED, a shrinking heap."""
    pages = Pages()
    block = f"${pages.map(16, begin=0x4000_0000)}"
    heap = f"${pages.add('space.place_heap 0 0x24000000')}"
    pages.add(f"space.set_heap_end 0 {heap}+{6 * PAGE}")
    pages.add("space.activate 0")
    pages.write(block, 16)
    pages.write(heap, 6)
    pages.out(block, 16)
    pages.out(heap, 6)
    pages.add(f"space.unmap 0 {block}+{2 * PAGE} 3")
    pages.check()
    pages.are(ABSENT, f"{block}+{2 * PAGE}", 3)
    pages.add(f"space.discard 0 {block}+{6 * PAGE} 2")
    pages.check()
    pages.map(3, begin=0x4000_0000 + 9 * PAGE)
    pages.check()
    pages.add(f"space.set_heap_end 0 {heap}+{2 * PAGE}")
    pages.check()
    pages.add(f"space.set_heap_end 0 {heap}+{6 * PAGE}")
    pages.read_zeros(f"{block}+{6 * PAGE}", 2)
    pages.read_zeros(f"{block}+{9 * PAGE}", 3)
    pages.read_zeros(f"{heap}+{2 * PAGE}", 4)
    pages.read(heap, 2)
    pages.read(block, 2)
    pages.read(block, 4, first=12)
    free = pages.add("reclaim.swapped")
    run = pages.run(boot, image)
    slots, left, copies, *_ = run.values(free)
    assert slots - left == copies + 2  # pages 5 and 8, which nobody has looked at


def test_advice_and_questions_about_pages_that_are_out(boot, image):
    pages = Pages()
    block = f"${pages.map(4)}"
    pages.add("space.activate 0")
    pages.write(block, 4)
    pages.out(block, 4)
    pages.counts(0, f"space.resident 0 {block}")
    pages.add(f"space.resolve 0 {block}")
    pages.counts(1, f"space.resident 0 {block}")
    pages.are(SWAPPED, f"{block}+{PAGE}", 3)
    pages.read(block, 4)
    pages.run(boot, image)


def test_pages_of_files_are_dropped_and_read_again(boot, image):
    """A page of a file, a private copy of one, and the neighbours that a fault brings along."""
    pages = Pages()
    pages.add("object.file 1 65536 100 1000")
    block = f"${pages.map(16, begin=0x4000_0000, file='1 0')}"
    pages.add("space.activate 0")
    for i in range(16):
        pages.read_word(f"{block}+{i * PAGE}", 100 + i * PAGE // 4)
    pages.write(block, 2, salt=4)
    pages.check()
    pages.out(block, 16)
    pages.are(SWAPPED, block, 2)
    pages.are(ABSENT, f"{block}+{2 * PAGE}", 14)
    pages.check()
    pages.read_word(f"{block}+{3 * PAGE}", 100 + 3 * PAGE // 4)  # its block has two pages that are out
    pages.are(SWAPPED, block, 2)
    pages.read(block, 2, salt=4)
    for i in range(2, 16):
        pages.read_word(f"{block}+{i * PAGE}", 100 + i * PAGE // 4)
    reads = pages.add("object.reads 1")
    run = pages.run(boot, image)
    assert run.values(reads)[0] == 16 + 14  # each page once, and once more those that were dropped


def test_shared_memory_leaves_once_and_comes_back_for_all(boot, image):
    pages = Pages()
    pages.add("object.shared 1 6")
    block = f"${pages.map(6, begin=0x4000_0000, sharing='shared', file='1 0')}"
    other = f"${pages.map(6, begin=0x5000_0000, sharing='shared', file='1 0')}"
    pages.add("space.activate 0")
    pages.write(block, 6)
    pages.read(other, 3)
    pages.add("space.fork 0 1")
    pages.out(block, 6)
    pages.are(ABSENT, block, 6)
    pages.are(ABSENT, other, 6)
    pages.check()
    pages.add("space.activate 1")
    pages.read(other, 3)
    pages.write(block, 2, salt=2)
    pages.out(block, 2, space=1)
    pages.add("space.activate 0")
    pages.read(other, 2, salt=2)
    pages.add(f"space.unmap 0 {block} 6")
    pages.add("space.destroy 1")
    pages.write(other, 1, salt=3)
    pages.add(f"space.unmap 0 {other} 6")  # the dirty bit goes with the page; the object stays
    pages.check()
    again = f"${pages.map(6, begin=0x6000_0000, sharing='shared', file='1 0')}"
    pages.counts(2, "reclaim.take 2")
    pages.read(again, 1, salt=3)
    pages.read(again, 4, first=2)
    pages.add(f"space.unmap 0 {again} 6")
    pages.add("object.release 1")
    free = pages.add("reclaim.swapped")
    run = pages.run(boot, image)
    assert run.values(free)[0] == run.values(free)[1]


def test_the_cpu_forgets_pages_that_left(boot, image):
    """Pages of a file and of a shared memory, and private ones, which the active space shows, and its parent and child as well."""
    begins = {"a file": 0x4010_0000, "a shared memory": 0x5020_0000, "the family": 0x6028_0000}
    file, shared, own = begins.values()
    pages = Pages()
    pages.add("object.file 1 65536 100 1000")
    pages.add("object.shared 2 8")
    pages.map(8, begin=file, file="1 0")
    pages.map(8, begin=shared, sharing="shared", file="2 0")
    pages.map(8, begin=own)
    pages.add("space.activate 0")
    pages.write(shared, 8)
    pages.write(own, 8, salt=2)

    def read() -> None:
        for i in range(8):
            pages.read_word(str(file + i * PAGE), 100 + i * PAGE // 4)
        pages.read(shared, 8)
        pages.read(own, 8, salt=2)

    read()
    pages.add("space.fork 0 1")
    pages.add("space.fork 1 2")
    pages.add("space.activate 1")
    read()
    pages.script.checkpoint("used")
    for begin in begins.values():
        pages.out(begin, 8)
    pages.script.checkpoint("left")
    read()

    def look(run: Run) -> None:
        run.to_checkpoint("used")
        for whose, begin in begins.items():
            assert any(run.target.tlb([begin + i * PAGE for i in range(8)]).values()), f"the CPU remembers no page of {whose}: nothing is tested"
        run.to_checkpoint("left")
        for whose, begin in begins.items():
            remembered = [hex(address) for address, entry in run.target.tlb([begin + i * PAGE for i in range(8)]).items() if entry]
            assert not remembered, f"pages of {whose} that left, and the CPU remembers them"

    pages.run(boot, image, look=look)


def test_shared_memory_of_strangers_leaves_once_and_comes_back_for_all(boot, image):
    """Two spaces that do not come from one another show it at different places, and one of them has a child."""
    pages = Pages()
    pages.add("space.create 2 3")
    pages.add("object.shared 1 6")
    ours = f"${pages.map(6, begin=0x4000_0000, sharing='shared', file='1 0')}"
    theirs = f"${pages.map(6, begin=0x5000_0000, sharing='shared', file='1 0', space=2)}"
    pages.add("space.activate 0")
    pages.write(ours, 6)
    pages.add("space.activate 2")
    pages.read(theirs, 6)
    pages.out(ours, 6)
    pages.are(ABSENT, ours, 6)
    pages.are(ABSENT, theirs, 6, space=2)
    pages.check()
    pages.read(theirs, 3)
    pages.write(theirs, 1, salt=2)
    pages.add("space.fork 2 3")
    pages.add("space.activate 0")
    pages.read(ours, 1, salt=2)
    pages.out(theirs, 3, space=2)
    pages.add("space.destroy 2")
    pages.check()
    pages.add("space.activate 3")
    pages.read(theirs, 1, salt=2)
    pages.write(theirs, 6, salt=3)
    pages.add("space.destroy 0")
    pages.counts(6, "reclaim.take 6")
    pages.check()
    pages.read(theirs, 6, salt=3)
    pages.run(boot, image)


def test_what_reads_no_page_works_without_the_disk(boot, image):
    """Other rights, munmap(), fork() and a space's end, while all pages are out and the disk neither reads nor writes."""
    pages = Pages()
    block = f"${pages.map(16)}"
    pages.add("space.activate 0")
    pages.write(block, 16)
    pages.out(block, 16)
    pages.add("reclaim.faults read:1+,write:1+")
    pages.add(f"space.protect 0 {block} 2 r--")
    pages.add(f"copy.read {block}", "DeviceError")
    pages.add(f"space.unmap 0 {block}+{2 * PAGE} 4")
    pages.check()
    pages.add("space.fork 0 1")
    pages.add(f"space.discard 0 {block}+{8 * PAGE} 2")
    pages.add("space.activate 1")
    pages.add(f"copy.write {block}+{12 * PAGE} 5", "DeviceError")
    pages.add("space.destroy 0")
    pages.check()
    pages.add("reclaim.faults")
    pages.read(block, 2)
    pages.read(block, 10, first=6)
    pages.add(f"copy.write {block} 5", "BadAddress")
    pages.run(boot, image)
