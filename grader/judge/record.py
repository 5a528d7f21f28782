"""The record of one test: what all reports are drawn from. One JSON file each, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from judge.lab import Lab
from judge.plot import Plot
from judge.table import Table

STATUSES = ("pass", "partial", "fail", "blocked", "error", "skipped")


@dataclass
class Record:
    """How one test went. The fields are the JSON fields of report/schema.md."""

    id: str
    title: str
    status: str
    points: float
    max_points: float
    ticks: int = 0  # of all boots of the test together
    expected: str = ""
    seen: str = ""
    hint: str = ""
    handout: str = ""
    why: str = ""  # the sentence that the test rests on
    kind: str = ""  # sort of failure: "check", "panic", "hang", ...
    operation: int | None = None  # the script's line that failed, or was running
    where: str = ""  # function, file and line where the machine was
    backtrace: list[str] = field(default_factory=list)
    blocked_by: str = ""
    repeat: str = ""  # the command that shows the failure under GDB
    boots: int = 0
    lab: str = ""
    seed: str = ""
    notes: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)  # figures that the test has measured
    plots: list[Plot] = field(default_factory=list)  # and lines

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Any) -> Record:
        """Strict: an unknown field, a missing one or a wrong status is an error (ValueError). `tables` and `plots` may be missing: records
        had none at first."""
        names = {field.name for field in fields(Record)}
        if not isinstance(data, dict) or set(data) | {"tables", "plots"} != names:
            raise ValueError("not a test's record")
        if data["status"] not in STATUSES:
            raise ValueError(f"unknown status {data['status']!r}")
        tables, plots = data.get("tables", []), data.get("plots", [])
        if not isinstance(tables, list) or not isinstance(plots, list):
            raise ValueError("a record's tables and plots are lists")
        return Record(**data | {"tables": [Table.from_json(table) for table in tables], "plots": [Plot.from_json(plot) for plot in plots]})

    def file_name(self) -> str:
        return f"{self.id}.json"


def write_json(file: Path, data: Any) -> None:
    """Writes to a temporary file in the same folder, then renames: a reader never sees half a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="ascii") as out:
            json.dump(data, out, indent=1, ensure_ascii=True)
            out.write("\n")
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def write_record(folder: Path, record: Record) -> None:
    write_json(folder / record.file_name(), record.to_json())


def read_records(folder: Path, lab: Lab, skip: set[Path] | None = None) -> list[Record]:
    """The finished records of a run, in the order of lab.toml; those in `skip` are left out, and the others added to it."""
    records = []
    for test in lab.tests:
        file = folder / f"{test.id}.json"
        if file.exists() and (skip is None or file not in skip):
            if skip is not None:
                skip.add(file)
            records.append(Record.from_json(json.loads(file.read_text("ascii"))))
    return records


def mark_blocked(lab: Lab, records: Iterable[Record]) -> list[Record]:
    """A failed test that builds on another failed one becomes `blocked`: there the work begins. One whose function is
    not implemented stays as it is, as that says all."""
    result = list(records)
    by_id = {record.id: record for record in result}
    for test in lab.tests:
        record = by_id.get(test.id)
        if record is None or record.status != "fail" or record.kind == "not implemented":
            continue
        for need in test.needs:
            if need in by_id and by_id[need].status in ("fail", "blocked"):
                record.status = "blocked"
                record.blocked_by = by_id[need].blocked_by or need
                break
    return result


def total(records: Sequence[Record]) -> float:
    return sum(record.points for record in records)
