"""Nothing of a process is taken for a leak while it lives, and nothing of it stays when it is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from judge.scenario import Scenario
from labs.programs import Programs
from program_boots import booter

SLEEPERS = 3


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Scenario]]:
    with booter(tmp_path_factory.mktemp("leaks")) as made:
        yield made


def test_what_processes_hold_is_reached_and_goes_with_them(machine: Callable[..., Scenario]) -> None:
    """Sleeping processes are in the middle of a system call: some of what they hold is on their kernel stacks only."""
    scenario = machine()
    programs = Programs(scenario)
    programs.run("true")
    scenario.op("leak.remember")
    started = [programs.start("sleep", 1) for _ in range(SLEEPERS)]
    programs.let_run(SLEEPERS)
    alive = scenario.op("leak.find", "report")
    more = scenario.op("leak.report")
    ended = [programs.wait(process) for process in started]
    gone = scenario.op("leak.find", "report")
    left = scenario.op("leak.report")
    scenario.boot()
    assert [ran.exit_status for ran in ended] == [0] * SLEEPERS
    assert alive.value == 0 and more.value >= SLEEPERS, "each process has a record at least"
    assert gone.value == 0 and left.value == 0
