"""A run's folder: what is judged, and what has been found so far.

    build/grading/runs/<time>-<number>/
        run.json                   seed, labs, where the kernels lie
        <lab>/kernel.elf ...       the build of one lab's submission; <lab>/PROFILE/ for tests that ask for another profile
        <lab>/records/<test>.json  one record per finished test
        <lab>/snapshots/<test>/    the checkpoints, of a run for `faultline view`
        <lab>/console/<test>.txt   what the machine printed
        pytest.log                 what pytest printed
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from judge import paths
from judge.build import Build
from judge.image import KernelImage
from judge.lab import find_lab
from judge.record import write_json
from judge.submission import Submission

KEPT_RUNS = 8
RUN_VARIABLE = "FAULTLINE_RUN"  # environment: the folder of the run that pytest works for


@dataclass(frozen=True)
class RunFolder:
    """One run of `faultline grade`."""

    path: Path

    def lab(self, name: str) -> Path:
        return self.path / name

    def records(self, name: str) -> Path:
        return self.lab(name) / "records"

    def write(self, seed: int, builds: list[Build], snapshots: bool) -> None:
        """What the test processes need to know."""
        labs = {build.lab.name: {"submission": str(build.submission.folder),
                                 "kernels": {made.profile: str(made.elf) for made in (build, *build.variants)}} for build in builds}
        write_json(self.path / "run.json", {"seed": seed, "snapshots": snapshots, "labs": labs})

    def read(self) -> dict[str, Any]:
        return json.loads((self.path / "run.json").read_text("ascii"))

    def load_build(self, lab_name: str) -> Build | None:
        """The build of one lab, as another process made it; None when the run does not judge that lab."""
        data = self.read()
        entry = data["labs"].get(lab_name)
        if entry is None:
            return None
        lab = find_lab(lab_name)
        submission = Submission(lab, Path(entry["submission"]), ())
        first, *others = (Build(lab, submission, data["seed"], Path(elf), KernelImage(Path(elf)), profile=profile)
                          for profile, elf in entry["kernels"].items())
        return replace(first, variants=tuple(others))


def new_run() -> RunFolder:
    """A folder of its own, `latest` pointing to it; the oldest runs are removed."""
    folder = paths.runs_folder()
    folder.mkdir(parents=True, exist_ok=True)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for number in range(10_000):
        path = folder / f"{stamp}-{number}"
        try:
            path.mkdir()
            break
        except FileExistsError:
            continue
    _forget_old_runs(folder, keep=path)
    return RunFolder(path)


def mark_latest(run: RunFolder) -> None:
    """`latest` is the last run that judged something."""
    link = paths.runs_folder() / f".latest.{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(run.path.name)
    link.replace(paths.runs_folder() / "latest")


def latest_run() -> RunFolder | None:
    link = paths.runs_folder() / "latest"
    return RunFolder(link.resolve()) if link.exists() else None


def _forget_old_runs(folder: Path, keep: Path) -> None:
    """Only runs that are older than a day's work: another run may be under way."""
    runs = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    for path in runs[:-KEPT_RUNS]:
        if path != keep and time.time() - path.stat().st_mtime > 600:
            shutil.rmtree(path, ignore_errors=True)
