"""vmalloc, in a running kernel: what it maps is read from the page tables, by the host; what it forgets, from the TLB."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from paging.tables import PAGE, PageRun, TableSet
from scripted import Boots, Script, boots

BEGIN, END, FIRST = 0xC000_0000, 0xE000_0000, 0xC000_1000
LAZY_PAGES = 256
SINGLE_INVALIDATIONS = 32
FULL_FLUSH = "mm::tlb::flush_including_global()"
INVALIDATE = "mm::tlb::invalidate_page(VirtAddr)"
PROFILES = ["grading", "no-memory-debugging"]


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("vmalloc"))


def pages(size: int) -> int:
    return -(-size // PAGE)


@dataclass(frozen=True)
class Statistics:
    """The answer of vmalloc.statistics."""

    areas: int
    pages: int
    lazy_areas: int
    lazy_pages: int
    purges: int
    full_flushes: int
    record_frames: int


def single_pages(tables: TableSet) -> dict[int, PageRun]:
    """Every page of vmalloc's range by its address."""
    return {page: run.part(page, page + PAGE) for run in tables.pages(BEGIN, END) for page in range(run.virtual, run.end, PAGE)}


def expect_mapped(tables: TableSet, areas: dict[int, int]) -> dict[int, PageRun]:
    """Exactly these areas (address -> bytes), page by page to a frame of its own, and nothing on either side of each."""
    found = single_pages(tables)
    wanted = {page for address, size in areas.items() for page in range(address, address + pages(size) * PAGE, PAGE)}
    assert set(found) == wanted
    for address, size in areas.items():
        assert address % PAGE == 0
        assert address - PAGE not in found and address + pages(size) * PAGE not in found, "a guard page on either side"
    assert {run.rights for run in found.values()} <= {"writable global supervisor"}
    assert len({run.physical for run in found.values()}) == len(found), "no frame twice"
    return found


# --- areas ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("megabytes", [16, 300])
def test_areas_are_mapped_page_by_page_to_frames_of_their_own(boot, profile, megabytes):
    sizes = [1, 4096, 4097, 65536, 5 << 20, 12345]
    script = Script()
    areas = [script.add(f"vmalloc.allocate {size}") for size in sizes]
    asked = [script.add(f"vmalloc.size ${area}") for area in areas]
    for area, size in zip(areas, sizes):
        script.add(f"vmalloc.fill ${area} {pages(size) * PAGE} {area << 24}")
    checks = [script.add(f"vmalloc.check ${area} {pages(size) * PAGE} {area << 24}") for area, size in zip(areas, sizes)]
    script.add("vmalloc.invariants")
    run = boot(script, profile=profile, megabytes=megabytes)
    run.to_end()
    assert [run.value(size) for size in asked] == [pages(size) * PAGE for size in sizes]
    assert [run.value(check) for check in checks] == [0] * len(sizes), "every word is where it was written"
    found = expect_mapped(run.tables(), {run.value(area): size for area, size in zip(areas, sizes)})
    assert {run.physical // PAGE for run in found.values()} <= set(range(1, megabytes << 8))
    if megabytes == 300:
        assert all(page.physical >= 256 << 20 for page in found.values()), "memory without an address of its own comes first"
    address, word = run.value(areas[0]), areas[0] << 24
    assert int.from_bytes(run.target.physical(found[address].physical, 4), "little") == word


def test_nothing_is_mapped_and_no_frame_is_taken_before_the_first_area(boot):
    script = Script()
    in_use, figures = script.add("paging.in_use"), script.add("vmalloc.statistics")
    run = boot(script)
    run.to_end()
    assert run.tables().table_frames(BEGIN, END) == []
    assert run.values(figures) == (0,) * 7
    assert run.value(in_use) <= 16, "the heap has a few, and the kernel stacks that are kept ready"


def test_a_page_of_an_area_that_is_used_again_shows_its_new_frame(boot):
    script = Script()
    old = script.add("vmalloc.allocate 40960")
    script.add(f"vmalloc.fill ${old} 40960 1000")
    script.add(f"vmalloc.free ${old}")
    script.checkpoint("freed")
    script.add("vmalloc.purge")
    for _ in range(40):
        script.add("paging.frame")  # other frames come next
    new = script.add("vmalloc.allocate 40960")
    script.add(f"vmalloc.fill ${new} 40960 5000")
    script.add("checkpoint used")
    run = boot(script)
    run.to_checkpoint("freed")
    before = single_pages(run.tables())
    run.to_checkpoint("used")
    after = single_pages(run.tables())
    assert run.value(new) == run.value(old), "the test wants the same addresses again"
    assert not {page.physical for page in before.values()} & {page.physical for page in after.values()}
    for number, page in enumerate(sorted(after)):
        word = int.from_bytes(run.target.physical(after[page].physical, 4), "little")
        assert word == 5000 + number * PAGE // 4, "the write went to the new frame"


def test_another_directory_sees_areas_that_are_younger_than_itself(boot):
    script = Script()
    directory = script.add("paging.create")
    script.add(f"paging.activate ${directory}")
    area = script.add("vmalloc.allocate 8192")
    script.checkpoint("young")
    script.add(f"vmalloc.fill ${area} 8192 7")
    check = script.add(f"vmalloc.check ${area} 8192 7")
    script.checkpoint("seen")
    script.add(f"vmalloc.free ${area}")
    script.add("vmalloc.purge")
    read = script.add(f"paging.read ${area}")
    run = boot(script)
    run.to_checkpoint("young")
    assert run.tables().directory[BEGIN >> 22] == 0, "vmalloc writes to the kernel's directory only"
    run.to_checkpoint("seen")
    expect_mapped(run.tables(), {run.value(area): 8192})
    run.to_end()
    assert run.value(check) == 0 and run.error(read) == "NotMapped"
    expect_mapped(run.tables(), {})


# --- refusals ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_no_area_in_use_cannot_be_freed_and_changes_nothing(boot, profile):
    script = Script()
    area = script.add("vmalloc.allocate 20000")
    gone = script.add("vmalloc.allocate 4096")
    lazy = script.add("vmalloc.allocate 4096")
    script.add(f"vmalloc.free ${gone}")
    script.add("vmalloc.purge")
    script.add(f"vmalloc.free ${lazy}")
    before = script.add("vmalloc.statistics")
    refused = [f"${area}+1", f"${area}+4096", f"${area}+20480", f"${area}-4096", f"${gone}", f"${lazy}", "1", "0x100000",
               "0xBFFFF000", "0xC0000000", "0xDFFFF000", "0xE0000000", "0xF0401000", "0xFFFFFFFF"]
    frees = [script.add(f"vmalloc.free {address}") for address in refused]
    sizes = [script.add(f"vmalloc.size {address}") for address in [*refused, "0"]]
    null = script.add("vmalloc.free 0")
    after = script.add("vmalloc.statistics")
    script.add("vmalloc.invariants")
    run = boot(script, profile=profile)
    run.to_end()
    assert {run.error(operation) for operation in (*frees, *sizes)} == {"NotAllocated"}
    assert run.error(null) == ""
    assert run.values(after) == run.values(before)


@pytest.mark.parametrize("megabytes", [16, 1024])
def test_sizes_that_cannot_be_are_refused_and_cost_nothing(boot, megabytes):
    sizes = {0: "InvalidArgument", megabytes << 20: "OutOfMemory", 0x1FFF_F000: "OutOfMemory", 0x2000_0000: "OutOfMemory",
             0x8000_0000: "OutOfMemory", 0xFFFF_F000: "OutOfMemory", 0xFFFF_FFFF: "OutOfMemory"}
    script = Script()
    before = script.add("paging.in_use")
    operations = [script.add(f"vmalloc.allocate {size}") for size in sizes]
    after, figures = script.add("paging.in_use"), script.add("vmalloc.statistics")
    run = boot(script, megabytes=megabytes)
    run.to_end()
    assert [run.error(operation) for operation in operations] == list(sizes.values())
    assert run.value(after) == run.value(before)
    assert run.values(figures) == (0,) * 7


@pytest.mark.parametrize("size", [17 * PAGE, 1100 * PAGE])
def test_a_failure_at_any_allocation_of_a_frame_loses_nothing(boot, size):
    needed = 1 + pages(size) + 1 + (pages(size) > 1000)  # record, area, page tables
    script = Script()
    before = script.add("paging.in_use")
    attempts, counts = [], []
    for allowed in range(needed) if needed < 100 else (0, 1, 2, needed // 2, needed - 3, needed - 2, needed - 1):
        script.add(f"frames.limit {allowed}")
        attempts.append(script.add(f"vmalloc.allocate {size}"))
        script.add("frames.limit none")
        counts.append(script.add("paging.in_use"))
        script.add("vmalloc.invariants")
    script.checkpoint("failed")
    script.add(f"frames.limit {needed}")
    last = script.add(f"vmalloc.allocate {size}")
    run = boot(script)
    run.to_checkpoint("failed")
    assert run.tables().table_frames(BEGIN, END) == [], "the page tables were taken back, too"
    run.to_end()
    assert {run.error(attempt) for attempt in attempts} == {"OutOfMemory"}
    assert {run.value(count) for count in counts} == {run.value(before)}
    expect_mapped(run.tables(), {run.value(last): size})


# --- freeing ----------------------------------------------------------------------------------------------------------------


def test_freed_areas_stay_mapped_until_one_purge_with_one_flush_ends_them_all(boot):
    script = Script()
    before = script.add("paging.in_use")
    areas = [script.add("vmalloc.allocate 65536") for _ in range(4)]
    for area in areas:
        script.add(f"vmalloc.fill ${area} 65536 {area}")
    held = script.add("paging.in_use")
    for area in areas[:3]:
        script.add(f"vmalloc.free ${area}")
    still_held, old = script.add("paging.in_use"), script.add(f"vmalloc.check ${areas[0]} 65536 {areas[0]}")
    script.add("say nothing")
    script.checkpoint("freed")
    nothing = script.add("checkpoint counted")
    purge = script.add("vmalloc.purge")
    script.checkpoint("purged")
    again, after = script.add("vmalloc.purge"), script.add("paging.in_use")
    run = boot(script)
    run.to_checkpoint("freed")
    addresses = [run.value(area) for area in areas]
    expect_mapped(run.tables(), {address: 65536 for address in addresses})
    touched = [page for address in addresses for page in range(address, address + 65536, PAGE)]
    assert any(run.target.tlb(touched).values()), "the test needs something that can become stale"
    counter = run.target.count_hits([FULL_FLUSH])
    run.to_checkpoint("counted")
    run.to_checkpoint("purged")
    assert counter.read() == {FULL_FLUSH: 1}
    expect_mapped(run.tables(), {addresses[3]: 65536})
    assert not any(run.target.tlb(touched[:48]).values())
    run.to_end()
    assert run.value(purge) == 48 and run.value(again) == 0 and run.value(old) == 0 and nothing
    assert run.value(held) == run.value(still_held) == run.value(before) + 64 + 2, "a page table, and a frame of records"
    assert run.value(after) == run.value(before) + 16 + 2


@pytest.mark.parametrize("count", [1, SINGLE_INVALIDATIONS, SINGLE_INVALIDATIONS + 1])
def test_few_pages_are_forgotten_one_by_one(boot, count):
    script = Script()
    first = script.add(f"vmalloc.allocate {max(count - 1, 1) * PAGE}")
    second = script.add("vmalloc.allocate 4096") if count > 1 else 0
    script.add(f"vmalloc.fill ${first} {max(count - 1, 1) * PAGE} 1")
    for area in filter(None, (first, second)):
        script.add(f"vmalloc.free ${area}")
    script.checkpoint("freed")
    idle = script.add("mmio.unmap 0")
    script.checkpoint("idle")
    purge = script.add("vmalloc.shrink")
    script.checkpoint("purged")
    run = boot(script)
    run.to_checkpoint("freed")
    touched = [run.value(first) + page * PAGE for page in range(max(count - 1, 1))]
    counter = run.target.count_hits([FULL_FLUSH, INVALIDATE])
    run.to_checkpoint("idle")
    run.to_checkpoint("purged")
    full = count > SINGLE_INVALIDATIONS
    assert counter.read() == {FULL_FLUSH: int(full), INVALIDATE: 0 if full else count}
    assert not any(run.target.tlb(touched).values())
    assert run.error(idle) == "NotMapped" and run.value(purge) >= count


def test_a_purge_comes_by_itself_when_many_pages_wait(boot):
    script = Script()
    areas = [script.add(f"vmalloc.allocate {64 * PAGE}") for _ in range(4)]
    figures = []
    for area in areas:
        script.add(f"vmalloc.free ${area}")
        figures.append(script.add("vmalloc.statistics"))
    run = boot(script)
    run.to_end()
    seen = [Statistics(*run.values(operation)) for operation in figures]
    assert [(now.areas, now.lazy_areas, now.lazy_pages, now.purges) for now in seen] == [
        (3, 1, 64, 0), (2, 2, 128, 0), (1, 3, 192, 0), (0, 0, 0, 1)]
    assert seen[-1].record_frames == 0 and seen[-1].full_flushes == 1
    assert single_pages(run.tables()) == {}


def test_short_memory_brings_freed_areas_back_at_once(boot):
    script = Script()
    blocks = [script.add(f"vmalloc.allocate {200 * PAGE}") for _ in range(22)]
    script.add(f"vmalloc.free ${blocks[0]}")
    again = script.add(f"vmalloc.allocate {200 * PAGE}")
    script.add(f"vmalloc.fill ${again} {200 * PAGE} 9")
    check = script.add(f"vmalloc.check ${again} {200 * PAGE} 9")
    none = script.add(f"vmalloc.allocate {200 * PAGE}")
    script.add("vmalloc.invariants")
    figures = script.add("vmalloc.statistics")
    run = boot(script)
    run.to_end()
    assert run.error(blocks[-1]) == run.error(none) == "OutOfMemory", "the test needs a full machine"
    assert run.value(check) == 0
    now = Statistics(*run.values(figures))
    assert now.lazy_pages == 0 and now.purges == 1


def test_short_memory_elsewhere_purges_through_the_shrinker(boot):
    script = Script()
    area = script.add(f"vmalloc.allocate {100 * PAGE}")
    script.add(f"vmalloc.fill ${area} {100 * PAGE} 3")
    script.add(f"vmalloc.free ${area}")
    before = script.add("vmalloc.statistics")
    script.add("paging.soil")  # takes every frame
    after = script.add("vmalloc.statistics")
    script.add("vmalloc.invariants")
    run = boot(script)
    run.to_end()
    assert Statistics(*run.values(before)).lazy_pages == 100
    assert Statistics(*run.values(after)).lazy_pages == 0


@pytest.mark.parametrize("profile", PROFILES)
def test_a_freed_area_is_used_again_as_it_is_unless_its_old_owner_may_be_found_out(boot, profile):
    script = Script()
    area = script.add("vmalloc.allocate 65536")
    script.add(f"vmalloc.fill ${area} 65536 40")
    script.add(f"vmalloc.free ${area}")
    script.checkpoint("freed")
    smaller, same = script.add("vmalloc.allocate 61440"), script.add("vmalloc.allocate 65000")
    script.checkpoint("again")
    figures = script.add("vmalloc.statistics")
    script.add("vmalloc.invariants")
    freed = script.add(f"vmalloc.free ${same}")
    run = boot(script, profile=profile)
    run.to_checkpoint("freed")
    before = single_pages(run.tables())
    run.to_checkpoint("again")
    after = single_pages(run.tables())
    run.to_end()
    assert (run.value(same) == run.value(area)) == (profile == "no-memory-debugging") and run.value(smaller) != run.value(area)
    assert {page: after[page] for page in before} == before
    assert Statistics(*run.values(figures)).lazy_areas == int(profile == "grading") and run.error(freed) == ""


# --- addresses --------------------------------------------------------------------------------------------------------------


def test_addresses_that_are_given_back_become_one_gap_again(boot):
    mib = 1 << 20
    script = Script()
    areas = [script.add(f"vmalloc.allocate {64 * mib}") for _ in range(8)]
    tail = script.add(f"vmalloc.allocate {63 * mib}")
    for index in (1, 3):
        script.add(f"vmalloc.free ${areas[index]}")
    scattered = script.add(f"vmalloc.allocate {100 * mib}")
    script.add(f"vmalloc.free ${areas[2]}")
    joined = script.add(f"vmalloc.allocate {192 * mib}")
    script.add("vmalloc.invariants")
    script.add(f"vmalloc.free ${joined}")
    exact = [script.add(f"vmalloc.allocate {64 * mib}") for _ in range(3)]
    rest = script.add(f"vmalloc.allocate {mib}")
    lazy = script.add(f"vmalloc.allocate {100 * PAGE}")
    script.add("vmalloc.invariants")
    run = boot(script, megabytes=1024)
    run.to_end()
    assert run.error(areas[7]) == "OutOfMemory", "eight areas of 64 MiB and their guards are too much"
    assert [run.value(area) for area in areas[:7]] == [FIRST + index * (64 * mib + PAGE) for index in range(7)]
    assert run.value(tail) == FIRST + 7 * (64 * mib + PAGE)
    assert run.error(scattered) == "OutOfMemory", "no gap is large enough"
    assert run.value(joined) == run.value(areas[1])
    assert [run.value(area) for area in exact] == [run.value(area) for area in areas[1:4]]
    assert run.error(rest) == "OutOfMemory" and run.value(lazy) > run.value(tail)


def test_short_addresses_bring_freed_areas_back_at_once(boot):
    mib = 1 << 20
    script = Script()
    small = script.add(f"vmalloc.allocate {200 * PAGE}")
    large = script.add(f"vmalloc.allocate {256 * mib}")
    rest = script.add(f"vmalloc.allocate {255 * mib}")
    script.add(f"vmalloc.free ${small}")
    again = script.add(f"vmalloc.allocate {200 * PAGE}")
    run = boot(script, megabytes=1024)
    run.to_end()
    assert run.value(again) == run.value(small) < run.value(large) < run.value(rest)


# --- a long story -----------------------------------------------------------------------------------------------------------


@dataclass
class Model:
    """What vmalloc promises, in a few lines: areas by the operation that allocated them, and when they are taken apart."""

    reuses: bool  # freed areas, as they are
    used: dict[int, int] = field(default_factory=dict)   # operation -> pages
    lazy: dict[int, int] = field(default_factory=dict)   # the last one that was freed comes last
    purges: int = 0

    def allocate(self, area: int, size: int) -> None:
        same = [old for old, count in self.lazy.items() if count == size]
        if self.reuses and same:
            del self.lazy[same[-1]]
        self.used[area] = size

    def free(self, area: int) -> None:
        self.lazy[area] = self.used.pop(area)
        if sum(self.lazy.values()) >= LAZY_PAGES:
            self.purge()

    def purge(self) -> int:
        given = sum(self.lazy.values())
        self.purges += bool(self.lazy)
        self.lazy.clear()
        return given

    def figures(self) -> tuple[int, ...]:
        return len(self.used), sum(self.used.values()), len(self.lazy), sum(self.lazy.values()), self.purges


@pytest.mark.parametrize("profile, largest", [("grading", 12), ("no-memory-debugging", 60), ("grading", 1)])
def test_a_long_random_story(boot, profile, largest):
    dice, model, script = random.Random(f"vmalloc {largest}"), Model(profile == "no-memory-debugging"), Script()
    expected: dict[int, tuple[int, ...] | str] = {}
    start = script.add("paging.in_use")
    for _ in range(900):
        choice = dice.random()
        if choice < 0.5 and sum(model.used.values()) < 2000:
            size = dice.randint(1, largest)
            area = script.add(f"vmalloc.allocate {size * PAGE - dice.randrange(PAGE)}")
            model.allocate(area, size)
            script.add(f"vmalloc.fill ${area} {size * PAGE} {area << 16}")
        elif choice < 0.9 and model.used:
            area = dice.choice(list(model.used))
            expected[script.add(f"vmalloc.check ${area} {model.used[area] * PAGE} {area << 16}")] = (0,)
            script.add(f"vmalloc.free ${area}")
            model.free(area)
        elif choice < 0.93 and model.lazy and not model.reuses:
            expected[script.add(f"vmalloc.free ${dice.choice(list(model.lazy))}")] = "NotAllocated"
        elif choice < 0.95:
            expected[script.add("vmalloc.purge")] = (model.purge(),)
        else:
            expected[script.add("vmalloc.statistics")] = model.figures()
            script.add("vmalloc.invariants")
    script.checkpoint("mapped")
    listed = [script.add(f"vmalloc.area {index}") for index in range(len(model.used) + len(model.lazy) + 1)]
    for area in model.used:
        script.add(f"vmalloc.free ${area}")
    script.add("vmalloc.purge")
    end, figures = script.add("paging.in_use"), script.add("vmalloc.statistics")
    assert len(script.lines) < 4000
    run = boot(script, profile=profile)
    run.to_checkpoint("mapped")
    records = run.records()
    for operation, answer in expected.items():
        record = records[operation]
        assert (record.error if isinstance(answer, str) else record.values[:len(answer)]) == answer, script.lines[operation - 1]
    alive = {records[area].values[0]: (count, area in model.lazy) for area, count in (model.used | model.lazy).items()}
    expect_mapped(run.tables(), {address: count * PAGE for address, (count, _) in alive.items()})
    tables = len(run.tables().table_frames(BEGIN, END))
    run.to_end()
    assert [run.values(operation) for operation in listed[:-1]] == [(address, *alive[address]) for address in sorted(alive)]
    assert run.error(listed[-1]) == "NotAllocated"
    assert run.value(end) == run.value(start) + tables and run.values(figures)[:4] == (0, 0, 0, 0)
    assert Statistics(*run.values(figures)).record_frames == 0
