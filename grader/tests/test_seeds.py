"""Whatever the seed: every test of every lab writes its script. What goes wrong there would be the grader's own error, on some
student's computer, with a seed that nobody has tried."""

from __future__ import annotations

import os

import pytest

from judge.lab import Lab, Test, all_labs
from judge.labcode import scenario_class, test_function
from judge.scenario import Scenario

SEEDS = int(os.environ.get("FAULTLINE_SEEDS", "24"))


class Planned(Exception):
    """The script is written: the scenario would boot now."""


class NoBooter:
    """Takes a scenario that is ready to boot (judge.scenario.Booter)."""

    def boot(self, scenario: Scenario) -> None:
        assert scenario.script
        raise Planned


@pytest.mark.parametrize("lab, test", [pytest.param(lab, test, id=test.id) for lab in all_labs() for test in lab.tests])
def test_every_seed_gives_a_script(lab: Lab, test: Test) -> None:
    for seed in range(SEEDS):
        scenario = scenario_class(lab)(test.id, seed * 0x9E37_79B9 % 2**32, NoBooter())
        with pytest.raises(Planned):
            test_function(lab, test)(scenario)
