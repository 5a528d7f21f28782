"""Programs that are none: damaged, foreign and hostile ELF files. All lie on one disk and are tried in one boot; each is refused by name,
no frame is lost, and the kernel runs a good program after every one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache

import pytest

import elf_files
from elf_files import DYNAMIC, EXIT_STATUS, FIXED, Hostile
from judge.scenario import Op, Scenario
from labs.programs import Programs, Ran
from profiles import ROOT
from program_boots import booter

Machines = Callable[..., Scenario]
FLIPPED = 400
SEED = 5


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator[Machines]:
    with booter(tmp_path_factory.mktemp("elf")) as machines:
        yield machines


@cache
def names(header: str, enumeration: str) -> tuple[str, ...]:
    """The enumerators of an enumeration in a header of the kernel, in order."""
    text = (ROOT / "kernel" / header).read_text()
    body = re.search(rf"enum class {enumeration} : \w+ {{(.*?)}};", text, re.DOTALL)
    assert body, f"{header} has no enumeration {enumeration}"
    return tuple(re.findall(r"^\s*(\w+)(?: = 0)?,", re.sub(r"///.*", "", body[1]), re.MULTILINE))


def verdict(op: Op) -> str:
    """What program.load said: the fault, the error when there is none, "" for a program."""
    error, fault = (names("lib/result.h", "Error")[op.values[0]], names("proc/program.h", "ProgramFault")[op.values[1]])
    assert (error == "BadFormat") == (fault != "None"), f"{op}: {error} with fault {fault}"
    return fault if fault != "None" else error if error != "None" else ""


def disk_of(files: list[Hostile]) -> dict[str, bytes]:
    return {f"elf/f{number}": file.data for number, file in enumerate(files)}


def settled(programs: Programs, round_: Callable[[], object]) -> tuple[Op, Op]:
    """Frames in use before and after; what the kernel makes once and keeps does not count."""
    round_()
    before = programs.frames()
    round_()
    return before, programs.frames()


@pytest.mark.parametrize("kind", [DYNAMIC, FIXED], ids=["movable", "fixed"])
def test_every_fault_of_a_program_file_has_its_name(machine: Machines, kind: int) -> None:
    files = elf_files.hostile(kind)
    scenario = machine()
    programs = Programs(scenario, {**disk_of(files), "elf/good": elf_files.good(kind).packed()})
    loads: list[Op] = []
    before, after = settled(programs, lambda: loads.extend(programs.load(f"/elf/f{number}") for number in range(len(files))))
    good = programs.run("/elf/good")
    scenario.boot()
    wrong = [f"{file.name}: {verdict(op) or 'accepted'}, not {file.fault}" for file, op in zip(files, loads) if verdict(op) != file.fault]
    assert not wrong, "\n".join(wrong)
    assert after.value == before.value, "frames are lost"
    assert good.exit_status == EXIT_STATUS


@pytest.mark.parametrize("kind", [DYNAMIC, FIXED], ids=["movable", "fixed"])
def test_hostile_programs_do_not_run_and_do_no_harm(machine: Machines, kind: int) -> None:
    files = elf_files.hostile(kind)
    scenario = machine()
    programs = Programs(scenario, {**disk_of(files), "elf/good": elf_files.good(kind).packed()})
    tried: list[Ran] = []
    good: list[Ran] = []
    for number in range(len(files)):
        tried.append(programs.run(f"/elf/f{number}"))
        good.append(programs.run("/elf/good"))
    processes = programs.processes()
    scenario.boot()
    for file, ran in zip(files, tried):
        assert ran.op.error == ("OutOfMemory" if file.fault == "OutOfMemory" else "BadFormat"), f"{file.name}: {ran.op.says}"
    assert {ran.exit_status for ran in good} == {EXIT_STATUS}
    assert processes.values == [0, 0, 1], "only the kernel is left, and runs"


def test_bits_changed_at_random_are_refused_or_harmless(machine: Machines) -> None:
    files = list(elf_files.flipped(SEED, FLIPPED))
    assert sum(file.fault == "" for file in files) > FLIPPED // 20, "too few of them are programs still"
    scenario = machine()
    programs = Programs(scenario, {**disk_of(files), "elf/good": elf_files.good().packed()})
    loads: list[Op] = []
    before, after = settled(programs, lambda: loads.extend(programs.load(f"/elf/f{number}") for number in range(len(files))))
    good = programs.run("/elf/good")
    scenario.boot()
    for file, op in zip(files, loads):
        seen = verdict(op)
        if file.fault == "":
            assert seen in ("", "OutOfMemory"), f"{file.name}: a program is refused: {seen}"
        else:
            assert seen not in ("", "OutOfMemory"), f"{file.name}: accepted"
    assert after.value == before.value, "frames are lost"
    assert good.exit_status == EXIT_STATUS


def test_variables_of_more_than_memory_are_only_promised(machine: Machines) -> None:
    sizes = (64 << 20, 0x8000_0000, 0x8C00_0000)
    scenario = machine()
    programs = Programs(scenario, {f"elf/huge{number}": elf_files.huge(size).packed() for number, size in enumerate(sizes)})
    ran: list[Ran] = []
    before, after = settled(programs, lambda: ran.extend(programs.run(f"/elf/huge{number}") for number in range(len(sizes))))
    scenario.boot()
    assert [one.exit_status for one in ran] == [EXIT_STATUS] * 2 * len(sizes)
    assert after.value == before.value, "frames are lost"


def test_what_is_no_file_is_no_program(machine: Machines) -> None:
    scenario = machine()
    programs = Programs(scenario)
    folder, nothing, good = programs.run("/bin"), programs.run("/bin/nothing"), programs.run("true")
    scenario.boot()
    assert folder.op.error == "WrongKind"
    assert nothing.op.error == "NotFound"
    assert good.exit_status == 0


def test_the_model_agrees_with_the_cases() -> None:
    for kind in (DYNAMIC, FIXED):
        assert elf_files.model(elf_files.good(kind).packed())
        for file in elf_files.hostile(kind):
            assert elf_files.model(file.data) == (file.fault == "OutOfMemory"), file.name
