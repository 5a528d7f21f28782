"""Page tables and physical memory as text: a page directory of 32 x 32 characters, a table of ranges, a map of frames.

The same classification (`kind_of`, `directory_cells`) colours the SVG drawings in svg.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from paging.runs import PageRun, compare
from paging.snapshot import USER_BEGIN, USER_END, Snapshot, View, ZONES
from paging.tables import ACCESSED, DIRTY, PAGE, TableSet

# Kind of a page -> character in a terminal and style in rich
PAGE_KINDS = {
    "kernel-ro": ("k", "blue"),
    "kernel-rw": ("K", "bold bright_blue"),
    "user-ro": ("u", "yellow"),
    "user-rw": ("U", "bold bright_yellow"),
    "swapped": ("s", "cyan"),
}
CELL_KINDS = PAGE_KINDS | {
    "mixed": ("*", "magenta"),
    "no-pages": ("o", "dim"),       # a table in which nothing is present
    "recursive": ("R", "green"),
    "empty": (".", "bright_black"),
}
FRAME_KINDS = {
    "hole": (" ", "bright_black"),
    "reserved": ("r", "white"),
    "kernel": ("K", "blue"),
    "module": ("m", "cyan"),
    "table": ("t", "green"),
    "directory": ("D", "bold green"),
    "allocated": ("#", "yellow"),
    "pageable": ("p", "bright_yellow"),
    "cached": ("+", "bright_black"),
    "free": ("-", "bright_black"),
    "conflict": ("!", "bold red"),
}
KIND_WORDS = {
    "kernel-ro": "supervisor, read-only", "kernel-rw": "supervisor, writable",
    "user-ro": "user, read-only", "user-rw": "user, writable", "swapped": "swapped: in the swap area",
    "mixed": "several kinds of pages", "no-pages": "page table without pages", "recursive": "recursive slot", "empty": "not present",
    "hole": "no memory", "reserved": "reserved", "kernel": "kernel image", "module": "boot module", "table": "page table",
    "directory": "page directory", "allocated": "allocated", "pageable": "pageable", "cached": "in the frame cache", "free": "free",
    "conflict": "free, yet a page table",
}

KERNEL_RANGES = ((0, USER_BEGIN), (USER_END, 1 << 32))

Segment = tuple[str, str]  # text, rich style ("" for plain)
Line = list[Segment]


@dataclass(frozen=True)
class Cell:
    """One PDE: 4 MiB of addresses."""

    index: int
    kind: str
    runs: tuple[PageRun, ...]  # the pages in these 4 MiB, swapped ones as well
    large: bool
    global_: bool  # any page global

    @property
    def pages(self) -> int:
        """How many are mapped."""
        return sum(run.pages for run in self.runs if not run.swapped)

    @property
    def swapped(self) -> int:
        """How many have swap entries."""
        return sum(run.pages for run in self.runs if run.swapped)


def kind_of(run: PageRun) -> str:
    """The kind of a page by its rights, or "swapped"."""
    if run.swapped:
        return "swapped"
    return f"{'user' if run.user else 'kernel'}-{'rw' if run.writable else 'ro'}"


def directory_cells(tables: TableSet) -> list[Cell]:
    """All 1024 PDEs, classified by what lies below them."""
    parts: list[list[PageRun]] = [[] for _ in range(1024)]
    for run in tables.contents():
        for index in range(run.virtual >> 22, (run.end - 1 >> 22) + 1):
            parts[index].append(run.part(index << 22, index + 1 << 22))
    return [_cell(tables, index, tuple(runs)) for index, runs in enumerate(parts)]


def _cell(tables: TableSet, index: int, runs: tuple[PageRun, ...]) -> Cell:
    pde = tables.directory[index]
    kinds = {kind_of(run) for run in runs}
    if index in tables.recursive_slots:
        kind = "recursive"
    elif len(kinds) == 1:
        kind = kinds.pop()
    elif kinds:
        kind = "mixed"
    else:
        kind = "no-pages" if tables.is_table(pde) else "empty"
    return Cell(index, kind, runs, tables.is_large(pde), any(run.global_ for run in runs))


def changed_slots(before: TableSet | None, after: TableSet) -> set[int]:
    """Indices of PDEs below which something changed, accessed and dirty bits aside."""
    if before is None:
        return set()
    ignore = ~(ACCESSED | DIRTY)
    changed = set()
    for index in range(1024):
        old, new = before.tables.get(index), after.tables.get(index)
        if before.directory[index] & ignore != after.directory[index] & ignore:
            changed.add(index)
        elif old != new and old is not None and new is not None:
            if any((a ^ b) & ignore for a, b in zip(old, new)):
                changed.add(index)
    return changed


def changes(before: Snapshot | None, after: Snapshot, limit: int = 12) -> list[str]:
    """What happened to the mapping between two checkpoints, in sentences."""
    if before is None:
        return []
    told = []
    if before.tables.cr3 != after.tables.cr3:
        told.append(f"CR3: was {before.tables.cr3:#010x} ({before.views[0].name}), now {after.tables.cr3:#010x} ({after.views[0].name})")
    for view in after.views:
        told += _changes_of_view(before.view(view.name), view, limit)
    told += [f"directory {old.name}: gone" for old in before.views if after.view(old.name) is None and not old.active]
    before_zones, after_zones = dict(before.zone_counts()), dict(after.zone_counts())
    for zone in sorted(before_zones.keys() & after_zones.keys()):
        moves = [f"{KIND_WORDS[kind]} {before_zones[zone].get(kind, 0)} to {after_zones[zone].get(kind, 0)}"
                 for kind in FRAME_KINDS if before_zones[zone].get(kind, 0) != after_zones[zone].get(kind, 0)]
        if moves:
            told.append(f"frames of zone {zone}: " + ", ".join(moves))
    return told


def _changes_of_view(old: View | None, new: View, limit: int) -> list[str]:
    name = "" if new.name == "active" else f"directory {new.name}: "
    if old is None:
        pages = sum(run.pages for run in new.tables.pages(USER_BEGIN, USER_END))
        return [f"{name or 'the active directory: '}new, with {pages} pages in the user range"]
    return [name + difference.text for difference in compare(old.tables.contents(), new.tables.contents(), sizes=True, limit=limit,
                                                             words=("was", "now"))]


def own_pages(view: View, active: View | None = None) -> list[PageRun]:
    """What is worth telling of a directory: all of the active one; of another its user range, if the rest is as in that."""
    if view.active or active is not None and any(compare(active.tables.pages(*part), view.tables.pages(*part), *part)
                                                 for part in KERNEL_RANGES):
        return view.tables.contents()
    return view.tables.contents(USER_BEGIN, USER_END)


def size_words(count: int) -> str:
    """Bytes for people, in the largest unit that needs at most one digit after the point: "12 KiB", "2896 KiB", "1.5 GiB"."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit and count * 10 % unit == 0:
            return f"{count / unit:g} {name}"
    return f"{count} B"


def register_words(registers: dict[str, int]) -> list[tuple[str, str]]:
    """The registers that decide about memory: name, and value with the names of the bits that are set."""
    bits = {"cr0": ((31, "PG"), (16, "WP"), (0, "PE")), "cr4": ((4, "PSE"), (7, "PGE"))}
    result = []
    for name in ("cr0", "cr2", "cr3", "cr4", "eip", "esp", "eflags"):
        if name in registers:
            names = [text for bit, text in bits.get(name, ()) if registers[name] >> bit & 1]
            result.append((name.upper(), " ".join([f"{registers[name]:#010x}", *names])))
    return result


@dataclass(frozen=True)
class RangeRow:
    """One line of the table of ranges: neighbours with the same rights, whose frames may lie anywhere."""

    virtual: str
    size: str
    physical: str  # of swapped pages, their slots
    rights: str
    pages: str
    kind: str


def range_rows(runs: Iterable[PageRun], limit: int = 40) -> tuple[list[RangeRow], int]:
    """The mapping as at most `limit` lines, and how many lines are left out. Scattered frames, and slots, are told in one line."""
    groups: list[list[PageRun]] = []
    for run in runs:
        last = groups[-1][-1] if groups else None
        if last and (last.end, last.rights, last.large) == (run.virtual, run.rights, run.large):
            groups[-1].append(run)
        else:
            groups.append([run])
    return [_row(group) for group in groups[:limit]], max(0, len(groups) - limit)


def _row(group: list[PageRun]) -> RangeRow:
    first, last = group[0], group[-1]
    physical = slot_words(first) if first.swapped else f"{first.physical:08x}-{first.physical + first.length - 1:08x}"
    if len(group) > 1:
        physical = f"{f'slot {first.frame}' if first.swapped else f'{first.physical:08x}'} and {len(group) - 1} more"
    return RangeRow(f"{first.virtual:08x}-{last.end - 1:08x}", size_words(last.end - first.virtual), physical, first.rights,
                    "4 MiB" if first.large else "4 KiB", kind_of(first))


def slot_words(run: PageRun) -> str:
    """Where swapped pages lie: "slot 12", "slots 12-15"."""
    return f"slot {run.frame}" if run.pages == 1 else f"slots {run.frame}-{run.frame + run.pages - 1}"


# -- text --------------------------------------------------------------------------------------------------------------


def draw_text(snapshot: Snapshot, before: Snapshot | None = None, *, width: int = 64) -> list[Line]:
    """One checkpoint as lines of (text, style); plain text is the texts joined."""
    lines: list[Line] = [[(f"{name:6} ", "dim"), (value, "")] for name, value in register_words(snapshot.registers)
                         if name in ("CR0", "CR3", "CR4", "EIP")]
    for view in snapshot.views:
        old = before.view(view.name) if before else None
        changed = changed_slots(old.tables if old else None, view.tables)
        lines += [[], [(view_title(view), "bold"), (f": as at {before.name}" if before and same(old, view) else "", "dim")]]
        if not same(old, view):
            lines += [*directory_text(view.tables, changed), [], *range_text(own_pages(view, snapshot.views[0]))]
    if snapshot.uses and not (before and before.frame_map == snapshot.frame_map):
        lines += [[], *frame_text(snapshot, width)]
    findings = [text for view in snapshot.views for text in findings_of(view)]
    if findings:
        lines += [[], *([("! ", "bold red"), (text, "")] for text in findings)]
    told = changes(before, snapshot)
    if before is not None:
        lines += [[], [(f"since {before.name}: " + ("" if told else "nothing changed"), "bold")]]
        lines += [[("  ", ""), (text, "")] for text in told]
    return lines


def same(old: View | None, new: View) -> bool:
    """Whether a directory is as it was at the checkpoint before, so that it need not be drawn again."""
    return old is not None and old.tables.cr3 == new.tables.cr3 and not changed_slots(old.tables, new.tables)


def view_title(view: View) -> str:
    """A heading for one directory."""
    if view.name == "active":
        return f"page directory at {view.tables.cr3:#010x}"
    return f"page directory {view.name!r} at {view.tables.cr3:#010x}{', active' if view.active else ''}"


def findings_of(view: View) -> list[str]:
    """What is wrong with a directory, with its name where there are several."""
    name = "" if view.name == "active" else f"directory {view.name}: "
    return [name + finding.text for finding in view.tables.findings()]


def plain(lines: Sequence[Line]) -> str:
    """Lines without their styles."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def directory_text(tables: TableSet, changed: set[int]) -> list[Line]:
    """The page directory, 32 PDEs a line (128 MiB); lines where nothing is present are folded. Changed PDEs stand reversed."""
    cells = directory_cells(tables)
    lines: list[Line] = [[("  a character is 4 MiB, a line 128 MiB", "dim")]]
    empty = 0
    for row in range(32):
        part = cells[row * 32:row * 32 + 32]
        if all(cell.kind == "empty" and cell.index not in changed for cell in part):
            empty += 1
            continue
        _fold(lines, empty)
        empty = 0
        line: Line = [(f"  {row << 27:08x}  ", "dim")]
        line += _join((CELL_KINDS[cell.kind][0], CELL_KINDS[cell.kind][1] + (" reverse" if cell.index in changed else "")) for cell in part)
        lines.append(line)
    _fold(lines, empty)
    used = [kind for kind in CELL_KINDS if any(cell.kind == kind for cell in cells)]
    lines.append(_legend([(CELL_KINDS[kind][0], KIND_WORDS[kind], CELL_KINDS[kind][1]) for kind in used]))
    large = sum(cell.large for cell in cells)
    swapped = sum(cell.swapped for cell in cells)
    lines.append([(f"  {len(tables.table_slots)} page tables, {large} large pages, "
                   f"{sum(cell.pages for cell in cells if not cell.large)} small pages" + (f", {swapped} swapped" if swapped else ""), "dim")])
    return lines


def _fold(lines: list[Line], rows: int, what: str = "where nothing is present") -> None:
    if rows:
        lines.append([(f"            ({rows} line{'s' if rows > 1 else ''} {what})", "bright_black")])


def _legend(entries: Iterable[tuple[str, str, str]]) -> Line:
    line: Line = [("  ", "")]
    for mark, words, style in entries:
        line += [(mark.replace(" ", "' '"), style), (f" {words}   ", "dim")]
    return line


def range_text(runs: Sequence[PageRun], limit: int = 40) -> list[Line]:
    """The mapping as a table of ranges."""
    rows, rest = range_rows(runs, limit)
    head = ("virtual", "size", "physical", "rights", "pages")
    table = [(row.virtual, row.size, row.physical, row.rights, row.pages) for row in rows]
    widths = [max(len(row[column]) for row in [head, *table]) for column in range(5)]
    lines: list[Line] = [[("  " + "  ".join(text.ljust(size) for text, size in zip(head, widths)), "bold")]]
    for row, texts in zip(rows, table):
        padded = [text.ljust(size) for text, size in zip(texts, widths)]
        lines.append([("  " + "  ".join(padded[:3]) + "  ", ""), (padded[3], PAGE_KINDS[row.kind][1]), ("  " + padded[4], "")])
    if not rows:
        lines.append([("  nothing is mapped", "dim")])
    if rest:
        lines.append([(f"  and {rest} more ranges", "dim")])
    return lines


def frame_text(snapshot: Snapshot, width: int = 64) -> list[Line]:
    """Physical memory, one character for some frames: the rarest kind among them, so that a single frame is seen."""
    frames = snapshot.frame_count
    step = 1
    while frames / (step * width) > 24:
        step *= 2
    lines: list[Line] = [[(f"physical memory: a character is {size_words(step * PAGE)}, a line {size_words(step * PAGE * width)}", "bold")]]
    marks = frame_strip(snapshot, step)
    previous, holes = None, 0
    for start in range(0, len(marks), width):
        kinds = marks[start:start + width]
        if set(kinds) == {"hole"}:
            holes += 1
            continue
        _fold(lines, holes, "without memory")
        holes = 0
        zone = next(name for name, begin, end in ZONES if begin <= start * step < end)
        label = f"{zone if zone != previous else '':7}"
        previous = zone
        lines.append([(f"  {start * step * PAGE:08x} {label}", "dim"), *_join((FRAME_KINDS[kind]) for kind in kinds)])
    _fold(lines, holes, "without memory")
    used = [kind for kind in FRAME_KINDS if kind in marks]
    lines.append(_legend([(FRAME_KINDS[kind][0], KIND_WORDS[kind], FRAME_KINDS[kind][1]) for kind in used]))
    for zone, counts in snapshot.zone_counts():
        parts = ", ".join(f"{counts[kind]} {KIND_WORDS[kind]}" for kind in FRAME_KINDS if kind in counts)
        lines.append([(f"  {zone:7}{parts}", "dim")])
    return lines


_RARE_FIRST = ("conflict", "directory", "table", "allocated", "pageable", "module", "kernel", "cached", "free", "reserved", "hole")


def frame_strip(snapshot: Snapshot, step: int) -> list[str]:
    """The kind shown for each group of `step` frames."""
    rank = {kind: number for number, kind in enumerate(_RARE_FIRST)}
    marks = ["hole"] * ((snapshot.frame_count + step - 1) // step)
    for run in snapshot.frame_map:
        for position in range(run.begin // step, (run.end - 1) // step + 1):
            if rank[run.kind] < rank[marks[position]]:
                marks[position] = run.kind
    return marks


def _join(marks: Iterable[Segment]) -> Line:
    """Neighbours of one style as one segment."""
    line: Line = []
    for text, style in marks:
        if line and line[-1][1] == style:
            line[-1] = (line[-1][0] + text, style)
        else:
            line.append((text, style))
    return line
