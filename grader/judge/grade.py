"""One run of `faultline grade`: build every lab's submission, let pytest run the tests, gather the records."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judge import paths
from judge.build import Build, BuildError, build, prepare_kernel
from judge.lab import Lab, Test, profiles_of
from judge.labcode import test_function
from judge.record import Record, mark_blocked, read_records
from judge.runs import RUN_VARIABLE, RunFolder, mark_latest, new_run
from judge.submission import Refused
from judge.verdict import EmulatorTrouble

LEAST_FREE = 2 << 20  # bytes

# Exit statuses of the command.
ALL_POINTS, POINTS_LOST, NOT_BUILT, USAGE, OUR_FAULT, SANDBOX, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


@dataclass
class LabResult:
    """What a run found out about one lab."""

    lab: Lab
    seed: int
    submission: Path
    build: Build | None = None
    refused: str = ""  # why it was not run at all: refusals, or the compiler's messages
    records: list[Record] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def warnings(self) -> str:
        return self.build.warnings if self.build else ""

    @property
    def points(self) -> float:
        return sum(record.points for record in self.records)

    @property
    def max_points(self) -> float:
        return self.lab.max_points

    @property
    def not_judged(self) -> float:
        """Points of tests that failed in the grader: nobody lost them."""
        return sum(record.max_points for record in self.records if record.status == "error")

    @property
    def skipped(self) -> list[Record]:
        return [record for record in self.records if record.status == "skipped"]


@dataclass
class Result:
    """What a run found out."""

    seed: int
    labs: list[LabResult]
    run: RunFolder | None = None
    interrupted: bool = False
    trouble: str = ""
    seconds: float = 0.0

    @property
    def exit_status(self) -> int:
        records = [record for lab in self.labs for record in lab.records]
        if self.interrupted:
            return INTERRUPTED
        if self.trouble or any(record.status == "error" for record in records):
            return OUR_FAULT
        if any(lab.refused for lab in self.labs):
            return NOT_BUILT
        full = all(record.status in ("pass", "skipped") for record in records)
        return ALL_POINTS if full else POINTS_LOST


Progress = Callable[[int, int, Record | None], None]


def grade(labs: Sequence[Lab], submission: Path, seed: int, *, jobs: int, expression: str = "", only: Test | None = None,
          snapshots: bool = False, verbose: bool = False, progress: Progress = lambda done, count, record: None) -> Result:
    """Judges `submission` in all `labs`. Ctrl-C ends the run, but not what has been found."""
    began = time.monotonic()
    result = Result(seed, [LabResult(lab, seed, submission) for lab in labs])
    try:
        check_tools()
        prepare_kernel(profiles_of(labs), verbose)
        result.run = new_run()
        _build_all(result)
        if any(lab.build for lab in result.labs):
            _run_tests(result, jobs, expression, only, snapshots, progress)
    except KeyboardInterrupt:
        result.interrupted = True
    except EmulatorTrouble as trouble:
        result.trouble = str(trouble)
    _gather(result, partly=bool(expression or only))
    result.seconds = time.monotonic() - began
    return result


def check_tools() -> None:
    """The programs without which nothing runs; `doctor` looks more closely."""
    for program, package in (("bochs-bin", "bochs"), ("gdb", "gdb")):
        if shutil.which(program) is None:
            raise EmulatorTrouble(f"{program} (package {package}) is not installed; `grader/faultline doctor` says how to get it")


def _build_all(result: Result) -> None:
    assert result.run is not None
    for lab in result.labs:
        try:
            lab.build = build(lab.lab, lab.submission, result.seed, result.run.lab(lab.lab.name))
        except Refused as refused:
            lab.refused = str(refused)
        except BuildError as error:
            lab.refused = str(error)


def _pytest_names(lab: Lab, only: Test | None) -> list[str]:
    """What pytest is to run: all files of the lab, or one function."""
    if only is None:
        return [f"labs/{file.name}" for file in lab.test_files]
    function = test_function(lab, only)
    return [f"{function.__module__.replace('.', '/')}.py::{only.function}"]


def _run_tests(result: Result, jobs: int, expression: str, only: Test | None, snapshots: bool, progress: Progress) -> None:
    """pytest in a process group of its own, so that nothing of it outlives this process."""
    assert result.run is not None
    builds = [lab.build for lab in result.labs if lab.build]
    result.run.write(result.seed, builds, snapshots)
    mark_latest(result.run)
    names = [name for build in builds for name in _pytest_names(build.lab, only)]
    count = sum(len(build.lab.tests) for build in builds)
    command = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", *names]
    command += ["-n", str(min(jobs, count))] if jobs > 1 else ["-p", "no:xdist"]
    command += ["-k", expression] if expression else []
    environment = {**os.environ, RUN_VARIABLE: str(result.run.path), "PYTEST_ADDOPTS": ""}
    with (result.run.path / "pytest.log").open("wb") as log:
        child = subprocess.Popen(command, cwd=paths.GRADER, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        try:
            _watch(result, child, count, progress)
        finally:
            _end_group(child)
    _judge_exit(result, child.returncode, expression, bool(expression or only))


def _watch(result: Result, child: subprocess.Popen[bytes], count: int, progress: Progress) -> None:
    """Tells of each record as it appears."""
    assert result.run is not None
    seen: set[Path] = set()
    while True:
        ended = child.poll() is not None
        for lab in result.labs:
            for record in read_records(result.run.records(lab.lab.name), lab.lab, skip=seen):
                progress(len(seen), count, record)
        if ended:
            return
        progress(len(seen), count, None)
        time.sleep(0.05)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Asks the group to end, then makes it."""
    for number, seconds in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            break
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    child.wait()


def _judge_exit(result: Result, status: int, expression: str, partly: bool) -> None:
    """pytest's own exit status: 0 and 1 are verdicts, 5 says that nothing was selected."""
    assert result.run is not None
    full = full_disk([result.run.path, Path(tempfile.gettempdir())])
    if full is not None and (status not in (0, 1) or _something_is_missing(result, partly)):
        result.trouble = (f"no space left on the disk of {full}: free some, or name other folders: FAULTLINE_BUILD=/path TMPDIR=/path "
                          "grader/faultline ...\nWhat had finished is kept and shown.")
        return
    if status in (0, 1):
        return
    if status == 5 and expression:
        raise UsageError(f"no test matches -k {expression!r}")
    log = (result.run.path / "pytest.log").read_text("utf-8", "replace").strip().splitlines()
    result.trouble = f"pytest ended with status {status}; {paths.shown(result.run.path / 'pytest.log')} ends with:\n" + "\n".join(log[-12:])


def _something_is_missing(result: Result, partly: bool) -> bool:
    """Whether a record was not written, or says that the grader failed."""
    assert result.run is not None
    for lab in result.labs:
        records = read_records(result.run.records(lab.lab.name), lab.lab)
        if any(record.status == "error" for record in records) or (lab.build and not partly and len(records) < len(lab.lab.tests)):
            return True
    return False


def full_disk(folders: Sequence[Path]) -> Path | None:
    """The first of these folders whose disk has no room for even one more machine's files."""
    return next((folder for folder in folders if shutil.disk_usage(folder).free < LEAST_FREE), None)


class UsageError(Exception):
    """The command line asks for something that does not exist."""


def _gather(result: Result, partly: bool) -> None:
    """Records of all tests in the lab's order; those that did not run say why."""
    from judge.engine import new_record, provenance

    for lab in result.labs:
        if lab.build is None or result.run is None:
            continue
        found = {record.id: record for record in read_records(result.run.records(lab.lab.name), lab.lab)}
        for test in lab.lab.tests:
            if test.id in found:
                continue
            record = new_record(lab.build, test)
            if result.interrupted or result.trouble or partly:
                record.status = "skipped"
                record.seen = "interrupted before it ran" if result.interrupted else "not selected" if partly else "did not run"
            else:
                record.seen = "the test left no record"
            found[test.id] = record
        lab.records = mark_blocked(lab.lab, [found[test.id] for test in lab.lab.tests])
        lab.provenance = provenance(lab.build)


def default_jobs() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
