"""Processes: families and their ends, the scheduler, the ways from ring 3 into the kernel, and what is left when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from emulator.bochs_dialogue import INSTRUCTIONS_PER_SECOND
from emulator.disk import program_disk, programs_in
from emulator.volume import copy_image
from gdb.client import GdbSession
from judge.link import prepare_programs
from judge.paths import ROOT
from judge.scenario import Op, Scenario
from labs.programs import Programs, Ran
from program_boots import booter
from scripted import Boots, Script

Machines = Callable[..., Scenario]

TICK_MILLISECONDS = 10
SLICE_MILLISECONDS = 50
ECHILD, EAGAIN, EINTR, ESRCH, EINVAL, ENOSYS = 10, 11, 4, 3, 22, 38

# grader/programs/procs.cpp: each story, and what it prints.
STORIES = {
    ("tree", 3, 4): "tree of 85\n",
    ("tree", 5, 2): "tree of 63\n",
    ("order", 11, 4): " ".join(str(i * 3 % 11) for i in range(11)) + f" then -{ECHILD}\n",
    ("one", 9): " ".join(map(str, range(9, 0, -1))) + f" then -{ECHILD}\n",
    ("orphans", 5): f"5 orphans, 0 processes more, then -{ECHILD}\n",
    ("alarms", 8): "0 1 2 3 4 5 6 7 \n",
    ("limit", 7): f"7, then -{EAGAIN}\n" * 2,
    ("chain", 60): "chain of 60\n",
    ("interrupted",): f"-{EINTR} -{EINTR} -{EINTR}, then the child\n",
    ("errors",): f"-{ECHILD} -{ECHILD} -{ECHILD} -{ESRCH} -{ESRCH} -{EINVAL} -{EINVAL}\n",
    ("again", 6): "the child is mine\n",
}

# grader/programs/ring3.cpp: stories that end well. EAX is the process's number; the other registers come back as they went.
ENTRIES = {
    ("interrupt",): "pid 11111111 22222222 33333333 44444444 55555555 66666666 0 0 0 0 244646\n",
    ("sysenter",): "pid 11111111 0 0 0 0 66666666 23 23 0 0 202\n",
    ("stack", 0): "pid\n",
    ("stack", 3): "pid\n",
    ("stack", 0xC0001000): "pid\n",
    ("step",): "pid pid, trapped often\n",
    ("unknown", 0xFFFFFFFF): f"-{ENOSYS} -{ENOSYS}\n",
    ("unknown", 1000): f"-{ENOSYS} -{ENOSYS}\n",
    ("data",): "0 1 2 3 18 19 1a 1b 20 21 22 23 \n",
    ("ss",): "23 \n",
    ("code",): "1b \n",
}
# Stories that end in a signal: the way back to ring 3 would fail, and that is ring 3's own fault.
DEATHS = {
    ("edge",): ("SIGSEGV", "execution outside the program's code at 0x20000000"),
    ("nowhere", 0x20000000): ("SIGSEGV", "execution outside the program's code at 0x20000000"),
    ("nowhere", 0xFFFFFFF0): ("SIGSEGV", "execution outside the program's code at 0xfffffff0"),
    ("nowhere", 0x101000): ("SIGSEGV", "address of the kernel at 0x00101000"),
    ("work", 0x20000000): ("SIGTERM", ""),
    ("float",): ("SIGILL", "no floating point unit"),
    ("vector",): ("SIGILL", "invalid instruction"),
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with booter(tmp_path_factory.mktemp("processes")) as machines:
        yield machines


def words(story: tuple[object, ...]) -> list[object]:
    return [hex(word) if isinstance(word, int) else word for word in story]


def run_all(machine: Machines, program: str, stories: list[tuple[object, ...]]) -> tuple[dict[tuple[object, ...], Ran], list[Op]]:
    """All stories in one boot; frames in use before the first and after each."""
    scenario = machine()
    programs = Programs(scenario)
    programs.run("true")
    scenario.op("program.starve", "true")  # the kernel's caches are as empty as they get
    ran, frames = {}, [programs.frames()]
    for story in stories:
        ran[story] = programs.run(program, *words(story))
        frames.append(programs.frames())
    scenario.boot()
    return ran, frames


@pytest.fixture(scope="module")
def stories(machine: Machines) -> tuple[dict[tuple[object, ...], Ran], list[Op]]:
    return run_all(machine, "procs", list(STORIES))


@pytest.mark.parametrize("story", STORIES, ids=lambda story: "-".join(map(str, story)))
def test_a_family(stories, story: tuple[object, ...]) -> None:
    ran = stories[0][story]
    assert ran.exit_status == 0, str(ran)
    assert "".join(f"{line}\n" for line in ran.lines if " killed by " not in line) == STORIES[story]


def test_families_leave_no_frame_behind(stories) -> None:
    """What the heap keeps for the next process is not lost, but it is little."""
    frames = [op.value for op in stories[1]]
    assert max(frames) - frames[0] <= 16
    assert frames[-1] - frames[1] <= 8


def test_zombies_keep_their_record_and_nothing_else(machine: Machines) -> None:
    """The parent never waits: its own end takes them along."""
    scenario = machine()
    programs = Programs(scenario)
    ran = programs.run("procs", "zombies", 60)
    left = scenario.op("program.ps")
    again = programs.run("procs", "zombies", 60)
    scenario.boot()
    zombies, frames = (int(word) for word in ran.text.split() if word.isdigit())
    assert zombies == 60 and frames <= 60 // 4, "a record is much smaller than a frame"
    assert len(left.values) == 3 and left.values[0] == 0, "only the kernel's own process is left"
    assert again.text.startswith("60 zombies")


def test_three_hundred_processes_live_at_once_on_64_mib(machine: Machines) -> None:
    scenario = machine(64)
    programs = Programs(scenario)
    programs.run("procs", "crowd", 300)
    before = programs.frames()
    ran = programs.run("procs", "crowd", 300)
    after = programs.frames()
    scenario.boot()
    assert ran.exit_status == 0, str(ran)
    assert "300 alive\n" in ran.text
    assert after.value == before.value


@pytest.mark.parametrize(("megabytes", "error"), [(64, EAGAIN), (16, 12)])
def test_a_fork_bomb_ends_in_an_error_and_leaves_nothing(machine: Machines, megabytes: int, error: int) -> None:
    """On a large machine the limit of children ends it, on a small one the memory."""
    scenario = machine(megabytes)
    programs = Programs(scenario)
    programs.run("procs", "bomb")
    before = programs.frames()
    ran = programs.run("procs", "bomb")
    after = programs.frames()
    well = programs.run("true")
    scenario.boot()
    assert ran.exit_status == 0, str(ran)
    assert f", then -{error}\n" in ran.text
    assert well.exit_status == 0
    assert abs(after.value - before.value) <= 4


def test_endless_loops_share_the_cpu_by_slices(machine: Machines) -> None:
    scenario = machine()
    ran = Programs(scenario).run("procs", "spin", 4, 1000)
    scenario.boot()
    shares = [int(word) for word in ran.lines[0].split()]
    assert len(shares) == 4 and sum(shares) >= 1000
    assert max(shares) - min(shares) <= 2 * SLICE_MILLISECONDS


def test_a_sleep_lasts_as_long_as_it_was_told_and_at_most_two_ticks_more(machine: Machines) -> None:
    scenario = machine()
    ran = Programs(scenario).run("procs", "sleeps", 1, 10, 33, 500)
    scenario.boot()
    for line, asked in zip(ran.lines, (1, 10, 33, 500), strict=True):
        result, milliseconds, ticks = (int(word) for word in line.split())
        assert (result, milliseconds) == (0, asked)
        slept = ticks * 1000 / INSTRUCTIONS_PER_SECOND
        assert asked * 0.99 <= slept <= asked + 2 * TICK_MILLISECONDS + 1


# --- the ways into the kernel -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def entries(machine: Machines) -> dict[tuple[object, ...], Ran]:
    return run_all(machine, "ring3", [*ENTRIES, *DEATHS, ("vectors",)])[0]


@pytest.mark.parametrize("story", ENTRIES, ids=lambda story: "-".join(map(str, story)))
def test_what_ring_3_brings_along_does_not_matter(entries, story: tuple[object, ...]) -> None:
    assert entries[story].exit_status == 0, str(entries[story])
    assert entries[story].text == ENTRIES[story]


@pytest.mark.parametrize("story", DEATHS, ids=lambda story: "-".join(map(str, story)))
def test_a_way_back_that_does_not_exist_kills_the_process_only(entries, story: tuple[object, ...]) -> None:
    signal, reason = DEATHS[story]
    assert entries[story].signal == signal, str(entries[story])
    assert reason in entries[story].text


def test_of_all_interrupt_numbers_only_the_system_calls_are_ring_3s(entries) -> None:
    """And the breakpoint's, which has a signal of its own."""
    assert entries[("vectors",)].lines[-1] == "(3: status 5) 80 "


# --- no memory ------------------------------------------------------------------------------------------------------------------


def test_nothing_is_left_behind_when_any_allocation_fails(machine: Machines) -> None:
    """Starting a program, fork() and exec(), each with no frame to be had, then one, then two, until it succeeds."""
    scenario = machine()
    programs = Programs(scenario)
    programs.run("true")
    start = scenario.op("program.starve", "true")
    fork = programs.run("procs", "starve-fork")
    execute = programs.run("procs", "starve-exec")
    scenario.boot()
    attempts, leaks, strange = start.values
    assert attempts > 10 and (leaks, strange) == (0, 0)
    assert fork.text == "many attempts, 0 leaks, 0 strange errors\n"
    assert execute.text == "0 leaks, 0 strange errors\n"


def test_a_kernel_stack_that_overflows_is_named(tmp_path) -> None:
    """The stack of a process, in the middle of its system call."""
    prepare_programs()
    disk = tmp_path / "disk.img"
    copy_image(program_disk(programs_in(ROOT / "build/user/bin")), disk)
    script = Script()
    script.add("program.run procs overflow")
    with GdbSession() as session:
        run = Boots(session, tmp_path)(script, disk=disk)
        assert run.target.resume().symbol == "panic_stop"
        text = run.target.serial().decode("ascii", "replace").replace("\r", "")
    assert "*** kernel panic: kernel stack overflow: esp is 0xf0" in text
    assert "system_call_entry+" in text, "the backtrace leads to where the process came in"
