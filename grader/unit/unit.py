#!/usr/bin/python3
"""Host tests: a lab's pieces compiled for this computer, with sanitizers, and tried in a second or two, before any boot.

    make unit [LAB=03-buddy] [SUBMISSION=folder] [COMPILER=clang++] [ARGS="--only double"]

They run with the kernel's memory debugging on and off. Exit status: 0 all tests passed, 1 some did not, 2 the piece is missing or
does not compile, 3 wrong usage, 4 the host tests themselves cannot be built.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from judge import paths  # noqa: E402
from judge.lab import Lab, LabError, find_lab  # noqa: E402
from judge.submission import Refused, find_submission  # noqa: E402
from unit.build import COMPILERS, PROFILES, BuildFailed, SetupTrouble, Variant, build, prepare, tested_labs  # noqa: E402
from unit.results import Result, explain, missing_functions, parse, same_trouble  # noqa: E402

PASSED, FAILED, REFUSED, USAGE, TROUBLE = range(5)
WORDS = {"fail": "FAIL", "hang": "HANG", "crash": "CRASH"}
SHOWN_CAUSES = 6
PATIENCE_SECONDS = 180  # for a test program, whose own limits are far below


class Parser(argparse.ArgumentParser):
    """argparse, with our exit status for wrong usage."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(USAGE, f"{self.prog}: {message}\n")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(prog="unit.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labs", nargs="*", default=["all"], metavar="LAB", help='such as 03-buddy, or "all"')
    parser.add_argument("--submission", type=Path, default=paths.ROOT, help="where NN-name/ or labs/NN-name/ lies; labs/ if not given")
    parser.add_argument("--compiler", choices=COMPILERS, default="g++")
    parser.add_argument("--profile", choices=(*PROFILES, "both"), default="both", help="memory debugging on, off, or both")
    parser.add_argument("--only", default="", metavar="TEXT", help="the tests with this in their name")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    options = parse_arguments(arguments)
    variants = [Variant(options.compiler, profile) for profile in (PROFILES if options.profile == "both" else [options.profile])]
    try:
        labs = [find_lab(name) for given in options.labs for name in (tested_labs() if given == "all" else [given])]
        for lab in labs:
            if lab.name not in tested_labs():
                raise LabError(f"lab {lab.name} has no host tests; there are some for {', '.join(tested_labs())}")
        prepare(variants, [lab.name for lab in labs])
    except LabError as error:
        print(f"make unit: {error}", file=sys.stderr)
        return USAGE
    except SetupTrouble as trouble:
        print(f"make unit: {trouble}", file=sys.stderr)
        return TROUBLE
    return max([test_lab(lab, options.submission, variants, options.only) for lab in labs])


def test_lab(lab: Lab, folder: Path, variants: Sequence[Variant], only: str) -> int:
    """Builds and runs one lab's tests, and prints how they went."""
    start = time.monotonic()
    try:
        submission = find_submission(lab, folder)
        missing = missing_functions([file.text for file in submission.files])
        if missing:
            print(f"{lab.name}: still to be written: {', '.join(f'{name}()' for name in missing)}")
        with ThreadPoolExecutor() as threads:
            programs = list(threads.map(lambda variant: build(submission, variant), variants))
    except Refused as refused:
        print(f"{lab.name}: {refused}")
        return REFUSED
    except BuildFailed as failed:
        print(f"{lab.name}: the piece does not compile for this computer ({variants[0].compiler}).\n\n{failed}\n")
        return REFUSED
    status = PASSED
    for variant, program in zip(variants, programs, strict=True):
        results = run(program, only)
        if not results:
            print(f"{lab.name}: no test has {only!r} in its name")
            return USAGE
        if not show(lab, program, variant, results, time.monotonic() - start):
            status = FAILED
            break  # the other variant would say the same again
    return status


def names(results: Sequence[Result]) -> str:
    """The first three."""
    return ", ".join(result.name for result in results[:3]) + (", ..." if len(results) > 3 else "")


def run(program: Path, only: str) -> list[Result]:
    """All tests of one program."""
    command = [str(program), f"--only={only}"]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_SECONDS)
    return parse(done.stdout)


def show(lab: Lab, program: Path, variant: Variant, results: Sequence[Result], seconds: float) -> bool:
    """Prints the tests that did not pass, and a line for all. True when there were none."""
    failed = [result for result in results if result.outcome != "pass"]
    unwritten = [result for result in failed if result.missing]
    causes: dict[tuple[str, ...], list[Result]] = {}
    for result in failed:
        if result not in unwritten:
            causes.setdefault(same_trouble(result), []).append(result)
    for first, *others in list(causes.values())[:SHOWN_CAUSES]:
        print(f"\n  {WORDS[first.outcome]:5} {first.name}")
        for line in explain(first):
            print(f"        {line}")
        if others:
            print(f"        the same in {len(others)} more: {names(others)}")
    hidden = [result for results_of_cause in list(causes.values())[SHOWN_CAUSES:] for result in results_of_cause]
    if hidden:
        print(f"\n  ...   and {len(hidden)} more failed: {names(hidden)}")
    for sentence in dict.fromkeys(result.missing for result in unwritten):
        waiting = [result for result in unwritten if result.missing == sentence]
        print(f"\n  TODO  {sentence}: {len(waiting)} {'test' if len(waiting) == 1 else 'tests'} ({names(waiting)})")
    passed = len(results) - len(failed)
    print(f"{'' if not failed else chr(10)}{lab.name}: {passed} of {len(results)} host tests passed ({variant}; {seconds:.1f} s)")
    if failed and len(failed) > len(unwritten):
        name = next(result.name for result in failed if result not in unwritten)
        print(f"  one again:  make unit LAB={lab.name} ARGS=\"--only {name}\"")
        print(f"  in a debugger:  gdb --args {paths.shown(program)} --here --gtest_filter={name}")
    return not failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
