"""Isolation: a process that tries every page of the kernel's ranges, and of another process's memory, is caught each time; and the page
tables, read from outside, lead user code to no frame that is not its own or shared."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from judge.scenario import Scenario
from labs.process_view import ProcessView
from labs.programs import Programs, Ran
from paging.tables import PAGE
from program_boots import booter

USER_BEGIN, USER_END = 0x1000_0000, 0xC000_0000
# In parts of 256 MiB, a boot each; an end of 0 is the end of all addresses.
KERNEL = {"low": (0, USER_BEGIN), **{f"shared {begin >> 28:x}": (begin, begin + USER_BEGIN & 0xFFFF_FFFF) for begin in range(USER_END, 1 << 32, USER_BEGIN)}}
FRAME_INFO, USE, ALLOCATED = 16, 4, 3  # sizeof(FrameInfo), where its use lies, FrameUse::Allocated
SECRET = 0x5EC2_E700
Machines = Callable[..., Scenario]


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator[Machines]:
    with booter(tmp_path_factory.mktemp("isolation")) as machines:
        yield machines


def tallies(ran: Ran) -> dict[str, tuple[int, int]]:
    """What a run of `isolate` says: attempts, and how many were let through, by kind."""
    assert ran.exit_status == 0, str(ran)
    return {kind: (int(tried), int(passed)) for kind, tried, passed in re.findall(r"^(\w+): (\d+) tried, (\d+) let through", ran.text, re.MULTILINE)}


# --- from inside -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KERNEL)
def test_no_page_of_the_kernel_can_be_read_or_written(machine: Machines, name: str) -> None:
    begin, end = KERNEL[name]
    pages = ((end or 1 << 32) - begin) // PAGE
    scenario = machine()
    ran = Programs(scenario).run("isolate", "touch", begin, end)
    scenario.boot()
    assert tallies(ran) == {"reads": (pages, 0), "writes": (pages, 0)}, ran.text
    assert f"signals: {2 * pages}" in ran.text, "a signal for each"


@pytest.mark.parametrize("name", KERNEL)
def test_no_page_of_the_kernel_can_be_executed(machine: Machines, name: str) -> None:
    begin, end = KERNEL[name]
    step = 5
    jumps = len(range(0, ((end or 1 << 32) - begin) // PAGE, step))
    scenario = machine()
    ran = Programs(scenario).run("isolate", "jump", begin, end, step)
    scenario.boot()
    assert tallies(ran) == {"jumps": (jumps, 0)}, ran.text
    assert f"signals: {jumps}" in ran.text


@pytest.mark.parametrize("name", KERNEL)
def test_the_kernel_touches_no_page_of_its_own_for_a_process(machine: Machines, name: str) -> None:
    begin, end = KERNEL[name]
    pages = ((end or 1 << 32) - begin) // PAGE
    scenario = machine()
    ran = Programs(scenario).run("isolate", "ask", begin, end)
    scenario.boot()
    assert tallies(ran) == {"to": (pages, 0), "from": (pages, 0), "path": (pages, 0)}, ran.text
    assert "file: 0" in ran.text, "nothing of the kernel's memory was written to the file"


def test_the_same_attempts_on_ones_own_memory_succeed(machine: Machines) -> None:
    """What shows that the program can see a difference."""
    scenario = machine()
    programs = Programs(scenario)
    stack = programs.run("isolate", "touch", USER_END - PAGE, USER_END)  # the arguments lie near the end of the stack, wherever that is
    everything = programs.run("isolate", "ask", 0x2000_0000, 0x2200_0000)  # 32 MiB in which the variables lie
    scenario.boot()
    assert stack.exit_status == 0
    tried, passed = tallies(everything)["to"]
    assert 0 < passed < 64 and tried == 0x2000, everything.text


def test_another_processs_memory_is_out_of_reach(machine: Machines) -> None:
    scenario = machine()
    programs = Programs(scenario)
    victim = programs.start("isolate", "victim", SECRET)
    ready = programs.let_run(3)
    attacks = [programs.run("isolate", "attack", victim) for _ in range(3)]  # each lies at other places
    programs.kill(victim, "SIGTERM")
    ended = programs.wait(victim)
    scenario.boot()
    assert ready.text == "ready\n"
    for attack in attacks:
        seen = tallies(attack)
        tried = seen["reads"][0]
        assert tried > 100, attack.text  # of 120 pages with the secret, and some more
        assert seen == {kind: (tried, 0) for kind in ("reads", "writes", "calls")}, attack.text
    assert ended.exit_status == 0, "the victim finds its memory as it was"


# --- from outside ------------------------------------------------------------------------------------------------------------


def frame_uses(target: Any, _view: ProcessView) -> bytes:
    """What every frame is used for, as the kernel's frame table says at this stop."""
    def word(symbol: str) -> int:
        return struct.unpack("<I", target.physical(target.symbol(f"mm::frame_table::(anonymous namespace)::{symbol}"), 4))[0]

    return target.physical(word("table"), word("entries") * FRAME_INFO)[USE::FRAME_INFO]


def table_frames(view: ProcessView) -> set[int]:
    """The frames of a directory and of all tables that it leads to."""
    return {view.directory, *view.table_set.table_slots.values()}


def trespasses(views: list[ProcessView], uses: bytes) -> list[str]:
    """Frames that user code can reach although they are not its own and not shared by an object, in sentences."""
    tables = {frame for view in views for frame in table_frames(view)}
    kernel = {frame for view in views for run in view.table_set.pages(USER_END) for frame in range(run.frame, run.frame + run.pages)}
    wrong: list[str] = []
    owners: dict[int, tuple[ProcessView, tuple[int, int] | None]] = {}
    for view in views:
        for run in view.table_set.pages():
            if not run.user:
                continue
            if not USER_BEGIN <= run.virtual < run.end <= USER_END:
                wrong.append(f"process {view.pid} may use {run.virtual:#010x} to {run.end - 1:#010x}, outside the user range")
                continue
            for page in (run.part(at, at + PAGE) for at in range(run.virtual, run.end, PAGE)):
                where = f"process {view.pid} reaches frame {page.frame:#x} at {page.virtual:#010x}"
                area = view.area_at(page.virtual)
                if area is None:
                    wrong.append(f"{where}, in none of its areas")
                    continue
                if page.frame >= len(uses) or uses[page.frame] != ALLOCATED:
                    wrong.append(f"{where}, which nobody has been given")
                if page.frame in tables:
                    wrong.append(f"{where}, which holds a page table")
                if page.frame in kernel:
                    wrong.append(f"{where}, which the kernel has mapped for itself")
                source = (area.object, area.first_page + (page.virtual - area.begin) // PAGE) if area.object else None
                other, other_source = owners.setdefault(page.frame, (view, source))
                if (other, other_source) != (view, source) and (source is None or source != other_source):
                    wrong.append(f"{where}, which is process {other.pid}'s as well, and no object shares it")
    return wrong


@pytest.fixture(scope="module")
def family(machine: Machines) -> tuple[list[ProcessView], bytes]:
    """Six processes, alive at one time: a victim, four of a family, and one more of the same program."""
    scenario = machine()
    programs = Programs(scenario)
    victim = programs.start("isolate", "victim", SECRET)
    first = programs.start("isolate", "family", SECRET + 0x100)
    other = programs.start("isolate", "victim", SECRET + 0x200)
    ready = programs.let_run(20)
    children = [other + 1, other + 2, other + 3]
    looks = [programs.look(process, f"look-{index}", frame_uses) for index, process in enumerate([victim, first, other, *children])]
    scenario.boot()
    assert ready.text.count("ready") == 6, ready.text
    return [look.view for look in looks], looks[-1].found


def test_user_code_reaches_its_own_frames_and_shared_ones_only(family: tuple[list[ProcessView], bytes]) -> None:
    views, uses = family
    assert trespasses(views, uses) == []
    reached = [{page.frame for area in view.areas for page in view.pages_of(area)} for view in views]
    assert all(len(frames) > 60 for frames in reached), "there was something to look at"
    assert len(reached[1] & reached[3]) > 40 and len(reached[0] & reached[1]) > 0, "shared memory, and the program's text"


def test_the_look_from_outside_would_see_a_trespass(family: tuple[list[ProcessView], bytes]) -> None:
    """The same pictures with one lie each."""
    views, uses = family
    victim = views[0]
    area = next(area for area in victim.areas if not area.object and area.pages > 10)
    frame = victim.frames_of(area)[0]
    freed = uses[:frame] + b"\x02" + uses[frame + 1:]
    assert any("nobody has been given" in sentence for sentence in trespasses(views, freed))
    assert any("in none of its areas" in sentence for sentence in
               trespasses([replace(victim, areas=tuple(a for a in victim.areas if a != area)), *views[1:]], uses))
    unshared = [replace(view, areas=tuple(replace(a, object=0) for a in view.areas)) for view in views]
    assert any("as well, and no object shares it" in sentence for sentence in trespasses(unshared, uses))
    assert any("holds a page table" in sentence for sentence in trespasses([replace(view, directory=frame) for view in views[1:2]] + [victim], uses))
