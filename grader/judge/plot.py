"""Lines over an axis that a test attaches to its record, beside its tables. The reports draw them (report/plot.py)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Series:
    """One line: its name, and its points from left to right."""

    name: str
    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        _check_text(self.name)
        if not self.points:
            raise ValueError(f"line {self.name!r} has no points")
        for point in self.points:
            if len(point) != 2 or not all(isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) for value in point):
                raise ValueError(f"line {self.name!r}: {point!r} is no point")
        if any(left[0] >= right[0] for left, right in zip(self.points, self.points[1:])):
            raise ValueError(f"the points of line {self.name!r} do not go from left to right")


@dataclass(frozen=True)
class Plot:
    """Strict: a wrong type is a ValueError."""

    title: str
    x: str
    y: str
    series: tuple[Series, ...]

    def __post_init__(self) -> None:
        for text in (self.title, self.x, self.y):
            _check_text(text)
        if not self.series:
            raise ValueError(f"plot {self.title!r} has no lines")

    @staticmethod
    def of(title: str, x: str, y: str, series: Sequence[Series]) -> Plot:
        return Plot(title, x, y, tuple(series))

    @staticmethod
    def from_json(data: Any) -> Plot:
        if not isinstance(data, dict) or set(data) != {"title", "x", "y", "series"} or not isinstance(data["series"], list):
            raise ValueError("not a plot: it has title, x, y and series")
        lines = []
        for line in data["series"]:
            if not isinstance(line, dict) or set(line) != {"name", "points"} or not isinstance(line["points"], list):
                raise ValueError("a line of a plot has name and points")
            if not all(isinstance(point, list) for point in line["points"]):
                raise ValueError("a point is a list of two numbers")
            lines.append(Series(line["name"], tuple(tuple(point) for point in line["points"])))
        return Plot.of(data["title"], data["x"], data["y"], lines)


def _check_text(text: Any) -> None:
    if not isinstance(text, str) or not text or not text.isprintable():
        raise ValueError(f"{text!r} is no title or name in a plot")
