"""What a process's memory is after the calls that it made: a dictionary of pages, and nothing of trees, areas or page tables.

The model knows the calls (kernel/abi/system_calls.h) and what an address space promises (kernel/mm/space/address_space.h). Areas are
derived from the pages whenever somebody asks: neighbours with the same attributes, as continues() of areas.h has it.

Memory appears when somebody looks: of every page that a call has mapped, the model knows whether the process has touched it. Those pages
are present, and no others are (mm/fault/demand.h); fork() shows a child the private ones, and shared ones or not (copy_on_write.h).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

PAGE = 4096
USER_BEGIN, DATA_BEGIN, STACKS_BEGIN, USER_END = 0x1000_0000, 0x2000_0000, 0xBF00_0000, 0xC000_0000
LARGE = 1024  # pages of a large one
GUARD = 1  # pages that stay free around a new mapping: areas::Placement
READ, WRITE, EXECUTE = 1, 2, 4
HEAP, MAPPING = 1, 2  # AreaKind
ENOMEM, EACCES, EEXIST, EINVAL = 12, 13, 17, 22

Thing = int | str | None  # what backs a page: an object of the kernel's by its address, one of the script's by its name, or nothing


def page_of(address: int) -> int:
    return address // PAGE


def pages_in(begin: int, length: int) -> range:
    """The pages that [begin, begin + length) touches; `begin` is the first byte of one."""
    return range(begin // PAGE, (begin + length + PAGE - 1) // PAGE)


@dataclass(frozen=True)
class Page:
    """The attributes of one page."""

    protection: int
    kind: int
    shared: bool
    thing: Thing = None
    index: int = 0  # which page of the thing


@dataclass(frozen=True)
class ModelArea:
    """Pages [begin, end) with everything that an area has."""

    begin: int
    end: int
    protection: int
    kind: int
    shared: bool
    thing: Thing
    first_page: int

    def __str__(self) -> str:
        letters = "".join(letter if self.protection & bit else "-" for letter, bit in (("r", READ), ("w", WRITE), ("x", EXECUTE)))
        backing = f", page {self.first_page} of {self.thing if isinstance(self.thing, str) else hex(self.thing)}" if self.thing else ""
        return f"{self.begin:#010x}-{self.end:#010x} {letters}{'s' if self.shared else 'p'}{backing}"


@dataclass
class UserSpace:
    """One process's memory."""

    pages: dict[int, Page] = field(default_factory=dict)  # by page number
    heap_begin: int = 0
    heap_end: int = 0
    marks: dict[int, int] = field(default_factory=dict)  # first byte of private pages that were written, by page number
    shared_marks: dict[tuple[Thing, int], int] = field(default_factory=dict)  # of shared things: the same dictionary for a child
    untouched: set[int] = field(default_factory=set)  # page numbers of what was mapped since: absent
    touched: set[int] = field(default_factory=set)  # of what was mapped and touched since: present

    # -- calls: each returns what the kernel must answer, 0 or a negative error -------------------------------------------

    def map(self, begin: int, length: int, page: Page) -> int:
        """MAP_FIXED, or any mapping once its place is known: what was there goes."""
        numbers = pages_in(begin, length)
        self._forget(numbers)
        for offset, number in enumerate(numbers):
            self.pages[number] = replace(page, index=page.index + offset) if page.thing else page
        self.untouched.update(numbers)
        return begin

    def map_if_free(self, begin: int, length: int, page: Page) -> int:
        """MAP_FIXED_NOREPLACE."""
        if any(number in self.pages for number in pages_in(begin, length)):
            return -EEXIST
        return self.map(begin, length, page)

    def unmap(self, begin: int, length: int) -> int:
        self._forget(pages_in(begin, length))
        return 0

    def protect(self, begin: int, length: int, protection: int) -> int:
        numbers = pages_in(begin, length)
        if any(number not in self.pages for number in numbers):
            return -ENOMEM
        for number in numbers:
            self.pages[number] = replace(self.pages[number], protection=protection)
        return 0

    def move_break(self, end: int) -> int:
        """The new break, or an error."""
        if end < self.heap_begin:
            return -EINVAL
        old, new = page_of(self.heap_end + PAGE - 1), page_of(end + PAGE - 1)
        if any(number in self.pages for number in range(old, new)):
            return -ENOMEM
        for number in range(old, new):
            self.pages[number] = Page(READ | WRITE, HEAP, False)
            self.untouched.add(number)
        self._forget(range(new, old))
        self.heap_end = end
        return end

    def fork(self) -> UserSpace:
        """The child: pages of its own, but for what is shared."""
        certain = {number for number in self.touched if not self.pages[number].shared}
        return UserSpace(dict(self.pages), self.heap_begin, self.heap_end, dict(self.marks), self.shared_marks, set(self.untouched), certain)

    # -- places -----------------------------------------------------------------------------------------------------------

    def is_possible(self, begin: int, length: int) -> bool:
        """Whether a mapping may go there by itself: free, with a free page on either side, among the mappings."""
        numbers = pages_in(begin, length)
        if begin % PAGE or begin < DATA_BEGIN or numbers.stop * PAGE > STACKS_BEGIN:
            return False
        return not any(number in self.pages for number in range(numbers.start - GUARD, numbers.stop + GUARD))

    # -- contents ---------------------------------------------------------------------------------------------------------

    def may(self, address: int, right: int) -> bool:
        page = self.pages.get(page_of(address))
        return page is not None and bool(page.protection & right)

    def write(self, address: int, byte: int) -> bool:
        """Writes the first byte of a page. False: the process gets a signal, and nothing has changed."""
        if not self.may(address, WRITE):
            return False
        page = self._touch(address)
        if page.shared and page.thing:
            self.shared_marks[page.thing, page.index] = byte
        else:
            self.marks[page_of(address)] = byte
        return True

    def read(self, address: int) -> int:
        """The first byte of a page that may be read."""
        page = self._touch(address)
        if page.shared and page.thing:
            return self.shared_marks.get((page.thing, page.index), 0)
        return self.marks.get(page_of(address), 0)

    # -- areas ------------------------------------------------------------------------------------------------------------

    @property
    def areas(self) -> list[ModelArea]:
        """Lowest first, merged as far as can be."""
        return list(merged(self.pages))

    def _touch(self, address: int) -> Page:
        """The page of an access that is allowed."""
        number = page_of(address)
        page = self.pages[number]
        self.untouched.discard(number)
        self.touched.add(number)
        block = range(number - number % LARGE, number - number % LARGE + LARGE)
        if not page.thing and not page.shared and all(self.pages.get(other) == page for other in block):
            self.untouched.difference_update(block)  # who touches one may get them all
        return page

    def _forget(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.pages.pop(number, None)
            self.marks.pop(number, None)
            self.untouched.discard(number)
            self.touched.discard(number)


def merged(pages: dict[int, Page]) -> Iterator[ModelArea]:
    """Neighbours that show the following page of the same, with the same rights, as one."""
    first = last = None
    for number in sorted(pages):
        if last is None or not _continues(pages[last], pages[number], number - last):
            if first is not None and last is not None:
                yield _area(pages[first], first, last)
            first = number
        last = number
    if first is not None and last is not None:
        yield _area(pages[first], first, last)


def _continues(left: Page, right: Page, distance: int) -> bool:
    return distance == 1 and right == (replace(left, index=left.index + 1) if left.thing else left)


def _area(page: Page, first: int, last: int) -> ModelArea:
    return ModelArea(first * PAGE, (last + 1) * PAGE, page.protection, page.kind, page.shared, page.thing, page.index)
