"""Device memory in the kernel's address space: what is mapped, with which bits, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from paging.tables import PAGE, TableSet
from scripted import Boots, Script, boots

BEGIN, END, FIRST = 0xE000_0000, 0xF000_0000, 0xE000_1000
WRITE_THROUGH, CACHE_DISABLE = 0x08, 0x10
SCREEN, ROM = 0xB_8000, 0xFFFF_0000
FULL_FLUSH = "mm::tlb::flush_including_global()"
INVALIDATE = "mm::tlb::invalidate_page(VirtAddr)"


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("mmio"))


def mapped(tables: TableSet) -> dict[int, int]:
    """Every page of the range of mmio, with the physical page that it shows."""
    runs = tables.pages(BEGIN, END)
    return {page: run.physical + page - run.virtual for run in runs for page in range(run.virtual, run.end, PAGE)}


@pytest.mark.parametrize("caching, bits", [("uncached", WRITE_THROUGH | CACHE_DISABLE), ("write-through", WRITE_THROUGH)])
def test_a_mapping_has_the_bits_that_its_caching_asks_for(boot, caching, bits):
    script = Script()
    rom, screen = script.add(f"mmio.map {ROM} {0x10000} {caching}"), script.add(f"mmio.map {SCREEN} 4000 {caching}")
    run = boot(script)
    run.to_end()
    tables = run.tables()
    assert (run.value(rom), run.value(screen)) == (FIRST, FIRST + 17 * PAGE), "a guard page lies between"
    assert mapped(tables) == {FIRST + page * PAGE: ROM + page * PAGE for page in range(16)} | {FIRST + 17 * PAGE: SCREEN}
    for page in mapped(tables):
        walk = tables.translate(page)
        assert walk.pte & (WRITE_THROUGH | CACHE_DISABLE) == bits
        assert (walk.writable, walk.user, walk.global_) == (True, False, True)


def test_what_is_read_there_is_the_device(boot):
    script = Script()
    begin, offsets = 0xFFF8_0123, range(0, 0x7_0000, 0x1100)  # the end of the boot ROM holds the kernel and this very script
    rom = script.add(f"mmio.map {begin} {0x7_0000} uncached")
    words = [script.add(f"paging.read ${rom}+{offset}") for offset in offsets]
    run = boot(script)
    run.to_end()
    assert run.value(rom) == FIRST + 0x123, "an address keeps its place in the page"
    seen = [run.value(word) for word in words]
    assert seen == [int.from_bytes(run.target.physical(begin + offset, 4), "little") for offset in offsets]
    assert len(set(seen)) > 10, "the ROM holds more than one value"


@pytest.mark.parametrize("physical, size, pages", [
    (SCREEN + 0xFFF, 1, 1), (SCREEN + 0xFFF, 2, 2), (SCREEN + 1, 4095, 1), (SCREEN + 1, 4096, 2), (0xA0000, 0x60000, 0x60),
    (0x0100_0000, 1, 1), (0xFFFF_FFFF, 1, 1), (0xF000_0000, 0x0FF0_0000, 0xFF00)])
def test_as_many_pages_are_mapped_as_the_bytes_touch(boot, physical, size, pages):
    script = Script()
    operation = script.add(f"mmio.map {physical} {size} uncached")
    run = boot(script)
    run.to_end()
    assert run.value(operation) == FIRST + physical % PAGE
    assert mapped(run.tables()) == {FIRST + page * PAGE: physical // PAGE * PAGE + page * PAGE for page in range(pages)}


def test_memory_of_the_machine_is_refused_and_so_is_what_makes_no_sense(boot):
    refused = {
        (SCREEN, 0, "uncached"): "InvalidArgument",
        (SCREEN, 8, "7"): "InvalidArgument",
        (0, 4, "uncached"): "InvalidArgument",
        (0x9_F000, 0x1000, "uncached"): "InvalidArgument",        # the BIOS's data area is memory
        (0x9_FFFF, 2, "uncached"): "InvalidArgument",             # its last byte, and the screen
        (0xF_FFFF, 2, "uncached"): "InvalidArgument",             # the ROM's last byte, and the kernel
        (0x10_0000, 0x1000, "write-through"): "InvalidArgument",  # the kernel itself
        (0x00FF_FFFF, 2, "uncached"): "InvalidArgument",          # the last byte of memory
        (0xFFFF_FFFF, 2, "uncached"): "OutOfRange",
        (ROM, 0xFFFF_FFFF, "uncached"): "OutOfRange",
        (0xE000_0000, 0x1000_0000, "uncached"): "OutOfMemory",    # as large as the window, which has guards
        (0x8000_0000, 0x7FFF_F000, "uncached"): "OutOfMemory",
    }
    script = Script()
    before = script.add("paging.in_use")
    operations = [script.add(f"mmio.map {physical} {size} {caching}") for physical, size, caching in refused]
    after = script.add("paging.in_use")
    run = boot(script)
    run.to_end()
    assert dict(zip(refused, map(run.error, operations))) == refused
    assert run.value(before) == run.value(after) and mapped(run.tables()) == {}


def test_without_frames_nothing_is_mapped_and_nothing_lost(boot):
    script = Script()
    before = script.add("paging.in_use")
    failed, counts = [], []
    for allowed in (0, 1, 2):  # a record and two page tables
        script.add(f"frames.limit {allowed}")
        failed.append(script.add(f"mmio.map 0xF0000000 {5 << 20} uncached"))
        script.add("frames.limit none")
        counts.append(script.add("paging.in_use"))
    script.add("frames.limit 3")
    last = script.add(f"mmio.map 0xF0000000 {5 << 20} uncached")
    run = boot(script)
    run.to_end()
    assert [run.error(operation) for operation in failed] == ["OutOfMemory"] * 3 and run.error(last) == ""
    assert {run.value(count) for count in counts} == {run.value(before)}


@pytest.mark.parametrize("pages, flushes", [(2, {FULL_FLUSH: 0, INVALIDATE: 2}), (32, {FULL_FLUSH: 0, INVALIDATE: 32}),
                                            (33, {FULL_FLUSH: 1, INVALIDATE: 0})])
def test_unmapping_is_exact_and_leaves_nothing_in_the_tlb(boot, pages, flushes):
    script = Script()
    screen = script.add(f"mmio.map {SCREEN + 5} 100 uncached")
    rom = script.add(f"mmio.map {0x10_0000 - pages * PAGE + 16} {pages * PAGE - 16} uncached")
    last = script.add(f"mmio.map {SCREEN} 100 uncached")
    for page in range(pages):
        script.add(f"paging.read ${rom}+{page * PAGE}")
    wrong = [script.add(f"mmio.unmap {address}") for address in (
        "0", f"${rom}-16", f"${rom}+1", f"${rom}+4096", f"${rom}+{pages * PAGE}", f"${screen}-5", "0xC0001000", "0xE0000000",
        "0xFFFFFFFF")]
    script.checkpoint("mapped")
    script.add(f"mmio.unmap ${rom}")
    script.checkpoint("unmapped")
    twice = script.add(f"mmio.unmap ${rom}")
    again = script.add(f"mmio.map {0x10_0000 - pages * PAGE} {pages * PAGE} write-through")
    run = boot(script)
    run.to_checkpoint("mapped")
    touched = [run.value(rom) + page * PAGE for page in range(pages)]
    before = mapped(run.tables())
    assert len(before) == pages + 2 and any(run.target.tlb(touched).values())
    counter = run.target.count_hits(list(flushes))
    run.to_checkpoint("unmapped")
    assert counter.read() == flushes
    assert mapped(run.tables()) == {run.value(screen) - 5: SCREEN, run.value(last): SCREEN}
    assert not any(run.target.tlb(touched).values())
    run.to_end()
    assert {run.error(operation) for operation in (*wrong, twice)} == {"NotMapped"}
    assert run.value(again) == run.value(rom) - 16, "the addresses are free again"


def test_a_new_page_table_holds_nothing_else(boot):
    script = Script()
    area = script.add("vmalloc.allocate 80000")
    script.add(f"vmalloc.fill ${area} 77824 1")  # numbers, every other of which looks like a present page
    script.add(f"vmalloc.free ${area}")
    script.add("vmalloc.purge")
    script.add(f"mmio.map {SCREEN} 4000 uncached")
    run = boot(script, profile="no-memory-debugging")  # freed frames keep what they hold
    run.to_end()
    assert mapped(run.tables()) == {FIRST: SCREEN}
