"""A lab's Python side: its test functions and its scenario, found by their names."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from types import ModuleType

from judge import paths
from judge.lab import Lab, LabError, Test
from judge.scenario import Scenario


def test_modules(lab: Lab) -> list[ModuleType]:
    """labs/test_NN_name.py and labs/test_NN_name_subject.py."""
    return [importlib.import_module(f"labs.{file.stem}") for file in lab.test_files]


def test_function(lab: Lab, test: Test) -> Callable[[Scenario], None]:
    """ "frames.unique" is test_unique(), in one of the lab's modules."""
    for module in test_modules(lab):
        if hasattr(module, test.function):
            return getattr(module, test.function)
    files = ", ".join(paths.shown(file) for file in lab.test_files)
    raise LabError(f"{paths.shown(lab.folder / 'lab.toml')}: test {test.id} has no function {test.function}() in {files}")


def scenario_class(lab: Lab) -> type[Scenario]:
    """The one subclass of Scenario that labs/<fixture>.py defines."""
    module = importlib.import_module(f"labs.{lab.fixture}")
    found = [value for value in vars(module).values()
             if inspect.isclass(value) and issubclass(value, Scenario) and value.__module__ == module.__name__]
    if len(found) != 1:
        raise LabError(f"grader/labs/{lab.fixture}.py must define one subclass of Scenario, not {len(found)}")
    return found[0]


# These names begin with "test" for a reason of their own, not pytest's.
test_modules.__test__ = False  # type: ignore[attr-defined]
test_function.__test__ = False  # type: ignore[attr-defined]
