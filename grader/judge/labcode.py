"""A lab's Python side: its test functions and its scenario, found by their names."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from types import ModuleType

from judge import paths
from judge.lab import Lab, LabError, Test
from judge.scenario import Scenario


def test_module(lab: Lab) -> ModuleType:
    """labs/test_NN_name.py."""
    return importlib.import_module(f"labs.{lab.test_module}")


def test_function(lab: Lab, test: Test) -> Callable[[Scenario], None]:
    """ "frames.unique" is test_unique()."""
    function = getattr(test_module(lab), test.function, None)
    if function is None:
        raise LabError(f"{paths.shown(lab.folder / 'lab.toml')}: test {test.id} has no function {test.function}() in "
                       f"grader/labs/{lab.test_module}.py")
    return function


def scenario_class(lab: Lab) -> type[Scenario]:
    """The one subclass of Scenario that labs/<fixture>.py defines."""
    module = importlib.import_module(f"labs.{lab.fixture}")
    found = [value for value in vars(module).values()
             if inspect.isclass(value) and issubclass(value, Scenario) and value.__module__ == module.__name__]
    if len(found) != 1:
        raise LabError(f"grader/labs/{lab.fixture}.py must define one subclass of Scenario, not {len(found)}")
    return found[0]


# These names begin with "test" for a reason of their own, not pytest's.
test_module.__test__ = False  # type: ignore[attr-defined]
test_function.__test__ = False  # type: ignore[attr-defined]
