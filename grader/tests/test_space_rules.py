"""Address spaces in a running kernel: what is refused, what is counted, what happens without memory, and where chance puts things."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import pytest

from paging.tables import PAGE
from scripted import Boots, Run, Script, boots
from space_model import frames_of
from test_spaces import text_of

DATA = 0x3000_0000
LARGE = 4 << 20
OUTCOMES = ("resolved", "retry", "signal", "out of memory")
REASONS = ("", "null", "kernel", "not mapped", "guard", "not readable", "not writable", "not executable", "past end", "device",
           "stack limit")
RESOLVED, OUT_OF_MEMORY = 0, 3
HOWS = ("", "kernel table", "zero frame", "zeroed", "large page", "object page", "object copy", "copied", "last owner")


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("rules"))


class Expectations:
    """A script whose operations are expected to answer something."""

    def __init__(self) -> None:
        self.script = Script()
        self._expected: dict[int, str] = {}
        self.in_use = self.add("paging.in_use")

    def add(self, line: str, error: str = "") -> int:
        operation = self.script.add(line)
        self._expected[operation] = error
        return operation

    def map(self, pages: int, protection: str = "rw-", begin: int | str = 0, *, space: int = 0, place: str = "", sharing: str = "private",
            file: str = "none 0", error: str = "") -> int:
        place = place or ("fixed" if begin else "anywhere")
        return self.add(f"space.map {space} {pages} {protection} {sharing} {place} {begin} {file}", error)

    def touch(self, begin: int | str, pages: int, access: str = "write", *, space: int = 0) -> int:
        """Page faults of user code, until one is not resolved: touched() reads the answer."""
        return self.add(f"space.touch {space} {begin} {pages} {access}")

    def checked(self, run: Run) -> Run:
        records = run.records()
        wrong = {self.script.lines[operation - 1]: records[operation].error for operation, error in self._expected.items()
                 if records[operation].error != error}
        assert not wrong, "operation: what it answered instead"
        return run


def touched(run: Run, operation: int) -> tuple[dict[str, int], int]:
    """How pages became present, and the outcome of the last fault."""
    *counts, outcome = run.values(operation)
    return {how: count for how, count in zip(HOWS, counts) if how and count}, outcome


# --- refusals -----------------------------------------------------------------------------------------------------------------


def test_requests_that_contradict_themselves_or_the_arenas_are_refused_and_change_nothing(boot):
    work = Expectations()
    work.add("space.create 0 7")
    work.map(4, "rw-", DATA)
    before = work.add("space.list 0")
    for protection in ("rwx", "-w-", "-wx"):
        work.map(1, protection, DATA + 0x10000, error="InvalidArgument")
        work.add(f"space.protect 0 {DATA} 1 {protection}", "InvalidArgument")
    work.map(0, error="InvalidArgument")
    work.map(1, sharing="shared", error="InvalidArgument")  # shared with whom?
    work.map(1, "rw-", DATA + 1, error="Misaligned")
    work.map(1, "rw-", 0xC000_0000, error="OutOfRange")
    work.map(2, "rw-", 0xBFFF_F000, error="OutOfRange")
    work.map(1, "r--", 0x0FFF_F000, error="OutOfRange")
    work.map(1 << 20, "rw-", DATA, error="OutOfRange")
    work.map(1 << 19, "r--", 0xFFFF_F000, error="OutOfRange")
    work.map(1, "rw-", 0x1000_0000, error="AccessDenied")
    work.map(2, "rw-", 0x1FFF_F000, error="AccessDenied")
    work.map(1, "r-x", 0x2000_0000, error="AccessDenied")
    work.map(2, "r-x", 0x1FFF_F000, error="AccessDenied")
    work.map(1, "rw-", DATA + 3 * PAGE, place="free", error="Exists")
    work.map(700_000, "rw-", error="OutOfMemory")
    for verb in ("unmap", "discard"):
        work.add(f"space.{verb} 0 {DATA} 0", "InvalidArgument")
        work.add(f"space.{verb} 0 {DATA + 4} 1", "Misaligned")
        work.add(f"space.{verb} 0 0 1", "OutOfRange")
        work.add(f"space.{verb} 0 0xBFFFF000 2", "OutOfRange")
        work.add(f"space.{verb} 0 {DATA} 0xFFFFF", "OutOfRange")
    work.add(f"space.protect 0 {DATA} 0 r--", "InvalidArgument")
    work.add(f"space.protect 0 {DATA + 1} 1 r--", "Misaligned")
    work.add("space.protect 0 0xC0000000 1 r--", "OutOfRange")
    work.add(f"space.protect 0 {DATA} 5 r--", "NotMapped")
    work.add(f"space.protect 0 {DATA} 4 r-x", "AccessDenied")
    work.add(f"space.resolve 0 {DATA + 4 * PAGE}", "NotMapped")
    work.add("space.resolve 0 0", "NotMapped")
    after = work.add("space.list 0")
    work.add("space.check 0")
    run = boot(work.script)
    run.to_end()
    work.checked(run)
    assert text_of(run, before) == text_of(run, after)


def test_nothing_above_the_line_may_be_executed_and_nothing_below_it_may_be_written(boot):
    work = Expectations()
    work.add("space.create 0 7")
    lines = [work.add("space.line 0")]
    work.map(3, "r-x", 0x1004_0000)
    lines.append(work.add("space.line 0"))
    work.map(2, "r-x", 0x1100_0000)
    lines.append(work.add("space.line 0"))
    work.map(1, "r--", 0x1200_0000)
    work.map(5, "rw-", DATA)
    lines.append(work.add("space.line 0"))
    work.add("space.fork 0 1")
    lines.append(work.add("space.line 1"))
    work.add(f"space.protect 0 {0x1100_0000 + PAGE} 1 r--")
    lines.append(work.add("space.line 0"))
    work.add(f"space.unmap 0 {0x1100_0000} 2")
    lines.append(work.add("space.line 0"))
    work.add(f"space.unmap 0 {0x1004_0000} 3")
    lines.append(work.add("space.line 0"))
    anywhere = work.map(2, "r-x", space=1)
    work.add("space.check 1")
    run = boot(work.script)
    run.to_end()
    work.checked(run)
    assert [run.value(line) for line in lines] == [0x1000_0000, 0x1004_3000, 0x1100_2000, 0x1100_2000, 0x1100_2000, 0x1100_1000,
                                                   0x1004_3000, 0x1000_0000]
    assert 0x1000_0000 <= run.value(anywhere) < 0x2000_0000


# --- checked copies -----------------------------------------------------------------------------------------------------------


def test_checked_copies_reach_what_user_code_reaches_and_nothing_else(boot):
    work = Expectations()
    work.add("space.create 0 7")
    work.map(2, "rw-", DATA)
    work.map(1, "r--", DATA + 2 * PAGE)
    work.map(1, "---", DATA + 4 * PAGE)
    work.map(2, "rw-", DATA + 6 * PAGE)
    work.map(1, "rw-", 0xBFFF_F000)
    work.add(f"copy.read {DATA}", "BadAddress")  # no space is active
    work.add("space.activate 0")
    work.add(f"space.protect 0 {DATA + 7 * PAGE} 1 ---")  # present, and out of reach
    good = [(DATA, 8192), (DATA + 1, 4099), (0xBFFF_F000, 4096), (DATA + 2 * PAGE - 1, 1), (DATA, 0), (0, 0)]
    for begin, count in good:
        work.add(f"copy.to {begin} {count} 3")
        work.add(f"copy.from {begin} {count}")
    work.add(f"copy.from {DATA} {3 * PAGE}")
    bad = [(0, 4), (4, 4), (PAGE, 4), (0x0010_0000, 4), (0x0FFF_FFFC, 4), (0x0FFF_FFFE, 4), (0xBFFF_FFFE, 4), (0xC000_0000, 4),
           (0xF040_0000, 4), (0xFFFF_FFFC, 4), (0xFFFF_FFFF, 1), (0xFFFF_F000, 0xFFFF_FFFF), (DATA, 0xFFFF_FFFF), (DATA, 0xE000_0000),
           (DATA + 3 * PAGE, 4), (DATA + 3 * PAGE - 2, 4), (DATA + 4 * PAGE, 4), (DATA + 4 * PAGE + 100, 1), (DATA + 5 * PAGE, 1),
           (DATA + 6 * PAGE + 4000, 100), (DATA + 7 * PAGE, 1), (DATA + 6 * PAGE - 1, 2)]
    for begin, count in bad:
        work.add(f"copy.to {begin} {count} 3", "BadAddress")
        work.add(f"copy.from {begin} {count}", "BadAddress")
    for begin, count in [(DATA + 2 * PAGE, 1), (DATA + 2 * PAGE - 1, 2), (DATA, 3 * PAGE)]:
        work.add(f"copy.to {begin} {count} 3", "BadAddress")
    work.add(f"copy.to {DATA} 8192 1")  # no zero byte in some places
    work.add(f"copy.write {DATA + 2 * PAGE - 8} 0x61626364")
    work.add(f"copy.write {DATA + 2 * PAGE - 4} 0x00626364")
    texts = {work.add(f"copy.text {DATA + 2 * PAGE - 8} 100"): 7, work.add(f"copy.text {DATA + 2 * PAGE - 8} 8"): 7,
             work.add(f"copy.text {DATA + 2 * PAGE} 5"): 0}
    work.add(f"copy.text {DATA + 2 * PAGE - 8} 7", "OutOfRange")
    work.add(f"copy.text {DATA + 2 * PAGE - 8} 0", "OutOfRange")
    work.add(f"copy.write {0xBFFF_FFFC} 0x61616161")
    work.add(f"copy.text {0xBFFF_FFFC} 100", "BadAddress")
    work.add(f"copy.write {DATA + 6 * PAGE + 4092} 0x61616161")
    work.add(f"copy.text {DATA + 6 * PAGE + 4092} 100", "BadAddress")  # goes on behind the page, which grants nothing
    texts[work.add(f"copy.text {DATA + 6 * PAGE + 4088} 100")] = 0
    work.add("copy.text 0 10", "BadAddress")
    work.add("space.check 0")
    run = boot(work.script)
    run.to_end()
    work.checked(run)
    assert {text: run.value(text) for text in texts} == texts


def test_writing_into_a_space_that_is_not_active_leaves_objects_alone(boot):
    work = Expectations()
    work.add("space.create 0 7")
    work.add("object.file 0 10000 1000 99")
    work.add("object.shared 1 2")
    work.map(3, "r--", DATA, file="0 0")
    work.map(2, "rw-", DATA + 8 * PAGE)
    work.map(1, "rw-", DATA + 12 * PAGE, sharing="shared", file="1 0")
    work.map(1, "---", DATA + 14 * PAGE)
    work.add(f"copy.into 0 {DATA + 100} 5000 50")
    work.add(f"copy.into 0 {DATA + 8 * PAGE + 4000} 500 50")
    work.add(f"copy.into 0 {DATA + 14 * PAGE} 5 50")
    work.add(f"copy.into 0 {DATA + 12 * PAGE} 5 50", "AccessDenied")
    work.add(f"copy.into 0 {DATA + 9 * PAGE + 4000} 500 50", "NotMapped")
    work.add("space.create 1 8")
    work.map(3, "r--", DATA, space=1, file="0 0")
    work.add("space.check 0")
    work.add("space.activate 1")
    pristine = work.add(f"copy.from {DATA} 10000")
    work.add("space.activate 0")
    written = work.add(f"copy.from {DATA + 100} 5000")
    tail = work.add(f"copy.from {DATA + 10000} {3 * PAGE - 10000}")
    across = work.add(f"copy.from {DATA + 8 * PAGE + 4000} 500")
    run = boot(work.script)
    run.to_end()
    work.checked(run)
    assert run.value(pristine) == sum(b"".join((1000 + i).to_bytes(4, "little") for i in range(2500)))
    assert run.value(written) == sum((50 + i * 7) & 0xFF for i in range(5000))
    assert run.value(across) == sum((50 + i * 7) & 0xFF for i in range(500))
    assert run.value(tail) == 0, "the last page of a file is filled up with zeros"


# --- objects --------------------------------------------------------------------------------------------------------------------


def test_objects_live_as_long_as_anybody_maps_them_and_read_each_page_once(boot):
    work = Expectations()
    work.add("object.file 0 20000 500 3")
    work.add("object.shared 1 4")
    work.add("space.create 0 7")
    work.add("space.create 1 8")
    counts = {work.add("object.references 0"): (1,), work.add("object.references 1"): (1,)}
    work.map(3, "r-x", 0x1000_0000, file="0 0")
    work.map(2, "rw-", DATA, file="0 1")
    work.map(3, "r--", DATA + 8 * PAGE, space=1, file="0 0")
    counts[work.add("object.reads 0  ")] = (0, 0)
    hows = {work.touch(0x1000_0000, 3, "read"): {"object page": 3}, work.touch(DATA, 2): {"object copy": 2},
            work.touch(DATA + 8 * PAGE, 3, "read", space=1): {"object page": 1}}
    counts[work.add("object.reads 0")] = (3, 0)
    work.map(4, "rw-", DATA, space=1, sharing="shared", file="1 0")
    hows[work.touch(DATA, 4, space=1)] = {"object page": 4}
    work.add("space.fork 1 2")
    counts[work.add("object.references 1")] = (9,)
    work.map(2, "r--", DATA + 20 * PAGE, file="0 2")
    work.add(f"space.resolve 0 {DATA + 21 * PAGE}", "DeviceError")
    work.add(f"space.resolve 0 {DATA + 20 * PAGE}")
    past_end = work.map(4, "r--", DATA + 30 * PAGE, file="0 4")
    work.add(f"space.resolve 0 {DATA + 30 * PAGE}")
    work.add(f"space.resolve 0 {DATA + 31 * PAGE}", "OutOfRange")
    work.add("object.release 0")
    work.add("object.release 1")
    work.add(f"space.unmap 1 {DATA + PAGE} 2")
    counts[work.add("object.references 1")] = (6,)
    work.add("space.destroy 1")
    counts[work.add("object.references 1 ")] = (4,)
    work.add("space.activate 2")
    work.add(f"copy.write {DATA + PAGE} 99")
    work.add("space.activate none")
    work.add("space.destroy 2")
    counts[work.add("object.reads 0 ")] = (4, 0)
    work.add("space.check 0")
    work.add("space.destroy 0")
    counts[work.add("object.reads 0   ")] = (4, 1)
    work.add("vmalloc.shrink")
    released = work.add("paging.in_use")
    run = boot(work.script)
    run.to_end()
    work.checked(run)
    assert {work.script.lines[operation - 1]: run.values(operation) for operation in counts} == {
        work.script.lines[operation - 1]: values for operation, values in counts.items()}
    assert {operation: touched(run, operation) for operation in hows} == {operation: (how, RESOLVED) for operation, how in hows.items()}
    assert run.value(past_end) == DATA + 30 * PAGE
    assert run.value(released) == run.value(work.in_use)


def test_what_one_process_writes_to_shared_memory_another_one_reads_and_private_copies_stay_private(boot):
    work = Expectations()
    work.add("object.shared 0 2")
    work.add("space.create 0 7")
    work.map(2, "rw-", DATA, sharing="shared", file="0 0")
    work.map(2, "rw-", DATA + 8 * PAGE)
    work.add("space.activate 0")
    work.add(f"copy.write {DATA} 11")
    work.add(f"copy.write {DATA + 8 * PAGE} 12")
    work.add("space.fork 0 1")
    work.add("space.activate 1")
    reads = {work.add(f"copy.read {DATA}"): 11, work.add(f"copy.read {DATA + 8 * PAGE}"): 12}
    work.add(f"copy.write {DATA + PAGE} 21")
    work.add(f"copy.write {DATA + 8 * PAGE} 22")
    work.add("space.activate 0")
    reads |= {work.add(f"copy.read {DATA + PAGE}"): 21, work.add(f"copy.read {DATA + 8 * PAGE}  "): 12}
    run = boot(work.script)
    run.to_end()
    work.checked(run)
    assert {read: run.value(read) for read in reads} == reads


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


# --- faults ---------------------------------------------------------------------------------------------------------------------


def test_page_faults_are_decided_in_order(boot):
    work = Expectations()
    work.add("space.create 0 3")
    work.add("object.file 0 8192 500 1")
    work.map(2, "rw-", DATA)
    work.map(1, "r--", DATA + 4 * PAGE)
    work.map(1, "---", DATA + 8 * PAGE)
    work.map(1, "r-x", 0x1000_0000)
    work.map(1, "r--", DATA + 12 * PAGE, file="0 0")
    work.map(1, "r--", DATA + 16 * PAGE, file="0 5")
    work.touch(DATA, 2)
    work.touch(0x1000_0000, 1, "read")
    work.add(f"space.discard 0 {DATA} 1")
    before = work.add("fault.statistics ")
    faults = [
        ("none", DATA, "read user", "signal", "not mapped"),
        ("none", 0, "write kernel", "signal", "null"),
        (0, 0xFFF, "read user", "signal", "null"),
        (0, 0x1000, "read user", "signal", "kernel"),
        (0, 0x0010_0000, "write user", "signal", "kernel"),
        (0, 0x0FFF_FFFF, "fetch user", "signal", "kernel"),
        (0, 0xC000_0000, "read user", "signal", "kernel"),
        (0, 0xFFFF_FFFF, "read kernel", "signal", "kernel"),
        (0, DATA - PAGE, "read user", "signal", "guard"),
        (0, DATA - PAGE - 1, "read user", "signal", "not mapped"),
        (0, 0xBFFF_FFFF, "read user", "signal", "not mapped"),
        (0, DATA + 4 * PAGE, "write user", "signal", "not writable"),
        (0, DATA + 4 * PAGE, "write kernel", "signal", "not writable"),
        (0, DATA + 8 * PAGE, "read user", "signal", "not readable"),
        (0, DATA + 8 * PAGE, "write user", "signal", "not readable"),
        (0, DATA + 4 * PAGE, "fetch user", "signal", "not executable"),
        (0, 0x1000_0000, "write user", "signal", "not writable"),
        (0, 0x1000_0000, "fetch user", "retry", ""),
        (0, DATA + PAGE, "write user", "retry", ""),
        (0, DATA + 100, "write user", "resolved", ""),
        (0, DATA + 100, "write user", "retry", ""),
        (0, DATA + 16 * PAGE, "read user", "signal", "past end"),
    ]
    operations = [work.add(f"fault.handle {space} {address} {access}") for space, address, access, *_ in faults]
    counted = work.add("fault.statistics")
    work.add(f"space.discard 0 {DATA} 1")
    work.add("frames.limit 0")
    starved = work.add(f"fault.handle 0 {DATA} write user")
    work.add("frames.limit none")
    work.add("space.limits 0 100 1 1")
    limited = work.add(f"fault.handle 0 {DATA} write user")
    work.add("space.check 0")
    run = boot(work.script)
    run.to_end()
    work.checked(run)
    answers = [(OUTCOMES[a], REASONS[b]) for a, b in (run.values(operation) for operation in operations)]
    assert answers == [(outcome, reason) for *_, outcome, reason in faults]
    kinds = Counter(outcome for outcome, _ in answers)
    counts = tuple(after - earlier for after, earlier in zip(run.values(counted), run.values(before)))
    assert counts == (len(faults), kinds["resolved"], kinds["retry"], kinds["signal"], 0, 0)
    assert [OUTCOMES[run.values(operation)[0]] for operation in (starved, limited)] == ["out of memory"] * 2


def test_page_tables_of_the_kernel_that_a_space_takes_over_are_counted(boot):
    work = Expectations()
    work.add("space.create 0 3")
    work.add("space.activate 0")
    before = work.add("fault.statistics")
    memory = work.add(f"vmalloc.allocate {6 << 20}")  # more than the page tables that are there from the beginning
    work.add(f"vmalloc.fill ${memory} {6 << 20} 7")
    after = work.add("fault.statistics")
    run = boot(work.script, megabytes=32)
    run.to_end()
    work.checked(run)
    tables = run.values(after)[5] - run.values(before)[5]
    assert 1 <= tables <= 2 and run.values(after)[0] - run.values(before)[0] == tables


@pytest.mark.parametrize("profile", ["grading", "no-memory-debugging"])
def test_an_area_that_has_just_been_looked_at_is_forgotten_when_it_changes(boot, profile: str):
    """Faults come in flocks, so the kernel remembers the area of the last one: without debugging, what is freed still looks like an area."""
    work = Expectations()
    work.add("space.create 0 3")
    work.add("space.activate 0")
    for number in range(4):
        begin = DATA + 16 * number * PAGE
        changes = {f"space.unmap 0 {begin} 4": ("BadAddress", "BadAddress"), f"space.protect 0 {begin} 4 r--": ("", "BadAddress"),
                   f"space.protect 0 {begin} 4 ---": ("BadAddress", "BadAddress"), f"space.unmap 0 {begin + PAGE} 3": ("BadAddress", "BadAddress")}
        change, (read, write) = list(changes.items())[number]
        work.map(4, "rw-", begin)
        work.add(f"copy.write {begin} 5")
        work.add(change)
        work.add(f"copy.write {begin + PAGE} 5", write)
        work.add(f"copy.read {begin + PAGE}", read)
    work.add("space.check 0")
    run = boot(work.script, profile=profile)
    run.to_end()
    work.checked(run)


@pytest.mark.parametrize("address, words", [
    (DATA - 8, "guard page below the mapping area 0x30000000 to 0x30002000 (rw-p) of the active address space"),
    (DATA - 5000, "in no area of the active address space; the next is mapping 0x30000000 to 0x30002000"),
    (DATA + 8, "in the mapping area 0x30000000 to 0x30002000 (rw-p) of the active address space; the kernel gets there by checked copies only"),
    (DATA + 0x2000, "a user address above all areas of the active address space"),
])
def test_a_panic_at_a_user_address_says_what_is_near(boot, address, words):
    script = Script()
    script.add("space.create 0 3")
    script.add(f"space.map 0 2 rw- private fixed {DATA} none 0")
    script.add("space.activate 0")
    script.add(f"vmalloc.touch {address}")
    assert boot(script).to_panic() == f"write to {address:#010x}: {words}"


# --- chance ---------------------------------------------------------------------------------------------------------------------

PARTS = {"image": 12, "heap": 10, "mapping": 14, "stack": 11}
LAYOUTS = 400


def layouts(run: Run, operations: list[int]) -> dict[str, list[int]]:
    columns = zip(*(run.values(operation) for operation in operations))
    return dict(zip(PARTS, map(list, columns)))


def test_the_same_number_gives_the_same_places_and_others_spread_them_as_wide_as_promised(boot):
    script = Script()
    numbers = [script.add(f"space.layout {number * 0x9E3779B1 & 0xFFFF_FFFF}") for number in range(LAYOUTS)]
    again = [script.add(f"space.layout {number * 0x9E3779B1 & 0xFFFF_FFFF}") for number in range(LAYOUTS)]
    run = boot(script)
    run.to_end()
    first = layouts(run, numbers)
    assert first == layouts(run, again)
    for part, entropy in PARTS.items():
        places = 1 << entropy
        pages = [address // PAGE for address in first[part]]
        assert max(pages) - min(pages) < places, f"{part}: at most {entropy} bits"
        assert max(pages) - min(pages) > places * 0.95, f"{part}: all of them"
        # So many different places, when each of LAYOUTS balls falls into one of `places` boxes; within six standard deviations.
        mean = places * (1 - (1 - 1 / places) ** LAYOUTS)
        assert abs(len(set(pages)) - mean) < 6 * math.sqrt(LAYOUTS * LAYOUTS / (2 * places) + 1), part
        # Each bit is set about half of the time.
        low = min(pages)
        for bit in range(entropy):
            ones = sum((page - low) >> bit & 1 for page in pages)
            assert abs(ones - LAYOUTS / 2) < 6 * math.sqrt(LAYOUTS) / 2, f"{part}, bit {bit}"
    joint = set(zip(*(first[part] for part in PARTS)))
    assert len(joint) == LAYOUTS, "no two layouts are the same"
    for one, other in (("image", "heap"), ("heap", "stack"), ("mapping", "stack"), ("image", "stack")):
        assert abs(correlation(first[one], first[other])) < 0.3, "the parts move independently"


def correlation(left: list[int], right: list[int]) -> float:
    mean_left, mean_right = sum(left) / len(left), sum(right) / len(right)
    covariance = sum((a - mean_left) * (b - mean_right) for a, b in zip(left, right))
    return covariance / math.sqrt(sum((a - mean_left) ** 2 for a in left) * sum((b - mean_right) ** 2 for b in right))


def test_without_aslr_everything_lies_at_fixed_places(boot):
    script = Script()
    operations = [script.add(f"space.layout {number}") for number in (0, 1, 2, 0xFFFF_FFFF)]
    run = boot(script, profile="no-aslr")
    run.to_end()
    assert {run.values(operation) for operation in operations} == {(0x1000_0000, 0, 0xBF00_0000 - PAGE, 0xC000_0000)}
