"""`faultline view`: page tables and frame maps of a test's checkpoints, in the terminal and as one HTML page.

The page is a single file: inline SVG and CSS, no script, nothing fetched. All text that came from the machine is escaped.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import jinja2
from rich.console import Console
from rich.text import Text

from judge.plot import Plot
from judge.table import Table as Figures
from paging import sharing_svg, svg
from paging.draw import Line, changed_slots, changes, draw_text, findings_of, own_pages, plain, range_rows, register_words, same, view_title
from paging.sharing import FrameNames, sharing_of, sharing_text
from paging.snapshot import Snapshot, View
from paging.tables import USER, TableSet
from report import plot

TEMPLATES = Path(__file__).resolve().parent
MAX_TABLES = 6  # page tables drawn entry by entry for one checkpoint


@dataclass(frozen=True)
class TestView:
    """What the pictures of one test need beside its snapshots."""

    test: str
    title: str
    status: str
    snapshots: tuple[Snapshot, ...]
    expected: str = ""  # of a failure
    seen: str = ""
    figures: tuple[Figures, ...] = ()  # the tables of its record
    plots: tuple[Plot, ...] = ()

    __test__ = False  # not a test of pytest's


def views_of(records: Iterable[Any], snapshots: Path) -> list[TestView]:
    """The tests of a run: their records (judge.record.Record) with the snapshots in `snapshots`/TEST/NN.json."""
    return [TestView(record.id, record.title, record.status, load_snapshots(snapshots / record.id), record.expected, record.seen, tuple(record.tables),
                     tuple(record.plots))
            for record in records]


def load_snapshots(folder: Path) -> tuple[Snapshot, ...]:
    """All snapshots of one test, in order. Raises ValueError, with the file's name, for a file that holds none."""
    snapshots = []
    for file in sorted(folder.glob("*.json")):
        try:
            snapshots.append(Snapshot.from_json(json.loads(file.read_text("ascii"))))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
    return tuple(snapshots)


def view(heading: str, tests: Sequence[TestView], *, details: Sequence[tuple[str, str]] = (), html: Path | None = None,
         stream: TextIO | None = None) -> None:
    """Prints every checkpoint to `stream` (standard output), and writes the page to `html`.

    `heading` names lab and submission; `details` are (name, value) pairs such as the seed.
    """
    console = Console(file=stream or sys.stdout, highlight=False, soft_wrap=True)
    for test in tests:
        _print_test(console, test)
    if html is not None:
        write_page(html, heading, tests, details)
        console.print(f"pictures: {html}", markup=False)


def _print_test(console: Console, test: TestView) -> None:
    console.print(Text(f"{test.test}  {test.title}  [{test.status}]", style="bold"))
    before, names = None, FrameNames()
    for number, snapshot in enumerate(test.snapshots, 1):
        console.print(Text(f"\n-- checkpoint {number} of {len(test.snapshots)}: {snapshot.name} (tick {snapshot.ticks}) --", style="bold cyan"))
        sharing = sharing_of(snapshot, before)
        if sharing is not None:
            _print_lines(console, [*sharing_text(sharing, names), []])
        _print_lines(console, draw_text(snapshot, before))
        before = snapshot
    if not test.snapshots:
        console.print(Text("no checkpoint was reached"))
    for figures in test.figures:
        console.print(Text("\n" + "\n".join(figures.lines)))
    console.print()


def _print_lines(console: Console, lines: Sequence[Line]) -> None:
    if not console.is_terminal:
        console.print(plain(lines), markup=False)
        return
    for line in lines:
        console.print(Text.assemble(*line))


# -- the page ----------------------------------------------------------------------------------------------------------


def write_page(path: Path, heading: str, tests: Sequence[TestView], details: Sequence[tuple[str, str]] = ()) -> None:
    """Writes the page whole or not at all."""
    temporary = path.with_name(path.name + ".partial")
    temporary.write_text(render_page(heading, tests, details), "utf-8")
    os.replace(temporary, path)


def render_page(heading: str, tests: Sequence[TestView], details: Sequence[tuple[str, str]] = ()) -> str:
    """The page as text."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    return environment.get_template("view.html.j2").render(
        heading=heading, details=details, style=svg.STYLE + sharing_svg.STYLE + plot.STYLE, page_legend=svg.legend(svg.PAGE_LEGEND), sharing_legend=sharing_svg.legend(),
        tests=[_test(number, test) for number, test in enumerate(tests, 1)])


def _test(number: int, test: TestView) -> dict[str, Any]:
    anchor = f"t{number}-" + re.sub(r"[^a-z0-9]+", "-", test.test.lower())
    pairs, names = zip((None, *test.snapshots), test.snapshots), FrameNames()
    return {"anchor": anchor, "id": test.test, "title": test.title, "status": test.status, "expected": test.expected,
            "seen": test.seen, "figures": [_figures(table) for table in test.figures], "plots": [plot.draw(lines) for lines in test.plots],
            "checkpoints": [_checkpoint(f"{anchor}-{place}", before, snapshot, names) for place, (before, snapshot) in enumerate(pairs, 1)]}


def _figures(table: Figures) -> dict[str, Any]:
    kinds = ["number" if table.is_number(column) else "" for column in range(len(table.columns))]
    return {"title": table.title, "heads": list(zip(table.columns, kinds)), "rows": [list(zip(row, kinds)) for row in table.cells]}


def _checkpoint(anchor: str, before: Snapshot | None, snapshot: Snapshot, names: FrameNames) -> dict[str, Any]:
    sharing = sharing_of(snapshot, before)
    kinds = {run.kind for run in snapshot.frame_map}
    same_frames = bool(before and snapshot.uses and before.frame_map == snapshot.frame_map)
    return {
        "anchor": anchor, "name": snapshot.name, "ticks": snapshot.ticks, "before": before and before.name,
        "registers": register_words(snapshot.registers),
        "sharing": sharing and sharing_svg.draw_sharing(sharing, names), "sharing_summary": sharing.summary if sharing else "",
        "directories": [_directory(view, before.view(view.name) if before else None, snapshot) for view in snapshot.views],
        "frames": svg.draw_frames(snapshot, before) if snapshot.uses and not same_frames else "", "same_frames": same_frames,
        "frame_legend": svg.legend(kind for kind in svg.FRAME_LEGEND if kind in kinds),
        "zones": snapshot.zone_counts(), "zone_kinds": [kind for kind in svg.FRAME_LEGEND if kind in kinds],
        "kind_words": svg.KIND_WORDS,
        "changes": changes(before, snapshot, 20), "findings": [text for view in snapshot.views for text in findings_of(view)],
    }


def _directory(view: View, before: View | None, snapshot: Snapshot) -> dict[str, Any]:
    tables = view.tables
    if same(before, view):
        return {"title": view_title(view), "same": True}
    changed = changed_slots(before and before.tables, tables)
    runs = own_pages(view, snapshot.views[0])
    rows, rest = range_rows(runs, 60)
    shown = _tables_to_show(tables, changed)
    return {
        "title": view_title(view), "same": False, "only_user": not view.active and runs != tables.contents(),
        "drawing": svg.draw_directory(tables, changed), "rows": rows, "rest": rest,
        "tables": [_table(tables, before and before.tables, index) for index in shown[:MAX_TABLES]],
        "tables_left_out": len(shown) - len(shown[:MAX_TABLES]),
        "table_count": len(tables.table_slots), "large_count": sum(tables.is_large(pde) for pde in tables.directory),
    }


def _tables_to_show(tables: TableSet, changed: set[int]) -> list[int]:
    """The tables worth a drawing of their own: changed ones first, then those of user addresses, empty ones last."""
    worth = [index for index in tables.tables if index in changed or tables.directory[index] & USER]
    return sorted(worth, key=lambda index: (index not in changed, not any(tables.tables[index]), index))


def _table(tables: TableSet, before: TableSet | None, index: int) -> dict[str, Any]:
    old = before.tables.get(index) if before else None
    return {"index": index, "begin": index << 22, "frame": tables.table_slots[index], "drawing": svg.draw_table(tables, index, old),
            "new": before is not None and old is None}
