"""Address spaces in a running kernel: what is refused, what is copied and counted, how faults are decided, and where chance puts things."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import pytest

from paging.tables import PAGE
from scripted import Boots, Run, Script, boots
from space_script import DATA, OUTCOMES, REASONS, RESOLVED, Expectations, touched
from test_spaces import text_of


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("rules"))


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
    """The kernel remembers the area of the last fault: without debugging, what is freed still looks like an area."""
    work = Expectations()
    work.add("space.create 0 3")
    work.add("space.activate 0")
    for number in range(4):
        begin = DATA + 16 * number * PAGE
        change = (f"unmap 0 {begin} 4", f"protect 0 {begin} 4 r--", f"protect 0 {begin} 4 ---", f"unmap 0 {begin + PAGE} 3")[number]
        work.map(4, "rw-", begin)
        work.add(f"copy.write {begin} 5")
        work.add(f"space.{change}")
        work.add(f"copy.write {begin + PAGE} 5", "BadAddress")
        work.add(f"copy.read {begin + PAGE}", "" if change.endswith("r--") else "BadAddress")
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
