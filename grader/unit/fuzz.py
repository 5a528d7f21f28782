#!/usr/bin/python3
"""Fuzzing: libFuzzer makes up calls of a piece, follows which of its code they reach, and stops at the first that breaks the contract.

    make fuzz [LAB=03-buddy] [SUBMISSION=folder] [SECONDS=20]

Each lab takes SECONDS. What broke the piece is kept in build/fuzz/, with the command that repeats it. Exit status as `make unit`.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from judge import paths  # noqa: E402
from judge.lab import Lab, LabError, find_lab  # noqa: E402
from judge.submission import Refused, find_submission  # noqa: E402
from unit.build import BuildFailed, SetupTrouble, Variant, build, prepare, tested_labs  # noqa: E402
from unit.results import explain_output, missing_functions  # noqa: E402
from unit.unit import FAILED, PASSED, REFUSED, TROUBLE, USAGE, Parser  # noqa: E402

VARIANT = Variant("clang++", "grading", fuzz=True)
HANG_SECONDS = 20  # for one input, which takes milliseconds
LONGEST_INPUT = 4096  # bytes, some four hundred calls
SEED_INPUTS, SEED_BYTES = 24, 1500
GRACE_SECONDS = 60  # for a fuzzer that does not keep to its time


def main(arguments: Sequence[str]) -> int:
    parser = Parser(prog="fuzz.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labs", nargs="*", default=["all"], metavar="LAB", help='such as 03-buddy, or "all"')
    parser.add_argument("--submission", type=Path, default=paths.ROOT, help="where NN-name/ or labs/NN-name/ lies; labs/ if not given")
    parser.add_argument("--seconds", type=int, default=20, help="for each lab")
    parser.add_argument("--seed", type=int, default=1, help="of the fuzzer's random numbers")
    options = parser.parse_args(arguments)
    try:
        labs = [find_lab(name) for given in options.labs for name in (tested_labs() if given == "all" else [given])]
        prepare([VARIANT], [lab.name for lab in labs])
    except LabError as error:
        print(f"make fuzz: {error}", file=sys.stderr)
        return USAGE
    except SetupTrouble as trouble:
        print(f"make fuzz: {trouble}", file=sys.stderr)
        return TROUBLE
    return max([fuzz_lab(lab, options.submission, options.seconds, options.seed) for lab in labs])


def fuzz_lab(lab: Lab, folder: Path, seconds: int, seed: int) -> int:
    """Builds one lab's target, runs it for `seconds`, and tells what it found."""
    try:
        submission = find_submission(lab, folder)
        missing = missing_functions([file.text for file in submission.files])
        if missing:
            print(f"{lab.name}: still to be written: {', '.join(f'{name}()' for name in missing)}")
            return FAILED
        program = build(submission, VARIANT)
    except Refused as refused:
        print(f"{lab.name}: {refused}")
        return REFUSED
    except BuildFailed as failed:
        print(f"{lab.name}: the piece does not compile for this computer ({VARIANT.compiler}).\n\n{failed}\n")
        return REFUSED
    kept = paths.build_folder() / "fuzz"
    kept.mkdir(parents=True, exist_ok=True)
    command = [str(program), str(write_seeds(program.parent / "seeds", seed)), f"-seed={seed}", f"-max_total_time={seconds}", f"-timeout={HANG_SECONDS}", f"-max_len={LONGEST_INPUT}",
               "-len_control=0", "-print_final_stats=1", f"-artifact_prefix={kept}/{lab.name}-"]
    print(f"{lab.name}: fuzzing for {seconds} s", flush=True)
    try:
        done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, stdin=subprocess.DEVNULL, timeout=seconds + GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"{lab.name}: the fuzzer did not end by itself")
        return FAILED
    said = done.stderr.decode("utf-8", "replace")
    inputs = re.search(r"stat::number_of_executed_units: (\d+)", said)
    if done.returncode == 0 and inputs:
        print(f"{lab.name}: nothing found in {inputs[1]} inputs")
        return PASSED
    print(f"\n  FOUND after {inputs[1] if inputs else 'a few'} inputs")
    for line in explain_output(said):
        print(f"        {line}")
    artifact = re.search(r"Test unit written to (\S+)", said)
    if artifact:
        print(f"\n  again:  {paths.shown(program)} {paths.shown(Path(artifact[1]))}\n")
    return FAILED


def write_seeds(folder: Path, seed: int) -> Path:
    """Some long inputs to begin with: without them the fuzzer takes its time to come to more than a few calls."""
    shutil.rmtree(folder, ignore_errors=True)  # also what the fuzzer added the last time: each run is the same
    folder.mkdir(parents=True)
    numbers = random.Random(seed)
    for i in range(SEED_INPUTS):
        (folder / f"{i}").write_bytes(numbers.randbytes(SEED_BYTES))
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
