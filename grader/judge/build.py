"""From a submission to kernels: the pieces checked, compiled with the kit's flags, and linked with everything else (link.py).

A lab's tests may ask for kernels of several profiles (lab.toml's `profile`): the submission is then built once for each.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from judge import checks, paths
from judge.image import KernelImage
from judge.lab import PROFILES, Lab
from judge.link import COMPILER, BuildError, check_disk, last_lines, link, prepare_kernel, reference_objects
from judge.submission import Refused, SourceFile, Submission, find_submission
from judge.verdict import EmulatorTrouble

__all__ = ["COMPILER", "Build", "BuildError", "build", "build_submission", "compile_file", "flags", "prepare_kernel"]

PAD_STEP, PAD_MAX = 16, 4080


@dataclass(frozen=True)
class Build:
    """A submission of one lab, ready to boot."""

    lab: Lab
    submission: Submission
    seed: int
    elf: Path
    image: KernelImage
    warnings: str = ""  # what the compiler said of code that it did compile
    profile: str = PROFILES[0]
    variants: tuple[Build, ...] = ()  # the same submission in the other profiles that the lab's tests ask for

    def of_profile(self, profile: str) -> Build:
        """The build of this profile."""
        for build in (self, *self.variants):
            if build.profile == profile:
                return build
        raise EmulatorTrouble(f"lab {self.lab.name} was not built with profile {profile}")


def build(lab: Lab, folder: Path, seed: int, out: Path, profiles: Sequence[str] | None = None) -> Build:
    """Checks, compiles and links; everything that is made lies in `out`. Raises Refused or BuildError.

    profiles  of the lab's: those that tests will be run with, if it is known beforehand"""
    return build_submission(find_submission(lab, folder), seed, out, profiles)


def build_submission(submission: Submission, seed: int, out: Path, profiles: Sequence[str] | None = None) -> Build:
    lab = submission.lab
    profiles = lab.profiles if profiles is None else profiles
    refusals = [refusal for file in submission.files for refusal in checks.check_source(file, lab)]
    if refusals:
        raise Refused(refusals)
    with ThreadPoolExecutor(len(profiles)) as pool:  # waits for compilers and linkers, not for Python
        pending = [pool.submit(_build_profile, submission, seed, out, profile) for profile in profiles]
    first, *others = (one.result() for one in pending)
    return replace(first, variants=tuple(others))


def _build_profile(submission: Submission, seed: int, out: Path, profile: str) -> Build:
    """One profile's kernel: the first profile's lies in `out`, every other's in a folder of its own below."""
    folder = out if profile == PROFILES[0] else out / profile
    folder.mkdir(parents=True, exist_ok=True)
    try:
        objects, warnings = _compile(submission, folder, profile)
        elf = link([*objects, *reference_objects(submission.lab, profile)], pad_of(seed), folder, profile)
    except BuildError as error:
        raise BuildError(f"{error}{_profile_words(profile)}") from None
    return Build(submission.lab, submission, seed, elf, KernelImage(elf), warnings, profile)


def _profile_words(profile: str) -> str:
    """For messages that a look at the code alone does not explain: the options that it was compiled with."""
    return "" if profile == PROFILES[0] else f"\n(compiled with kernel/configs/{profile}.config, which some of the lab's tests ask for)"


def _compile(submission: Submission, out: Path, profile: str) -> tuple[list[Path], str]:
    """The objects of all files, checked, and the compiler's warnings."""
    objects, warnings, refusals = [], [], []
    for file in submission.files:
        key = (submission.lab.name, profile, file.sha256)
        target = object_of(file, out)
        if key in _references_own:
            target.write_bytes(_references_own[key])
        else:
            said = compile_file(file, out, submission.lab, profile)[1]
            warnings.append(said)
            refused = checks.check_object(file, target, submission.lab)
            refusals += refused
            if file.path.is_relative_to(paths.SOLUTIONS) and not said and not refused:
                _references_own[key] = target.read_bytes()
        objects.append(target)
    if refusals:
        raise Refused(refusals)
    return objects, "\n".join(filter(None, warnings))


# Cases of the corpus often change one of two files: the other is compiled and checked once per process.
_references_own: dict[tuple[str, str, str], bytes] = {}


def object_of(file: SourceFile, out: Path) -> Path:
    """Where the object of a file lies."""
    return out / (Path(file.name).stem + ".o")


def pad_of(seed: int) -> int:
    """How far the kernel's code is moved: addresses of one run are worth nothing in the next."""
    return random.Random(f"image_pad {seed:#x}").randrange(0, PAD_MAX + 1, PAD_STEP)


@lru_cache
def flags(profile: str = PROFILES[0]) -> list[str]:
    return (paths.profile_folder(profile) / "flags.txt").read_text().split("\n")[:-1]


def compile_file(file: SourceFile, out: Path, lab: Lab, profile: str = PROFILES[0]) -> tuple[Path, str]:
    """Compiles one file; what is left behind carries the original's name, so that GDB and messages show it. Returns the
    object and the compiler's warnings."""
    copy, target = write_copy(file, out), object_of(file, out)
    # Preprocessed first: macros and includes are judged by what they became, not by how they are spelt.
    text = preprocess(file, copy, profile)
    refusals = checks.check_preprocessed(file, text, copy, lab)
    if refusals:
        raise Refused(refusals)
    done = _run_compiler(["-c", str(copy), "-o", str(target), f"-ffile-prefix-map={copy}={file.shown}"], profile)
    if done.returncode:
        check_disk(done.stderr, target)
        raise BuildError(_messages(done.stderr, copy, file))
    return target, _messages(done.stderr, copy, file)


def write_copy(file: SourceFile, out: Path) -> Path:
    folder = out / "source"
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / file.name
    copy.write_text(file.text, "utf-8")
    return copy


def preprocess(file: SourceFile, copy: Path, profile: str = PROFILES[0]) -> str:
    done = _run_compiler(["-E", str(copy)], profile)
    if done.returncode:
        raise BuildError(_messages(done.stderr, copy, file))
    return done.stdout


def _run_compiler(arguments: Sequence[str], profile: str) -> subprocess.CompletedProcess[str]:
    command = [COMPILER, *flags(profile), "-fdiagnostics-color=never", *arguments]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "0"}
    try:
        return subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True, text=True, errors="replace", timeout=60)
    except subprocess.TimeoutExpired:
        raise BuildError("the compiler did not finish within 60 seconds: a template or constexpr loop without an end?") from None
    except FileNotFoundError:
        raise EmulatorTrouble(f"{COMPILER} is not installed; `grader/faultline doctor` says how to get it") from None


def _messages(text: str, copy: Path, file: SourceFile) -> str:
    """The compiler's messages with the submission's own path."""
    return last_lines(text.replace(str(copy), file.shown), 60, first=True)
