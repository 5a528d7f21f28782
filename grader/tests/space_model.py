"""What address spaces should be: a model page by page, and what a kernel shows of them, to be compared.

A page of the model says who may do what with it, whether it is present, and what its first word is. Areas follow from the pages, so
the model knows nothing of splitting and merging.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from labs.process_view import MapsLine
from paging.tables import PAGE, TableSet

USER_BEGIN, USER_END = 0x1000_0000, 0xC000_0000
EXECUTABLE_END = 0x2000_0000
READ, WRITE, EXECUTE = 4, 2, 1
PROTECTIONS = ("---", "r--", "rw-", "r-x", "--x")
NO_OBJECT = 16
MAPPING = 2


def bits(protection: str) -> int:
    """ "rw-" as the guest prints it."""
    return sum(bit for bit, letter in ((READ, "r"), (WRITE, "w"), (EXECUTE, "x")) if letter in protection)


@dataclass
class File:
    """A memory object: a file whose word i is seed + i, or shared memory of zeros (no seed). Pages that somebody wrote are in `written`."""

    number: int
    pages: int
    seed: int | None = None
    written: dict[int, int] = field(default_factory=dict)

    def first_word(self, page: int) -> int:
        if page in self.written or self.seed is None:
            return self.written.get(page, 0)
        return self.seed + page * PAGE // 4


@dataclass(frozen=True)
class Page:
    """One page of an area."""

    protection: int
    shared: bool
    object: File | None = None
    index: int = 0
    present: bool = True
    own: int | None = None  # the first word of a frame of its own; None: the object's frame

    def word(self) -> int:
        return self.own if self.own is not None else self.object.first_word(self.index)

    def continued_by(self, other: Page) -> bool:
        return ((self.protection, self.shared, self.object) == (other.protection, other.shared, other.object)
                and (self.object is None or other.index == self.index + 1))


class Space:
    """One address space: its pages by address."""

    def __init__(self, pages: dict[int, Page] | None = None) -> None:
        self.pages = dict(pages or {})

    # Each operation returns the name of the error that the kernel must report, or "".

    def map(self, begin: int, count: int, protection: str, shared: bool, free: bool, file: File | None, first: int) -> str:
        addresses = range(begin, begin + count * PAGE, PAGE)
        error = wrong_protection(protection) or wrong_arena(begin, begin + count * PAGE, protection)
        if error:
            return error
        if free and any(address in self.pages for address in addresses):
            return "Exists"
        for number, address in enumerate(addresses):
            page = Page(bits(protection), shared, file, first + number if file else 0, present=False)
            self.pages[address] = self.appear(page) if page.protection else page
        return ""

    def appear(self, page: Page) -> Page:
        """The page, present; or as it was, behind the end of its object."""
        if page.present:
            return page
        if page.object is None:
            return replace(page, present=True, own=0)
        if page.index >= page.object.pages:
            return page
        copied = not page.shared and page.protection & WRITE
        return replace(page, present=True, own=page.object.first_word(page.index) if copied else None)

    def unmap(self, begin: int, count: int) -> str:
        for address in range(begin, begin + count * PAGE, PAGE):
            self.pages.pop(address, None)
        return ""

    def protect(self, begin: int, count: int, protection: str) -> str:
        addresses = range(begin, begin + count * PAGE, PAGE)
        error = wrong_protection(protection) or wrong_arena(begin, begin + count * PAGE, protection)
        if error or any(address not in self.pages for address in addresses):
            return error or "NotMapped"
        for address in addresses:
            page = self.pages[address]
            changed = replace(page, protection=bits(protection))
            if page.present and page.own is None and not page.shared and changed.protection & WRITE and changed != page:
                changed = replace(changed, present=False)  # it showed the object's page; the next look makes a copy
            self.pages[address] = changed
        return ""

    def discard(self, begin: int, count: int) -> str:
        addresses = range(begin, begin + count * PAGE, PAGE)
        if any(address not in self.pages for address in addresses):
            return "NotMapped"
        for address in addresses:
            page = self.pages[address]
            if page.object is None and not page.shared:
                self.pages[address] = replace(page, present=False, own=None)
        return ""

    def resolve(self, address: int) -> str:
        if address not in self.pages:
            return "NotMapped"
        self.pages[address] = self.appear(self.pages[address])
        return "" if self.pages[address].present else "OutOfRange"

    def may(self, address: int, access: int) -> bool:
        """Whether a checked copy of a word works; the page is present afterwards, if the access is one that it allows."""
        page = self.pages.get(address)
        if page is None or not page.protection or (access == WRITE and not page.protection & WRITE):
            return False
        self.pages[address] = self.appear(page)
        return self.pages[address].present

    def write(self, address: int, word: int) -> str:
        if not self.may(address, WRITE):
            return "BadAddress"
        page = self.pages[address]
        if page.own is None:
            page.object.written[page.index] = word
        else:
            self.pages[address] = replace(page, own=word)
        return ""

    def fork(self) -> Space:
        return Space(self.pages)

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


def rights_of(protection: int) -> str:
    if not protection:
        return "read-only supervisor"
    return "writable user" if protection & WRITE else "read-only user"


def compare(space: Space, seen: Seen, owners: dict[int, int]) -> None:
    """Areas, page tables, maps, statistics and the model say the same. `owners`: how many pages of all spaces show each frame."""
    assert seen.areas == space.areas()
    assert seen.execute_line == space.execute_line()
    pages = frames_of(seen.tables)
    expected = {address: rights_of(page.protection) for address, page in space.pages.items() if page.present}
    assert {address: rights for address, (_, rights) in pages.items()} == expected
    shared = {address for address, page in space.pages.items() if page.present and page.own is None}
    for address in expected.keys() - shared:
        assert owners[pages[address][0]] == 1, f"the page at {address:#x} has a frame of its own"
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
