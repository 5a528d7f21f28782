"""Runs one test: its boots (boot.py), and the record of how it went.

    with Engine() as engine:
        record = engine.run_test(build, test, folder=run_folder)

One engine per process; it keeps one GDB and reuses it for all boots.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from gdb.client import GdbSession
from judge import paths
from judge.boot import Boots
from judge.build import Build
from judge.lab import Lab, Test
from judge.labcode import scenario_class, test_function
from judge.record import Record
from judge.scenario import Scenario
from judge.transcript import Answer, escaped
from judge.verdict import EmulatorTrouble, Failure


class Engine:
    """Runs tests, one after the other, with one GDB."""

    def __init__(self) -> None:
        self._session: GdbSession | None = None
        self._reference_runs: dict[Any, tuple[int, bytes, list[Answer]]] = {}

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends GDB, and with it whatever machine still runs."""
        session, self._session = self._session, None
        if session is not None:
            session.__exit__(None, None, None)

    def session(self) -> GdbSession:
        if self._session is None:
            self._session = GdbSession()
            self._session.__enter__()
        return self._session

    def run_test(self, build: Build, test: Test, *, folder: Path | None = None, snapshots: bool = False,
                 observe: Callable[[Boots], None] = lambda boots: None) -> Record:
        """Runs `test`. With `folder`, console text and snapshots are kept there; `observe` sees what was booted. Trouble of
        our own is tried twice."""
        record = self._attempt(build, test, folder, snapshots, observe)
        if record.status == "error":
            first = record.seen
            self.close()
            time.sleep(0.2)
            record = self._attempt(build, test, folder, snapshots, observe)
            if record.status != "error":
                record.notes.append(f"run a second time, as the first run failed in the grader: {first[:200]}")
        return record

    def _attempt(self, build: Build, test: Test, folder: Path | None, snapshots: bool,
                 observe: Callable[[Boots], None]) -> Record:
        record = new_record(build, test)
        keep = folder / "snapshots" if folder is not None and snapshots else None
        with tempfile.TemporaryDirectory(prefix="faultline-") as scratch:
            boots: Boots | None = None
            scenario: Scenario | None = None
            try:
                function = test_function(build.lab, test)
                scenario_type = scenario_class(build.lab)
                boots = Boots(build.of_profile(test.profile), test, self.session(), Path(scratch), keep, reference_runs=self._reference_runs)
                scenario = scenario_type(test.id, build.seed, boots)
                function(scenario)
                _passed(record, scenario, test)
            except Failure as failure:
                _failed(record, failure, test)
            except AssertionError as error:
                _failed(record, Failure("the test's assertion holds", str(error) or "it does not"), test)
            except Exception as error:  # everything else is ours
                _trouble(record, error)
            if scenario is not None:
                record.tables, record.plots = list(scenario.tables), list(scenario.plots)
            if boots is not None:
                observe(boots)
                record.ticks, record.boots = boots.ticks, boots.count
                if folder is not None:
                    _keep_console(folder, test, boots)
        return record


def new_record(build: Build, test: Test) -> Record:
    lab = build.lab
    return Record(id=test.id, title=test.title, status="error", points=0, max_points=test.points, why=test.rests_on,
                  handout=f"{paths.shown(lab.handout)}{test.handout}", lab=lab.name, seed=f"{build.seed:#x}",
                  repeat=repeat_command(build, test))


def repeat_command(build: Build, test: Test) -> str:
    submission = "" if build.submission.folder == paths.LABS else f" --submission {paths.shown(build.submission.folder)}"
    return f"grader/faultline debug {build.lab.name} {test.id}{submission} --seed {build.seed:#x}"


def _passed(record: Record, scenario: Scenario, test: Test) -> None:
    if scenario.run is None and not scenario.operations:
        raise EmulatorTrouble(f"test {test.id} did not boot anything")
    record.status, record.points = "pass", test.points
    if scenario.earned is not None and scenario.earned.points < test.points:
        record.status, record.points = "partial", max(0, scenario.earned.points)
        record.expected, record.seen, record.kind = test.title, scenario.earned.why, "check"
        record.hint = test.hints[0] if test.hints else ""


def _failed(record: Record, failure: Failure, test: Test) -> None:
    record.status, record.points = "fail", 0
    record.expected, record.seen = failure.expected, escaped(failure.seen)
    record.hint = failure.hint or (test.hints[0] if test.hints else "")
    record.kind, record.operation = failure.kind, failure.operation
    record.where, record.backtrace = failure.where, list(failure.backtrace)


def _trouble(record: Record, error: Exception) -> None:
    record.status, record.kind = "error", "grader"
    record.expected = "the grader itself works"
    record.seen = escaped(f"{type(error).__name__}: {error}")
    record.hint = "This is not your fault and costs no points. `grader/faultline doctor` checks the installation."
    if not isinstance(error, EmulatorTrouble):
        record.backtrace = [escaped(line) for line in traceback.format_exc().splitlines()[-12:]]


def _keep_console(folder: Path, test: Test, boots: Boots) -> None:
    console = folder / "console"
    console.mkdir(parents=True, exist_ok=True)
    text = b"\n--- next boot ---\n".join(boots.console)
    (console / f"{test.id}.txt").write_text("\n".join(escaped(line) for line in text.decode("ascii", "backslashreplace").splitlines()) + "\n")


def provenance(build: Build) -> dict[str, Any]:
    """What the results came from: hashes of submission and tests, versions of the tools."""
    kernels = {made.profile: {"kernel": _sha256(paths.profile_folder(made.profile) / "kernel.o"), "image": _sha256(made.elf)}
               for made in (build, *build.variants)}
    return {
        "submission": paths.shown(build.submission.folder),
        "files": {file.name: file.sha256 for file in build.submission.files},
        "tests": {paths.shown(path): _sha256(path) for path in _judging_files(build.lab) if path.is_file()},
        **kernels[build.profile],
        "profiles": kernels,
        "versions": tool_versions(),
    }


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _judging_files(lab: Lab) -> list[Path]:
    scenario, model = (sorted((paths.GRADER / folder).glob(f"{lab.fixture}*.py")) for folder in ("labs", "oracle"))
    return [lab.folder / "lab.toml", *lab.test_files, *scenario, *model]


def tool_versions() -> dict[str, str]:
    """Versions as the packages say them; the firmware is our own ROM."""
    found = {"python": sys.version.split()[0],
             "firmware": "boot ROM sha256:" + hashlib.sha256((paths.GRADER / "emulator" / "rom.S").read_bytes()).hexdigest()[:16]}
    packages = {"bochs": "bochs", "gdb": "gdb", "compiler": "g++-i686-linux-gnu", "bios": "bochsbios"}
    try:
        listing = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages.values()], capture_output=True, text=True).stdout
    except FileNotFoundError:
        listing = ""
    versions = dict(line.split(" ", 1) for line in listing.splitlines() if " " in line)
    return found | {name: versions.get(package, "unknown") for name, package in packages.items()}
