"""Programs: from a file to a process. Arguments, places, shared text, private variables, zeros."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import elf_files
from elf_files import DATA_MEMORY, DYNAMIC, EXIT_STATUS, FIXED, PAGE
from judge.scenario import Scenario
from labs.process_view import EXECUTABLE_END, EXECUTE, READ, USER_BEGIN, WRITE, Area, ProcessView, disagreements
from labs.programs import Programs, Ran, areas_in, text_in
from program_boots import booter

Machines = Callable[..., Scenario]
IMAGE = 0  # AreaKind


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator[Machines]:
    with booter(tmp_path_factory.mktemp("programs")) as machines:
        yield machines


def image_areas(view: ProcessView) -> list[Area]:
    return [area for area in view.areas if area.kind == IMAGE]


def text_and_variables(view: ProcessView) -> tuple[Area, Area]:
    """The area with the program's code, and the one with its variables from the file."""
    text, = (area for area in image_areas(view) if area.protection & EXECUTE)
    variables, = (area for area in image_areas(view) if area.protection & WRITE and area.object)
    return text, variables


def places(ran: Ran) -> dict[str, int]:
    """What `image` says about its addresses."""
    return {name: int(value, 16) for name, value in re.findall(r"(\w+) ([0-9a-f]{8})", ran.lines[0])}


# --- arguments ---------------------------------------------------------------------------------------------------------------


def test_arguments_reach_a_program_in_order_on_an_aligned_stack(machine: Machines) -> None:
    scenario = machine()
    programs = Programs(scenario)
    given = [[], ["one"], ["a", "bb", "ccc"], ["x" * 100, "=3", "ok", "0x1"], [f"argument{i}" for i in range(15)]]
    ran = [programs.run("args", *arguments) for arguments in given]
    scenario.boot()
    for arguments, one in zip(given, ran):
        texts = ["args", *arguments]
        assert one.lines == [f"argc {len(texts)}, aligned yes, end null", *(f"{i} [{text}]" for i, text in enumerate(texts))]
        assert one.exit_status == len(texts)


def test_more_arguments_than_there_may_be_are_refused(machine: Machines) -> None:
    scenario = machine()
    programs = Programs(scenario)
    before = programs.frames()
    ran = programs.run("args", *range(16))
    after = programs.frames()
    scenario.boot()
    assert ran.op.error == "LimitReached"
    assert after.value == before.value


def test_what_a_program_prints_cannot_look_like_a_record(machine: Machines) -> None:
    scenario = machine()
    programs = Programs(scenario)
    ran = programs.run("echo", "=1", "ok", "0x666")
    again = programs.run("args", "=9999")
    scenario.boot()
    assert ran.lines == ["=1 ok 0x666"]
    assert again.exit_status == 2


# --- the image ---------------------------------------------------------------------------------------------------------------


def tail_of_last_page(target: Any, view: ProcessView) -> bytes:
    """What follows the program's last variable, to the end of its page."""
    last = image_areas(view)[-1]
    return view.read(target.physical, last.end - PAGE, PAGE)


def test_an_image_has_its_variables_zeros_and_relocated_pointers(machine: Machines) -> None:
    scenario = machine()
    programs = Programs(scenario)
    ran = programs.run("image", checkpoints=["started"], reader=tail_of_last_page)
    scenario.boot()
    assert ran.exit_status == 0
    assert ran.lines[1:] == ["not zero 0", "variable 600df00d, by pointers 600df00d 600df00d"]
    view, at = ran.view("started"), places(ran)
    assert not disagreements(view)
    assert view.active and view.pid == ran.pid
    text, variables = text_and_variables(view)
    assert text.begin <= at["text"] < text.end and text.begin <= at["constants"] < text.end
    assert variables.begin <= at["variables"] < variables.end
    assert (text.protection, variables.protection) == (READ | EXECUTE, READ | WRITE)
    assert USER_BEGIN <= text.begin and text.end <= EXECUTABLE_END <= variables.begin
    assert view.area_at(at["stack"]).kind_name == "stack"
    used = ran.looks["started"].found.rstrip(b"\0")
    assert len(used) < PAGE - 16, "the rest of the last page is zero"
    assert view.heap_begin >= image_areas(view)[-1].end


def test_text_and_variables_move_together(machine: Machines) -> None:
    scenario = machine()
    programs = Programs(scenario)
    ran = [programs.run("image", checkpoints=["started"]) for _ in range(6)]
    scenario.boot()
    seen = [places(one) for one in ran]
    assert len({at["text"] for at in seen}) >= 4, "chance chooses the place"
    for name in ("constants", "variables", "zeros"):
        assert len({at[name] - at["text"] for at in seen}) == 1, name
    for one in ran:
        text, variables = text_and_variables(one.view("started"))
        assert variables.begin - text.begin == elf_files.DATA_OFFSET


def test_the_same_seed_places_a_program_alike(machine: Machines) -> None:
    lines = []
    for _ in range(2):
        scenario = machine()
        ran = Programs(scenario).run("image", checkpoints=["started"])
        scenario.boot()
        lines.append(ran.lines)
    assert lines[0] == lines[1]


def test_processes_share_the_frames_of_their_text_and_no_others(machine: Machines) -> None:
    scenario = machine()
    programs = Programs(scenario)
    programs.run("image", checkpoints=["started"])
    before = programs.frames()
    first = programs.start("image", "wait")
    programs.let_run(checkpoints=["started"])
    second = programs.start("image", "wait")
    programs.let_run(checkpoints=["started"])
    looks = [programs.look(process, "waiting") for process in (first, second)]
    programs.kill(first, "SIGTERM")
    ended = [programs.wait(first)]
    alone = programs.look(second, "alone")
    programs.kill(second, "SIGTERM")
    ended.append(programs.wait(second))
    after = programs.frames()
    scenario.boot()
    one, other = (look.view for look in looks)
    assert not disagreements(one) and not disagreements(other) and not disagreements(alone.view)
    texts = [text_and_variables(view)[0] for view in (one, other)]
    assert one.frames_of(texts[0]) == other.frames_of(texts[1]), "the text lies in memory once"
    frames = [[frame for area in view.areas if not area.protection & EXECUTE for frame in view.frames_of(area)] for view in (one, other)]
    zeros = [shown.count(view.zero_frame) for shown, view in zip(frames, (one, other))]
    own = [{*shown} - {view.zero_frame} for shown, view in zip(frames, (one, other))]
    assert own[0] and own[1] and not own[0] & own[1], "all else is each process's own"
    assert zeros[0] == zeros[1] > 0, "of zeros that the program has only read, there are none of its own"
    assert [view.shared - shown for view, shown in zip((one, other), zeros)] == [len(view.frames_of(text)) for view, text in zip((one, other), texts)]
    assert alone.view.frames_of(texts[1]) == other.frames_of(texts[1])
    assert [ran.signal for ran in ended] == ["SIGTERM", "SIGTERM"]
    assert after.value == before.value, "all frames come back"


def test_maps_and_areas_of_a_process_that_waits(machine: Machines) -> None:
    scenario = machine()
    programs = Programs(scenario)
    process = programs.start("image", "wait")
    programs.let_run(checkpoints=["started"])
    look, areas, maps, check = programs.look(process, "waiting"), programs.areas(process), programs.maps(process), programs.check(process)
    scenario.boot()
    assert tuple(areas_in(areas)) == look.view.areas
    assert text_in(maps) == look.view.maps and len(look.view.maps_lines) == len(look.view.areas) + 1
    assert check.ok


def test_a_fixed_program_lies_where_it_says(machine: Machines) -> None:
    elf = elf_files.good(FIXED)
    scenario = machine()
    programs = Programs(scenario, {"bin/fixed": elf.packed()})
    process = programs.start("fixed")
    look = programs.look(process, "fresh")
    ended = programs.wait(process)
    scenario.boot()
    assert not disagreements(look.view)
    text, variables, zeros = image_areas(look.view)
    first = elf.segments[1].address
    assert (text.begin, text.end) == (elf.segments[0].address, elf.segments[0].address + PAGE)
    assert (variables.begin, variables.end, zeros.begin) == (first, first + PAGE, first + PAGE)
    assert zeros.end == (first + DATA_MEMORY + 8 + PAGE - 1) // PAGE * PAGE
    assert ended.exit_status == EXIT_STATUS, "variables hold what the file has, and zeros behind"


def test_programs_made_by_hand_run(machine: Machines) -> None:
    scenario = machine()
    programs = Programs(scenario, {f"bin/good{kind}": elf_files.good(kind).packed() for kind in (DYNAMIC, FIXED)})
    ran = [programs.run(f"good{kind}") for kind in (DYNAMIC, FIXED) for _ in range(3)]
    scenario.boot()
    assert {one.exit_status for one in ran} == {EXIT_STATUS}


def test_without_aslr_a_program_lies_where_its_arenas_begin(tmp_path) -> None:
    with booter(tmp_path, "no-aslr") as machine:
        scenario = machine()
        programs = Programs(scenario)
        ran = [programs.run("image", checkpoints=["started"]) for _ in range(2)]
        scenario.boot()
    assert ran[0].lines == ran[1].lines
    text, variables = text_and_variables(ran[0].view("started"))
    assert (text.begin, variables.begin) == (USER_BEGIN, EXECUTABLE_END)
    assert not disagreements(ran[0].view("started"))


# --- all or nothing ----------------------------------------------------------------------------------------------------------


def test_loading_without_memory_fails_and_leaves_nothing_behind(machine: Machines) -> None:
    scenario = machine()
    programs = Programs(scenario)
    programs.load("/bin/image")
    before = programs.frames()
    loads = []
    for frames in range(24):  # what is not needed at once is not there yet
        scenario.op("frames.limit", frames)
        loads.append(programs.load("/bin/image"))
        scenario.op("frames.limit", "none")
    after = programs.frames()
    ran = programs.run("image", checkpoints=["started"])
    scenario.boot()
    outcomes = [op.error or op.values[0] for op in loads]
    out_of_memory = 1  # Error::OutOfMemory
    assert outcomes[0] in ("OutOfMemory", out_of_memory) and outcomes[-1] == 0
    failed = [outcome for outcome in outcomes if outcome != 0]
    assert set(failed) <= {"OutOfMemory", out_of_memory} and len(failed) >= 5
    assert outcomes == [*failed, *(0 for _ in outcomes[len(failed):])], "more memory is never worse"
    assert after.value == before.value, "frames are lost"
    assert ran.exit_status == 0
