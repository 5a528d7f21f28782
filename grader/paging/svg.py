"""Page tables and physical memory as SVG: the page directory and single page tables as grids of 32 x 32, frames as strips.

Colours come from CSS classes (`STYLE`), so one drawing serves light and dark pages. Every cell says in its tooltip what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

from paging.draw import CELL_KINDS, FRAME_KINDS, KIND_WORDS, Cell, directory_cells, frame_strip, kind_of, size_words
from paging.snapshot import FrameRun, Snapshot, ZONES
from paging.tables import ACCESSED, DIRTY, GLOBAL, PAGE, PRESENT, SLOT_SHIFT, TableSet, USER, WRITABLE, describe_entry, describe_pte

STYLE = """
:root { --kernel-ro: #8fb8e8; --kernel-rw: #2f6fb7; --user-ro: #f3c88b; --user-rw: #d9822b; --mixed: #9a6fb0; --swapped: #3aa6b9;
  --recursive: #3f9b74; --table: #3f9b74; --directory: #1e6e4c; --track: #eceff3; --line: #c9d0d9; --changed: #d6246e;
  --free: #dfe5ec; --reserved: #9aa4b1; --kernel: #2f6fb7; --module: #43a5b5; --allocated: #d9822b; --pageable: #ecc35a; --cached: #c5cfb0; --conflict: #e02b2b;
  --hole: #ffffff; --label: #66717f; --ink: #1d2430; }
@media (prefers-color-scheme: dark) { :root { --kernel-ro: #6d94c4; --kernel-rw: #3d85d6; --user-ro: #cda468; --user-rw: #e08e3a;
  --mixed: #a67fc0; --swapped: #4fbccf; --recursive: #4cb089; --table: #4cb089; --directory: #7fe0b8; --track: #232b36; --line: #3a4553;
  --changed: #ff5c9d; --free: #2b3542; --reserved: #6b7684; --kernel: #3d85d6; --module: #4bb3c4; --allocated: #e08e3a; --pageable: #b99334;
  --cached: #4a5a3c; --conflict: #ff4d4d; --hole: #12171e; --label: #94a1b2; --ink: #e5eaf1; } }
svg.mm { display: block; max-width: 100%; height: auto; font: 10px ui-monospace, "DejaVu Sans Mono", monospace; }
svg.mm text { fill: var(--label); } svg.mm .ink { fill: var(--ink); }
svg.mm .track { fill: var(--track); } svg.mm .frame { fill: none; stroke: var(--line); stroke-width: 1; }
svg.mm .large { fill: none; stroke: #fff; stroke-opacity: .75; stroke-width: 1.2; }
svg.mm .global { fill: #fff; } svg.mm .changed { fill: none; stroke: var(--changed); stroke-width: 2; }
svg.mm .no-pages { fill: none; stroke: var(--label); stroke-width: 1; stroke-dasharray: 2 2; }
svg.mm .slots { fill: url(#slots); }
svg.mm .hole { fill: url(#hatch); stroke: none; } svg.mm .zone { stroke: var(--label); stroke-width: 1; }
""" + "".join(f"svg.mm .{kind} {{ fill: var(--{kind}); }}\n" for kind in
              ("kernel-ro", "kernel-rw", "user-ro", "user-rw", "swapped", "mixed", "recursive", "table", "directory", "free", "reserved",
               "kernel", "module", "allocated", "pageable", "cached", "conflict"))

HATCH = ('<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
          '<rect width="5" height="5" fill="var(--hole)"/><path d="M0 0V5" stroke="var(--line)" stroke-width="1.4"/></pattern></defs>')

_SLOTS = ('<defs><pattern id="slots" x="66" y="18" width="14" height="14" patternUnits="userSpaceOnUse">'
          '<rect class="track" width="12" height="12" rx="2"/></pattern></defs>')

_LABEL = 66   # pixels for addresses at the left
_CELL = 14    # a PDE, gap included
_BINS = 12    # in how many parts a PDE's 4 MiB are drawn
_ENTRY = 10   # a PTE, gap included


def svg_element(width: float, height: float, label: str, body: Iterable[str], extra: str = "") -> str:
    """A drawing with a label for those who do not see it; `extra` are its definitions."""
    return (f'<svg class="mm" xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">{extra}{"".join(body)}</svg>')


def _rect(x: float, y: float, width: float, height: float, kind: str, title: str = "", radius: float = 0) -> str:
    rounded = f' rx="{radius:g}"' if radius else ""
    rect = f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"{rounded}'
    return f"{rect}><title>{escape(title)}</title></rect>" if title else f"{rect}/>"


def text_element(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    """Text, escaped."""
    name = f' class="{kind}"' if kind else ""
    return f'<text{name} x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


# -- page directory ----------------------------------------------------------------------------------------------------


def draw_directory(tables: TableSet, changed: set[int] = frozenset()) -> str:
    """The page directory: 32 PDEs a row. Where in its 4 MiB pages are present is drawn inside each cell."""
    body = []
    for row in range(32):
        if row % 2 == 0:
            body.append(text_element(_LABEL - 8, 18 + row * _CELL + 10, f"{row << 27:08x}", "end"))
    for column in range(0, 32, 4):
        body.append(text_element(_LABEL + column * _CELL, 10, f"+{column * 4}M"))
    body.append(_rect(_LABEL, 18, 32 * _CELL, 32 * _CELL, "slots"))
    for cell in directory_cells(tables):
        if cell.kind != "empty" or cell.index in changed:
            body.append(_cell(tables, cell, cell.index in changed))
    return svg_element(_LABEL + 32 * _CELL + 4, 18 + 32 * _CELL + 2, "page directory, 1024 entries of 4 MiB", body, _SLOTS)


def _cell(tables: TableSet, cell: Cell, changed: bool) -> str:
    x, y, size = _LABEL + cell.index % 32 * _CELL, 18 + cell.index // 32 * _CELL, _CELL - 2
    parts = [_rect(x, y, size, size, "track", radius=2)]
    if cell.kind == "recursive":
        parts.append(_rect(x, y, size, size, "recursive", radius=2))
    elif cell.kind == "no-pages":
        parts.append(_rect(x + 1.5, y + 1.5, size - 3, size - 3, "no-pages", radius=2))
    parts += [_rect(x + min(first, size - 3), y, max(last - first, 3), size, kind) for first, last, kind in _bars(cell)]
    if cell.large:
        parts.append(_rect(x + 2, y + 2, size - 4, size - 4, "large", radius=1))
    if cell.global_:
        parts.append(f'<circle class="global" cx="{x + size / 2:g}" cy="{y + size / 2:g}" r="1.5"/>')
    if changed:
        parts.append(_rect(x - .5, y - .5, size + 1, size + 1, "changed", radius=2))
    return f"<g><title>{escape(_cell_title(tables, cell))}</title>{''.join(parts)}</g>"


def _bars(cell: Cell) -> list[tuple[int, int, str]]:
    """Which parts of the cell hold pages, and of which kind: (first bin, last bin + 1, kind), joined."""
    bins: list[str] = [""] * _BINS
    base = cell.index << 22
    for run in cell.runs:
        for position in range((run.virtual - base) * _BINS >> 22, ((run.end - 1 - base) * _BINS >> 22) + 1):
            bins[position] = bins[position] or kind_of(run)
    bars: list[tuple[int, int, str]] = []
    for position, kind in enumerate(bins):
        if kind and bars and bars[-1][1:] == (position, kind):
            bars[-1] = (bars[-1][0], position + 1, kind)
        elif kind:
            bars.append((position, position + 1, kind))
    return bars


def _cell_title(tables: TableSet, cell: Cell) -> str:
    pde = tables.directory[cell.index]
    lines = [f"PDE {cell.index}: {cell.index << 22:#010x} to {(cell.index + 1 << 22) - 1:#010x}",
             describe_entry(pde, large=cell.large)]
    if cell.kind == "recursive":
        lines.append("points back at the page directory")
    elif tables.is_table(pde):
        kinds = sorted({KIND_WORDS[kind_of(run)] for run in cell.runs if not run.swapped})
        lines.append(f"{cell.pages} pages: {', '.join(kinds) or 'none'}" + (f"; {cell.swapped} swapped" if cell.swapped else ""))
    return "\n".join(lines)


# -- one page table ----------------------------------------------------------------------------------------------------


def draw_table(tables: TableSet, index: int, before: Sequence[int] | None = None) -> str:
    """The page table of one PDE, 32 PTEs a row; pages whose frames lie in a row are joined. Changed PTEs are outlined."""
    words, pde = tables.tables[index], tables.directory[index]
    body = [_rect(_LABEL, 4, 32 * _ENTRY - 1, 32 * _ENTRY - 1, "track", radius=2)]
    for row in range(0, 32, 4):
        body.append(text_element(_LABEL - 8, 4 + row * _ENTRY + 9, f"{(index << 22) + (row << 17):08x}", "end"))
    for first, last in _joined(words):
        x, y = _LABEL + first % 32 * _ENTRY, 4 + first // 32 * _ENTRY
        title = f"{(index << 22) + first * PAGE:#010x}\n{describe_pte(words[first])}"
        if last > first + 1:
            title += f"\nand {last - first - 1} more pages with the {'frames' if words[first] & PRESENT else 'slots'} behind it"
        kind = _entry_kind(words[first] & (pde | ~(WRITABLE | USER))) if words[first] & PRESENT else "swapped"
        body.append(_rect(x, y, (last - first) * _ENTRY - 1, _ENTRY - 1, kind, title, 1))
        if words[first] & PRESENT and words[first] & GLOBAL:
            body.append(f'<circle class="global" cx="{x + 4.5:g}" cy="{y + 4.5:g}" r="1.3"/>')
    for number, word in enumerate(words if before is not None else ()):
        if (before[number] ^ word) & ~(ACCESSED | DIRTY):
            body.append(_rect(_LABEL + number % 32 * _ENTRY, 4 + number // 32 * _ENTRY, _ENTRY - 1, _ENTRY - 1, "changed"))
    return svg_element(_LABEL + 32 * _ENTRY + 2, 32 * _ENTRY + 8, f"page table of PDE {index}", body)


def _joined(words: Sequence[int]) -> list[tuple[int, int]]:
    """Entries [first, last) of one row that continue each other: same rights and next frame, or swap entries with the next slot."""
    ignore = ~(ACCESSED | DIRTY)

    def follows(word: int) -> int:
        return (word & ignore) + PAGE if word & PRESENT else word + (1 << SLOT_SHIFT)

    runs: list[tuple[int, int]] = []
    for number, word in enumerate(words):
        if word:
            if runs and runs[-1][1] == number and number % 32 and follows(words[number - 1]) == (word & ignore if word & PRESENT else word):
                runs[-1] = (runs[-1][0], number + 1)
            else:
                runs.append((number, number + 1))
    return runs


def _entry_kind(word: int) -> str:
    return f"{'user' if word & USER else 'kernel'}-{'rw' if word & WRITABLE else 'ro'}"


# -- frames ------------------------------------------------------------------------------------------------------------

_STRIP = 640  # pixels for one row of frames
_ROW = 15


def draw_frames(snapshot: Snapshot, before: Snapshot | None = None) -> str:
    """Physical memory as strips, low addresses first, zones marked at the left; what changed use is outlined below its strip."""
    frames = snapshot.frame_count
    per_row = 256
    while frames / per_row > 32:
        per_row *= 2
    rows = (frames + per_row - 1) // per_row
    scale = _STRIP / per_row
    body = [text_element(_LABEL + 56, 10, f"a row is {size_words(per_row * PAGE)}")]
    for row in range(rows):
        y = 16 + row * _ROW
        body.append(text_element(_LABEL + 46, y + 9, f"{row * per_row * PAGE:08x}", "end"))
        body.append(_rect(_LABEL + 56, y, _STRIP, _ROW - 4, "hole"))
    body += [rect for run in _drawable(snapshot, max(1, per_row // _STRIP)) for rect in _strips(run, per_row, scale)]
    body += [rect for run in _changed_frames(before, snapshot) for rect in _strips(run, per_row, scale, under=True)]
    for name, begin, end in ZONES:
        if begin < frames:
            top, bottom = 16 + begin / per_row * _ROW, 16 + min(end, frames) / per_row * _ROW - 4
            body.append(f'<path class="zone" d="M{_LABEL - 20} {top:g}V{max(bottom, top + 8):g}"/>')
            body.append(text_element(_LABEL - 26, max((top + bottom) / 2 + 3, top + 9), name, "end", "ink"))
    return svg_element(_LABEL + 60 + _STRIP, 16 + rows * _ROW + 2, "frames of physical memory by use", body, HATCH)


def _drawable(snapshot: Snapshot, step: int) -> list[FrameRun]:
    """The frame map, rounded to `step` frames if it is too fragmented to draw run by run."""
    if len(snapshot.frame_map) <= 3000 or step == 1:
        return snapshot.frame_map
    runs, begin = [], 0
    for kind, group in groupby(frame_strip(snapshot, step)):
        end = begin + step * sum(1 for _ in group)
        runs.append(FrameRun(begin, min(end, snapshot.frame_count), kind))
        begin = end
    return runs


def _strips(run: FrameRun, per_row: int, scale: float, under: bool = False) -> list[str]:
    """The rectangles of one run, one for each row that it reaches; at least a hair wide."""
    result = []
    for row in range(run.begin // per_row, (run.end - 1) // per_row + 1):
        begin, end = max(run.begin, row * per_row), min(run.end, (row + 1) * per_row)
        x, width = _LABEL + 56 + (begin - row * per_row) * scale, max((end - begin) * scale, 0.7)
        y = 16 + row * _ROW
        title = f"frames {run.begin:#x} to {run.end - 1:#x} ({run.count}): {KIND_WORDS.get(run.kind, run.kind)}"
        if under:
            result.append(f'<rect x="{x:g}" y="{y + _ROW - 4:g}" width="{max(width, 1.5):g}" height="2.5" '
                          f'fill="var(--changed)"><title>{escape(title)}</title></rect>')
        elif run.kind != "hole":
            result.append(_rect(x, y, width, _ROW - 4, run.kind, title))
    return result


def _changed_frames(before: Snapshot | None, after: Snapshot) -> list[FrameRun]:
    """Runs of frames whose kind differs between two snapshots of one machine."""
    if before is None or before.frame_count != after.frame_count:
        return []
    result: list[FrameRun] = []
    old, new = iter(before.frame_map), iter(after.frame_map)
    a, b = next(old, None), next(new, None)
    position = 0
    while a and b:
        end = min(a.end, b.end)
        if a.kind != b.kind:
            words = f"was {KIND_WORDS[a.kind]}, now {KIND_WORDS[b.kind]}"
            if result and result[-1].end == position and result[-1].kind == words:
                result[-1] = FrameRun(result[-1].begin, end, words)
            else:
                result.append(FrameRun(position, end, words))
        position = end
        a = next(old, None) if a.end == end else a
        b = next(new, None) if b.end == end else b
    return result


def legend(kinds: Iterable[str]) -> list[tuple[str, str]]:
    """(small drawing, words) for each kind, to be laid out by the page."""
    result = []
    for kind in kinds:
        if kind in ("empty", "hole"):
            mark = _rect(0, 0, 13, 13, "track" if kind == "empty" else "hole", radius=2) + (
                _rect(.5, .5, 12, 12, "frame", radius=2) if kind == "hole" else "")
        elif kind == "large":
            mark = _rect(0, 0, 13, 13, "kernel-rw", radius=2) + _rect(2.5, 2.5, 8, 8, "large", radius=1)
        elif kind == "global":
            mark = _rect(0, 0, 13, 13, "kernel-rw", radius=2) + '<circle class="global" cx="6.5" cy="6.5" r="1.5"/>'
        elif kind == "changed":
            mark = _rect(1, 1, 11, 11, "changed", radius=2)
        else:
            mark = _rect(0, 0, 13, 13, kind, radius=2)
        words = {"large": "4 MiB page", "global": "global", "changed": "changed since the checkpoint before"}
        result.append((svg_element(13, 13, kind, [mark], HATCH if kind == "hole" else ""), words.get(kind) or KIND_WORDS[kind]))
    return result


def draw_svg(tables: TableSet) -> str:
    """A page directory as a file of its own, style included."""
    return draw_directory(tables).replace(">", f"><style>{STYLE}</style>", 1)


PAGE_LEGEND = ("kernel-ro", "kernel-rw", "user-ro", "user-rw", "swapped", "large", "global", "no-pages", "recursive", "empty", "changed")
FRAME_LEGEND = tuple(FRAME_KINDS)
assert set(PAGE_LEGEND) - {"large", "global", "changed"} <= set(CELL_KINDS)
