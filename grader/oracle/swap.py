"""What memory and the swap area are when pages leave and come back: spaces, frames, slots, entries and copies as plain Python objects.

The model knows the contract (kernel/mm/reclaim/swap.h) and nothing of page tables, entries' bits or the TLB. Where the contract leaves a
choice, the machine's answer is taken once it has been found to be a possible one: which free slots pages go to, which copies are given up.
So a script is followed after it has run, each operation with what the machine answered. A disagreement is the exception Wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from oracle.swap_pages import PAGE, Contents, Frame, Shown, Slot, Space
from oracle.swap_slots import SwapSlots, Traffic, demand

NEVER = 1 << 30


@dataclass
class Figures:
    pages_out: int = 0
    clean_out: int = 0
    pages_in: int = 0
    cache_hits: int = 0
    read_ahead: int = 0


class SwapModel:
    """All spaces of a script, and a swap area with so many slots, the header among them.

    reads_ahead      what must be read comes with its neighbours; else alone
    counts_commands  neighbours must be written with one command, and read with one; else a command for each page will do"""

    def __init__(self, slots: int, bad: Sequence[int] = (), *, reads_ahead: bool = True, counts_commands: bool = True) -> None:
        self.spaces: dict[int, Space] = {}
        self.things: dict[int, Frame | Slot] = {}  # numbered pages, that no space has
        self.zero = Frame(others=1)
        self.area = SwapSlots(slots, bad, counts_commands=counts_commands)
        self.reads_ahead = reads_ahead
        self.broken: set[int] = set()              # the disk fails there
        self.figures = Figures()
        self.picked: list[tuple[int, int, Frame]] = []
        self.unsure: set[Slot] = set()             # may have a copy, or not: a state tells
        self._reads = self._pages_read = 0         # of the present operation

    # -- spaces ----------------------------------------------------------------------------------------------------------

    def create(self, number: int) -> None:
        self.spaces[number] = Space()

    def map(self, number: int, begin: int, pages: int, rights: str) -> None:
        self.spaces[number].rights.update((begin // PAGE + i, rights) for i in range(pages))

    def protect(self, number: int, begin: int, pages: int, rights: str) -> None:
        space = self.spaces[number]
        for at in range(begin // PAGE, begin // PAGE + pages):
            space.rights[at] = rights
            page = space.pages.get(at)
            if isinstance(page, Shown):
                page.writable = rights[1] == "w" and page.frame.owners == 1

    def unmap(self, number: int, begin: int, pages: int) -> None:
        space = self.spaces[number]
        for at in range(begin // PAGE, begin // PAGE + pages):
            space.rights.pop(at, None)
            self._drop(space, at)

    def destroy(self, number: int) -> None:
        space = self.spaces.pop(number)
        for at in list(space.pages):
            self._drop(space, at)

    def fork(self, parent: int, child: int) -> None:
        source = self.spaces[parent]
        target = self.spaces[child] = Space(dict(source.rights))
        for at, page in source.pages.items():
            if isinstance(page, Slot):
                page.entries += 1
                target.pages[at] = page
            else:
                page.writable = False
                page.frame.shown += 1
                target.pages[at] = Shown(page.frame, False)

    def _drop(self, space: Space, at: int) -> None:
        page = space.pages.pop(at, None)
        if isinstance(page, Slot):
            self._drop_entry(page)
        elif page is not None:
            page.frame.shown -= 1
            self._settle_frame(page.frame)

    def _drop_entry(self, slot: Slot) -> None:
        slot.entries -= 1
        if slot.copy and slot.copy.owners == 0:
            slot.copy = None
            self.unsure.discard(slot)
        self._settle_slot(slot)

    def _settle_frame(self, frame: Frame) -> None:
        """Nobody may have it any more."""
        if frame.owners == 0 and frame.slot:
            slot, frame.slot = frame.slot, None
            slot.copy = None
            self._settle_slot(slot)

    def _settle_slot(self, slot: Slot) -> None:
        if slot.entries == 0 and (slot.copy is None or slot in self.unsure):
            self.area.used.pop(slot.number, None)
            self.unsure.discard(slot)

    # -- accesses by user code, or for it --------------------------------------------------------------------------------

    def begin(self) -> None:
        """An operation whose reads are compared."""
        self._reads = self._pages_read = 0

    def check_reads(self, traffic: Traffic) -> None:
        if traffic.read_errors:
            return
        demand(traffic.pages_read == self._pages_read, f"{self._pages_read} pages are read", f"{traffic.pages_read} were",
               "A slot with a copy is not read. What must be read comes with its neighbours in the block of kCluster: those that have entries and no copy.")
        demand(traffic.reads == self._reads or not self.area.counts_commands, f"with {self._reads} commands", f"there were {traffic.reads}", "A slot and its neighbours come with one swap_area::read().")

    def read(self, number: int, address: int) -> int:
        space, at = self.spaces[number], address // PAGE
        page = self._bring(space, at, write=False)
        return page.frame.contents.word(address % PAGE)

    def write(self, number: int, address: int, word: int) -> None:
        space, at = self.spaces[number], address // PAGE
        page = self._bring(space, at, write=True)
        if not page.writable:
            page = self._own(space, at, page)
        page.frame.contents = page.frame.contents.with_word(address % PAGE, word)
        page.frame.changed = True

    def _bring(self, space: Space, at: int, *, write: bool) -> Shown:
        page = space.pages.get(at)
        if isinstance(page, Slot):
            self._swap_in(space, at, page)
        elif page is None:
            frame = Frame() if write else self.zero
            frame.shown += 1
            space.pages[at] = Shown(frame, write)
        page = space.pages[at]
        assert isinstance(page, Shown)
        return page

    def _own(self, space: Space, at: int, page: Shown) -> Shown:
        """Copy-on-write."""
        old = page.frame
        if old.owners == 1:
            page.writable = True
            return page
        space.pages[at] = page = Shown(Frame(old.contents, shown=1), True)
        old.shown -= 1
        self._settle_frame(old)
        return page

    # -- reading ---------------------------------------------------------------------------------------------------------

    def swap_in(self, number: int, address: int, frames: int = NEVER) -> str:
        """The error that swap_in() must answer, "" for none."""
        space, at = self.spaces[number], address // PAGE
        slot = space.pages[at]
        assert isinstance(slot, Slot)
        error = self._make_copy(slot, frames)
        if not error:
            self._show(space, at, slot)
        return error

    def swap_in_refused(self, number: int, address: int) -> None:
        """The space may have no more pages present: what was read may stay."""
        slot = self.spaces[number].pages[address // PAGE]
        assert isinstance(slot, Slot)
        if not slot.copy:
            self.unsure |= set(self._block(slot))

    def _swap_in(self, space: Space, at: int, slot: Slot) -> None:
        assert not self._make_copy(slot, NEVER), "an access that must fail is no operation of the model's"
        self._show(space, at, slot)

    def _show(self, space: Space, at: int, slot: Slot) -> None:
        frame = self._take(slot)
        frame.shown += 1
        space.pages[at] = Shown(frame, space.rights[at][1] == "w" and frame.owners == 1)

    def load(self, thing: int, frames: int = NEVER) -> str:
        slot = self.things[thing]
        assert isinstance(slot, Slot)
        error = self._make_copy(slot, frames)
        if not error:
            frame = self.things[thing] = self._take(slot)
            frame.others += 1
        return error

    def _take(self, slot: Slot) -> Frame:
        slot.entries -= 1
        self.figures.pages_in += 1
        assert slot.copy
        return slot.copy

    def _make_copy(self, slot: Slot, frames: int) -> str:
        assert not self.unsure, "a state must tell first what became of the copies"
        if slot.copy:
            self.figures.cache_hits += 1
            return ""
        block = self._block(slot)
        if frames == 0:
            return "OutOfMemory"
        neighbours = [one for one in block if one is not slot]
        if slot.number in self.broken:
            self.unsure |= {one for one in neighbours if one.number not in self.broken}
            return "DeviceError"
        self._reads += 1
        self._read(slot)
        if any(one.number in self.broken for one in block):
            self.unsure |= {one for one in neighbours if one.number not in self.broken}
        elif 1 < frames < len(block):
            self.unsure |= set(neighbours)
            self._pages_read += frames - 1
        elif frames > 1:
            for one in neighbours:
                self._read(one)
                self.figures.read_ahead += 1
        return ""

    def _block(self, slot: Slot) -> list[Slot]:
        """What is read with a slot, itself included."""
        return self.area.block(slot) if self.reads_ahead else [slot]

    def _read(self, slot: Slot) -> None:
        self._pages_read += 1
        slot.copy = Frame(slot.contents, slot=slot, changed=False)

    def resolve(self, copies: set[int]) -> None:
        """Which slots have copies in the machine: those that may have one have it, or not."""
        for slot in self.unsure:
            if slot.number not in copies:
                slot.copy = None
            elif slot.copy is None:
                slot.copy = Frame(slot.contents, slot=slot, changed=False)
                self.figures.read_ahead += 1
        for slot in list(self.unsure):
            self.unsure.discard(slot)
            self._settle_slot(slot)

    # -- writing ---------------------------------------------------------------------------------------------------------

    def pick(self, number: int, address: int, count: int = 1, step: int = 1) -> None:
        space = self.spaces[number]
        for at in range(address // PAGE, address // PAGE + count * step, step):
            page = space.pages.get(at)
            if isinstance(page, Shown) and page.frame is not self.zero and all(page.frame is not frame for _, _, frame in self.picked):
                self.picked.append((number, at, page.frame))

    def swap_out(self, out: int, traffic: Traffic, told: Sequence[int]) -> None:
        """The frames picked are out, with the answers of the machine."""
        picked, self.picked = self.picked, []
        assert len(told) == len(picked), "the machine picked other pages"
        frames = [frame for _, _, frame in picked]
        slots = {frame: number for frame, number in zip(frames, told) if frame.shown}
        gone = [frame for frame in frames if frame.shown == 0 or slots[frame]]
        self.area.check_out(frames, gone, out, traffic)
        self.area.check_taken(slots, traffic)
        written = [frame for frame in gone if frame.slot is None or frame.changed or slots.get(frame, frame.slot.number) != frame.slot.number]
        self.area.check_writes(frames, written, slots, traffic)
        for frame in frames:
            if frame not in gone and traffic.write_errors:
                self.area.retire(frame)
        for frame in gone:  # who loses its slot to another one has to lose it first
            if frame in slots and (other := self.area.used.get(slots[frame])) and other.copy not in (frame, None):
                self.area.unkeep(other)
        for frame in gone:
            self._leave(frame, slots.get(frame, 0))
        self.figures.pages_out += len(gone)
        self.figures.clean_out += len(gone) - len(written)

    def has_slot(self, number: int, address: int) -> bool:
        page = self.spaces[number].pages[address // PAGE]
        return isinstance(page, Shown) and page.frame.slot is not None

    def has_slot_of_thing(self, thing: int) -> bool:
        frame = self.things[thing]
        return isinstance(frame, Frame) and frame.slot is not None

    def is_stored(self, thing: int) -> bool:
        return isinstance(self.things[thing], Slot)

    def _leave(self, frame: Frame, number: int) -> None:
        slot = self.area.assign(frame, number)
        slot.copy = frame.slot = None
        for space in self.spaces.values():
            for at, page in space.pages.items():
                if isinstance(page, Shown) and page.frame is frame:
                    space.pages[at] = slot
                    slot.entries += 1

    def store(self, thing: int, changed: bool, number: int, traffic: Traffic) -> None:
        """The numbered page has an entry instead of a frame."""
        frame = self.things[thing]
        assert isinstance(frame, Frame)
        frame.changed = changed or frame.slot is None
        self.area.check_taken({frame: number}, traffic)
        must_write = frame.slot is None or frame.changed
        self.area.check_writes([frame], [frame] if must_write else [], {frame: number}, traffic)
        slot = self.area.assign(frame, number)
        slot.copy = frame.slot = None
        slot.entries += 1
        self.things[thing] = slot
        self.figures.pages_out += 1
        self.figures.clean_out += not must_write

    def clean(self, number: int, address: int, slot_number: int, traffic: Traffic) -> None:
        """The page that is present there was written, and stays."""
        page = self.spaces[number].pages[address // PAGE]
        assert isinstance(page, Shown)
        frame = page.frame
        if frame.is_held:
            demand(slot_number == frame.slot.number and traffic.pages_written == 0, "a copy that entries have is not written", f"slot {slot_number}, {traffic.pages_written} pages written")
            return
        demand(slot_number != 0, "a page that was written ahead is the copy of a slot", "slot_of() says it has none")
        self.area.check_taken({frame: slot_number}, traffic)
        self.area.check_writes([frame], [frame], {frame: slot_number}, traffic)
        slot = self.area.assign(frame, slot_number)
        slot.copy, frame.slot, frame.changed = frame, slot, False

    def clean_failed(self, number: int, address: int) -> None:
        """The slot could not be written."""
        page = self.spaces[number].pages[address // PAGE]
        assert isinstance(page, Shown) and not page.frame.is_held
        self.area.retire(page.frame)

    # -- numbered pages --------------------------------------------------------------------------------------------------

    def new_thing(self, thing: int, first: int) -> None:
        self.things[thing] = Frame(Contents(first), others=1)

    def write_thing(self, thing: int, word: int) -> None:
        frame = self.things[thing]
        assert isinstance(frame, Frame) and frame.owners == 1
        frame.contents, frame.changed = frame.contents.with_word(0, word), True

    def share(self, thing: int, other: int) -> None:
        page = self.things[other] = self.things[thing]
        if isinstance(page, Slot):
            page.entries += 1
        else:
            page.others += 1

    def release(self, thing: int) -> None:
        page = self.things.pop(thing)
        if isinstance(page, Slot):
            self._drop_entry(page)
        else:
            page.others -= 1
            self._settle_frame(page)

    def shrink(self, count: int, given: int) -> None:
        able = [slot for slot in self.area.used.values() if slot.copy and slot.entries and slot.copy.owners == 1]
        demand(given == min(count, len(able)), f"shrink({count}) gives back {min(count, len(able))} frames: {len(able)} copies are nobody's but their entries'", f"it says {given}")
        if given == len(able):
            for slot in able:
                slot.copy = None
        else:
            self.unsure |= set(able)

    # -- looking ---------------------------------------------------------------------------------------------------------

    @property
    def copies(self) -> dict[int, Frame]:
        return {number: slot.copy for number, slot in self.area.used.items() if slot.copy}

    def frames(self) -> Iterator[tuple[str, Frame]]:
        """Every frame, and who has it."""
        for number, space in sorted(self.spaces.items()):
            for at, page in sorted(space.pages.items()):
                if isinstance(page, Shown):
                    yield f"page {at * PAGE:#010x} of space {number}", page.frame
        for number, thing in sorted(self.things.items()):
            if isinstance(thing, Frame):
                yield f"page number {number}", thing
        for number, frame in sorted(self.copies.items()):
            yield f"the copy of slot {number}", frame
