"""A table of figures that a test attaches to its record: what the points of a measured test come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Cell = str | int | float


@dataclass(frozen=True)
class Table:
    """Rows of texts and numbers below the names of their columns. Strict: a wrong type or length is a ValueError."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for text in (self.title, *self.columns):
            if not isinstance(text, str) or not text or not text.isprintable():
                raise ValueError(f"{text!r} is no title of a table or column")
        if not self.columns:
            raise ValueError(f"table {self.title!r} has no columns")
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.title!r} has {len(self.columns)} columns, and a row of {len(row)} cells: {row!r}")
            for cell in row:
                if not _is_cell(cell):
                    raise ValueError(f"table {self.title!r}: {cell!r} is neither a line of text nor a number")

    @staticmethod
    def of(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
        """A table from any sequences."""
        return Table(title, tuple(columns), tuple(tuple(row) for row in rows))

    @staticmethod
    def from_json(data: Any) -> Table:
        if not isinstance(data, dict) or set(data) != {"title", "columns", "rows"}:
            raise ValueError("not a table: it has title, columns and rows")
        if not isinstance(data["columns"], list) or not isinstance(data["rows"], list) or not all(isinstance(row, list) for row in data["rows"]):
            raise ValueError("columns and rows of a table are lists")
        return Table.of(data["title"], data["columns"], data["rows"])

    def is_number(self, column: int) -> bool:
        """Whether a column holds numbers only, and is aligned at its right end."""
        return all(not isinstance(row[column], str) for row in self.rows)

    @property
    def cells(self) -> list[list[str]]:
        """The rows as people read them: 12,345 and 0.25."""
        return [[cell if isinstance(cell, str) else f"{cell:,}" if isinstance(cell, int) else f"{cell:,.2f}" for cell in row]
                for row in self.rows]

    @property
    def lines(self) -> list[str]:
        """The table in plain text, its title first."""
        rows = [list(self.columns), *self.cells]
        widths = [max(len(row[column]) for row in rows) for column in range(len(self.columns))]
        lines = [self.title]
        for row in rows:
            aligned = [cell.rjust(width) if self.is_number(column) else cell.ljust(width)
                       for column, (cell, width) in enumerate(zip(row, widths))]
            lines.append("  ".join(["", *aligned]).rstrip())
        return lines


def _is_cell(value: Any) -> bool:
    if isinstance(value, str):
        return value.isprintable()
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
