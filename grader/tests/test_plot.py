"""Plots in records: strict data, and an SVG that says what they say."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict
from typing import Any

import pytest

from judge.plot import Plot, Series
from report import plot as drawing

SVG = "{http://www.w3.org/2000/svg}"


def example(lines: int = 2) -> Plot:
    return Plot.of("Faults & frames", "frames", "page <faults>", [Series(f"line {i}", ((4, 100 + 10 * i), (8, 50), (16, 20.5))) for i in range(lines)])


def places(svg: str, path_class: str) -> list[tuple[float, float]]:
    path = re.search(rf'class="curve {path_class}" d="M([^"]+)"', svg)
    assert path is not None
    return [tuple(map(float, point.split())) for point in path[1].split("L")]  # type: ignore[misc]


def test_a_plot_survives_json() -> None:
    assert Plot.from_json(json.loads(json.dumps(asdict(example())))) == example()


@pytest.mark.parametrize("change", [
    {"title": ""}, {"x": "two\nlines"}, {"series": []}, {"series": "no"}, {"more": 1}, {"series": [{"name": "a", "points": []}]},
    {"series": [{"name": "a", "points": [[1, 2], [1, 3]]}]}, {"series": [{"name": "a", "points": [[1, "2"]]}]}, {"series": [{"name": "a", "points": [[1, True]]}]},
    {"series": [{"name": "a", "points": [[1, float("nan")]]}]}, {"series": [{"name": "a"}]}, {"series": [{"name": "", "points": [[1, 2]]}]}])
def test_what_is_no_plot_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Plot.from_json({"title": "t", "x": "x", "y": "y", "series": [{"name": "a", "points": [[1, 2]]}]} | change)


def test_the_drawing_is_well_formed_and_says_everything() -> None:
    svg = drawing.draw(example(3))
    root = ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"Faults & frames", "frames", "page <faults>", "line 0", "line 1", "line 2"} <= set(texts)
    tooltips = [element.text for element in root.iter(f"{SVG}title")]
    assert len(tooltips) == 9 and "line 1: 110 page <faults> with 4 frames" in tooltips and "line 0: 20.5 page <faults> with 16 frames" in tooltips


def test_points_lie_where_their_numbers_are() -> None:
    (left, high), (middle, half), (right, low) = places(drawing.draw(example(1)), "c0")
    assert (middle - left) * 2 == pytest.approx(right - middle, abs=0.3)
    assert (low - half) / (half - high) == pytest.approx(29.5 / 50, abs=0.01)
    assert drawing.LEFT <= left < right <= drawing.WIDTH - drawing.RIGHT and drawing.TOP <= high < low <= drawing.HEIGHT - drawing.BOTTOM


def test_the_last_line_is_dashed_and_every_line_has_a_colour_for_light_and_dark_pages() -> None:
    svg = drawing.draw(example(7))
    assert "c6 last" in svg and "c5 last" not in svg
    for i in range(7):
        assert drawing.STYLE.count(f"--line-{i}:") == 2 and f'"m{i}"' in svg


def test_a_single_point_and_equal_values_can_be_drawn() -> None:
    for points in (((3, 0),), ((3, 7), (4, 7)), ((0, 1e-3), (1, 5e6))):
        assert "nan" not in drawing.draw(Plot.of("t", "x", "y", [Series("a", points)]))
