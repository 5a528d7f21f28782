"""A piece and its host tests, compiled and linked.

    build/unit/COMPILER/PROFILE/LAB/support.o    the tests, and what of the kernel the piece stands on (unit.mk)
    build/unit/COMPILER/PROFILE/LAB/NAME/test    the same with a piece: "labs", "solutions", or a digest of its folder
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from judge import paths
from judge.lab import Lab
from judge.submission import SourceFile, Submission

COMPILERS = ("g++", "clang++")
PROFILES = ("grading", "no-memory-debugging")
PROGRAM_BEGIN = 0x60000000  # see host/arena.h
KEPT_PROGRAMS = 8
HEADERS = {"gtest/gtest.h": "libgtest-dev"}


class BuildFailed(Exception):
    """The piece does not compile or link. The message is the compiler's, with a word of ours where that helps."""


class SetupTrouble(Exception):
    """It is not the piece's fault."""


@dataclass(frozen=True)
class Variant:
    """One way to build."""

    compiler: str
    profile: str
    fuzz: bool = False

    @property
    def folder(self) -> Path:
        return paths.build_folder() / "unit" / self.compiler / (self.profile + ("-fuzz" if self.fuzz else ""))

    @property
    def flags(self) -> list[str]:
        return (self.folder / "flags.txt").read_text().splitlines()

    def __str__(self) -> str:
        debugging = "without memory debugging" if self.profile == "no-memory-debugging" else "memory debugging on"
        return f"{self.compiler}, {debugging}"


def tested_labs() -> list[str]:
    """The labs that have host tests: those with sources in unit.mk."""
    return re.findall(r"^SOURCES_(\S+) :=", (paths.GRADER / "unit" / "unit.mk").read_text(), re.MULTILINE)


def prepare(variants: Iterable[Variant], labs: Sequence[str]) -> None:
    """Builds the support objects, or finds them up to date. One at a time, whoever asks; what is built is told on the terminal."""
    top = paths.build_folder() / "unit"
    top.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    for variant in variants:
        if shutil.which(variant.compiler) is None:
            raise SetupTrouble(f"{variant.compiler} is not installed; `make setup` installs it")
    with (top / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for variant in variants:
            command = ["make", "--no-print-directory", f"-j{os.cpu_count() or 1}", "-f", "grader/unit/unit.mk", f"BUILD={paths.build_folder()}",
                       f"COMPILER={variant.compiler}", f"PROFILE={variant.profile}", f"FUZZ={int(variant.fuzz)}", f"LAB={' '.join(labs)}"]
            done = subprocess.run(command, cwd=paths.ROOT, env=environment, stderr=subprocess.PIPE, text=True)
            if done.returncode:
                missing = [package for header, package in HEADERS.items() if f"{header}: No such file" in done.stderr
                           or f"'{header}' file not found" in done.stderr]
                said = f"{missing[0]} is not installed; `make setup` installs it" if missing else done.stderr.strip()
                raise SetupTrouble(f"the host tests do not build ({variant}):\n{said}")


def build(submission: Submission, variant: Variant) -> Path:
    """Compiles the piece and links the test program, or raises BuildFailed."""
    out = variant.folder / submission.lab.name / _name(submission)
    out.mkdir(parents=True, exist_ok=True)
    flags = variant.flags
    objects = [out / file.name.replace(".cpp", ".o") for file in submission.files]
    started = [subprocess.Popen([variant.compiler, *flags, "-c", str(_source(file, out)), "-o", str(target)], cwd=paths.ROOT,
                                stderr=subprocess.PIPE, text=True)
               for file, target in zip(submission.files, objects, strict=True)]
    said = [process.communicate()[1] for process in started]
    if any(process.returncode for process in started):
        raise BuildFailed("\n".join(text.strip() for text in said if text.strip()) + _advice("\n".join(said)))
    program = out / ("fuzz" if variant.fuzz else "test")
    fresh = program.with_suffix(f".{os.getpid()}")
    sanitizers = [flag for flag in flags if flag.startswith("-fsanitize=")]
    libraries = ["-fsanitize=fuzzer"] if variant.fuzz else ["-lgtest"]
    # The piece comes first: of a template that both instantiate, the instrumented code is taken.
    command = [variant.compiler, "-no-pie", f"-Wl,-Ttext-segment={PROGRAM_BEGIN:#x}", *sanitizers,
               *map(str, objects), str(variant.folder / submission.lab.name / "support.o"), *libraries, "-o", str(fresh)]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True)
    if done.returncode:
        raise BuildFailed(_link_errors(done.stderr, submission.lab))
    fresh.rename(program)
    _forget_old(out)
    return program


def _age(folder: Path) -> float:
    try:
        return -folder.stat().st_mtime
    except FileNotFoundError:  # another run has just removed it
        return 0


def _forget_old(newest: Path) -> None:
    """A program has some 15 MB: of submissions from elsewhere, the last few are kept for a debugger."""
    others = [folder for folder in newest.parent.iterdir() if folder.is_dir() and folder.name not in ("labs", "solutions")]
    for folder in sorted(others, key=_age)[KEPT_PROGRAMS:]:
        shutil.rmtree(folder, ignore_errors=True)


def _name(submission: Submission) -> str:
    """A folder for this submission's objects, the same each time."""
    places = {paths.shown(file.path.parent) for file in submission.files}
    for known in ("labs", "solutions"):
        if places == {f"{known}/{submission.lab.name}"} and submission.folder.absolute() in (paths.ROOT, paths.ROOT / known):
            return known
    return hashlib.sha256(str(submission.folder.absolute()).encode()).hexdigest()[:12]


def _source(file: SourceFile, out: Path) -> Path:
    """The file itself, or for a patched file of the corpus its text."""
    if file.path.suffix == ".cpp":
        try:
            return file.path.absolute().relative_to(paths.ROOT)  # as messages and reports show it
        except ValueError:
            return file.path.absolute()
    target = out / file.name
    target.write_text(f'#line 1 "{file.shown}"\n{file.text}', "utf-8")
    return target


def _advice(said: str) -> str:
    if re.search(r"loses (precision|information)", said):
        return ("\n\nA pointer has 64 bits in the host tests, so it does not fit in a uint32_t. address_of(pointer).value() and "
                "pointer_to<T>(address)\n(lib/address.h) work here and in the kernel.")
    return ""


def _link_errors(said: str, lab: Lab) -> str:
    """What the linker misses, once each."""
    names = sorted(set(re.findall(r"undefined reference to `([^']+)'", said)))
    if not names:
        return said.strip()
    lines = []
    for name in names:
        if any(name.startswith(prefix) for prefix in lab.defines) or "mm::k" in name:
            lines.append(f"the piece does not define {name}")
        else:
            lines.append(f"{name} is used, but the host tests have no such function")
    return "\n".join(lines)
