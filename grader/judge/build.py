"""From a submission to a kernel: the pieces compiled with the kit's flags, linked with everything else.

    build/grading/kernel.o            the kernel and the grader's guest, all but the pieces (make kernel-grading)
    build/grading/reference/LAB/*.o   the reference's pieces; in a student's tree grader/prebuilt/LAB/*.o
    build/grading/flags.txt           the compiler's arguments, one a line
"""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from judge import checks, paths
from judge.image import CROSS, KernelImage
from judge.lab import Lab, all_labs
from judge.submission import Refused, SourceFile, Submission, find_submission
from judge.verdict import EmulatorTrouble

COMPILER = f"{CROSS}g++"
LINKER = f"{CROSS}ld"
PAD_STEP, PAD_MAX = 16, 4080


class BuildError(Exception):
    """The piece does not compile or link; the message is the compiler's."""


@dataclass(frozen=True)
class Build:
    """A submission of one lab, ready to boot."""

    lab: Lab
    submission: Submission
    seed: int
    elf: Path
    image: KernelImage
    warnings: str = ""  # what the compiler said of code that it did compile


def prepare_kernel(verbose: bool = False) -> None:
    """Makes what submissions are linked with, or finds it up to date. One at a time, whoever asks."""
    if shutil.which("make") is None or shutil.which(COMPILER) is None:
        missing = "make" if shutil.which("make") is None else COMPILER
        raise EmulatorTrouble(f"{missing} is not installed; `grader/faultline doctor` says how to get it")
    folder = paths.grading_folder()
    folder.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    out = "build/grading" if folder == paths.ROOT / "build" / "grading" else str(folder)
    command = ["make", "--no-print-directory", f"-j{os.cpu_count() or 1}", "PROFILE=grading", "PIECES=", "SUBMISSION=", f"OUT={out}",
               "kernel-grading"]
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        _check_disk(done.stderr, folder)
        raise EmulatorTrouble(f"the kit's own kernel does not build:\n{_last_lines(done.stderr or done.stdout, 15)}")
    if verbose and done.stdout:
        print(done.stdout, end="")


def build(lab: Lab, folder: Path, seed: int, out: Path) -> Build:
    """Checks, compiles and links; everything that is made lies in `out`. Raises Refused or BuildError."""
    return build_submission(find_submission(lab, folder), seed, out)


def build_submission(submission: Submission, seed: int, out: Path) -> Build:
    lab = submission.lab
    out.mkdir(parents=True, exist_ok=True)
    refusals = [refusal for file in submission.files for refusal in checks.check_source(file, lab)]
    if refusals:
        raise Refused(refusals)
    objects, warnings = [], []
    for file in submission.files:
        compiled, said = compile_file(file, out, lab)
        objects.append(compiled)
        warnings.append(said)
        refusals += checks.check_object(file, objects[-1], lab)
    if refusals:
        raise Refused(refusals)
    elf = link([*objects, *reference_objects(except_for=lab)], pad_of(seed), out)
    return Build(lab, submission, seed, elf, KernelImage(elf), "\n".join(filter(None, warnings)))


def pad_of(seed: int) -> int:
    """How far the kernel's code is moved: addresses of one run are worth nothing in the next."""
    return random.Random(f"image_pad {seed:#x}").randrange(0, PAD_MAX + 1, PAD_STEP)


@lru_cache(maxsize=1)
def flags() -> list[str]:
    return (paths.grading_folder() / "flags.txt").read_text().split("\n")[:-1]


def compile_file(file: SourceFile, out: Path, lab: Lab) -> tuple[Path, str]:
    """Compiles one file; what is left behind carries the original's name, so that GDB and messages show it. Returns the
    object and the compiler's warnings."""
    copy, target = write_copy(file, out), out / (Path(file.name).stem + ".o")
    # Preprocessed first: macros and includes are judged by what they became, not by how they are spelt.
    text = preprocess(file, copy)
    refusals = checks.check_preprocessed(file, text, copy, lab)
    if refusals:
        raise Refused(refusals)
    done = _run_compiler(["-c", str(copy), "-o", str(target), f"-ffile-prefix-map={copy}={file.shown}"])
    if done.returncode:
        _check_disk(done.stderr, target)
        raise BuildError(_messages(done.stderr, copy, file))
    return target, _messages(done.stderr, copy, file)


def write_copy(file: SourceFile, out: Path) -> Path:
    folder = out / "source"
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / file.name
    copy.write_text(file.text, "utf-8")
    return copy


def preprocess(file: SourceFile, copy: Path) -> str:
    done = _run_compiler(["-E", str(copy)])
    if done.returncode:
        raise BuildError(_messages(done.stderr, copy, file))
    return done.stdout


def _run_compiler(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = [COMPILER, *flags(), "-fdiagnostics-color=never", *arguments]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "0"}
    try:
        return subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True, text=True, errors="replace", timeout=60)
    except subprocess.TimeoutExpired:
        raise BuildError("the compiler did not finish within 60 seconds: a template or constexpr loop without an end?") from None
    except FileNotFoundError:
        raise EmulatorTrouble(f"{COMPILER} is not installed; `grader/faultline doctor` says how to get it") from None


def _check_disk(messages: str, target: Path) -> None:
    """A full disk is no mistake of the submission."""
    if os.strerror(errno.ENOSPC) in messages:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target.parent))


def _messages(text: str, copy: Path, file: SourceFile) -> str:
    """The compiler's messages with the submission's own path."""
    return _last_lines(text.replace(str(copy), file.shown), 60, first=True)


def _last_lines(text: str, count: int, first: bool = False) -> str:
    lines = text.strip().splitlines()
    if len(lines) <= count:
        return "\n".join(lines)
    return "\n".join([*lines[:count], f"... and {len(lines) - count} more lines"] if first else lines[-count:])


def reference_objects(except_for: Lab) -> list[Path]:
    """The reference's pieces of all other labs. Of a file that two labs write (01 and 03 write frame_allocator.cpp) one is
    taken: the judged lab's own, or else the later lab's."""
    labs = {name: lab for lab in all_labs() for name in lab.files}
    return [_reference_object(lab, name) for name, lab in labs.items() if name not in except_for.files]


def _reference_object(lab: Lab, name: str) -> Path:
    places = [paths.grading_folder() / "reference" / lab.name, paths.PREBUILT / lab.name]
    if not (paths.SOLUTIONS / lab.name).is_dir():
        places.reverse()
    candidates = [place / f"{Path(name).stem}.o" for place in places]
    usable = next((path for path in candidates if path.is_file()), None)
    if usable is None:
        raise EmulatorTrouble(f"the reference's {lab.name}/{name} is neither in solutions/ nor in grader/prebuilt/: the kit is incomplete")
    return usable


def link(objects: Sequence[Path], pad: int, out: Path) -> Path:
    """Links twice: the symbol table of the backtraces is made from the first link and placed by the second."""
    first, symbols, elf = out / "kernel.first.elf", out / "symbols.o", out / "kernel.elf"
    _link_once(objects, pad, first)
    _write_symbols(first, symbols)
    _link_once([*objects, symbols], pad, elf)
    first.unlink(missing_ok=True)
    return elf


def _link_once(objects: Sequence[Path], pad: int, elf: Path) -> None:
    # --defsym must stand before the script: what comes later is defined too late for it.
    command = [LINKER, "-m", "elf_i386", f"--defsym=image_pad={pad}", "-T", str(paths.LINK_SCRIPT),
               str(paths.grading_folder() / "kernel.o"), *map(str, objects), _libgcc(), "-o", str(elf)]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, errors="replace")
    if done.returncode:
        _check_disk(done.stderr, elf)
        raise BuildError("the pieces do not link:\n" + _link_messages(done.stderr))


def _link_messages(text: str) -> str:
    lines = [re.sub(r"^\S*ld: ", "", line) for line in text.splitlines()]
    return _last_lines("\n".join(lines), 20, first=True)


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


def _write_symbols(elf: Path, target: Path) -> None:
    _symbol_tool().write_symbols(elf, target)
