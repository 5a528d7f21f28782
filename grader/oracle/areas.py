"""What a correct set of areas holds and answers, in plain Python: a list in order, changed by the contract's sentences and by nothing else.

Addresses are numbers, ranges half-open. Nothing here knows a data structure of the piece: areas are kept merged, so the list is the same
for every correct one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

PAGE = 4096
USER_BEGIN = 0x1000_0000
USER_END = 0xC000_0000
WORDS = 1 << 32

READ, WRITE, EXECUTE, SHARED = 1, 2, 4, 8  # the guest's words: grader/guest/areas_verbs.cpp
PROTECTION = READ | WRITE | EXECUTE
KINDS = ("image", "heap", "mapping", "stack")


def attributes(protection: int = READ | WRITE, kind: int = 2, *, shared: bool = False) -> int:
    """Everything but range and object, as one number."""
    return protection | (SHARED if shared else 0) | kind << 4


@dataclass(frozen=True, order=True)
class Area:
    """One area, or a part of one."""

    begin: int
    end: int
    attributes: int
    object: int = 0
    first_page: int = 0

    @property
    def pages(self) -> int:
        return (self.end - self.begin) // PAGE

    @property
    def protection(self) -> int:
        return self.attributes & PROTECTION

    def part(self, begin: int, end: int) -> Area:
        """What of it lies in [begin, end), which must be something."""
        low, high = max(self.begin, begin), min(self.end, end)
        return replace(self, begin=low, end=high, first_page=self.first_page + (low - self.begin) // PAGE if self.object else self.first_page)

    def protected(self, protection: int) -> Area:
        return replace(self, attributes=self.attributes & ~PROTECTION | protection)

    def continued_by(self, right: Area) -> bool:
        """continues() of the contract."""
        return (self.end == right.begin and self.attributes == right.attributes and self.object == right.object
                and (not self.object or self.first_page + self.pages == right.first_page))

    def overlaps(self, begin: int, end: int) -> bool:
        return self.begin < end and begin < self.end

    def __str__(self) -> str:
        rights = "".join(letter if self.attributes & bit else "-" for letter, bit in (("r", READ), ("w", WRITE), ("x", EXECUTE)))
        kind = KINDS[self.attributes >> 4 & 3]
        behind = f", page {self.first_page:#x} of object {self.object:#x}" if self.object or self.first_page else ""
        return f"{self.begin:#010x}-{self.end:#010x} {rights} {'shared' if self.attributes & SHARED else 'private'} {kind}{behind}"


def read_areas(words: Sequence[int]) -> list[Area]:
    """Areas as the guest sends them, five words each."""
    return [Area(*words[i : i + 5]) for i in range(0, len(words) - 4, 5)]


def digest(areas: Iterable[Area]) -> int:
    """As the guest reckons it."""
    sum_ = 0x811C_9DC5
    for area in areas:
        for word in (area.begin, area.end, area.attributes, area.object, area.first_page):
            sum_ = (sum_ ^ word) * 0x0100_0193 % WORDS
    return sum_


def range_errors(begin: int, end: int) -> set[str]:
    """The errors that a range deserves; any of them may come."""
    errors = set()
    if begin == end:
        errors.add("InvalidArgument")
    if begin % PAGE or end % PAGE:
        errors.add("Misaligned")
    if end < begin or begin < USER_BEGIN or end > USER_END:
        errors.add("OutOfRange")
    return errors


@dataclass
class Change:
    """What a call must answer: the errors of which one must come (none: it succeeds), what it shows, the list afterwards."""

    errors: set[str]
    shown: list[Area] = field(default_factory=list)
    areas: list[Area] = field(default_factory=list)
    needs_memory: bool = False  # Error::OutOfMemory may come when there is none


@dataclass(frozen=True)
class Placement:
    """What place() is asked. Addresses and alignment in bytes."""

    pages: int
    begin: int
    end: int
    alignment: int = PAGE
    hint: int = 0
    random: int = 0
    guard_pages: int = 1

    @property
    def errors(self) -> set[str]:
        errors = set()
        if self.pages == 0 or self.alignment < PAGE or self.alignment & (self.alignment - 1) or self.begin == self.end:
            errors.add("InvalidArgument")
        return errors | (range_errors(self.begin, self.end) - {"InvalidArgument"})


def merged(areas: Iterable[Area]) -> list[Area]:
    """The areas, in order, with all merged that may be."""
    result: list[Area] = []
    for area in areas:
        if result and result[-1].continued_by(area):
            result[-1] = replace(result[-1], end=area.end)
        else:
            result.append(area)
    return result


@dataclass
class AreaModel:
    """The areas of one set."""

    areas: list[Area] = field(default_factory=list)

    def insert(self, area: Area) -> Change:
        errors = range_errors(area.begin, area.end)
        if any(other.overlaps(area.begin, area.end) for other in self.areas):
            errors.add("Exists")
        return Change(errors, [], merged(sorted([*self.areas, area])) if not errors else self.areas, needs_memory=True)

    def remove(self, begin: int, end: int) -> Change:
        errors = range_errors(begin, end)
        if errors:
            return Change(errors, [], self.areas)
        rest: list[Area] = []
        for area in self.areas:
            rest += self._outside(area, begin, end)
        shown = [area.part(begin, end) for area in self.areas if area.overlaps(begin, end)]
        return Change(set(), shown, rest, needs_memory=len(rest) > len(self.areas))

    def protect(self, begin: int, end: int, protection: int) -> Change:
        errors = range_errors(begin, end)
        inside = [area.part(begin, end) for area in self.areas if area.overlaps(begin, end)]
        if not errors and sum(area.pages for area in inside) * PAGE != end - begin:
            errors.add("NotMapped")
        if errors:
            return Change(errors, [], self.areas)
        rest: list[Area] = []
        splits = False
        for area in self.areas:
            outside = self._outside(area, begin, end)
            rest += outside
            splits = splits or (bool(outside) and area.overlaps(begin, end) and area.protection != protection)
        shown = [part.protected(protection) for part in inside if part.protection != protection]
        return Change(set(), shown, merged(sorted(rest + [part.protected(protection) for part in inside])), needs_memory=splits)

    @staticmethod
    def _outside(area: Area, begin: int, end: int) -> list[Area]:
        """What of an area lies outside the range."""
        if not area.overlaps(begin, end):
            return [area]
        return [area.part(*side) for side in ((area.begin, begin), (end, area.end)) if side[0] < side[1]]

    def find(self, address: int) -> Area | None:
        return next((area for area in self.areas if area.begin <= address < area.end), None)

    def find_from(self, address: int) -> Area | None:
        return next((area for area in self.areas if address < area.end), None)

    def possible_begins(self, it: Placement) -> list[range]:
        """The possible begins, the highest ones first; each range runs down."""
        size, guard = it.pages * PAGE, it.guard_pages * PAGE
        above = [area.begin - guard - size for area in self.areas] + [WORDS]  # the last begin below each area
        below = [-WORDS] + [area.end + guard for area in self.areas]          # the first one above each
        found = []
        for low, high in zip(below, above):
            low, high = max(low, it.begin), min(high, it.end - size)
            high -= high % it.alignment
            if low <= high:
                found.append(range(high, low - 1, -it.alignment))
        return found[::-1]

    def is_possible(self, it: Placement, begin: int) -> bool:
        return any(begin in begins for begins in self.possible_begins(it))

    def place(self, it: Placement) -> int | None:
        """The begin that place() must return; None for Error::OutOfMemory. Only for placements without errors."""
        if it.hint and self.is_possible(it, it.hint):
            return it.hint
        begins = self.possible_begins(it)
        total = sum(map(len, begins))
        if total == 0:
            return None
        number = it.random % total
        for some in begins:
            if number < len(some):
                return some[number]
            number -= len(some)
        raise AssertionError("a number below the total lies in one of the ranges")


def draw(areas: Sequence[Area], begin: int, end: int, longest: int = 64) -> str:
    """A character a page: "|..AAAB.|"; a range longer than `longest` pages is cut off. Every area has a letter of its own."""
    end = min(end, begin + longest * PAGE)
    names = {area: chr(ord("A") + i % 26) for i, area in enumerate(area for area in areas if area.overlaps(begin, end))}
    page_names = {page: name for area, name in names.items() for page in range(max(area.begin, begin), min(area.end, end), PAGE)}
    return "|" + "".join(page_names.get(page, ".") for page in range(begin, end, PAGE)) + "|"


def first_difference(expected: Sequence[Area], seen: Sequence[Area]) -> int | None:
    """The index of the first area in which the lists differ."""
    for i, (left, right) in enumerate(zip(expected, seen)):
        if left != right:
            return i
    return None if len(expected) == len(seen) else min(len(expected), len(seen))


class Random:
    """The guest's numbers: harness::Random in grader/guest/random.h."""

    def __init__(self, seed: int) -> None:
        self.state = seed or 1

    def next(self) -> int:
        self.state ^= self.state << 13 & 0xFFFF_FFFF
        self.state ^= self.state >> 17
        self.state ^= self.state << 5 & 0xFFFF_FFFF
        return self.state

    def below(self, bound: int) -> int:
        return self.next() % bound
