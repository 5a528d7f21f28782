"""What address spaces should be: a model page by page, and what a kernel shows of them, to be compared.

A page of the model says who may do what with it, and which frame it shows, if any. A frame knows its first word and how many pages show
it; copy-on-write follows from that. Areas follow from the pages, so the model knows nothing of splitting and merging.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from labs.process_view import MapsLine
from paging.tables import PAGE, TableSet

USER_BEGIN, USER_END = 0x1000_0000, 0xC000_0000
EXECUTABLE_END = 0x2000_0000
READ, WRITE, EXECUTE = 4, 2, 1
PROTECTIONS = ("---", "r--", "rw-", "r-x", "--x")
NO_OBJECT = 16
MAPPING = 2
NEIGHBOURHOOD = 8  # pages that a read of a file looks around for


def bits(protection: str) -> int:
    """ "rw-" as the guest prints it."""
    return sum(bit for bit, letter in ((READ, "r"), (WRITE, "w"), (EXECUTE, "x")) if letter in protection)


@dataclass(eq=False)
class Frame:
    """A frame of memory. What is kept (an object's page, everybody's zeros) has one owner more than the pages that show it."""

    word: int
    kept: bool = False
    pages: int = 0

    @property
    def references(self) -> int:
        return self.pages + self.kept


@dataclass(eq=False)
class File:
    """A memory object: a file whose word i is seed + i, or shared memory of zeros (no seed). `frames`: what it has in memory."""

    number: int
    pages: int
    seed: int | None = None
    frames: dict[int, Frame] = field(default_factory=dict)

    def frame(self, index: int) -> Frame:
        word = 0 if self.seed is None else self.seed + index * PAGE // 4
        return self.frames.setdefault(index, Frame(word, kept=True))


@dataclass(eq=False)
class Page:
    """One page of an area."""

    protection: int
    shared: bool
    object: File | None = None
    index: int = 0
    frame: Frame | None = None  # None: absent
    writable: bool = False

    def continued_by(self, other: Page) -> bool:
        return ((self.protection, self.shared, self.object) == (other.protection, other.shared, other.object)
                and (self.object is None or other.index == self.index + 1))

    def show(self, frame: Frame) -> None:
        self.hide()
        frame.pages += 1
        self.frame = frame
        self.set_rights()

    def hide(self) -> None:
        if self.frame:
            self.frame.pages -= 1
        self.frame, self.writable = None, False

    def set_rights(self) -> None:
        """A private page is writable as long as nobody else shows its frame."""
        self.writable = bool(self.protection & WRITE) and (self.shared or self.frame.references == 1)

    @property
    def is_past_end(self) -> bool:
        return self.object is not None and self.index >= self.object.pages


class Space:
    """One address space: its pages by address. `zeros`: the frame that untouched pages of all spaces show."""

    def __init__(self, zeros: Frame, eager: bool) -> None:
        self.pages: dict[int, Page] = {}
        self.zeros = zeros
        self.eager = eager

    # Each operation returns the name of the error that the kernel must report, or "".

    def map(self, begin: int, count: int, protection: str, shared: bool, free: bool, file: File | None, first: int) -> str:
        addresses = range(begin, begin + count * PAGE, PAGE)
        error = wrong_protection(protection) or wrong_arena(begin, begin + count * PAGE, protection)
        if error:
            return error
        if free and any(address in self.pages for address in addresses):
            return "Exists"
        self.unmap(begin, count)
        for number, address in enumerate(addresses):
            self.pages[address] = page = Page(bits(protection), shared, file, first + number if file else 0)
            if self.eager and page.protection:
                self.resolve(address)
        return ""

    def unmap(self, begin: int, count: int) -> str:
        for address in range(begin, begin + count * PAGE, PAGE):
            if page := self.pages.pop(address, None):
                page.hide()
        return ""

    def protect(self, begin: int, count: int, protection: str) -> str:
        addresses = range(begin, begin + count * PAGE, PAGE)
        error = wrong_protection(protection) or wrong_arena(begin, begin + count * PAGE, protection)
        if error or any(address not in self.pages for address in addresses):
            return error or "NotMapped"
        for page in (self.pages[address] for address in addresses):
            is_change, page.protection = page.protection != bits(protection), bits(protection)
            if page.frame and is_change:
                page.set_rights()
        return ""

    def discard(self, begin: int, count: int) -> str:
        addresses = range(begin, begin + count * PAGE, PAGE)
        if any(address not in self.pages for address in addresses):
            return "NotMapped"
        for page in (self.pages[address] for address in addresses):
            if page.object is None:
                page.hide()
        return ""

    def resolve(self, address: int) -> str:
        """Makes a page present that nobody looks at yet."""
        page = self.pages.get(address)
        if page is None or page.is_past_end:
            return "OutOfRange" if page else "NotMapped"
        if not page.frame:
            page.show(page.object.frame(page.index) if page.object else Frame(0))
        return ""

    def read(self, address: int) -> str:
        page = self.pages.get(address)
        if page is None or not page.protection or (page.is_past_end and not page.frame):
            return "BadAddress"
        if not page.frame:
            page.show(page.object.frame(page.index) if page.object else self.zeros)
            if page.object and not page.shared:
                for neighbour in self.neighbours(address):
                    neighbour.show(neighbour.object.frame(neighbour.index))
        return ""

    def neighbours(self, address: int) -> Iterator[Page]:
        """Absent pages of the same block and area whose contents the object has in memory."""
        block = address - address % (NEIGHBOURHOOD * PAGE)
        area = next(area for area in self.areas() if area[0] <= address < area[1])
        for other in range(max(block, area[0]), min(block + NEIGHBOURHOOD * PAGE, area[1]), PAGE):
            page = self.pages[other]
            if not page.frame and page.index in page.object.frames:
                yield page

    def write(self, address: int, word: int) -> str:
        page = self.pages.get(address)
        if page is None or not page.protection & WRITE or (page.is_past_end and not page.frame):
            return "BadAddress"
        if page.shared:
            page.show(page.object.frame(page.index))
        elif not page.writable and (not page.frame or page.frame.references > 1):
            if not page.frame and page.object:
                page.object.frame(page.index)  # what is copied has been read, and stays
            page.show(Frame(0))
        page.frame.word, page.writable = word, True
        return ""

    def fork(self) -> Space:
        """What is shared as an object the child looks up itself."""
        child = Space(self.zeros, self.eager)
        for address, page in self.pages.items():
            child.pages[address] = copy = Page(page.protection, page.shared, page.object, page.index)
            if page.frame and not page.shared:
                copy.show(page.frame)
                page.writable = copy.writable = False
        return child

    def leave(self) -> None:
        for page in self.pages.values():
            page.hide()

    # What it should look like.

    def areas(self) -> list[tuple[int, ...]]:
        """(begin, end, protection, kind, sharing, object, first page), as the guest prints them."""
        result: list[tuple[int, ...]] = []
        previous: Page | None = None
        for address, page in sorted(self.pages.items()):
            if result and result[-1][1] == address and previous.continued_by(page):
                result[-1] = (result[-1][0], address + PAGE, *result[-1][2:])
            else:
                number, first = (page.object.number, page.index) if page.object else (NO_OBJECT, 0)
                result.append((address, address + PAGE, page.protection, MAPPING, int(page.shared), number, first))
            previous = page
        return result

    def execute_line(self) -> int:
        return max((address + PAGE for address, page in self.pages.items() if page.protection & EXECUTE), default=USER_BEGIN)


def wrong_protection(protection: str) -> str:
    return "InvalidArgument" if "w" in protection and ("x" in protection or "r" not in protection) else ""


def wrong_arena(begin: int, end: int, protection: str) -> str:
    wrong = ("x" in protection and end > EXECUTABLE_END) or ("w" in protection and begin < EXECUTABLE_END)
    return "AccessDenied" if wrong else ""


def parse_areas(text: str) -> list[tuple[int, ...]]:
    """What space.list printed."""
    return [tuple(int(word, 0) for word in line.split()[1:]) for line in text.splitlines() if line.startswith("area ")]


@dataclass(frozen=True)
class Seen:
    """What the machine shows of one space."""

    areas: list[tuple[int, ...]]
    maps: str
    statistics: tuple[int, ...]
    execute_line: int
    tables: TableSet


def frames_of(tables: TableSet) -> dict[int, tuple[int, str]]:
    """Frame and rights of every page of the user range by its address."""
    return {page: ((run.physical + page - run.virtual) // PAGE, run.rights)
            for run in tables.pages(USER_BEGIN, USER_END) for page in range(run.virtual, run.end, PAGE)}


def rights_of(page: Page) -> str:
    if not page.protection:
        return "read-only supervisor"
    return "writable user" if page.writable else "read-only user"


def compare(space: Space, seen: Seen) -> None:
    """Areas, page tables, maps, statistics and the model say the same."""
    assert seen.areas == space.areas()
    assert seen.execute_line == space.execute_line()
    pages = frames_of(seen.tables)
    expected = {address: rights_of(page) for address, page in space.pages.items() if page.frame}
    shown = {address: rights for address, (_, rights) in pages.items()}
    assert shown == expected, {f"{page:#x}": (shown.get(page), expected.get(page)) for page in sorted({*shown, *expected})
                               if shown.get(page) != expected.get(page)}
    shared = {address for address, page in space.pages.items() if page.frame and page.frame.references > 1}
    tables = 1 + len(seen.tables.table_frames(USER_BEGIN, USER_END))
    assert seen.statistics == (len(space.pages), len(expected), len(shared), tables, len(seen.areas))
    compare_maps(space, seen, expected.keys(), shared)


def compare_maps(space: Space, seen: Seen, present: Iterable[int], shared: set[int]) -> None:
    lines = seen.maps.splitlines()
    shown = [MapsLine.of(line) for line in lines[:-1]]
    present = set(present)
    assert [(line.begin, line.end) for line in shown] == [area[:2] for area in seen.areas]
    for line, area in zip(shown, seen.areas):
        inside = set(range(line.begin, line.end, PAGE))
        assert line.rights[:3] == "".join(letter if area[2] & bit else "-" for bit, letter in ((READ, "r"), (WRITE, "w"), (EXECUTE, "x")))
        assert line.rights[3] == "ps"[area[4]]
        assert (line.kib, line.resident_kib, line.shared_kib) == (4 * len(inside), 4 * len(inside & present), 4 * len(inside & shared))
        assert (line.backing == "zeros") == (area[5] == NO_OBJECT) and line.first_page == area[6]
    assert [int(number) for number in re.findall(r"\d+", lines[-1])] == [
        len(seen.areas), *(4 * number for number in (seen.statistics[0], seen.statistics[1], seen.statistics[2], seen.statistics[3]))]
