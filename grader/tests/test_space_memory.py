"""Address spaces in a running kernel: large pages, limits, and what happens at each point of running out of memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from paging.tables import PAGE
from scripted import Boots, boots
from space_model import frames_of
from space_script import DATA, LARGE, OUT_OF_MEMORY, OUTCOMES, REASONS, RESOLVED, Expectations, touched


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("memory"))


# --- large pages ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["grading", "no-large-pages", "no-memory-debugging"])
def test_large_mappings_use_large_pages_until_a_part_of_one_changes(boot, profile):
    work = Expectations()
    work.add("space.create 0 3")
    frames = work.add("paging.in_use")
    begin = work.map(2500)
    untouched = work.add("space.statistics 0")
    faults = work.touch(f"${begin}", 2500)  # two large pages and 452 small ones
    work.add("space.check 0")
    work.script.checkpoint("mapped")
    work.add("space.activate 0")
    work.add(f"copy.write ${begin}+{LARGE + 8192} 77")
    work.add(f"space.protect 0 ${begin} 1024 r--")
    work.add(f"copy.write ${begin}+16 1", "BadAddress")
    work.add("space.check 0")
    work.script.checkpoint("protected")
    work.add(f"space.protect 0 ${begin}+{LARGE} 3 r--")
    kept = work.add(f"copy.read ${begin}+{LARGE + 8192}")
    work.add("space.check 0")
    work.script.checkpoint("split")
    forked = work.add("space.fork 0 1")
    work.add("space.check 0")
    work.add("space.check 1")
    work.script.checkpoint("forked")
    work.add("space.activate 1")
    copied = work.add(f"copy.read ${begin}+{LARGE + 8192}")
    work.add("space.activate none")
    work.add(f"space.unmap 0 ${begin}+{LARGE + 4096} 1400")
    work.add("space.check 0")
    work.script.checkpoint("unmapped")
    parts = work.add("paging.in_use")
    for i in range(8):  # frames of the run that was taken apart serve others
        work.map(100, "rw-", DATA + i * 200 * PAGE, space=1)
        work.touch(DATA + i * 200 * PAGE, 100, space=1)
    work.add("space.check 1")
    work.add("space.destroy 1")
    work.add("space.destroy 0")
    work.add("vmalloc.shrink")
    released = work.add("paging.in_use")
    counts = work.add("physical.counts")
    run = boot(work.script, profile=profile, megabytes=64)
    large = profile != "no-large-pages"
    run.to_checkpoint("mapped")
    address = run.value(begin)
    directory = run.value(2)
    sizes = Counter(r.large for r in run.tables(directory).pages(address, address + 2500 * PAGE) for _ in range(r.pages))
    assert sizes == (Counter({True: 2048, False: 452}) if large else Counter({False: 2500}))
    if large:
        assert address % LARGE == 0
    run.to_checkpoint("protected")
    walk = run.tables(directory).translate(address)
    assert walk and walk.large == large and not walk.writable, "a whole large page changes without a split"
    run.to_checkpoint("split")
    tables = run.tables(directory)
    assert tables.translate(address).large == large
    assert [tables.translate(address + LARGE + page * PAGE).writable for page in (0, 2, 3, 1023)] == [False, False, True, True]
    assert not tables.translate(address + LARGE).large
    run.to_checkpoint("forked")
    own = frames_of(tables)
    run_of_both = [frames_of(run.tables(number)) for number in (directory, run.value(forked))]
    assert run_of_both[0] == run_of_both[1] == {page: (frame, "read-only user") for page, (frame, _) in own.items()}, "all shared"
    run.to_checkpoint("unmapped")
    assert len(frames_of(run.tables(directory))) == 1100
    run.to_end()
    work.checked(run)
    assert run.values(untouched)[:2] == (2500, 0)
    assert touched(run, faults) == ({"large page": 2, "zeroed": 452} if large else {"zeroed": 2500}, RESOLVED)
    assert run.value(kept) == run.value(copied) == 77
    assert 2500 <= run.value(parts) - run.value(frames) < 2600, "the child has them all, and no page was copied"
    assert run.value(released) == run.value(work.in_use)
    memory, reserved, in_use, *zones = run.values(counts)
    assert memory - reserved == in_use + sum(zones), "every frame is accounted for"


def test_a_mapping_is_large_only_while_there_are_runs(boot):
    work = Expectations()
    work.add("space.create 0 3")
    parts = [(work.map(pages), pages) for pages in (3000, 1024, 1024, 1024)]
    faults = [work.touch(f"${begin}", pages) for begin, pages in parts]
    work.add("space.check 0")
    work.add("space.destroy 0")
    run = boot(work.script, megabytes=28)
    run.to_end()
    work.checked(run)
    hows, outcomes = zip(*(touched(run, operation) for operation in faults))
    assert outcomes == (RESOLVED,) * 4
    large, small = (sum(how.get(kind, 0) for how in hows) for kind in ("large page", "zeroed"))
    assert 0 < large < 6 and large * 1024 + small == 6072, "what no run is left for comes in small pages"


# --- limits, memory ------------------------------------------------------------------------------------------------------------


def test_limits_hold_for_mappings_heap_and_stack(boot):
    work = Expectations()
    work.add("space.create 0 3")
    work.add("space.limits 0 20 12 5")
    work.map(21, "---", error="LimitReached")
    work.map(12, "rw-", DATA)
    work.map(1, "rw-", DATA + 16 * PAGE)
    full, over = work.touch(DATA, 12), work.touch(DATA + 16 * PAGE, 1, "read")
    work.add(f"space.resolve 0 {DATA + 16 * PAGE}", "LimitReached")
    work.add(f"space.unmap 0 {DATA + 16 * PAGE} 1")
    work.map(8, "---", DATA + 20 * PAGE)
    work.map(1, "---", error="LimitReached")
    work.map(12, "r--", DATA, error="")  # in its own place
    work.map(13, "---", DATA, error="LimitReached")
    work.add(f"space.unmap 0 {DATA} 8")
    heap = work.add("space.heap 0")
    work.add(f"space.set_heap_end 0 ${heap}-1", "OutOfRange")
    work.add("space.set_heap_end 0 0xFFFFFFFF", "OutOfMemory")
    work.add(f"space.set_heap_end 0 ${heap}+{9 * PAGE}", "LimitReached")
    work.add(f"space.set_heap_end 0 ${heap}+1")
    work.add(f"space.set_heap_end 0 ${heap}+{2 * PAGE}")
    work.add(f"space.set_heap_end 0 ${heap}+{2 * PAGE - 5}")
    work.touch(f"${heap}", 2)
    grown = work.add("space.statistics 0")
    ends = work.add("space.heap 0")
    work.map(1, "r--", f"${heap}+{3 * PAGE}", place="free")
    work.add(f"space.set_heap_end 0 ${heap}+{5 * PAGE}", "Exists")
    unchanged = work.add("space.heap 0")
    stack = work.add("space.stack 0")  # two pages, and room for five
    work.add("space.stack 0")
    work.add("space.stack 0", "LimitReached")
    work.add(f"space.set_heap_end 0 ${heap}")
    work.add("space.limits 0 20 12 0")
    work.add("space.stack 0", "InvalidArgument")
    final = work.add("space.statistics 0")
    work.add("space.check 0")
    run = boot(work.script)
    run.to_end()
    work.checked(run)
    begin = run.value(heap)
    assert touched(run, full) == ({"zeroed": 12}, RESOLVED)
    assert touched(run, over) == ({}, OUT_OF_MEMORY)
    assert run.values(grown)[:2] == (14, 2)
    assert run.values(ends) == run.values(unchanged) == (begin, begin + 2 * PAGE - 5)
    assert run.value(stack) % PAGE == 0 and 0xBF00_0000 < run.value(stack) <= 0xC000_0000
    assert run.values(final)[:2] == (17, 0)


def test_the_heap_leaves_a_stack_its_guard_page(boot):
    work = Expectations()
    work.add("space.create 0 3")
    stack = work.add("space.stack 0")
    begin = f"${stack}-{2 * PAGE}"
    work.add(f"space.place_heap 0 ${stack}-{6 * PAGE}")
    work.add(f"space.set_heap_end 0 {begin}", "Exists")
    work.add(f"space.set_heap_end 0 ${stack}-{3 * PAGE - 1}", "Exists")
    work.add(f"space.set_heap_end 0 ${stack}-{3 * PAGE}")
    grows = work.add(f"fault.handle 0 ${stack}-{3 * PAGE} write user")
    work.add(f"space.set_heap_end 0 ${stack}-{5 * PAGE}")
    has_grown = work.add(f"fault.handle 0 ${stack}-{3 * PAGE} write user")
    work.add("space.check 0")
    run = boot(work.script, profile="no-aslr")
    run.to_end()
    work.checked(run)
    assert [OUTCOMES[run.values(operation)[0]] for operation in (grows, has_grown)] == ["signal", "resolved"]
    assert REASONS[run.values(grows)[1]] == "guard"


def test_every_point_of_running_out_of_memory_leaves_the_space_as_it_was(boot):
    work = Expectations()
    work.add("space.create 0 3")
    work.add("object.file 0 20000 500 99")
    work.add("object.shared 1 12")
    work.add("space.create 5 3")  # brings the objects' pages in: they stay with the object, whoever asked for them
    work.map(5, "r--", DATA, space=5, file="0 0")
    work.map(12, "r--", DATA + 8 * PAGE, space=5, sharing="shared", file="1 0")
    work.touch(DATA, 5, "read", space=5)
    work.touch(DATA + 8 * PAGE, 12, "read", space=5)
    file, shared = DATA + 16 * PAGE, DATA + 4 * LARGE
    starved = [work.add(f"space.starve {line}") for line in (
        f"map 0 5 rw- private fixed {DATA} none 0",
        f"map 0 5 rw- private fixed {file} 0 0",
        "map 0 3 r-x private fixed 0x10000000 0 1",
        f"map 0 12 rw- shared fixed {shared} 1 0",
        f"map 0 4 rw- private fixed {DATA + 8 * LARGE - 2 * PAGE} none 0",
        "stack 0",
        f"write 0 {DATA + PAGE}",
        f"write 0 {DATA + 3 * PAGE}",
        f"read 0 {DATA + 8 * LARGE}",
        f"write 0 {DATA + 8 * LARGE}",
        f"write 0 {file + PAGE}",
        "read 0 0x10000000",
        f"write 0 {shared}",
        f"into 0 {DATA + 8 * LARGE - 3}",
        "fork 0 1",
        f"write 0 {DATA + PAGE}",
        f"into 0 {DATA + 3 * PAGE}",
        f"unmap 0 {DATA + PAGE} 1",
        f"protect 0 {DATA + 3 * PAGE} 1 r--",
        "fork 0 2",
    )]
    heap = work.add("space.heap 0")
    starved.append(work.add(f"space.starve heap 0 ${heap}+{20 * PAGE}"))
    work.add("space.create 3 4")
    for number in range(3):
        work.map(1025, "rw-", DATA + 4 * number * LARGE, space=3)
    starved += [work.add(f"space.starve {line}") for line in (
        *(f"write 3 {DATA + 4 * number * LARGE + 5 * PAGE}" for number in range(3)),
        "fork 3 4",
        f"unmap 3 {DATA + 2 * PAGE} 3",
        f"protect 3 {DATA + 4 * LARGE + 2 * PAGE} 1 r--",
        f"discard 3 {DATA + 8 * LARGE + PAGE} 1",
        f"resolve 3 {DATA + 8 * LARGE + PAGE}",
    )]
    for number in range(6):
        work.add(f"space.check {number}")
        work.add(f"space.destroy {number}")
    work.add("object.release 0")
    work.add("object.release 1")
    work.add("vmalloc.shrink")
    released = work.add("paging.in_use")
    run = boot(work.script, megabytes=64)
    run.to_end()
    work.checked(run)
    answers = {work.script.lines[operation - 1]: run.values(operation)[:2] for operation in starved}
    assert {line: changed for line, (_, changed) in answers.items() if changed} == {}, "operation: failures that changed something"
    # The pieces may keep memory at hand for areas, and large pages are split once; whatever else needs a frame must fail without one.
    fed = [line for line, (failures, _) in answers.items() if not failures]
    assert all(line.split()[1] in ("map", "stack", "heap", "unmap", "protect", "discard") for line in fed), fed
    assert run.value(released) == run.value(work.in_use), "every frame is back"
