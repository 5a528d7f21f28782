"""Where things lie: the tree that the grader belongs to, and the build folder that it may write to."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache
from pathlib import Path

GRADER = Path(__file__).resolve().parent.parent
ROOT = GRADER.parent
LABS = ROOT / "labs"
SOLUTIONS = ROOT / "solutions"
CORPUS = GRADER / "corpus"
PREBUILT = GRADER / "prebuilt"  # PROFILE/LAB/*.o: the reference's objects, in a tree without solutions/
LINK_SCRIPT = ROOT / "kernel" / "link.ld"


@lru_cache(maxsize=1)
def build_folder() -> Path:
    """The folder for everything that is made: $FAULTLINE_BUILD, or build/ in the tree, or, when the tree is read-only,
    a folder of the user's under the system's temporary folder."""
    chosen = os.environ.get("FAULTLINE_BUILD")
    if chosen:
        return Path(chosen).absolute()
    if _writable(ROOT / "build"):
        return ROOT / "build"
    return Path(tempfile.gettempdir()) / f"faultline-{os.getuid()}"


def _writable(folder: Path) -> bool:
    probe = folder
    while not probe.exists():
        probe = probe.parent
    return os.access(probe, os.W_OK) and not _read_only_file_system(probe)


def _read_only_file_system(folder: Path) -> bool:
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def profile_folder(profile: str) -> Path:
    """Where `make grading-kernel` leaves the objects of a profile's kernel."""
    return build_folder() / profile


def grading_folder() -> Path:
    """The folder of the profile that nearly all tests ask for; the runs lie below it."""
    return profile_folder("grading")


def programs_folder() -> Path:
    """Where `make grading-kernel` leaves the user programs, those of the tests as well."""
    return build_folder() / "user" / "bin"


def runs_folder() -> Path:
    return grading_folder() / "runs"


def shown(path: Path) -> str:
    """A path as messages show it: relative to the tree or to the current folder, when it lies there."""
    for base in (ROOT, Path.cwd()):
        try:
            return str(path.absolute().relative_to(base))
        except ValueError:
            continue
    return str(path)
