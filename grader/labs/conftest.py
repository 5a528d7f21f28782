"""Runs the labs' tests for `faultline grade`: each test function is handed to the engine, which writes its record.

A test function takes one argument, its lab's scenario. pytest collects, selects (-k) and spreads the tests over processes; what a
test does to the machine, and how a failure becomes a record, is the engine's business.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from judge.build import Build
from judge.engine import Engine
from judge.lab import all_labs
from judge.record import write_record
from judge.runs import RUN_VARIABLE, RunFolder


def _scenario_fixture(name: str) -> object:
    @pytest.fixture(name=name)
    def fixture() -> None:
        """The scenario of the test. The engine makes it, anew for each try."""

    return fixture


for _lab in all_labs():
    globals()[f"fixture_{_lab.fixture}"] = _scenario_fixture(_lab.fixture)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """One per process: it keeps one GDB for all boots."""
    with Engine() as engine:
        yield engine


@pytest.fixture(autouse=True)
def _with_engine(engine: Engine) -> None:
    """Every test needs it, though only pytest_pyfunc_call speaks to it."""


@lru_cache
def _build(lab_name: str) -> Build | None:
    run = os.environ.get(RUN_VARIABLE)
    return RunFolder(Path(run)).load_build(lab_name) if run else None


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool:
    """Runs the test through the engine and writes its record."""
    lab = next(lab for lab in all_labs() if pyfuncitem.path in lab.test_files)
    build = _build(lab.name)
    if build is None:
        pytest.skip("these tests judge a submission: run them through grader/faultline grade")
    test = lab.test(pyfuncitem.originalname)
    run = RunFolder(Path(os.environ[RUN_VARIABLE]))
    folder = run.lab(lab.name)
    record = pyfuncitem.funcargs["engine"].run_test(build, test, folder=folder, snapshots=run.read()["snapshots"])
    write_record(folder / "records", record)
    if record.status not in ("pass", "partial"):
        pytest.fail(f"{record.status}: expected {record.expected}; seen: {record.seen}", pytrace=False)
    return True
