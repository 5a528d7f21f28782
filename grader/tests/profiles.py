"""Kernels for tests: each profile of kernel/configs, built once however many workers ask for it."""

import fcntl
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_OF_AN_OUTER_MAKE = ("MAKE", "MFLAGS", "SUBMISSION", "PIECES", "PROFILE", "ARGS")


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """Run make in the checkout (or in `cwd`), without the settings of a make that the tests may themselves run under."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OF_AN_OUTER_MAKE)}
    return subprocess.run(["make", "--no-print-directory", *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


def built(profile: str) -> Path:
    """The kernel of a profile as an ELF file, with the grader's guest inside (except `default`)."""
    return _kernel(ROOT / "build" / profile, f"PROFILE={profile}")


def built_with(piece: str) -> Path:
    """The grading kernel with the reference of this lab, where two labs write the same file."""
    folder = ROOT / "build" / f"with-{piece}"
    return _kernel(folder, "PROFILE=grading", f"OUT={folder.relative_to(ROOT)}", f"PIECES={piece}", "SUBMISSION=solutions")


def _kernel(folder: Path, *settings: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = make("-j2", *settings, f"{folder.relative_to(ROOT)}/kernel.elf")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "kernel.elf"
