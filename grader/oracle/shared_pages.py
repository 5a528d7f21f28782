"""A model of memory that is copied on write: which pages show the same frame, and what lies in it. It follows the contracts of
kernel/mm/fault/copy_on_write.h and demand.h, and knows no machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field

PAGE = 4096
READ, RW = 1, 3  # Protection's bits


@dataclass(eq=False)
class Frame:
    """A frame, known by itself: equal contents are not enough."""

    data: bytearray = field(default_factory=lambda: bytearray(PAGE))
    owners: int = 1  # pages that show it, objects that have it, the kernel for its zeros
    is_zero: bool = False


class Thing:
    """A memory object: shared memory, or a file with these contents."""

    def __init__(self, contents: bytes | None = None) -> None:
        self.contents = contents
        self.frames: dict[int, Frame] = {}

    def frame(self, offset: int) -> Frame:
        """The frame for a page of it."""
        begin = offset // PAGE * PAGE
        if begin not in self.frames:
            data = (self.contents or b"")[begin:begin + PAGE]
            self.frames[begin] = Frame(bytearray(data.ljust(PAGE, b"\0")))
        return self.frames[begin]


@dataclass(frozen=True)
class Block:
    """An area: one description for everybody who inherits it."""

    begin: int
    pages: int
    rights: int
    thing: Thing | None = None
    shared: bool = False

    @property
    def end(self) -> int:
        return self.begin + self.pages * PAGE


@dataclass
class Page:
    """A present page. `writable` is None when either is right."""

    frame: Frame
    writable: bool | None


@dataclass
class Space:
    """One process's memory. Frames are shared among the spaces of a family."""

    blocks: list[Block] = field(default_factory=list)
    pages: dict[int, Page] = field(default_factory=dict)
    copied: int = 0      # writes that made a copy
    regained: int = 0    # writes by the last owner to what was read-only; exact only without protect()
    zeros: Frame = field(default_factory=lambda: Frame(is_zero=True))

    def block_at(self, address: int) -> Block:
        return next(block for block in self.blocks if block.begin <= address < block.end)

    def addresses(self) -> Iterator[tuple[Block, int]]:
        """Every page of every block."""
        for block in self.blocks:
            for address in range(block.begin, block.end, PAGE):
                yield block, address

    # -- looking and writing -----------------------------------------------------------------------------------------------

    def read(self, address: int, length: int) -> bytes:
        """Bytes within one page."""
        begin = address // PAGE * PAGE
        if begin not in self.pages:
            block = self.block_at(begin)
            frame = block.thing.frame(begin - block.begin) if block.thing else self.zeros
            self._show(begin, frame, block.shared and block.rights == RW)
        return bytes(self.pages[begin].frame.data[address - begin:address - begin + length])

    def write(self, address: int, data: bytes) -> None:
        """Bytes anywhere, by the process or by the kernel for it."""
        while data:
            begin = address // PAGE * PAGE
            count = min(len(data), begin + PAGE - address)
            self._own(begin)
            self.pages[begin].frame.data[address - begin:address - begin + count] = data[:count]
            address, data = address + count, data[count:]

    def _own(self, begin: int) -> None:
        """Makes a page one that may be written."""
        block, page = self.block_at(begin), self.pages.get(begin)
        if block.shared:
            if page is None:
                self._show(begin, block.thing.frame(begin - block.begin), True)
            return
        if page is None:
            old = block.thing.frame(begin - block.begin) if block.thing else self.zeros
            self.pages[begin] = Page(Frame(bytearray(old.data)), True)
        elif page.frame.owners > 1:
            page.frame.owners -= 1
            self.pages[begin] = Page(Frame(bytearray(page.frame.data)), True)
            self.copied += 1
        else:
            self.regained += page.writable is False
            page.writable = True

    def _show(self, begin: int, frame: Frame, writable: bool) -> None:
        frame.owners += 1
        self.pages[begin] = Page(frame, writable)

    # -- changes -----------------------------------------------------------------------------------------------------------

    def fork(self) -> Space:
        """A child: private pages show the same frames, read-only in both; shared ones are found again at the first look."""
        child = Space(list(self.blocks), zeros=self.zeros)
        for address, page in self.pages.items():
            if not self.block_at(address).shared:
                page.writable = False
                child._show(address, page.frame, False)
        return child

    def unmap(self, begin: int, pages: int) -> None:
        """A whole block, or a part of one."""
        end, kept = begin + pages * PAGE, []
        for block in self.blocks:
            if block.thing is not None and begin < block.end and block.begin < end and not begin <= block.begin < block.end <= end:
                raise ValueError("blocks of objects are unmapped whole")
            for first, last in ((block.begin, min(block.end, begin)), (max(block.begin, end), block.end)):
                if first < last and (first, last) != (block.begin, block.end):
                    kept.append(Block(first, (last - first) // PAGE, block.rights))
            if block.end <= begin or end <= block.begin:
                kept.append(block)
        self.discard(begin, pages)
        self.blocks = kept

    def protect(self, begin: int, pages: int, rights: int) -> None:
        """A whole private block."""
        self.blocks = [Block(block.begin, block.pages, rights, block.thing, block.shared) if block.begin == begin else block for block in self.blocks]
        for address in range(begin, begin + pages * PAGE, PAGE):
            if address in self.pages:
                self.pages[address].writable = False if rights == READ or self.pages[address].frame.owners > 1 else None

    def discard(self, begin: int, pages: int) -> None:
        for address in range(begin, begin + pages * PAGE, PAGE):
            page = self.pages.pop(address, None)
            if page:
                page.frame.owners -= 1

    def clear(self) -> None:
        """The process has ended."""
        for page in self.pages.values():
            page.frame.owners -= 1
        self.pages.clear()
        self.blocks.clear()

    def may_be_read_only(self) -> None:
        """fork() has failed, or its child has gone again: who may write finds out at the next write."""
        for address, page in self.pages.items():
            if not self.block_at(address).shared:
                page.writable = None if page.frame.owners == 1 else False

    @staticmethod
    def copies(spaces: dict[int, Space]) -> dict[int, Space]:
        """A picture of several spaces at this moment, which stays as it is."""
        frames: dict[Frame, Frame] = {}

        def frame_copy(frame: Frame) -> Frame:
            if frame not in frames:
                frames[frame] = Frame(bytearray(frame.data), frame.owners, frame.is_zero)
            return frames[frame]

        def thing_copy(thing: Thing, things: dict[Thing, Thing]) -> Thing:
            if thing not in things:
                things[thing] = Thing(thing.contents)
                things[thing].frames = {begin: frame_copy(frame) for begin, frame in thing.frames.items()}
            return things[thing]

        things: dict[Thing, Thing] = {}
        result = {}
        for number, space in spaces.items():
            other = result[number] = copy(space)
            other.zeros = frame_copy(space.zeros)
            other.blocks = [Block(block.begin, block.pages, block.rights, thing_copy(block.thing, things) if block.thing else None, block.shared)
                            for block in space.blocks]
            other.pages = {address: Page(frame_copy(page.frame), page.writable) for address, page in space.pages.items()}
        return result
