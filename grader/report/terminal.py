"""The report in the terminal: progress while it runs, a line per test, the first cause of failure in full, the rest folded.

Without a terminal it is plain text; NO_COLOR is respected (rich does both).
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from judge import paths
from judge.grade import LabResult, Result
from judge.record import Record
from report.data import number

PLAIN_WIDTH = 120
WARNING_LINES = 8
_STYLES = {"pass": "green", "partial": "yellow", "fail": "bold red", "blocked": "magenta", "error": "bold yellow", "skipped": "dim"}


def make_console(stream: TextIO | None = None) -> Console:
    console = Console(file=stream or sys.stdout, highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(file=stream or sys.stdout, highlight=False, width=PLAIN_WIDTH, no_color=True, force_terminal=False)
    return console


class LiveProgress:
    """A bar on the terminal while tests run; silent elsewhere."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), console=console, transient=True,
                             disable=not console.is_terminal)
        self._task = self._bar.add_task("building", total=None)

    def __enter__(self) -> LiveProgress:
        if not self._bar.disable:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._bar.disable:
            self._bar.stop()

    def __call__(self, done: int, count: int, record: Record | None) -> None:
        text = f"{record.status:8} {record.id}" if record else None
        self._bar.update(self._task, completed=done, total=count, **({"description": text} if text else {}))


def print_result(console: Console, result: Result, verbose: bool = False) -> None:
    """Everything, once the run has ended."""
    first_shown = False
    for lab in result.labs:
        if result.trouble and not lab.records and not lab.refused:
            continue
        _heading(console, lab)
        if lab.refused:
            _refused(console, lab)
            continue
        if lab.warnings:
            console.print(Text("The compiler warns (this costs nothing, but is worth a look):", style="yellow"))
            _indented(console, "\n".join(lab.warnings.splitlines()[: None if verbose else WARNING_LINES]))
        if lab.records:
            _table(console, lab)
            _figures(console, lab.records)
            first_shown = _failures(console, lab.records, verbose, first_shown) or first_shown
            _total(console, lab)
    if result.trouble:
        console.print(Text("The grader failed, not the submission:", style="bold yellow"))
        _indented(console, result.trouble)
    if result.interrupted:
        console.print(Text("Interrupted: what had finished is shown and kept.", style="bold yellow"))
    _footer(console, result)


def _heading(console: Console, lab: LabResult) -> None:
    console.print()
    console.print(Text.assemble((f"{lab.lab.name}  {lab.lab.title}", "bold"), f"   submission {paths.shown(lab.submission)}, seed {lab.seed:#x}"))


def _refused(console: Console, lab: LabResult) -> None:
    console.print(Text("Not graded: the submission was refused or does not build.", style="bold red"))
    _indented(console, lab.refused)
    console.print(Text(f"{lab.lab.name}: 0 of {number(lab.max_points)} points", style="bold"))


def _indented(console: Console, text: str) -> None:
    """A program's own lines, as they are."""
    for line in text.splitlines():
        console.print(Text("  " + line), soft_wrap=True)


def _table(console: Console, lab: LabResult) -> None:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for justify in ("left", "left", "right", "left"):
        table.add_column(justify=justify, no_wrap=justify == "right")  # type: ignore[arg-type]
    for record in lab.records:
        if record.status == "skipped":
            continue
        note = f"  (builds on {record.blocked_by})" if record.blocked_by else ""
        table.add_row(Text("  " + record.status, style=_STYLES[record.status]), Text(record.id),
                      Text(f"{number(record.points)}/{number(record.max_points)}"), Text(record.title + note))
    _print_table(console, table)


def _figures(console: Console, records: Sequence[Record]) -> None:
    """What tests have measured."""
    for figures in [table for record in records for table in record.tables]:
        console.print()
        console.print(Text(figures.title, style="bold"))
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("")
        for index, name in enumerate(figures.columns):
            table.add_column(Text(name), justify="right" if figures.is_number(index) else "left")
        for row in figures.cells:
            table.add_row("", *map(Text, row))
        _print_table(console, table)


def _print_table(console: Console, table: Table) -> None:
    """Without the blanks with which rich fills the lines."""
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        console.print(Text.from_ansi(line.rstrip()), soft_wrap=True)


def _failures(console: Console, records: Sequence[Record], verbose: bool, first_shown: bool) -> bool:
    """The first cause in full, the others in a line each. Returns whether one was shown in full."""
    failed = [record for record in records if record.status in ("fail", "partial", "error")]
    if not failed:
        return False
    full = failed if verbose else failed[:1]
    for record in full:
        _in_full(console, record)
    folded = [record for record in failed if record not in full]
    if folded:
        console.print()
        console.print(Text(f"{len(folded)} more (--verbose shows them in full):", style="bold"))
        _folded(console, folded)
    return True


def _folded(console: Console, records: Sequence[Record]) -> None:
    """A line per test; tests that failed for the very same reason share it."""
    width = max(console.width - 1, 60)
    by_cause: dict[str, list[str]] = {}
    for record in records:
        by_cause.setdefault(record.seen, []).append(record.id)
    for cause, ids in by_cause.items():
        if len(ids) == 1:
            console.print(Text(_shortened(f"  {ids[0]}: {cause}", width)), soft_wrap=True)
            continue
        console.print(Text(_shortened(f"  {len(ids)} tests: {cause}", width)), soft_wrap=True)
        for line in textwrap.wrap(", ".join(ids), width, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False):
            console.print(Text(line), soft_wrap=True)


def _shortened(text: str, width: int) -> str:
    line = " ".join(text.splitlines())
    return line if len(line) <= width else line[: width - 3] + "..."


def _in_full(console: Console, record: Record) -> None:
    console.print()
    console.print(Text.assemble((f"{record.status}: ", _STYLES[record.status]), (f"{record.id}, {record.title}", "bold")))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, text in _lines(record):
        table.add_row(f"  {name}", Text(text))
    _print_table(console, table)
    if record.repeat:  # in one piece, to be copied
        console.print(Text.assemble(("  repeat   ", "bold"), record.repeat), soft_wrap=True)


def _lines(record: Record) -> list[tuple[str, str]]:
    """What a reader can act on, in the order of reading."""
    lines = [("expected", record.expected), ("seen", record.seen)]
    if record.why or record.handout:
        lines.append(("why", f"{record.why} ({record.handout})" if record.why else record.handout))
    lines.append(("hint", record.hint))
    lines += [("called" if index else "at", line) for index, line in enumerate(record.backtrace[:8])]
    if not record.backtrace and record.where:
        lines.append(("at", record.where))
    return [(name, text) for name, text in lines if text]


def _total(console: Console, lab: LabResult) -> None:
    skipped = sum(record.max_points for record in lab.skipped)
    text = f"{lab.lab.name}: {number(lab.points)} of {number(lab.max_points - skipped)} points"
    if lab.not_judged:
        text += f" ({number(lab.not_judged)} not judged, as the grader failed)"
    if lab.skipped:
        text += f" ({_tests(len(lab.skipped))} for {number(skipped)} more did not run)"
    console.print()
    console.print(Text(text, style="bold green" if lab.points == lab.max_points - skipped else "bold"))


def _tests(count: int) -> str:
    return f"{count} test{'' if count == 1 else 's'}"


def _footer(console: Console, result: Result) -> None:
    if len(result.labs) > 1 and any(lab.records or lab.refused for lab in result.labs):
        points = sum(lab.points for lab in result.labs)
        most = sum(lab.max_points - sum(record.max_points for record in lab.skipped) for lab in result.labs)
        console.print(Text(f"all labs: {number(points)} of {number(most)} points", style="bold"))
    ran = sum(record.status != "skipped" for lab in result.labs for record in lab.records)
    if ran:
        console.print(Text(f"{_tests(ran)} in {result.seconds:.1f} s; --seed {result.seed:#x} repeats this run", style="dim"))
