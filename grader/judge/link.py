"""From objects to kernels: what submissions are linked with, and the reference's own kernel.

    build/PROFILE/kernel.o               the kernel and the grader's guest, all but the pieces (make grading-kernel)
    build/PROFILE/reference/LAB/*.o      the reference's pieces; in a student's tree grader/prebuilt/PROFILE/LAB/*.o
    build/PROFILE/flags.txt              the compiler's arguments, one a line
    build/PROFILE/reference-kernel/LAB/  the kernel that a submission of LAB is measured against: all pieces are the reference's
"""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from judge import paths
from judge.image import CROSS, KernelImage
from judge.lab import PROFILES, Lab, all_labs
from judge.verdict import EmulatorTrouble

COMPILER = f"{CROSS}g++"
LINKER = f"{CROSS}ld"


class BuildError(Exception):
    """The piece does not compile or link; the message is the compiler's."""


def prepare_kernel(profiles: Sequence[str] = PROFILES, verbose: bool = False) -> None:
    """Makes what submissions are linked with, or finds it up to date. One at a time, whoever asks."""
    if shutil.which("make") is None or shutil.which(COMPILER) is None:
        missing = "make" if shutil.which("make") is None else COMPILER
        raise EmulatorTrouble(f"{missing} is not installed; `grader/faultline doctor` says how to get it")
    for profile in profiles:
        _prepare(profile, verbose)
    prepare_programs(verbose)


def prepare_programs(verbose: bool = False) -> None:
    """Makes the user programs that tests run, or finds them up to date."""
    folder = paths.programs_folder().parent
    out = "build/user" if folder == paths.ROOT / "build" / "user" else str(folder)
    _make(folder, "the kit's own programs do not build", verbose, f"USER_OUT={out}", "programs-built")


def _prepare(profile: str, verbose: bool) -> None:
    folder = paths.profile_folder(profile)
    out = f"build/{profile}" if folder == paths.ROOT / "build" / profile else str(folder)
    _make(folder, "the kit's own kernel does not build", verbose, f"PROFILE={profile}", "PIECES=", "SUBMISSION=", f"OUT={out}", "kernel-grading")


def _make(folder: Path, failure: str, verbose: bool, *arguments: str) -> None:
    """Runs make for what goes into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    command = ["make", "--no-print-directory", f"-j{os.cpu_count() or 1}", *arguments]
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        check_disk(done.stderr, folder)
        raise EmulatorTrouble(f"{failure}:\n{last_lines(done.stderr or done.stdout, 15)}")
    if verbose and done.stdout:
        print(done.stdout, end="")


# -- the reference ---------------------------------------------------------------------------------------------------------


def reference_objects(lab: Lab, profile: str) -> list[Path]:
    """The reference's pieces of all labs but this one. Of a file that two labs write (01 and 03 write frame_allocator.cpp) one
    is taken: the judged lab's own, or else the later lab's."""
    return [_reference_object(other, name, profile) for name, other in _writers(paths.LABS).items() if name not in lab.files]


@lru_cache
def _writers(labs: Path) -> dict[str, Lab]:
    """The last lab that writes each file. Read once: every build asks."""
    return {name: lab for lab in all_labs() for name in lab.files}


def _reference_object(lab: Lab, name: str, profile: str) -> Path:
    places = [paths.profile_folder(profile) / "reference" / lab.name, paths.PREBUILT / profile / lab.name]
    if not (paths.SOLUTIONS / lab.name).is_dir():
        places.reverse()
    candidates = [place / f"{Path(name).stem}.o" for place in places]
    usable = next((path for path in candidates if path.is_file()), None)
    if usable is None:
        raise EmulatorTrouble(f"the reference's {lab.name}/{name} is neither in solutions/ nor in grader/prebuilt/: the kit is incomplete")
    return usable


@lru_cache
def reference_kernel(lab: Lab, profile: str) -> KernelImage:
    """The kernel whose pieces are all the reference's, those of `lab` included: what a submission's speed is compared with. Linked
    once for as long as its objects stay the same, whoever asks."""
    pieces = [_reference_object(lab, name, profile) for name in lab.files] + reference_objects(lab, profile)
    folder = paths.profile_folder(profile) / "reference-kernel" / lab.name
    folder.mkdir(parents=True, exist_ok=True)
    made, elf = folder / "made-from.txt", folder / "kernel.elf"
    sources = [paths.profile_folder(profile) / "kernel.o", paths.LINK_SCRIPT, *pieces]
    state = "".join(f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}\n" for path in sources)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not elf.is_file() or not made.is_file() or made.read_text() != state:
            made.unlink(missing_ok=True)
            try:
                link(pieces, 0, folder, profile)
            except BuildError as error:
                raise EmulatorTrouble(f"the reference of lab {lab.name}: {error}") from None
            made.write_text(state)
    return KernelImage(elf)


# -- the linker ------------------------------------------------------------------------------------------------------------


def link(pieces: Sequence[Path], pad: int, out: Path, profile: str) -> Path:
    """Links twice: the symbol table of the backtraces is made from the first link and placed by the second."""
    first, symbols, elf = out / "kernel.first.elf", out / "symbols.o", out / "kernel.elf"
    _link_once(pieces, pad, first, profile)
    _symbol_tool().write_symbols(first, symbols)
    _link_once([*pieces, symbols], pad, elf, profile)
    first.unlink(missing_ok=True)
    return elf


def _link_once(objects: Sequence[Path], pad: int, elf: Path, profile: str) -> None:
    # --defsym must stand before the script: what comes later is defined too late for it.
    command = [LINKER, "-m", "elf_i386", f"--defsym=image_pad={pad}", "-T", str(paths.LINK_SCRIPT),
               str(paths.profile_folder(profile) / "kernel.o"), *map(str, objects), _libgcc(), "-o", str(elf)]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, errors="replace")
    if done.returncode:
        check_disk(done.stderr, elf)
        raise BuildError("the pieces do not link:\n" + _link_messages(done.stderr))


def _link_messages(text: str) -> str:
    lines = [re.sub(r"^\S*ld: ", "", line) for line in text.splitlines()]
    return last_lines("\n".join(lines), 20, first=True)


@lru_cache(maxsize=1)
def _libgcc() -> str:
    done = subprocess.run([COMPILER, "-m32", "-print-libgcc-file-name"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@lru_cache(maxsize=1)
def _symbol_tool() -> Any:
    """kernel/tools/symbols.py as a module."""
    spec = importlib.util.spec_from_file_location("kernel_symbols", paths.ROOT / "kernel" / "tools" / "symbols.py")
    if spec is None or spec.loader is None:
        raise EmulatorTrouble("kernel/tools/symbols.py is missing: the kit is incomplete")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# -- messages --------------------------------------------------------------------------------------------------------------


def check_disk(messages: str, target: Path) -> None:
    """A full disk is no mistake of the submission."""
    if os.strerror(errno.ENOSPC) in messages:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target.parent))


def last_lines(text: str, count: int, first: bool = False) -> str:
    """At most `count` lines: the last, or the first with a word on the rest."""
    lines = text.strip().splitlines()
    if len(lines) <= count:
        return "\n".join(lines)
    return "\n".join([*lines[:count], f"... and {len(lines) - count} more lines"] if first else lines[-count:])
