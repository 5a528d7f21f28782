"""What a correct lab 02-paging would have done: page directories as plain dictionaries of pages.

The model knows the contract (kernel/mm/paging/page_table.h) and nothing of page tables, frames for them or the TLB. A page
directory is a dictionary from page number to Page; the shared range is one more dictionary, as every directory sees the
same. The kernel's swap entries, which it writes into the tables itself, are one more dictionary for each directory: from page
number to slot. Each operation has two halves: `errors()` says which errors the contract allows for a request (several may apply, and
the contract gives no order among them), and `apply()` does what the request asks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Iterator

PAGE = 4096
LARGE_PAGE = 4 << 20
PAGES_PER_LARGE = 1024
ADDRESS_SPACE = 1 << 32
LAST_PAGE = ADDRESS_SPACE - PAGE
MAX_FRAMES = 1 << 20

USER_BEGIN = 0x1000_0000
USER_END = 0xC000_0000
SHARED_BEGIN = 0xC000_0000
PIECE_SLOT = 0xFF80_0000  # one directory entry that the piece may use as it likes
FULL_FLUSH_PAGES = 32
SLOTS = 1 << 24  # that a swap entry can name


@dataclass(frozen=True)
class Rights:
    """What may be done with a page, and by whom. The word is how the script spells it."""

    writable: bool = False
    user: bool = False
    global_: bool = False

    def __str__(self) -> str:
        words = ["rw" if self.writable else "ro", "user" if self.user else "kernel"]
        return "-".join(words + ["global"] if self.global_ else words)


READ_USER = Rights(False, True)
WRITE_USER = Rights(True, True)
READ_KERNEL = Rights(False, False)
WRITE_KERNEL = Rights(True, False)
READ_GLOBAL = Rights(False, False, True)
WRITE_GLOBAL = Rights(True, False, True)

USER_RIGHTS = (READ_USER, WRITE_USER, READ_KERNEL, WRITE_KERNEL)
SHARED_RIGHTS = (READ_GLOBAL, WRITE_GLOBAL, READ_KERNEL, WRITE_KERNEL)


@dataclass(frozen=True)
class Page:
    """4 KiB of a directory: where they lie, and the rights. `large`: a part of a 4 MiB page."""

    frame: int
    rights: Rights
    large: bool = False


@dataclass(frozen=True)
class Request:
    """One call of map, unmap or protect."""

    verb: str
    directory: str  # a name; "kernel" for kernel_directory()
    start: int
    count: int
    frame: int = 0
    large: bool = False
    rights: Rights = Rights()

    @property
    def size(self) -> int:
        return LARGE_PAGE if self.large else PAGE

    @property
    def end(self) -> int:
        """One past the last address, without wrapping."""
        return self.start + self.count * self.size

    @property
    def shared(self) -> bool:
        return self.start >= SHARED_BEGIN

    @property
    def pages(self) -> range:
        """Page numbers, in 4 KiB whatever the size."""
        return range(self.start // PAGE, self.end // PAGE)


def slots(pages: range) -> Iterator[tuple[int, range]]:
    """Cuts page numbers by directory entry: (index, the pages below it)."""
    for slot in range(pages.start // PAGES_PER_LARGE, (pages.stop - 1) // PAGES_PER_LARGE + 1):
        low, high = slot * PAGES_PER_LARGE, (slot + 1) * PAGES_PER_LARGE
        yield slot, range(max(low, pages.start), min(high, pages.stop))


@dataclass
class PageTables:
    """All directories of one machine, as far as the tests changed them."""

    user: dict[str, dict[int, Page]] = field(default_factory=lambda: {"kernel": {}})
    swapped: dict[str, dict[int, int]] = field(default_factory=lambda: {"kernel": {}})  # page -> slot; only of the user range
    shared: dict[int, Page] = field(default_factory=dict)
    shared_tables: set[int] = field(default_factory=set)  # directory indices of the shared range that have a table for good

    def create(self, name: str) -> None:
        self.user[name], self.swapped[name] = {}, {}

    def destroy(self, name: str) -> None:
        del self.user[name], self.swapped[name]

    def swap_out(self, name: str, page: int, slot: int) -> None:
        """The kernel's own work: the page's entry becomes a swap entry. Its page table is there."""
        self.user[name].pop(page, None)
        self.swapped[name][page] = slot

    # -- what the contract says to a request -------------------------------------------------------------------------

    def errors(self, request: Request, frames_left: int | None = None) -> set[str]:
        """The errors that apply; the function must return one of them. Empty: it must succeed.

        `frames_left` is how many more frames the machine hands out (None: enough). A piece may ask for more tables than it
        needs in the end, so that success is demanded only where memory is plenty: see must_succeed().
        """
        found = self._argument_errors(request)
        if found:
            return found
        if request.verb == "protect" and any(page not in self._pages(request) for page in request.pages):
            return {"NotMapped"}
        if frames_left is not None and self.tables_needed(request) > frames_left:
            return {"OutOfMemory"}
        return set()

    def _argument_errors(self, request: Request) -> set[str]:
        found = set()
        if request.count == 0:
            found.add("InvalidArgument")
        if request.start % request.size or (request.large and request.frame % PAGES_PER_LARGE):
            found.add("Misaligned")
        user = USER_BEGIN <= request.start and request.end <= USER_END
        shared = SHARED_BEGIN <= request.start and request.end <= ADDRESS_SPACE and request.directory == "kernel"
        if request.count and not user and not shared:
            found.add("OutOfRange")
        if request.verb != "unmap":
            if request.rights.user and request.end > USER_END:
                found.add("InvalidArgument")
            if request.rights.global_ and request.start < USER_END:
                found.add("InvalidArgument")
        if request.verb == "map" and request.frame + request.count * request.size // PAGE > MAX_FRAMES:
            found.add("OutOfRange")
        if request.verb == "map" and request.large and request.end > SHARED_BEGIN:
            found.add("Unsupported")
        return found

    def tables_needed(self, request: Request) -> int:
        """Page tables that do not exist yet and without which the request cannot be served."""
        if request.verb == "map" and request.large:
            return 0
        return sum(self._needs_table(request, slot, part) for slot, part in slots(request.pages))

    def _needs_table(self, request: Request, slot: int, part: range) -> bool:
        pages = self._pages(request)
        whole = range(slot * PAGES_PER_LARGE, (slot + 1) * PAGES_PER_LARGE)
        large = whole.start in pages and pages[whole.start].large
        if request.verb == "map":
            return slot not in (self.shared_tables if request.shared else self.user_tables(request.directory))
        return large and len(part) < PAGES_PER_LARGE

    def _pages(self, request: Request) -> dict[int, Page]:
        return self.shared if request.shared else self.user[request.directory]

    # -- what it does ------------------------------------------------------------------------------------------------

    def apply(self, request: Request) -> None:
        """Does what a request asks for which errors() found nothing."""
        pages = self._pages(request)
        if not (request.verb == "map" and request.large):
            self._split(pages, request)
        for number, page in enumerate(request.pages):
            if not request.shared and request.verb != "protect":
                self.swapped[request.directory].pop(page, None)
            if request.verb == "map":
                pages[page] = Page(request.frame + number, request.rights, request.large)
            elif request.verb == "unmap":
                pages.pop(page, None)
            else:
                pages[page] = replace(pages[page], rights=request.rights)
        if request.verb == "map" and request.shared:
            self.shared_tables |= {slot for slot, _ in slots(request.pages)}

    def _split(self, pages: dict[int, Page], request: Request) -> None:
        """Large pages of which only a part changes become 1024 small ones, otherwise the same."""
        for slot, part in slots(request.pages):
            first = slot * PAGES_PER_LARGE
            if first in pages and pages[first].large and (len(part) < PAGES_PER_LARGE or request.verb == "map"):
                for page in range(first, first + PAGES_PER_LARGE):
                    pages[page] = replace(pages[page], large=False)

    # -- questions ---------------------------------------------------------------------------------------------------

    def page(self, directory: str, address: int) -> Page | None:
        """The page at an address of the user or the shared range."""
        pages = self.shared if address >= SHARED_BEGIN else self.user[directory]
        return pages.get(address // PAGE)

    def physical(self, directory: str, address: int) -> int | None:
        """The physical address that a virtual one of the user or the shared range names."""
        page = self.page(directory, address)
        return None if page is None else page.frame * PAGE + address % PAGE

    def user_tables(self, directory: str) -> set[int]:
        """Directory indices of the user range that have a page table: those with at least one small page or swap entry."""
        return ({number // PAGES_PER_LARGE for number, page in self.user[directory].items() if not page.large}
                | {number // PAGES_PER_LARGE for number in self.swapped[directory]})
