"""Isolation: a process that tries every page of the kernel's ranges, and of another process's memory, is caught each time; and the page
tables, read from outside, lead user code to no frame that is not its own or shared."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from judge.scenario import Scenario
from labs.process_view import Area, ProcessView
from labs.programs import Programs, Ran
from paging.tables import PAGE, PRESENT, WRITABLE, PageRun
from program_boots import booter

USER_BEGIN, USER_END = 0x1000_0000, 0xC000_0000
# In parts of 256 MiB, a boot each; an end of 0 is the end of all addresses.
KERNEL = {"low": (0, USER_BEGIN), **{f"shared {begin >> 28:x}": (begin, begin + USER_BEGIN & 0xFFFF_FFFF) for begin in range(USER_END, 1 << 32, USER_BEGIN)}}
FRAME_INFO, USE, ALLOCATED, PAGEABLE = 16, 4, 3, 5  # sizeof(FrameInfo), where its use lies, FrameUse::Allocated and Pageable
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
    ready = programs.let_run(20)  # its pages come one by one, from the disk as well
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


def writable(view: ProcessView) -> ProcessView:
    """The same process, if its page tables allowed every write."""
    tables = {frame: [word | WRITABLE if word & PRESENT else word for word in words] for frame, words in view.table_set.frames.items()}
    return replace(view, table_set=replace(view.table_set, frames=tables))


def table_frames(view: ProcessView) -> set[int]:
    """The frames of a directory and of all tables that it leads to."""
    return {view.directory, *view.table_set.table_slots.values()}


@dataclass(frozen=True)
class Shown:
    """A page of a process, and the frame that it shows."""

    view: ProcessView
    area: Area
    page: PageRun

    @property
    def source(self) -> tuple[int, int] | None:
        """Which page of which object."""
        return (self.area.object, self.area.first_page + (self.page.virtual - self.area.begin) // PAGE) if self.area.object else None

    @property
    def own(self) -> bool:
        """Whether what is written here is seen here only."""
        return not self.area.shared


def may_show_one_frame(one: Shown, other: Shown, families: Iterable[set[int]]) -> bool:
    """Whether two pages may show the same frame: everybody's zeros; the page of an object; copy-on-write after fork(). Where one of them
    is private, it is read-only there, until who writes gets a copy."""
    if one.own and one.page.writable or other.own and other.page.writable:
        return False
    if one.page.frame == one.view.zero_frame:
        return one.own and other.own
    if one.source is not None and one.source == other.source:
        return True
    return one.own and other.own and any({one.view.pid, other.view.pid} <= family for family in families)


def trespasses(views: list[ProcessView], uses: bytes, families: Iterable[set[int]] = ()) -> list[str]:
    """Frames that user code can reach although they are not its own and shared by nothing, in sentences.

    families  process numbers of those who share pages since a fork()"""
    tables = {frame for view in views for frame in table_frames(view)}
    kernel = {frame for view in views for run in view.table_set.pages(USER_END) for frame in range(run.frame, run.frame + run.pages)}
    wrong: list[str] = []
    shown: dict[int, list[Shown]] = {}
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
                if page.frame >= len(uses) or uses[page.frame] not in (ALLOCATED, PAGEABLE):
                    wrong.append(f"{where}, which nobody has been given")
                if page.frame in tables:
                    wrong.append(f"{where}, which holds a page table")
                if page.frame in kernel:
                    wrong.append(f"{where}, which the kernel has mapped for itself")
                here = Shown(view, area, page)
                others = shown.setdefault(page.frame, [])
                for other in others:
                    if not may_show_one_frame(here, other, families):
                        wrong.append(f"{where}, which is process {other.view.pid}'s as well, and nothing shares it")
                others.append(here)
    return wrong


@dataclass(frozen=True)
class Crowd:
    """Six processes, alive at one time: a victim, the first of a family, one more victim, and three children of the first."""

    views: list[ProcessView]
    uses: bytes

    @property
    def families(self) -> list[set[int]]:
        return [{self.views[index].pid for index in (1, 3, 4, 5)}]


@pytest.fixture(scope="module")
def crowd(machine: Machines) -> Crowd:
    scenario = machine()
    programs = Programs(scenario)
    victim = programs.start("isolate", "victim", SECRET)
    first = programs.start("isolate", "family", SECRET + 0x100)
    other = programs.start("isolate", "victim", SECRET + 0x200)
    ready = programs.let_run(60)
    children = [other + 1, other + 2, other + 3]
    looks = [programs.look(process, f"look-{index}", frame_uses) for index, process in enumerate([victim, first, other, *children])]
    scenario.boot()
    assert ready.text.count("ready") == 6, ready.text
    return Crowd([look.view for look in looks], looks[-1].found)


def frames(view: ProcessView, shared: bool | None = None) -> set[int]:
    """What a process reaches, or only its shared or private areas."""
    return {page.frame for area in view.areas if shared in (None, bool(area.shared)) for page in view.pages_of(area)}


def test_user_code_reaches_its_own_frames_and_shared_ones_only(crowd: Crowd) -> None:
    assert trespasses(crowd.views, crowd.uses, crowd.families) == []
    victim, first, _, *children = crowd.views
    assert all(len(frames(view)) > 60 for view in crowd.views), "there was something to look at"
    assert frames(victim) & frames(first), "the program's text"
    for number, child in enumerate(children, 1):
        assert len(frames(child, shared=True) & frames(first, shared=True)) >= 48, "shared memory"
        common = frames(child, shared=False) & frames(first, shared=False)
        assert len(common) > 30, "what neither has written to since the fork()"
        assert len(frames(child, shared=False) - common) >= number, "and what the child has written to"


def test_the_look_from_outside_would_see_a_trespass(crowd: Crowd) -> None:
    """The same pictures with one lie each."""
    views, uses = crowd.views, crowd.uses
    victim = views[0]
    area = next(area for area in victim.areas if not area.object and area.pages > 10)
    frame = victim.frames_of(area)[0]
    freed = uses[:frame] + b"\x02" + uses[frame + 1:]
    assert any("nobody has been given" in sentence for sentence in trespasses(views, freed))
    assert any("in none of its areas" in sentence for sentence in
               trespasses([replace(victim, areas=tuple(a for a in victim.areas if a != area)), *views[1:]], uses))
    unshared = [replace(view, areas=tuple(replace(a, object=0) for a in view.areas)) for view in views]
    assert any("as well, and nothing shares it" in sentence for sentence in trespasses(unshared, uses, crowd.families))
    assert any("as well, and nothing shares it" in sentence for sentence in trespasses(views, uses)), "copy-on-write among strangers"
    assert any("as well, and nothing shares it" in sentence for sentence in trespasses([writable(view) for view in views], uses, crowd.families))
    assert any("holds a page table" in sentence for sentence in trespasses([replace(view, directory=frame) for view in views[1:2]] + [victim], uses))
