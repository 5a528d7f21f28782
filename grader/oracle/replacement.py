"""What page replacement must do: the policies of kernel/mm/reclaim/policy.h, page by page, and the optimum.

`Memory` is a machine with so many frames: use() a page, and it says which pages had to leave for it. The policies look at it as the kernel's
look at page_usage.h. Belady's MIN (1966) knows the future: nobody has fewer faults.

    memory = Memory("clock", frames=4)
    memory.use(7)          # [] while there is room, else the victims
    count_faults("clock", string, frames=4), count_faults_of_min(string, frames=4)

Written from the contract, not from any piece: lists of pages, searched from the begin.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

Page = Hashable
KINDS = ("fifo", "clock", "aging", "two-lists", "working-set", "own")  # as policy::Kind counts them; Own has no model
WINDOW = 50  # kWorkingSetWindow
CLEANINGS = 8  # kCleaningsPerSearch
NEWEST = 0x80
TICK = 10  # references of a string between two ticks; each takes 1 of its owner's time


@dataclass
class Usage:
    """What the CPU and the kernel know of a page in memory."""

    accessed: set[int] = field(default_factory=set)  # through whose entries; what an entry says goes with it
    dirty: bool = True  # a new page has never been written to the swap area
    owners: set[int] = field(default_factory=set)  # who shows it


class Policy:
    """A set of pages in memory, and which is to leave. `memory` answers what policies may ask."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.pages: list[Page] = []  # in the order in which they came; of a circle, from the hand on

    def page_in(self, page: Page) -> None:
        self.pages.append(page)

    def page_out(self, page: Page) -> None:
        if page in self.pages:
            self.pages.remove(page)

    def choose(self) -> Page:
        """The page that is to leave next; there is one."""
        raise NotImplementedError

    def tick(self) -> None:
        """100 ms have passed."""

    @property
    def count(self) -> int:
        return len(self.pages)


class Fifo(Policy):
    def choose(self) -> Page:
        return self.pages[0]


class Clock(Policy):
    """`pages` begins at the hand, so who comes is appended: directly behind it."""

    def choose(self) -> Page:
        while self.memory.test_and_clear_accessed(self.pages[0]):
            self._move_on()
        return self.pages[0]

    def _move_on(self) -> None:
        self.pages.append(self.pages.pop(0))


class Aging(Policy):
    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        self.counters: dict[Page, int] = {}

    def page_in(self, page: Page) -> None:
        super().page_in(page)
        self.counters[page] = NEWEST

    def choose(self) -> Page:
        return min(self.pages, key=lambda page: self.counters[page])  # of several the first

    def tick(self) -> None:
        for page in self.pages:
            self.counters[page] = self.counters[page] >> 1 | (NEWEST if self.memory.test_and_clear_accessed(page) else 0)


class TwoLists(Policy):
    """`pages` is the inactive list. Both begin at their tail."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        self.active: list[Page] = []
        self.marked: set[Page] = set()

    def page_in(self, page: Page) -> None:
        super().page_in(page)
        self.marked.discard(page)

    def page_out(self, page: Page) -> None:
        super().page_out(page)
        if page in self.active:
            self.active.remove(page)

    def choose(self) -> Page:
        while True:
            while 3 * len(self.pages) < self.count:
                page = self.active.pop(0)
                (self.active if self.memory.test_and_clear_accessed(page) else self.pages).append(page)
            page = self.pages[0]
            if not self.memory.test_and_clear_accessed(page):
                return page
            self.pages.pop(0)
            if page in self.marked:
                self.marked.remove(page)
                self.active.append(page)
            else:
                self.marked.add(page)
                self.pages.append(page)

    @property
    def count(self) -> int:
        return len(self.pages) + len(self.active)


class WorkingSet(Clock):
    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        self.times: dict[Page, int] = {}

    def page_in(self, page: Page) -> None:
        super().page_in(page)
        self.times[page] = self.memory.owner_time(page)

    def age(self, page: Page) -> int:
        return max(self.memory.owner_time(page) - self.times[page], 0)

    def choose(self) -> Page:
        cleanings = 0
        for _ in range(2 * self.count):
            page = self.pages[0]
            if self.memory.test_and_clear_accessed(page):
                self.times[page] = self.memory.owner_time(page)
            elif self.age(page) > WINDOW:
                if not self.memory.is_dirty(page):
                    return page
                if cleanings < CLEANINGS:
                    cleanings += 1
                    self.memory.clean(page)
            self._move_on()
        clean = [page for page in self.pages if not self.memory.is_dirty(page)]
        victim = max(clean or self.pages, key=self.age)  # of several the first from the hand on
        while self.pages[0] != victim:
            self._move_on()
        return victim


POLICIES: dict[str, type[Policy]] = {"fifo": Fifo, "clock": Clock, "aging": Aging, "two-lists": TwoLists, "working-set": WorkingSet}


class Memory:
    """So many frames for pages, and a policy. None: as many as there are pages."""

    def __init__(self, kind: str, frames: int | None = None) -> None:
        self.frames = frames
        self.usage: dict[Page, Usage] = {}  # of the pages in memory
        self.stored: set[Page] = set()  # pages that the swap area has, or a file
        self.times: dict[int, int] = {}  # the owners' virtual time
        self.faults = 0
        self.can_clean = True
        self.cleaned: list[Page] = []
        self.policy = POLICIES[kind](self)

    # what policies ask

    def test_and_clear_accessed(self, page: Page) -> bool:
        accessed, self.usage[page].accessed = self.usage[page].accessed, set()
        return bool(accessed)

    def is_dirty(self, page: Page) -> bool:
        return self.usage[page].dirty

    def clean(self, page: Page) -> None:
        if self.can_clean:
            self.usage[page].dirty = False
            self.stored.add(page)
            self.cleaned.append(page)

    def owner_time(self, page: Page) -> int:
        return max((self.times.get(owner, 0) for owner in self.usage[page].owners), default=0)

    # what happens to it

    def use(self, page: Page, *, write: bool = True, owner: int = 0) -> list[Page]:
        """A page is read or written. Returns the pages that had to leave, in order."""
        left: list[Page] = []
        if page not in self.usage:
            self.faults += 1
            while self.frames is not None and self.policy.count >= self.frames:
                left.append(self.take())
            self.usage[page] = Usage(dirty=page not in self.stored, owners={owner})
            self.policy.page_in(page)
        self.usage[page].owners.add(owner)
        self.usage[page].accessed.add(owner)
        self.usage[page].dirty |= write
        return left

    def choose(self) -> Page:
        return self.policy.choose()

    def take(self) -> Page:
        """The next victim leaves; the swap area has it then."""
        victim = self.policy.choose()
        self.stored.add(victim)
        self.forget(victim)
        return victim

    def forget(self, page: Page) -> None:
        """The page is in memory no more."""
        self.policy.page_out(page)
        del self.usage[page]

    def leave(self, owner: int) -> None:
        """The owner shows no page any more; others do."""
        for usage in self.usage.values():
            usage.owners.discard(owner)
            usage.accessed.discard(owner)

    def lose(self, page: Page) -> None:
        """The page's owner is gone, and with him the page."""
        if page in self.usage:
            self.forget(page)
        self.stored.discard(page)

    def tick(self) -> None:
        self.policy.tick()

    def add_time(self, ticks: int, owner: int = 0) -> None:
        self.times[owner] = self.times.get(owner, 0) + ticks


def run_string(kind: str, string: Iterable[int], frames: int, tick: int = TICK, *, stored: Iterable[int] = ()) -> tuple[int, list[tuple[int, int]]]:
    """The faults, and the victims: (number of the reference, page). The pages in `stored` have contents on a disk before they come."""
    memory = Memory(kind, frames)
    memory.stored.update(stored)
    victims = []
    for number, page in enumerate(string):
        victims += [(number, victim) for victim in memory.use(page, write=False)]
        memory.add_time(1)
        if (number + 1) % tick == 0:
            memory.tick()
    return memory.faults, victims


def count_faults(kind: str, string: Sequence[int], frames: int, tick: int = TICK) -> int:
    """Of pages of a file that are only read."""
    return run_string(kind, string, frames, tick, stored=set(string))[0]


def count_faults_of_min(string: Sequence[int], frames: int) -> int:
    """The fewest that any policy can have: the page leaves that is used again last (Belady 1966)."""
    places: dict[int, list[int]] = {}
    for number, page in enumerate(string):
        places.setdefault(page, []).append(number)

    def next_use(page: int, now: int) -> int:
        uses = places[page]
        index = bisect_right(uses, now)
        return uses[index] if index < len(uses) else len(string)

    memory: set[int] = set()
    faults = 0
    for now, page in enumerate(string):
        if page in memory:
            continue
        faults += 1
        if len(memory) == frames:
            memory.remove(max(memory, key=lambda other: (next_use(other, now), other)))
        memory.add(page)
    return faults
