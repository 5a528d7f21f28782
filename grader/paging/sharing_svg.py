"""The picture of shared frames as SVG: a row of cells for each address space, coloured by frame. Colours are CSS classes (`STYLE`)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from paging.sharing import COLOURS, Cell, FrameNames, Sharing, Stretch
from paging.svg import HATCH, svg_element, text_element

_LABEL, _WIDTH, _HEIGHT, _GAP, _HEAD, _APART = 96, 46, 24, 3, 16, 14
_COLUMNS = 17  # cells side by side
_PALETTE = ("#f28b82", "#81c995", "#fdd663", "#8ab4f8", "#d7aefb", "#78d9ec", "#fcad70", "#c5e27a", "#ff9ecb", "#b0a4f7", "#d9bf99", "#6fd3b4")
assert len(_PALETTE) == len(COLOURS)

STYLE = """
svg.mm .alone { fill: var(--track); } svg.mm .zeros { fill: url(#hatch); stroke: var(--label); stroke-width: 1; }
svg.mm .split { fill: var(--hole); stroke: var(--label); stroke-width: 1; }
svg.mm .absent-page { fill: none; stroke: var(--line); stroke-width: 1; stroke-dasharray: 2 3; }
svg.mm text.on { fill: #14181f; } svg.mm text.name { font-weight: 700; font-size: 11px; } svg.mm text.small { font-size: 9px; }
svg.mm .in-a-slot { fill: var(--swapped); stroke: var(--label); stroke-width: 1; stroke-dasharray: 4 2; }
svg.mm .may-write { fill: none; stroke: var(--ink); stroke-width: 2; }
""" + "".join(f"svg.mm .share-{number} {{ fill: {colour}; }}\n" for number, colour in enumerate(_PALETTE))


def draw_sharing(sharing: Sharing, names: FrameNames) -> str:
    """All stretches: side by side where there is room, then one below the other."""
    label = max(_LABEL, 10 + 7 * max(map(len, sharing.spaces)))
    body, y, widest = [], 0.0, 0.0
    for line in _lines(sharing.stretches):
        for row, name in enumerate(sharing.spaces):
            body.append(text_element(label - 8, y + _HEAD + row * (_HEIGHT + _GAP) + 16, name, "end", "ink"))
        x = float(label)
        for stretch in line:
            body += _stretch(x, y, stretch, sharing, names)
            x += _columns(stretch) * (_WIDTH + _GAP) + _APART
        widest = max(widest, x)
        y += _HEAD + len(sharing.spaces) * (_HEIGHT + _GAP) + 7
    return svg_element(max(widest, label + 40), max(y, 8), "pages of each address space, coloured by frame", body, HATCH)


def _columns(stretch: Stretch) -> int:
    """Cells that fit beside its address."""
    return max(2, stretch.count)


def _lines(stretches: Sequence[Stretch]) -> list[list[Stretch]]:
    """Stretches that fit side by side."""
    lines: list[list[Stretch]] = []
    room = 0
    for stretch in stretches:
        if not lines or _columns(stretch) > room:
            lines.append([])
            room = _COLUMNS
        lines[-1].append(stretch)
        room -= _columns(stretch) + 1
    return lines


def _stretch(x: float, y: float, stretch: Stretch, sharing: Sharing, names: FrameNames) -> list[str]:
    body = [text_element(x, y + 11, f"{stretch.begin:08x}")]
    if stretch.count > 2:
        body.append(text_element(x + stretch.count * (_WIDTH + _GAP) - _GAP, y + 11, f"{stretch.begin + stretch.count * stretch.step - 1:08x}", "end"))
    for number, row in enumerate(stretch.rows):
        top = y + _HEAD + number * (_HEIGHT + _GAP)
        body += [_cell(x + column * (_WIDTH + _GAP), top, cell, sharing, names) for column, cell in enumerate(row)]
    return body


def _cell(x: float, y: float, cell: Cell | None, sharing: Sharing, names: FrameNames) -> str:
    if cell is None:
        return _box(x + .5, y + .5, _WIDTH - 1, _HEIGHT - 1, "absent-page")
    if cell.frame is None:
        words = f"s{cell.place.number}"
        body = [_box(x + .5, y + .5, _WIDTH - 1, _HEIGHT - 1, "in-a-slot"),
                text_element(x + 5, y + 16, words, "start", "on name" if len(words) < 6 else "on small")]
        if cell.changed:
            body.append(_box(x - 1, y - 1, _WIDTH + 2, _HEIGHT + 2, "changed"))
        return f"<g><title>{escape(_title(cell, sharing, names))}</title>{''.join(body)}</g>"
    is_zero = cell.frame == sharing.zero_frame
    kind = "zeros" if is_zero else f"share-{names.number(cell.frame) % len(_PALETTE)}" if cell.shared else "split" if cell.split else "alone"
    on = "on" if cell.shared and not is_zero else "ink"
    parts = [_box(x, y, _WIDTH, _HEIGHT, kind), text_element(x + 5, y + 16, names.name(cell.frame, sharing.zero_frame), "start", f"{on} name")]
    parts.append(text_element(x + _WIDTH - 5, y + 10, "w" if cell.writable else "r", "end", f"{on} small"))
    if cell.references is not None:
        parts.append(text_element(x + _WIDTH - 5, y + 20, str(cell.references), "end", f"{on} small"))
    if cell.writable:
        parts.append(_box(x + 1, y + 1, _WIDTH - 2, _HEIGHT - 2, "may-write"))
    if cell.changed:
        parts.append(_box(x - 1, y - 1, _WIDTH + 2, _HEIGHT + 2, "changed"))
    return f"<g><title>{escape(_title(cell, sharing, names))}</title>{''.join(parts)}</g>"


def _title(cell: Cell, sharing: Sharing, names: FrameNames) -> str:
    if cell.frame is None:
        lines = [f"{cell.address:#010x}: swapped, slot {cell.place.number}"]
    else:
        lines = [f"{cell.address:#010x}: frame {cell.frame:#x}" + (", the frame of zeros" if cell.frame == sharing.zero_frame else f" ({names.name(cell.frame)})"),
                 "writable" if cell.writable else "read-only"]
    if cell.references is not None:
        lines.append(f"{cell.references} references")
    shown = sharing.shown_by[cell.place]
    lines.append(("named by " if cell.swapped else "shown by ") + ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else ""))
    if cell.changed:
        lines.append("changed since the checkpoint before")
    return "\n".join(lines)


def _box(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3"/>'


def legend() -> list[tuple[str, str]]:
    """(small drawing, words) for the page."""
    def mark(*parts: str) -> str:
        return svg_element(18, 13, "", parts, HATCH)

    return [(mark(_box(0, 0, 8, 13, "share-0"), _box(10, 0, 8, 13, "share-0")), "the same frame: same colour, same letter"),
            (mark(_box(.5, .5, 17, 12, "split")), "split: another frame than at the same address elsewhere"),
            (mark(_box(0, 0, 18, 13, "alone")), "nobody else's frame"),
            (mark(_box(1, 1, 16, 11, "may-write")), "w: may be written; r: read-only"),
            (mark(_box(.5, .5, 17, 12, "zeros")), "0: the frame of zeros"),
            (mark(_box(.5, .5, 17, 12, "in-a-slot")), "s12: swapped, in slot 12"),
            (mark(_box(.5, .5, 17, 12, "absent-page")), "not present"),
            (mark(_box(1, 1, 16, 11, "changed")), "changed since the checkpoint before"),
            (mark(text_element(9, 11, "2", "middle", "ink name")), "at the lower right: references that the kernel counts")]
