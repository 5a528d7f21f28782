"""Programs on machines that are too small for them, and under torture: what they do and say does not change by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator.swap_disk import SwapDisk
from labs.programs import Programs
from program_boots import booter


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator:
    with booter(tmp_path_factory.mktemp("pressure")) as machines:
        yield machines


def with_swap(machine, megabytes: int, kib: int, options: str = ""):
    scenario = machine(megabytes)
    scenario.swap = SwapDisk(kib=kib)
    scenario.command_line += f" {options}"
    return scenario, Programs(scenario)


@pytest.mark.parametrize("megabytes, mib", [(8, 10), (16, 20)])
def test_a_program_larger_than_memory_finds_what_it_wrote(machine, megabytes, mib):
    """In large pages as far as there are runs: they are split when nothing else is left to take."""
    scenario, programs = with_swap(machine, megabytes, 24 << 10)
    hog = programs.run("hog", mib)
    check = scenario.op("reclaim.check")
    counters = scenario.op("reclaim.counters")
    frames = programs.frames()
    again = programs.run("hog", mib)
    swapped = scenario.op("reclaim.swapped")
    settled = programs.frames()
    scenario.boot()
    assert hog.exit_status == again.exit_status == 0, hog.text + again.text
    assert check.ok
    assert counters.values[5] > (mib - megabytes) * 256  # anonymous pages that left
    assert swapped.values[0] == swapped.values[1]  # all slots are free
    assert abs(settled.value - frames.value) <= 2  # what the heap keeps at hand


def test_without_room_in_the_swap_area_the_program_ends_and_the_machine_goes_on(machine):
    scenario, programs = with_swap(machine, 16, 1 << 10)
    hog = programs.run("hog", 24)
    check = scenario.op("reclaim.check")
    swapped = scenario.op("reclaim.swapped")
    echo = programs.run("echo", "still", "here")
    scenario.boot()
    assert hog.signal == "SIGKILL"
    assert "out of memory" in hog.text
    assert check.ok and swapped.values[0] == swapped.values[1]
    assert echo.text == "still here\n"


def test_a_disk_that_cannot_be_read_ends_one_program(machine):
    scenario, programs = with_swap(machine, 16, 16 << 10, "swap_fault=read:1+")
    hog = programs.run("hog", 20)
    echo = programs.run("echo", "still", "here")
    check = scenario.op("reclaim.check")
    scenario.boot()
    assert hog.signal == "SIGBUS", hog.text
    assert echo.text == "still here\n"
    assert check.ok


def test_a_disk_that_cannot_be_written_is_as_none(machine):
    scenario, programs = with_swap(machine, 16, 16 << 10, "swap_fault=write:1+")
    hog = programs.run("hog", 20)
    echo = programs.run("echo", "still", "here")
    check = scenario.op("reclaim.check")
    scenario.boot()
    assert hog.signal == "SIGKILL", hog.text
    assert echo.text == "still here\n"
    assert check.ok


@pytest.mark.parametrize("policy", ["clock", "fifo"])
def test_under_torture_programs_say_what_they_always_say(machine, policy):
    """A page leaves for every single frame that is allocated: programs that fork, share, map files and grow stacks."""
    lines = [("forkdemo",), ("cowdemo",), ("lazydemo",), ("growdemo",), ("echo", "torture")]
    plain = machine(64)
    calm = Programs(plain)
    expected = [calm.run(*line) for line in lines]
    plain.boot()
    scenario, programs = with_swap(machine, 64, 16 << 10, f"torture=1 policy={policy}")
    ran = [programs.run(*line) for line in lines]
    check = scenario.op("reclaim.check")
    counters = scenario.op("reclaim.counters")
    swapped = scenario.op("reclaim.swapped")
    scenario.boot()
    assert [one.exit_status for one in ran] == [one.exit_status for one in expected] == [0] * len(lines)
    assert check.ok
    assert counters.values[3] > 100
    assert swapped.values[0] == swapped.values[1]
