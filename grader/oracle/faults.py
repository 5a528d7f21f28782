"""What each page fault must be answered, and what the page tables must show afterwards: kernel/mm/fault/demand.h as a model.

Pages are dictionaries by page number, frames are names: one for the frame of zeros, one for each page of an object, one for each
frame of a page's own. The tests bind the names to the frames that they read out of the page tables. A page table is there exactly
where a small page is. Of fork() and copy-on-write the model knows what kernel/mm/fault/copy_on_write.h promises.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field, replace

PAGE = 4096
SLOT = 1024  # pages of 4 MiB: of a page table, and of a large page
USER_BEGIN, DATA_BEGIN, USER_END = 0x1000_0000, 0x2000_0000, 0xC000_0000
BELOW_STACK_POINTER = 32
NEIGHBOURHOOD = 8
WORDS = PAGE // 4

OUTCOMES = ("Resolved", "Retry", "Signal", "OutOfMemory")
REASONS = ("None", "NullPointer", "KernelAddress", "NotMapped", "GuardPage", "NotReadable", "NotWritable", "NotExecutable", "PastEnd", "Device",
           "StackLimit")
HOWS = ("None", "KernelTable", "ZeroFrame", "Zeroed", "LargePage", "ObjectPage", "ObjectCopy", "Copied", "LastOwner", "SwappedIn")

Name = tuple[str, int, int]  # of a frame: ("zero", 0, 0), ("object", its number, the page's index), ("own", number, 0)
ZERO: Name = ("zero", 0, 0)


@dataclass(frozen=True)
class Answer:
    """A decision, how many more frames are in use after it, and the rule that it follows from."""

    outcome: str
    reason: str = "None"
    how: str = "None"
    grew: bool = False
    neighbours: int = 0
    frames: int = 0
    why: str = ""
    may_load: Name | None = None  # a page of an object that it may have read before it ran out of memory: one more frame then

    @property
    def words(self) -> tuple[int, int, int, int, int]:
        """As fault.resolve replies it, without the frames."""
        return OUTCOMES.index(self.outcome), REASONS.index(self.reason), HOWS.index(self.how), int(self.grew), self.neighbours

    def __str__(self) -> str:
        detail = {"Resolved": f" by {self.how}", "Signal": f", {self.reason}"}.get(self.outcome, "")
        return f"{self.outcome}{detail}{', the stack grew' if self.grew else ''}{f', {self.neighbours} neighbours' if self.neighbours else ''}"


def decision_text(words: list[int]) -> str:
    """The same for what a piece has answered."""
    def name(names: tuple[str, ...], number: int) -> str:
        return names[number] if number < len(names) else f"number {number}"

    outcome, reason, how, grew, neighbours = words[:5]
    answer = Answer(name(OUTCOMES, outcome), name(REASONS, reason), name(HOWS, how), bool(grew), neighbours)
    odd = (f" with reason {answer.reason}" if reason and answer.outcome != "Signal" else "") + (f" with how {answer.how}" if how and answer.outcome != "Resolved" else "")
    return f"{answer}{odd}"


@dataclass(frozen=True, order=True)
class FaultArea:
    """An area: addresses [begin, end)."""

    begin: int
    end: int
    protection: str = "rw-"
    kind: str = "mapping"
    shared: bool = False
    object: int | None = None
    first_page: int = 0

    @property
    def writable(self) -> bool:
        return self.protection[1] == "w"

    @property
    def grants_nothing(self) -> bool:
        return self.protection == "---"

    def index_of(self, page: int) -> int:
        """Which page of the object page number `page` shows."""
        return self.first_page + page - self.begin // PAGE

    def part(self, begin: int, end: int) -> FaultArea:
        return replace(self, begin=begin, end=end, first_page=self.index_of(begin // PAGE) if self.object is not None else 0)

    def continues(self, right: FaultArea) -> bool:
        return self.end == right.begin and right == replace(
            self, begin=right.begin, end=right.end, first_page=self.index_of(self.end // PAGE) if self.object is not None else 0)

    def __str__(self) -> str:
        backing = "" if self.object is None else f", page {self.first_page} of object {self.object}"
        return f"{self.begin:#010x}-{self.end:#010x} {self.protection}{'s' if self.shared else 'p'} {self.kind}{backing}"


@dataclass(frozen=True)
class Shown:
    """A page that is present. A large page is 1024 of these, with one name."""

    name: Name
    writable: bool
    user: bool = True
    large: bool = False


@dataclass
class Backing:
    """A memory object: a file of so many bytes (word i is seed + i), or shared memory (no bytes)."""

    pages: int
    bytes: int | None = None
    seed: int = 0
    broken: int | None = None  # page that cannot be read
    loaded: set[int] = field(default_factory=set)
    reads: int = 0


@dataclass
class SpaceModel:
    """One address space."""

    areas: list[FaultArea] = field(default_factory=list)
    pages: dict[int, Shown] = field(default_factory=dict)  # by page number
    most_mapped: int = 1 << 20
    most_resident: int = 1 << 20
    most_stack: int = 256

    @property
    def memento(self) -> tuple[list[FaultArea], dict[int, Shown]]:
        """What a fault can change; to be set again when it has not."""
        return list(self.areas), dict(self.pages)

    @memento.setter
    def memento(self, what: tuple[list[FaultArea], dict[int, Shown]]) -> None:
        self.areas, self.pages = what

    def find(self, address: int) -> FaultArea | None:
        return next((area for area in self.areas if area.begin <= address < area.end), None)

    def next_above(self, address: int) -> FaultArea | None:
        return next((area for area in self.areas if area.begin > address), None)

    @property
    def mapped(self) -> int:
        return sum(area.end - area.begin for area in self.areas) // PAGE

    def insert(self, area: FaultArea) -> None:
        """Where nothing is; merged with what it continues, as areas.h has it."""
        areas = sorted([*self.areas, area])
        merged = areas[:1]
        for one in areas[1:]:
            if merged[-1].continues(one):
                merged[-1] = replace(merged[-1], end=one.end)
            else:
                merged.append(one)
        self.areas = merged

    def cut(self, begin: int, end: int) -> list[FaultArea]:
        """Takes [begin, end) out of the areas. What was there."""
        parts = [area.part(max(area.begin, begin), min(area.end, end)) for area in self.areas if area.begin < end and begin < area.end]
        rest = [area.part(*ends) for area in self.areas for ends in ((area.begin, min(area.end, begin)), (max(area.begin, end), area.end))
                if ends[0] < ends[1]]
        self.areas = sorted(rest)
        return parts

    def slot(self, page: int) -> str:
        """What the directory says about the 4 MiB that the page lies in."""
        first = page // SLOT * SLOT
        shown = next((self.pages[number] for number in range(first, first + SLOT) if number in self.pages), None)
        return "empty" if shown is None else "large" if shown.large else "table"

    @property
    def tables(self) -> set[int]:
        """The 4 MiB with a page table."""
        return {page // SLOT for page, shown in self.pages.items() if not shown.large}


@dataclass
class FaultModel:
    """All spaces and objects of a script."""

    spaces: dict[int, SpaceModel] = field(default_factory=dict)
    objects: dict[int, Backing] = field(default_factory=dict)
    marks: dict[Name, dict[int, int]] = field(default_factory=dict)  # words that differ from the first contents, by byte offset
    origins: dict[Name, Name] = field(default_factory=dict)           # own frames that are copies of an object's page; the others began as zeros
    allowance: int | None = None  # allocations of frames that still succeed
    handed_over: int = 0          # calls of copy_on_write::resolve_write()
    runs: bool = True             # whether runs of 4 MiB are at hand
    large_pages: bool = True      # CONFIG_LARGE_PAGES
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    # -- what the kernel does ------------------------------------------------------------------------------------------

    def protect(self, space: SpaceModel, begin: int, end: int, protection: str) -> None:
        """The rights of present pages follow; a private page stays read-only while others show its frame."""
        for part in space.cut(begin, end):
            space.insert(replace(part, protection=protection))
        for page in range(begin // PAGE, end // PAGE):
            shown, area = space.pages.get(page), space.find(page * PAGE)
            if shown and area:
                writable = area.writable and (area.shared or self.references(shown.name) == 1)
                space.pages[page] = replace(shown, writable=writable, user=not area.grants_nothing)

    def unmap(self, space: SpaceModel, begin: int, end: int) -> None:
        space.cut(begin, end)
        self.discard(space, begin, end)

    def discard(self, space: SpaceModel, begin: int, end: int) -> None:
        for page in range(begin // PAGE, end // PAGE):
            space.pages.pop(page, None)

    def fork(self, space: SpaceModel) -> SpaceModel:
        """Private areas only: what becomes of shared ones is the other lab's choice."""
        assert not any(area.shared for area in space.areas)
        for page, shown in list(space.pages.items()):
            if shown.large:
                shown = replace(shown, name=self.frame_of(page, shown), large=False)
            space.pages[page] = replace(shown, writable=False)
        return replace(space, areas=list(space.areas), pages=dict(space.pages))

    def load(self, name: Name) -> None:
        """The object has this page in memory from now on."""
        backing = self.objects[name[1]]
        backing.reads += backing.bytes is not None and name[2] not in backing.loaded
        backing.loaded.add(name[2])

    # -- frames --------------------------------------------------------------------------------------------------------

    def users(self) -> Counter[Name]:
        """How many pages show each frame; those of a large page are one."""
        return Counter(itertools.chain.from_iterable(
            (shown.name for page, shown in space.pages.items() if not shown.large or page % SLOT == 0) for space in self.spaces.values()))

    def references(self, name: Name) -> int:
        """Pages that show the frame, and the object or the kernel if it has one."""
        return self.users()[name] + (name[0] != "own")

    @staticmethod
    def frame_of(page: int, shown: Shown) -> Name:
        """The frame of one page, also of one in a large page."""
        return (*shown.name[:2], page % SLOT) if shown.large else shown.name

    def poke(self, number: int, address: int, word: int) -> None:
        page = address // PAGE
        self.marks.setdefault(self.frame_of(page, self.spaces[number].pages[page]), {})[address % PAGE & ~3] = word

    def contents(self, name: Name) -> bytes:
        """What the frame holds."""
        data = bytearray(self._first_contents(name))
        for offset, word in self.marks.get(name, {}).items():
            data[offset:offset + 4] = word.to_bytes(4, "little")
        return bytes(data)

    def _first_contents(self, name: Name) -> bytes:
        if name[0] == "own":
            return self._first_contents(self.origins[name]) if name in self.origins else bytes(PAGE)
        if name[0] == "zero" or self.objects[name[1]].bytes is None:
            return bytes(PAGE)
        backing, begin = self.objects[name[1]], name[2] * PAGE
        words = b"".join((backing.seed + begin // 4 + i & 0xFFFF_FFFF).to_bytes(4, "little") for i in range(WORDS))
        return words[:max(0, backing.bytes - begin)].ljust(PAGE, b"\0")

    def _own(self, origin: Name | None = None) -> Name:
        """A new frame: of zeros, or a copy that keeps what the original holds now, whatever becomes of that."""
        name: Name = ("own", next(self._numbers), 0)
        root = self.origins.get(origin, origin) if origin and origin[0] == "own" else origin
        if root and root[0] == "object":
            self.origins[name] = root
        if origin in self.marks:
            self.marks[name] = dict(self.marks[origin])
        return name

    @property
    def is_short(self) -> bool:
        """Whether a test keeps frames back."""
        return self.allowance is not None

    def _can_take(self, frames: int) -> bool:
        return self.allowance is None or frames <= self.allowance

    def _taken(self, frames: int) -> None:
        if self.allowance is not None:
            self.allowance -= frames

    # -- the fault -----------------------------------------------------------------------------------------------------

    def resolve(self, number: int, address: int, access: str, who: str, stack_pointer: int) -> Answer:
        """What demand::resolve() must answer. The model has changed accordingly afterwards."""
        space = self.spaces[number]
        area = space.find(address)
        if area:
            return self._resolve_in(space, area, address, access, who)
        refused = self._grow(space, address, stack_pointer)
        if refused:
            return refused
        area = space.find(address)
        assert area
        return replace(self._resolve_in(space, area, address, access, who), grew=True)

    def _grow(self, space: SpaceModel, address: int, stack_pointer: int) -> Answer | None:
        """Rule 1."""
        above, page = space.next_above(address), address // PAGE
        if not above or above.kind != "stack" or address + BELOW_STACK_POINTER < stack_pointer:
            if above and above.begin // PAGE == page + 1:
                return Answer("Signal", "GuardPage", why=f"rule 1: it lies in no area, in the page directly below {above}")
            return Answer("Signal", "NotMapped", why="rule 1: it lies in no area")
        size = above.end // PAGE - page
        if size > space.most_stack:
            return Answer("Signal", "StackLimit", why=f"rule 1: the stack would have {size} pages, and its limit is {space.most_stack}")
        if page * PAGE <= USER_BEGIN or space.find((page - 1) * PAGE):
            return Answer("Signal", "GuardPage", why="rule 1: the page below the grown stack is in an area, or below the user range")
        if space.mapped + above.begin // PAGE - page > space.most_mapped:
            return Answer("OutOfMemory", why=f"rule 1: the space may have {space.most_mapped} pages in areas, and has {space.mapped}")
        space.areas[space.areas.index(above)] = replace(above, begin=page * PAGE)
        return None

    def _resolve_in(self, space: SpaceModel, area: FaultArea, address: int, access: str, who: str) -> Answer:
        write, page = access == "write", address // PAGE
        forbidden = ("NotReadable" if area.grants_nothing else "NotWritable" if write and not area.writable else
                     "NotExecutable" if access == "fetch" and who == "user" and area.protection[2] != "x" else "")
        if forbidden:
            return Answer("Signal", forbidden, why=f"rule 2: the area {area} forbids a {access} by {'user code' if who == 'user' else 'the kernel'}")
        shown = space.pages.get(page)
        if shown:
            if write and not area.shared and not shown.writable:
                return self._write_shared(space, page, shown)
            return Answer("Retry", why=f"rule 3: the page is present and the {access} is possible")
        if area.object is not None:
            return self._show_object(space, area, page, write)
        return self._show_zeros(space, area, page, write)

    def _write_shared(self, space: SpaceModel, page: int, shown: Shown) -> Answer:
        """Rule 3, and what copy_on_write.h promises."""
        why = "rule 3: the page is present, private and read-only, and copy_on_write::resolve_write() decides"
        self.handed_over += 1
        if self.references(shown.name) == 1:
            space.pages[page] = replace(shown, writable=True)
            return Answer("Resolved", how="LastOwner", why=why)
        if not self._can_take(1):
            return Answer("OutOfMemory", why=why)
        self._taken(1)
        space.pages[page] = replace(shown, name=self._own(shown.name), writable=True)
        return Answer("Resolved", how="Copied", frames=1, why=why)

    def _show(self, space: SpaceModel, page: int, name: Name, writable: bool, how: str, taken: int, why: str) -> Answer:
        """One small page, for which `taken` frames are needed besides a page table."""
        if len(space.pages) + 1 > space.most_resident:
            return Answer("OutOfMemory", why=f"the space may have {space.most_resident} pages present, and has them")
        frames = taken + (space.slot(page) == "empty")
        if not self._can_take(frames):
            return Answer("OutOfMemory", why=f"{frames} frames are needed, and {self.allowance} can be had")
        self._taken(frames)
        space.pages[page] = Shown(name, writable)
        return Answer("Resolved", how=how, frames=frames, why=why)

    def _show_zeros(self, space: SpaceModel, area: FaultArea, page: int, write: bool) -> Answer:
        """Rule 4."""
        if not write:
            return self._show(space, page, ZERO, False, "ZeroFrame", 0, "rule 4: a read of memory that nobody has written to")
        if self._large_fits(space, area, page):
            self._taken(1)
            name, first = self._own(), page // SLOT * SLOT
            space.pages.update((number, Shown(name, True, large=True)) for number in range(first, first + SLOT))
            return Answer("Resolved", how="LargePage", frames=SLOT, why="rule 4: the aligned 4 MiB lie in the area, nothing of them is there, and a run is at hand")
        return self._show(space, page, self._own(), True, "Zeroed", 1, "rule 4: the first write to private memory")

    def _large_fits(self, space: SpaceModel, area: FaultArea, page: int) -> bool:
        first = page // SLOT * SLOT
        return (self.large_pages and self.runs and area.begin <= first * PAGE and (first + SLOT) * PAGE <= area.end and space.slot(page) == "empty"
                and len(space.pages) + SLOT <= space.most_resident and self._can_take(1))

    def _show_object(self, space: SpaceModel, area: FaultArea, page: int, write: bool) -> Answer:
        """Rule 5."""
        assert area.object is not None
        backing, index = self.objects[area.object], area.index_of(page)
        if index >= backing.pages:
            return Answer("Signal", "PastEnd", why=f"page {index} lies behind the end of the object, which has {backing.pages}")
        is_new = index not in backing.loaded
        if is_new and index == backing.broken:
            return Answer("Signal", "Device", why=f"page {index} of the file cannot be read")
        name: Name = ("object", area.object, index)
        why = f"rule 5: page {index} of object {area.object}, {'shared' if area.shared else 'private'}, for a {'write' if write else 'read'}"
        if area.shared or not write:
            answer = self._show(space, page, name, area.shared and area.writable, "ObjectPage", is_new, why)
        else:
            answer = self._show(space, page, self._own(name), True, "ObjectCopy", 1 + is_new, why)
        if is_new and answer.outcome != "Resolved":
            return replace(answer, may_load=name)
        if is_new:
            self.load(name)
        if answer.outcome == "Resolved" and not area.shared and not write:
            answer = replace(answer, neighbours=self._show_neighbours(space, area, page))
        return answer

    def _show_neighbours(self, space: SpaceModel, area: FaultArea, page: int) -> int:
        """Those that are at hand, from the lowest up, while there is room."""
        assert area.object is not None
        first, count = page // NEIGHBOURHOOD * NEIGHBOURHOOD, 0
        for other in range(max(first, area.begin // PAGE), min(first + NEIGHBOURHOOD, area.end // PAGE)):
            index = area.index_of(other)
            if other in space.pages or index not in self.objects[area.object].loaded:
                continue
            if len(space.pages) >= space.most_resident:
                break
            space.pages[other] = Shown(("object", area.object, index), False)
            count += 1
        return count
