"""What memory is when fork() shares frames and the first write copies: spaces, pages and frames as plain Python objects.

The model knows the contracts (kernel/mm/fault/{copy_on_write,demand}.h) and nothing of page tables, entries or the TLB. A frame is an
object with contents and a number of owners; which frame of the machine it is, the comparison finds out (labs/cow_state.py). A script
is followed while it is written: nothing that the model needs to know is decided by the machine.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

PAGE = 4096
SLOT_PAGES = 1024  # pages below one directory entry
NEIGHBOURHOOD = 8  # pages that a read of a file's page may bring (kNeighbourhood)
ZEROS = bytes(PAGE)


@dataclass
class Frame:
    """4096 bytes. Compared by identity."""

    number: int  # the model's own
    base: bytes = ZEROS
    words: dict[int, int] = field(default_factory=dict)  # what was written since, by offset
    pinned: int = 0  # owners that are no page: an object; for the frame of zeros the kernel
    pages: int = 0   # pages that show it
    is_regained: bool = False  # its last owner has written to it again

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def owners(self) -> int:
        return self.pages + self.pinned

    def word(self, offset: int) -> int:
        return self.words.get(offset, struct.unpack_from("<I", self.base, offset)[0])


@dataclass
class Page:
    """What a space shows at one address."""

    frame: Frame
    writable: bool | None  # None: either, until it is written
    user: bool = True
    optional: bool = False  # of a shared area in a child: it may be absent until somebody looks


@dataclass
class Thing:
    """A memory object: a file, whose word i is seed + i, or shared memory."""

    pages: int
    bytes: int
    seed: int | None  # None: shared memory, zero at first
    frames: dict[int, Frame] = field(default_factory=dict)
    released: bool = False

    def page_contents(self, index: int) -> bytes:
        if self.seed is None:
            return ZEROS
        first = self.seed + index * PAGE // 4
        data = struct.pack("<1024I", *((first + i) & 0xFFFF_FFFF for i in range(PAGE // 4)))
        return data[: max(self.bytes - index * PAGE, 0)].ljust(PAGE, b"\0")


@dataclass(frozen=True)
class Attributes:
    """Of one page of an area."""

    protection: str  # "rw-"
    shared: bool = False
    thing: int | None = None
    index: int = 0  # the page of the thing

    @property
    def writable(self) -> bool:
        return self.protection[1] == "w"

    @property
    def user(self) -> bool:
        return self.protection != "---"


@dataclass
class Space:
    """The areas and the present pages of an address space, by page number."""

    areas: dict[int, Attributes] = field(default_factory=dict)
    pages: dict[int, Page] = field(default_factory=dict)
    in_slot: Counter[int] = field(default_factory=Counter)        # pages that are present, by directory entry
    perhaps_in_slot: Counter[int] = field(default_factory=Counter)  # pages that may be

    @property
    def tables(self) -> int:
        """Directory entries below which a page is present."""
        return len(self.in_slot)

    @property
    def is_certain(self) -> bool:
        """Whether the contract says which page tables there are."""
        return self.perhaps_in_slot.keys() <= self.in_slot.keys()

    def show(self, at: int, page: Page) -> None:
        assert at not in self.pages
        self.pages[at] = page
        page.frame.pages += 1
        (self.perhaps_in_slot if page.optional else self.in_slot)[at // SLOT_PAGES] += 1

    def hide(self, at: int) -> None:
        page = self.pages.pop(at, None)
        if page:
            page.frame.pages -= 1
            _count_down(self.perhaps_in_slot if page.optional else self.in_slot, at // SLOT_PAGES)

    def settle(self, at: int) -> bool:
        """The page is present by now, whether or not it was. Whether that is new."""
        page = self.pages[at]
        if not page.optional:
            return False
        page.optional = False
        _count_down(self.perhaps_in_slot, at // SLOT_PAGES)
        self.in_slot[at // SLOT_PAGES] += 1
        return True


def _count_down(counter: Counter[int], key: int) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


@dataclass
class Effect:
    """What an access, or several, did."""

    faults: int = 0
    copied: int = 0
    last_owner: int = 0
    frames: int = 0  # taken, page tables included
    uncertain: bool = False  # how many faults and frames it takes is not laid down
    perhaps: int = 0  # of fork(): page tables more, when shared pages are shown at once

    def __add__(self, other: Effect) -> Effect:
        return Effect(self.faults + other.faults, self.copied + other.copied, self.last_owner + other.last_owner, self.frames + other.frames,
                      self.uncertain or other.uncertain)


@dataclass(frozen=True)
class SeenPage:
    """A page as a snapshot has it."""

    frame: int
    writable: bool | None
    user: bool
    optional: bool


@dataclass(frozen=True)
class Contents:
    """Of a frame at one moment."""

    base: bytes
    words: dict[int, int]

    def __bytes__(self) -> bytes:
        data = bytearray(self.base)
        for offset, word in self.words.items():
            struct.pack_into("<I", data, offset, word)
        return bytes(data)


@dataclass(frozen=True)
class Snapshot:
    """All spaces at one moment."""

    spaces: dict[int, dict[int, SeenPage]]
    owners: dict[int, int]     # owners of a frame that are no page, by the frame's number
    contents: dict[int, Contents]
    regained: set[int]  # frames whose last owner has written to them again
    zero: int


class CowModel:
    """All spaces of a script."""

    def __init__(self) -> None:
        self.spaces: dict[int, Space] = {}
        self.things: dict[int, Thing] = {}
        self._next = 0
        self.zero = self._new(pinned=1)

    # -- areas -----------------------------------------------------------------------------------------------------------

    def create(self, number: int) -> None:
        self.spaces[number] = Space()

    def map(self, number: int, begin: int, pages: int, attributes: Attributes) -> None:
        space = self.spaces[number]
        for i in range(pages):
            space.areas[begin // PAGE + i] = attributes if attributes.thing is None else replace(attributes, index=attributes.index + i)

    def protect(self, number: int, begin: int, pages: int, protection: str) -> None:
        """A private page may be written at once when nobody else shows its frame; else its first write copies."""
        space = self.spaces[number]
        for at in range(begin // PAGE, begin // PAGE + pages):
            old = space.areas[at]
            space.areas[at] = new = replace(old, protection=protection)
            if at in space.pages and old != new:
                page = space.pages[at]
                page.user, page.writable = new.user, new.writable and (new.shared or page.frame.owners == 1)

    def unmap(self, number: int, begin: int, pages: int) -> None:
        space = self.spaces[number]
        for at in range(begin // PAGE, begin // PAGE + pages):
            space.areas.pop(at, None)
            space.hide(at)
        self._collect()

    def destroy(self, number: int) -> None:
        space = self.spaces.pop(number)
        for at in list(space.pages):
            space.hide(at)
        self._collect()

    def release(self, thing: int) -> None:
        """Its maker lets it go."""
        self.things[thing].released = True
        self._collect()

    # -- copy-on-write ---------------------------------------------------------------------------------------------------

    def fork(self, parent: int, child: int) -> Effect:
        """The frames taken are the child's page tables."""
        self.fork_bare(parent, child)
        for at in sorted(self.spaces[parent].pages):
            self.share(parent, child, at)
        space = self.spaces[child]
        return Effect(frames=space.tables, perhaps=len(space.perhaps_in_slot.keys() - space.in_slot.keys()))

    def fork_bare(self, parent: int, child: int) -> None:
        """A child with the areas, and no page."""
        self.spaces[child] = Space(dict(self.spaces[parent].areas))

    def share(self, parent: int, child: int, at: int) -> None:
        """One page that is present in the parent."""
        source, target = self.spaces[parent], self.spaces[child]
        page = source.pages[at]
        if source.areas[at].shared:
            target.show(at, Page(page.frame, page.writable, page.user, optional=True))
            return
        page.writable = False
        target.show(at, Page(page.frame, False, page.user))

    def share_failed(self, parent: int) -> None:
        """share() had no memory, and the child is gone: pages of the parent may be read-only."""
        space = self.spaces[parent]
        for at, page in space.pages.items():
            if page.writable and not space.areas[at].shared:
                page.writable = None

    def resolve_write(self, number: int, at: int) -> Effect:
        """A write to a present, read-only page of a private area that may be written."""
        space = self.spaces[number]
        page = space.pages[at]
        assert not space.areas[at].shared and space.areas[at].writable, "not a write that the piece is asked about"
        if page.frame.owners == 1:
            page.writable = page.frame.is_regained = True
            return Effect(faults=1, last_owner=1)
        copy = self._new(page.frame.base, dict(page.frame.words))
        space.hide(at)
        space.show(at, Page(copy, True))
        return Effect(faults=1, copied=1, frames=1)

    # -- accesses by user code, or for it --------------------------------------------------------------------------------

    def load(self, number: int, address: int) -> tuple[int, Effect]:
        """The word there, and what reading it did."""
        space, at = self.spaces[number], address // PAGE
        effect = self._bring(space, at, write=False)
        return space.pages[at].frame.word(address % PAGE), effect

    def store(self, number: int, address: int, word: int) -> Effect:
        space, at = self.spaces[number], address // PAGE
        effect = self._bring(space, at, write=True)
        page = space.pages[at]
        if page.writable is None:
            page.writable = True
            effect += Effect(uncertain=True)
        elif not page.writable:
            effect += self.resolve_write(number, at)
            page = space.pages[at]
        page.frame.words[address % PAGE] = word
        return effect

    def write_into(self, number: int, address: int, word: int) -> None:
        """Past the page tables, into what is there."""
        self.spaces[number].pages[address // PAGE].frame.words[address % PAGE] = word

    def snapshot(self) -> Snapshot:
        frames = {page.frame for space in self.spaces.values() for page in space.pages.values()} | {self.zero}
        return Snapshot({number: {at: SeenPage(page.frame.number, page.writable, page.user, page.optional) for at, page in space.pages.items()}
                         for number, space in self.spaces.items()},
                        {frame.number: frame.pinned for frame in frames}, {frame.number: Contents(frame.base, dict(frame.words)) for frame in frames},
                        {frame.number for frame in frames if frame.is_regained}, self.zero.number)

    # -- demand paging, as the reference of lab 06 does it -----------------------------------------------------------------

    def _bring(self, space: Space, at: int, *, write: bool) -> Effect:
        """Makes a page present, if it is not."""
        if at in space.pages:
            return Effect(uncertain=space.settle(at))
        attributes = space.areas[at]
        tables, frames, uncertain = space.tables, self._next, not space.is_certain
        if attributes.thing is not None:
            self._bring_thing(space, at, attributes, write)
        elif not write:
            space.show(at, Page(self.zero, False))
        elif self._is_large(space, at):
            first = at // SLOT_PAGES * SLOT_PAGES
            for number in range(first, first + SLOT_PAGES):
                space.show(number, Page(self._new(), True))
            return Effect(faults=1, frames=SLOT_PAGES)
        else:
            space.show(at, Page(self._new(), True))
        return Effect(faults=1, frames=self._next - frames + space.tables - tables, uncertain=uncertain)

    def _bring_thing(self, space: Space, at: int, attributes: Attributes, write: bool) -> None:
        thing = self.things[attributes.thing]
        frame = self._frame_of(thing, attributes.index)
        if attributes.shared:
            space.show(at, Page(frame, attributes.writable))
        elif write:
            space.show(at, Page(self._new(frame.base, dict(frame.words)), True))
        else:
            space.show(at, Page(frame, False))
            for other in self._neighbours(space, at, attributes):
                space.show(other, Page(thing.frames[space.areas[other].index], False))

    def _neighbours(self, space: Space, at: int, attributes: Attributes) -> Iterator[int]:
        """Absent pages of the same block and area whose contents are in memory."""
        block = at // NEIGHBOURHOOD * NEIGHBOURHOOD

        def is_of_the_area(other: int) -> bool:
            its = space.areas.get(other)
            return its is not None and replace(its, index=its.index - (other - at)) == attributes

        first = last = at
        while first > block and is_of_the_area(first - 1):
            first -= 1
        while last + 1 < block + NEIGHBOURHOOD and is_of_the_area(last + 1):
            last += 1
        for other in range(first, last + 1):
            if other not in space.pages and space.areas[other].index in self.things[attributes.thing].frames:
                yield other

    def _frame_of(self, thing: Thing, index: int) -> Frame:
        if index not in thing.frames:
            thing.frames[index] = self._new(thing.page_contents(index), pinned=1)
        return thing.frames[index]

    @staticmethod
    def _is_large(space: Space, at: int) -> bool:
        """Whether a first write brings 4 MiB: zeros all, and nothing there yet."""
        slot, plain = at // SLOT_PAGES, space.areas[at]
        is_empty = slot not in space.in_slot and slot not in space.perhaps_in_slot
        return is_empty and all(space.areas.get(number) == plain for number in range(slot * SLOT_PAGES, (slot + 1) * SLOT_PAGES))

    # -- frames ------------------------------------------------------------------------------------------------------------

    def _new(self, base: bytes = ZEROS, words: dict[int, int] | None = None, pinned: int = 0) -> Frame:
        self._next += 1
        return Frame(self._next, base, words or {}, pinned)

    def _collect(self) -> None:
        """Objects that nobody refers to any more let their frames go."""
        for number, thing in self.things.items():
            if thing.released and not any(attributes.thing == number for space in self.spaces.values() for attributes in space.areas.values()):
                for frame in thing.frames.values():
                    frame.pinned = 0
                thing.frames.clear()
