"""The command line of grader/faultline."""

from __future__ import annotations

import argparse
import inspect
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from judge import paths
from judge.lab import Lab, LabError, Test, all_labs, find_lab

DESCRIPTION = "Boots what you wrote and looks at the machine from outside."
EXAMPLES = """\
examples:
  grader/faultline grade 01-frames                        your files in labs/01-frames
  grader/faultline grade all --submission solutions       the reference, in both labs
  grader/faultline grade paging -k map --seed 0x1f2e      some tests, the numbers of an earlier run
  grader/faultline explain frames.double_free             what a test checks, and hints
  grader/faultline debug 02-paging paging.map             GDB, stopped where the test fails
  grader/faultline view 02-paging --html tables.html      page tables and frame map as pictures

exit status: 0 all points, 1 some lost, 2 refused or not built, 3 wrong usage, 4 the grader failed, 5 sandbox refused,
130 interrupted
"""


class _Parser(argparse.ArgumentParser):
    """argparse, with our exit status for wrong usage."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(3)


def parser() -> argparse.ArgumentParser:
    top = _Parser(prog="faultline", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    grade = commands.add_parser("grade", help="build, boot and judge a submission", description="Builds, boots and judges a submission.")
    grade.add_argument("lab", metavar="LAB", help="01-frames, or 01, or frames; `all` for every lab")
    _submission(grade)
    grade.add_argument("--json", metavar="FILE", type=Path, help="write the results as JSON (grader/report/schema.md)")
    grade.add_argument("--junit", metavar="FILE", type=Path, help="write the results as JUnit XML")
    grade.add_argument("--jobs", metavar="N", type=_jobs, default=0, help="tests at a time (the number of CPUs)")
    grade.add_argument("-k", dest="expression", metavar="EXPR", default="", help="only tests whose name matches, as in pytest: 'map and not large'")
    grade.add_argument("--verbose", "-v", action="store_true", help="show every failure in full")

    explain = commands.add_parser("explain", help="what a test checks", description="What a test checks, the sentence that it rests on, and hints.")
    explain.add_argument("test", metavar="TEST", help="a test's id, such as frames.unique; or a lab, to list its tests")

    debug = commands.add_parser("debug", help="GDB, stopped where a test fails", description="Boots a test's machine and hands it to GDB, stopped at the "
                                "operation that fails; without TEST, at kernel_main. GDBFLAGS in the environment are passed on to GDB.")
    debug.add_argument("lab", metavar="LAB")
    debug.add_argument("test", metavar="TEST", nargs="?", help="a test's id, such as paging.map, or just map")
    _submission(debug)

    view = commands.add_parser("view", help="page tables and frame map as pictures",
                               description="Runs a lab's tests and draws page tables and frame map at each of their checkpoints.")
    view.add_argument("lab", metavar="LAB")
    view.add_argument("test", metavar="TEST", nargs="?", help="only this test")
    _submission(view)
    view.add_argument("--html", metavar="FILE", type=Path, help="write one self-contained page there (default: into the run's folder)")

    commands.add_parser("doctor", help="what is missing on this machine, and how to get it",
                        description="Looks at the programs, their versions and a trial boot, and says what is missing and how to get it.")
    return top


def _submission(command: argparse.ArgumentParser) -> None:
    command.add_argument("--submission", metavar="DIR", type=Path, default=None,
                         help="a student's tree, or a folder that holds NN-name/ folders (default: labs/)")
    command.add_argument("--seed", metavar="N", type=_seed, default=None, help="decides sizes, order and patterns; repeats an earlier run (default: drawn anew)")


def _seed(text: str) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number such as 7974 or 0x1f2e") from None
    if not 0 <= value < 1 << 32:
        raise argparse.ArgumentTypeError("a seed lies between 0 and 0xffffffff")
    return value


def _jobs(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 256")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    action = {"grade": _grade, "explain": _explain, "debug": _debug, "view": _view, "doctor": _doctor}[options.command]
    try:
        return action(options)
    except LabError as error:
        print(f"faultline: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\nfaultline: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 4
    except ModuleNotFoundError as error:
        print(f"faultline: Python package {error.name} is missing; `grader/faultline doctor` says how to get it", file=sys.stderr)
        return 4
    except OSError as error:
        print(f"faultline: {_disk_words(error)}", file=sys.stderr)
        return 4


def _disk_words(error: OSError) -> str:
    """A full disk or a tree that cannot be written is not the submission's fault: say where, and what to do."""
    import errno

    place = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (f"{place}no space left on the disk; free some, or name another folder: FAULTLINE_BUILD=/path grader/faultline ...\n"
                f"Results that had been written are kept in {paths.runs_folder()}")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{place}{error.strerror}; name a folder that can be written: FAULTLINE_BUILD=/path grader/faultline ..."
    return f"{place}{error.strerror or error}"


def _labs(name: str) -> list[Lab]:
    return all_labs() if name == "all" else [find_lab(name)]


def _folder(options: argparse.Namespace) -> Path:
    return options.submission.absolute() if options.submission is not None else paths.LABS


def _chosen_seed(options: argparse.Namespace) -> int:
    return options.seed if options.seed is not None else random.SystemRandom().randrange(1, 1 << 32)


# -- grade -------------------------------------------------------------------------------------------------------------------


def _grade(options: argparse.Namespace) -> int:
    from judge.grade import UsageError, default_jobs, grade
    from report.terminal import LiveProgress, make_console, print_result

    labs = _labs(options.lab)
    _check_writable([options.json, options.junit])
    console = make_console()
    try:
        with LiveProgress(console) as progress:
            result = grade(labs, _folder(options), _chosen_seed(options), jobs=options.jobs or default_jobs(),
                           expression=options.expression, verbose=options.verbose, progress=progress)
    except UsageError as error:
        print(f"faultline: {error}", file=sys.stderr)
        return 3
    print_result(console, result, options.verbose)
    _write_files(options, result)
    return result.exit_status


def _check_writable(files: Sequence[Path | None]) -> None:
    """A result that cannot be written is better known before the run than after it."""
    for file in files:
        if file is not None and not file.absolute().parent.is_dir():
            raise LabError(f"cannot write {file}: the folder {file.absolute().parent} does not exist")


def _write_files(options: argparse.Namespace, result: object) -> None:
    from report.data import write_junit, write_result

    if options.json is not None:
        write_result(options.json, result)  # type: ignore[arg-type]
    if options.junit is not None:
        write_junit(options.junit, result)  # type: ignore[arg-type]


# -- explain -----------------------------------------------------------------------------------------------------------------


def find_test(name: str) -> tuple[Lab, Test]:
    """A test of any lab, by its id."""
    labs = all_labs()
    for lab in labs:
        for test in lab.tests:
            if test.id == name:
                return lab, test
    from judge.lab import nearest

    raise LabError(f"there is no test {name!r}{nearest(name, [lab.fixture for lab in labs] + [test.id for lab in labs for test in lab.tests])}")


def _explain(options: argparse.Namespace) -> int:
    try:
        lab = find_lab(options.test)
    except LabError:
        lab = None
    if lab is not None:
        print(f"{lab.name}  {lab.title}: {len(lab.tests)} tests, {lab.max_points:g} points")
        for test in lab.tests:
            print(f"  {test.id:32} {test.points:4g}  {test.title}")
        return 0
    lab, test = find_test(options.test)
    _print_explanation(lab, test)
    return 0


def _print_explanation(lab: Lab, test: Test) -> None:
    from judge.labcode import test_function

    width = max(60, min(100, shutil.get_terminal_size((100, 24)).columns))

    def paragraph(name: str, text: str) -> None:
        import textwrap

        print(textwrap.fill(f"{name:9} {' '.join(text.split())}", width, subsequent_indent=" " * 10))

    print(f"{test.id}: {test.title} ({test.points:g} points)\n")
    paragraph("checks", inspect.getdoc(test_function(lab, test)) or test.title)
    paragraph("rests on", f"\"{test.rests_on}\"")
    paragraph("handout", f"{paths.shown(lab.handout)}{test.handout}")
    if test.needs:
        paragraph("needs", ", ".join(test.needs))
    for number, hint in enumerate(test.hints, 1):
        paragraph(f"hint {number}", hint)
    paragraph("debug", f"grader/faultline debug {lab.name} {test.id}")


# -- debug, view, doctor -----------------------------------------------------------------------------------------------------


def _debug(options: argparse.Namespace) -> int:
    from judge.build import BuildError, build, prepare_kernel
    from judge.debug import debug
    from judge.grade import check_tools
    from judge.submission import Refused
    from judge.verdict import EmulatorTrouble

    lab = find_lab(options.lab)
    test = lab.test(options.test) if options.test else None
    seed = _chosen_seed(options)
    try:
        check_tools()
        prepare_kernel(lab.profiles)
        with tempfile.TemporaryDirectory(prefix="faultline-") as scratch:
            made = build(lab, _folder(options), seed, Path(scratch))
            return 0 if debug(made, test) == 0 else 4
    except (Refused, BuildError) as error:
        print(error, file=sys.stderr)
        return 2
    except EmulatorTrouble as trouble:
        print(f"faultline: {trouble}", file=sys.stderr)
        return 4


def _view(options: argparse.Namespace) -> int:
    from judge.grade import default_jobs, grade
    from report.terminal import make_console, print_result
    from report.view import view, views_of

    lab = find_lab(options.lab)
    test = lab.test(options.test) if options.test else None
    _check_writable([options.html])
    result = grade([lab], _folder(options), _chosen_seed(options), jobs=1 if test else default_jobs(), only=test, snapshots=True)
    [judged] = result.labs
    if result.run is None or not judged.records:
        print_result(make_console(), result)
        return result.exit_status
    shown = [record for record in judged.records if record.status != "skipped"]
    html = options.html or result.run.path / f"{lab.name}.html"
    view(f"{lab.name}, submission {paths.shown(_folder(options))}", views_of(shown, result.run.lab(lab.name) / "snapshots"),
         details=[("seed", f"{result.seed:#x}"), ("points", f"{judged.points:g} of {judged.max_points:g}")], html=html)
    return 0 if not result.trouble else 4


def _doctor(options: argparse.Namespace) -> int:
    from doctor import doctor

    return 0 if doctor() == 0 else 4
