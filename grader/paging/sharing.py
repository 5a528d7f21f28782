"""Which frames several address spaces share, page by page: the same address in each space, one below the other.

Each frame has a letter, the same at every checkpoint of a test, and a colour if more than one page shows it. So two pages that share a
frame look alike, and a page that was copied does not any more. Text has the letters, rights and counts; colours come on top (draw_text
here, draw_sharing in sharing_svg.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from paging.draw import Line
from paging.runs import PageRun
from paging.snapshot import USER_BEGIN, USER_END, Snapshot, View
from paging.tables import LARGE_PAGE, PAGE

WIDTH = 12       # pages in a line
MOST_LINES = 48  # of one checkpoint: an image and some blocks; what lies behind is counted
COLOURS = ("bold red", "bold green", "bold yellow", "bold blue", "bold magenta", "bold cyan",
           "bold black on red", "bold black on green", "bold black on yellow", "bold white on blue", "bold white on magenta", "bold black on cyan")
ZERO_NAME = "0"

LEGEND = ("  a letter is a frame, in colour where several pages show it, underlined where the same address has different ones;",
          "  w may be written, - read-only; the number: references that the kernel counts; 0 the frame of zeros; . not present; * changed")
SWAP_LEGEND = "  s12: swapped, in slot 12 of the swap area; underlined where several pages lie in one slot"


class Place(NamedTuple):
    """Where a page lies: a frame, or a slot of the swap area."""

    swapped: bool
    number: int


@dataclass(frozen=True)
class Cell:
    """One page of one space."""

    address: int
    place: Place
    writable: bool
    large: bool
    references: int | None  # None: nobody has read the count
    shared: bool            # several pages of the picture show the frame, or lie in the slot
    split: bool             # another space has another frame at the same address, or a frame where this has a slot
    changed: bool           # other frame, slot or rights than at the checkpoint before

    @property
    def swapped(self) -> bool:
        return self.place.swapped

    @property
    def frame(self) -> int | None:
        return None if self.swapped else self.place.number


@dataclass(frozen=True)
class Stretch:
    """Pages side by side, of which at least one space has each. One row for each space, None where it has none."""

    begin: int
    step: int
    rows: tuple[tuple[Cell | None, ...], ...]

    @property
    def count(self) -> int:
        return len(self.rows[0])


@dataclass
class FrameNames:
    """Letters for frames: A to Z, AA and so on, in the order in which they are met."""

    numbers: dict[int, int] = field(default_factory=dict)

    def number(self, frame: int) -> int:
        return self.numbers.setdefault(frame, len(self.numbers))

    def name(self, frame: int, zero_frame: int | None = None) -> str:
        if frame == zero_frame:
            return ZERO_NAME
        number, name = self.number(frame), ""
        while number >= 0:
            name = chr(ord("A") + number % 26) + name
            number = number // 26 - 1
        return name


@dataclass(frozen=True)
class Sharing:
    """The picture of one checkpoint."""

    spaces: tuple[str, ...]
    stretches: tuple[Stretch, ...]
    zero_frame: int | None
    left_out: int  # pages for which there was no room
    shown_by: dict[Place, tuple[str, ...]]  # who shows a frame, or has a slot: "child 0x40000000"

    @property
    def shared_frames(self) -> int:
        return sum(len(pages) > 1 for place, pages in self.shown_by.items() if not place.swapped)

    @property
    def swapped_pages(self) -> int:
        return sum(len(pages) for place, pages in self.shown_by.items() if place.swapped)

    @property
    def split_pages(self) -> int:
        """Addresses at which the pages of two spaces lie in different places."""
        return sum(any(row[i] and row[i].split for row in stretch.rows) for stretch in self.stretches for i in range(stretch.count))

    @property
    def summary(self) -> str:
        words = [f"{_count(self.shared_frames, 'frame')} shown by several pages", f"{_count(self.split_pages, 'page')} split"]
        if self.swapped_pages:
            words.append(f"{_count(self.swapped_pages, 'page')} swapped")
        if self.left_out:
            words.append(f"{_count(self.left_out, 'page')} more not drawn")
        return ", ".join(words)


def sharing_of(snapshot: Snapshot, before: Snapshot | None = None) -> Sharing | None:
    """What the spaces of a checkpoint share; None where there are no two with pages of the user range."""
    pages = {view.name: _pages(view) for view in snapshot.views}
    pages = {name: own for name, own in sorted(pages.items(), key=lambda item: _natural(item[0])) if own}
    if len(pages) < 2:
        return None
    old = {view.name: _pages(view) for view in before.views} if before else None
    shown: dict[Place, list[str]] = {}
    for name, own in pages.items():
        for address, page in own.items():
            shown.setdefault(_place(page), []).append(f"{name} {address:#010x}")
    cells = [{address: _cell(snapshot, name, address, page, pages, shown, old) for address, page in own.items()} for name, own in pages.items()]
    stretches = list(_stretches(cells))
    kept, lines = [], 0
    for stretch in stretches:
        lines += len(pages) + 1
        if lines <= max(MOST_LINES, len(pages) + 1):
            kept.append(stretch)
    left_out = sum(stretch.count for stretch in stretches[len(kept):])
    return Sharing(tuple(pages), tuple(kept), snapshot.zero_frame, left_out, {place: tuple(users) for place, users in shown.items()})


def _natural(name: str) -> tuple[str, int]:
    """"process 10" comes after "process 9"."""
    words, _, number = name.rpartition(" ")
    return (words, int(number)) if number.isdecimal() else (name, 0)


def _pages(view: View) -> dict[int, PageRun]:
    pages = {}
    for run in view.tables.contents(USER_BEGIN, USER_END):
        step = LARGE_PAGE if run.large else PAGE
        for address in range(run.virtual, run.end, step):
            pages[address] = run.part(address, address + step)
    return pages


def _place(page: PageRun) -> Place:
    return Place(page.swapped, page.frame)


def _cell(snapshot: Snapshot, name: str, address: int, page: PageRun, pages: dict[str, dict[int, PageRun]], shown: dict[Place, list[str]],
          old: dict[str, dict[int, PageRun]] | None) -> Cell:
    place = _place(page)
    others = {_place(own[address]) for own in pages.values() if address in own}
    was = old and old.get(name, {}).get(address)
    changed = old is not None and name in old and (was is None or (_place(was), was.writable) != (place, page.writable))
    references = None if page.swapped else snapshot.references.get(page.frame)
    return Cell(address, place, page.writable, page.large, references, len(shown[place]) > 1, len(others) > 1, changed)


def _stretches(cells: Sequence[dict[int, Cell]]) -> Iterator[Stretch]:
    """Neighbours of one size, at most WIDTH of them; those with something shared first, where not all fit."""
    every = sorted({address for own in cells for address in own})
    large = {address for own in cells for address, cell in own.items() if cell.large}
    found = []
    for _, group in groupby(enumerate(every), key=lambda pair: pair[1] - pair[0] * (LARGE_PAGE if pair[1] in large else PAGE)):
        addresses = [address for _, address in group]
        for first in range(0, len(addresses), WIDTH):
            part = addresses[first:first + WIDTH]
            step = LARGE_PAGE if part[0] in large else PAGE
            found.append(Stretch(part[0], step, tuple(tuple(own.get(address) for address in part) for own in cells)))
    yield from sorted(found, key=lambda stretch: (not any(cell and cell.changed for row in stretch.rows for cell in row), stretch.begin)) \
        if len(found) * (len(cells) + 1) > MOST_LINES else found


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# -- text --------------------------------------------------------------------------------------------------------------


def sharing_text(sharing: Sharing, names: FrameNames) -> list[Line]:
    """The picture as lines of (text, style)."""
    lines: list[Line] = [[("who shows which frame: ", "bold"), (sharing.summary, "")],
                         *([(words, "dim")] for words in (*LEGEND, *([SWAP_LEGEND] if sharing.swapped_pages else [])))]
    label = max(len(name) for name in sharing.spaces)
    for stretch in sharing.stretches:
        size = "4 MiB" if stretch.step == LARGE_PAGE else "4 KiB"
        lines.append([(f"  {stretch.begin:08x}-{stretch.begin + stretch.count * stretch.step - 1:08x}, {_count(stretch.count, 'page')} of {size}", "dim")])
        texts = [[_text(cell, names, sharing.zero_frame) for cell in row] for row in stretch.rows]
        widths = [max(len(row[i]) for row in texts) for i in range(stretch.count)]
        for name, row, words in zip(sharing.spaces, stretch.rows, texts):
            line: Line = [(f"    {name.ljust(label)}  ", "")]
            for cell, text, width in zip(row, words, widths):
                line += [(text, _style(cell, names, sharing.zero_frame)), (" " * (width - len(text) + 1), "")]
            lines.append(line)
    return lines


def _text(cell: Cell | None, names: FrameNames, zero_frame: int | None) -> str:
    if cell is None:
        return "."
    count = "" if cell.references is None else str(cell.references)
    if cell.frame is None:
        return f"s{cell.place.number}{'*' if cell.changed else ''}"
    return f"{names.name(cell.frame, zero_frame)}{'w' if cell.writable else '-'}{count}{'*' if cell.changed else ''}"


def _style(cell: Cell | None, names: FrameNames, zero_frame: int | None) -> str:
    if cell is None:
        return "bright_black"
    if cell.frame is None:
        return "underline cyan" if cell.shared else "cyan"
    if cell.frame == zero_frame:
        return "dim"
    if cell.shared:
        return COLOURS[names.number(cell.frame) % len(COLOURS)]
    return "bold underline" if cell.split else ""
