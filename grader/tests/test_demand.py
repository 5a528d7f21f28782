"""Demand paging in the whole kernel: faults inside system calls and at the edge of stacks, no memory, a disk that cannot be read, large
pages, and what is said when a fault cannot be explained."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from judge.scenario import Scenario
from labs.programs import Programs, Ran
from paging.tables import PAGE
from program_boots import booter
from scripted import Boots, Script, boots
from space_script import DATA, LARGE, OUT_OF_MEMORY, RESOLVED, Expectations, touched

Machines = Callable[..., Scenario]

# /numbers of grader/programs/lazy.cpp: bytes that count by seven, then a program's path and the last of its arguments.
TEXTS_AT = 3 * PAGE - 5
NUMBERS = bytes(i * 7 & 0xFF for i in range(TEXTS_AT)) + b"/bin/true\0" + bytes(PAGE - 5)

STORIES = {
    "edge": ["handlers at the edge", "no handler below the limit"],
    "buffers": ["variables", "zeros that were looked at", "pages of a file", "shared memory", "an ungrown stack", "pages of a fork",
                "a status", "what may not be written"],
    "growing": ["maps to a stack that grows", "far below the stack"],
    "deep": ["exec", "open"],
    "starve": ["calls", "a child lives", "a new page", "a copy", "the last owner", "nothing is lost"],
}
EAGER_STORIES = ("buffers", "deep")
KILLED = {"edge": ["SIGTERM: its handler has no stack"], "starve": ["SIGKILL: out of memory", "SIGKILL: out of memory"]}


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("demand"))


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator[Machines]:
    with booter(tmp_path_factory.mktemp("lazy")) as machines:
        yield machines


# --- programs -------------------------------------------------------------------------------------------------------------------


def run_stories(scenario: Scenario, stories: tuple[str, ...]) -> tuple[dict[str, Ran], tuple[int, ...]]:
    """What each story said, and how deep the kernel's stacks were used in all of them."""
    programs = Programs(scenario, {"numbers": NUMBERS})
    ran = {story: programs.run("lazy", story) for story in stories}
    stacks = scenario.op("program.stacks")
    scenario.boot()
    return ran, stacks.values


def check(story: str, ran: Ran) -> None:
    assert ran.exit_status == 0, str(ran)
    said = [line for line in ran.lines if " killed by " not in line]
    assert said == [f"{words}: right" for words in STORIES[story]], str(ran)


@pytest.fixture(scope="module")
def stories(machine: Machines) -> tuple[dict[str, Ran], tuple[int, ...]]:
    return run_stories(machine(), tuple(STORIES))


@pytest.mark.parametrize("story", STORIES)
def test_faults_inside_the_kernel(stories, story: str) -> None:
    ran = stories[0][story]
    check(story, ran)
    deaths = [line.partition(" killed by ")[2].partition(" at ")[0].partition(", eip")[0] for line in ran.lines if " killed by " in line]
    assert deaths == KILLED.get(story, []), "who dies, and of what"


def test_a_kernel_stack_has_room_for_a_fault_that_reads_the_disk_in_the_deepest_system_call(stories) -> None:
    used, size = stories[1]
    assert 1000 < used <= size * 3 // 4


def test_without_demand_paging_system_calls_work_as_well(tmp_path_factory) -> None:
    """Everything is there from the beginning; what a fork shares is copied on write all the same."""
    with booter(tmp_path_factory.mktemp("eager"), "no-demand-paging") as machines:
        ran, _ = run_stories(machines(), EAGER_STORIES)
    for story in EAGER_STORIES:
        wrong = [line for line in ran[story].lines if not line.endswith(": right")]
        assert ran[story].exit_status == 0 and not wrong, str(ran[story])


# --- a disk that cannot be read -----------------------------------------------------------------------------------------------------


def test_a_page_of_a_file_that_cannot_be_read_is_a_bus_error_and_in_a_system_call_an_error(machine: Machines) -> None:
    scenario = machine()
    programs = Programs(scenario, {"numbers": NUMBERS, "broken": NUMBERS})
    scenario.op("volume.unmount")
    scenario.op("volume.mount", 0)  # behind a device that fails when it is told to
    programs.run("true")
    before = programs.frames()
    process = programs.start("lazy", "broken")
    first = programs.let_run(20)
    scenario.op("volume.fail", "read", 0, 1 << 30)
    programs.kill(process, "SIGTERM")
    last = programs.wait(process)
    scenario.op("volume.fail", "read", 1 << 30, 1)
    after = programs.frames()
    scenario.boot()
    look = ["a child: right", "calls: right", "the first page: right"]
    assert [line for line in first.lines if line] == [*look, "the first page: right"], str(first)
    died, *said = last.lines
    assert " killed by SIGBUS: the page cannot be read from the disk at 0x" in died
    assert (last.exit_status, said) == (0, look), str(last)
    assert after.value == before.value


# --- large pages ----------------------------------------------------------------------------------------------------------------


def test_untouched_zeros_become_large_pages_where_nothing_has_been_looked_at(boot) -> None:
    work = Expectations()
    work.add("space.create 0 3")
    begin = work.map(4 * 1024)
    faults = [work.touch(f"${begin}", 1, "read"),                 # the frame of zeros, so no large page here any more
              work.touch(f"${begin}", 3),
              work.touch(f"${begin}+{LARGE + 77 * PAGE}", 900)]   # the rest of it is there then
    work.add(f"space.unmap 0 ${begin}+{LARGE + 8 * PAGE} 8")
    work.add(f"space.protect 0 ${begin}+{2 * LARGE} 3 r--")
    faults.append(work.touch(f"${begin}+{2 * LARGE + 5 * PAGE}", 1))
    statistics = work.add("space.statistics 0")
    work.add(f"space.discard 0 ${begin}+{2 * LARGE + 3 * PAGE} 1021")
    work.add("space.limits 0 100000 1500 16")
    faults.append(work.touch(f"${begin}+{3 * LARGE}", 600))       # one large page would be too much
    work.add("space.check 0")
    work.add("space.destroy 0")
    work.add("vmalloc.shrink")
    released = work.add("paging.in_use")
    run = boot(work.script, megabytes=32)
    run.to_end()
    work.checked(run)
    assert [touched(run, operation) for operation in faults] == [
        ({"zero frame": 1}, RESOLVED), ({"copied": 1, "zeroed": 2}, RESOLVED), ({"large page": 1}, RESOLVED), ({"zeroed": 1}, RESOLVED),
        ({"zeroed": 1500 - 3 - 1016}, OUT_OF_MEMORY)]
    assert run.values(statistics)[1] == 3 + 1016 + 1
    assert run.value(released) == run.value(work.in_use)


# --- no demand paging ---------------------------------------------------------------------------------------------------------------


def test_without_demand_paging_memory_is_there_when_it_is_mapped_or_not_mapped_at_all(boot) -> None:
    work = Expectations()
    work.add("object.file 0 20000 500 3")
    work.add("space.create 0 3")
    mapped = work.map(2500)
    large = work.add("space.statistics 0")
    touches = [work.touch(f"${mapped}", 2500)]  # nothing is left to do
    work.map(3, "r-x", 0x1000_0000, file="0 0")
    work.map(3, "rw-", DATA, file="0 0")
    touches += [work.touch(0x1000_0000, 3, "read"), work.touch(DATA, 3)]
    work.map(1, "r--", DATA + 20 * PAGE, file="0 3", error="DeviceError")
    past_end = work.map(4, "r--", DATA + 30 * PAGE, file="0 4")
    reads = work.add("object.reads 0")
    work.map(5, "---", DATA + 40 * PAGE)
    work.add(f"space.protect 0 {DATA + 40 * PAGE} 5 rw-")  # absent up to now, and made on demand
    touches.append(work.touch(DATA + 40 * PAGE, 5))
    stack = work.add("space.stack 0")
    touches.append(work.touch(f"${stack}-{16 * PAGE}", 16))
    grows = work.add(f"fault.handle 0 ${stack}-{17 * PAGE} write user")
    work.add("space.limits 0 100000 2600 16")
    work.map(100, error="LimitReached")
    starved = work.add(f"space.starve map 0 5 rw- private fixed {DATA + LARGE} none 0")
    statistics = work.add("space.statistics 0 ")
    work.add("space.fork 0 1")
    touches.append(work.touch(f"${mapped}", 10, space=1))
    for number in (0, 1):
        work.add(f"space.check {number}")
        work.add(f"space.destroy {number}")
    work.add("object.release 0")
    work.add("vmalloc.shrink")
    released = work.add("paging.in_use")
    run = boot(work.script, megabytes=32, profile="no-demand-paging")
    run.to_end()
    work.checked(run)
    assert run.values(large)[:2] == (2500, 2500)
    assert [touched(run, operation)[0] for operation in touches] == [{}, {}, {"copied": 3}, {"zeroed": 5}, {}, {"copied": 10}]
    assert run.values(reads) == (4, 0) and run.value(past_end) == DATA + 30 * PAGE
    assert run.values(grows)[0] == 2, "a stack has its full size"
    failures, changed, *_ = run.values(starved)
    assert failures >= 6 and changed == 0, "five frames and a page table"
    assert run.values(statistics)[1] == 2500 + 3 + 3 + 1 + 5 + 16 + 5
    assert run.value(released) == run.value(work.in_use)


# --- faults that nobody can explain -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile, patience", [("grading", 1), ("no-memory-debugging", 5)])
def test_a_fault_that_the_page_tables_do_not_explain_is_a_panic_that_shows_them(boot, profile: str, patience: int) -> None:
    script = Script()
    directory = script.add("space.create 0 3")
    script.add(f"space.map 0 1 rw- private fixed {DATA} none 0")
    script.add(f"space.touch 0 {DATA} 1 write")
    script.add(f"paging.protect ${directory} {DATA} 1 rw-kernel")  # somebody damages the entry
    for _ in range(patience):
        script.add(f"fault.handle 0 {DATA + 4} write user")
    run = boot(script, profile=profile)
    assert run.to_panic().startswith("a page fault is said to be resolved, and the page tables still forbid the access")
    text = run.text()
    assert "page fault at 0x30000004: write by user code, eip 0x10000000; the answer was to try again, and the page is the kernel's" in text
    assert "PTE" in text.partition("page fault at")[2].partition("*** kernel panic")[0]
