"""Plots of records (judge.plot) as SVG: lines with markers, two axes, a grid, a legend.

Colours come from CSS classes (`STYLE`), so one drawing serves light and dark pages; each line has a marker of its own shape as well, for who
cannot tell the colours apart. Every marker says its numbers in a tooltip.
"""

from __future__ import annotations

import math
from html import escape

from judge.plot import Plot

COLOURS = (("#b3402e", "#ef7d68"), ("#a06a00", "#e0a93b"), ("#2c7a4b", "#5cc48a"), ("#1f6fb2", "#6cb2f0"), ("#7450b0", "#b397ee"), ("#c21f63", "#ff6ea8"),
           ("#39424e", "#d5dde8"), ("#0c7c86", "#4fc6d2"))  # on light and on dark pages
STYLE = (":root { " + " ".join(f"--line-{i}: {light};" for i, (light, _) in enumerate(COLOURS)) + " }\n"
         + "@media (prefers-color-scheme: dark) { :root { " + " ".join(f"--line-{i}: {dark};" for i, (_, dark) in enumerate(COLOURS)) + " } }\n"
         + "svg.plot { display: block; max-width: 100%; height: auto; font: 11px system-ui, \"DejaVu Sans\", sans-serif; }\n"
         + "svg.plot text { fill: var(--label); } svg.plot .title { fill: var(--ink); font-size: 13px; font-weight: 600; }\n"
         + "svg.plot .name { fill: var(--ink); } svg.plot .axis { stroke: var(--label); } svg.plot .grid { stroke: var(--line); stroke-width: .6; }\n"
         + "svg.plot .curve { fill: none; stroke-width: 1.6; stroke-linejoin: round; } svg.plot .last { stroke-dasharray: 5 3; }\n"
         + "".join(f"svg.plot .c{i} {{ stroke: var(--line-{i}); }} svg.plot .m{i} {{ fill: var(--line-{i}); }}\n" for i in range(len(COLOURS))))

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 62, 130, 34, 46  # around the drawing; the legend stands at the right
MARKERS = ("M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0Z", "M-3.2-3.2H3.2V3.2H-3.2Z", "M0-4.2L4 3.2H-4Z", "M0-4.6L4.6 0L0 4.6L-4.6 0Z", "M0 4.2L4-3.2H-4Z",
           "M-1.4-4.4H1.4V-1.4H4.4V1.4H1.4V4.4H-1.4V1.4H-4.4V-1.4H-1.4Z", "M-4-1.3H4V1.3H-4Z", "M-1.3-4H1.3V4H-1.3Z")


def draw(plot: Plot) -> str:
    """The SVG element. The last line, which is what the others are measured by, is dashed."""
    across, up = _Axis([x for line in plot.series for x, _ in line.points], LEFT, WIDTH - RIGHT), _Axis(
        [0, *(y for line in plot.series for _, y in line.points)], HEIGHT - BOTTOM, TOP)
    parts = [f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(plot.title)}">',
             f'<text class="title" x="{LEFT}" y="18">{escape(plot.title)}</text>']
    for value in up.marks:
        parts.append(f'<path class="grid" d="M{LEFT} {up.at(value):.1f}H{WIDTH - RIGHT}"/>'
                     f'<text x="{LEFT - 7}" y="{up.at(value) + 4:.1f}" text-anchor="end">{_words(value)}</text>')
    for value in across.marks:
        parts.append(f'<path class="axis" d="M{across.at(value):.1f} {HEIGHT - BOTTOM}v5"/>'
                     f'<text x="{across.at(value):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{_words(value)}</text>')
    parts.append(f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(plot.x)}</text>'
                 f'<text x="16" y="{middle:.0f}" text-anchor="middle" transform="rotate(-90 16 {middle:.0f})">{escape(plot.y)}</text>')
    for number, line in enumerate(plot.series):
        colour, marker = number % len(COLOURS), MARKERS[number % len(MARKERS)]
        last = " last" if number == len(plot.series) - 1 and number > 0 else ""
        places = [(across.at(x), up.at(y)) for x, y in line.points]
        parts.append(f'<path class="curve c{colour}{last}" d="M' + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) + '"/>')
        parts += [f'<path class="m{colour}" transform="translate({left:.1f} {top:.1f})" d="{marker}"><title>{escape(line.name)}: {_words(y)} {escape(plot.y)} '
                  f'with {_words(x)} {escape(plot.x)}</title></path>' for (left, top), (x, y) in zip(places, line.points)]
        row = TOP + 10 + 20 * number
        parts.append(f'<path class="curve c{colour}{last}" d="M{WIDTH - RIGHT + 16} {row}h24"/><path class="m{colour}" transform="translate({WIDTH - RIGHT + 28} {row})" d="{marker}"/>'
                     f'<text class="name" x="{WIDTH - RIGHT + 47}" y="{row + 4}">{escape(line.name)}</text>')
    return "".join([*parts, "</svg>"])


class _Axis:
    """From numbers to places: round numbers are marked."""

    def __init__(self, values: list[float], begin: float, end: float) -> None:
        low, high = min(values), max(values)
        step = _round_step((high - low) / 6 if high > low else 1)
        self._low, self._high = math.floor(low / step) * step, math.ceil(high / step) * step
        if self._low == self._high:
            self._high += step
        self._begin, self._end = begin, end
        self.marks = [self._low + step * number for number in range(round((self._high - self._low) / step) + 1)]

    def at(self, value: float) -> float:
        return self._begin + (value - self._low) / (self._high - self._low) * (self._end - self._begin)


def _round_step(least: float) -> float:
    """1, 2 or 5 times a power of ten, not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999)


def _words(value: float) -> str:
    return f"{value:,.10g}" if value < 1e9 else f"{value:.3g}"
