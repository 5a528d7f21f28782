"""All pages and slots at one state of a swap test: read out by the host, then compared with the model.

Page tables, frames and the frame table come from physical memory, slots from the swap disk's image, TLB entries from the emulator. Only the
books (entries, copies, figures) are the piece's own answers. The model's frames have no addresses: the first comparison that meets one notes
where it lies, and there it must stay.
"""

from __future__ import annotations

import functools
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from emulator.swap_disk import read_slot
from judge.scenario import Op, fail
from labs.stale import WHO_TELLS_THE_CPU, contradiction, remembered
from oracle.swap import SwapModel
from oracle.swap_pages import PAGE, Frame, Shown, Slot
from paging.tables import PRESENT, SLOT_SHIFT, SWAPPED, USER, WRITABLE, TableSet, describe_pte, read_tables, swap_slot

if TYPE_CHECKING:
    from labs.swap import SwapScenario

SPACES, THINGS = 32, 48  # numbered_spaces::kSpaces, slot_guest::kPages
FIGURES = ("slots", "free", "copies", "pages_out", "clean_out", "pages_in", "cache_hits", "read_ahead")
FRAME_INFO = struct.Struct("<IBBBBII")  # FrameInfo
ALLOCATED, PAGEABLE = 3, 5  # FrameUse
USER_SLOTS = range(0x1000_0000 >> 22, 0xC000_0000 >> 22)


@dataclass(frozen=True)
class SlotBooks:
    """What the piece says of a slot."""

    entries: int
    copies: int
    copy: int
    held: bool


@dataclass
class State:
    """What the host read at one checkpoint."""

    name: str
    wanted_frames: int  # how many frames' contents are compared
    touched: list[int]
    tables: dict[int, TableSet] = field(default_factory=dict)
    words: dict[int, dict[int, int]] = field(default_factory=dict)  # of each space, the entries that are not empty, by page number
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)
    things: list[int] = field(default_factory=list)
    books: dict[int, SlotBooks] = field(default_factory=dict)
    figures: dict[str, int] = field(default_factory=dict)
    strays: int = 0
    references: dict[int, int] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)
    disk: dict[int, bytes] = field(default_factory=dict)
    tlb: dict[int, Any] = field(default_factory=dict)
    zero_frame: int = 0
    active: int = 0

    def read(self, target: Any, memory_end: int, slots: int) -> None:
        """The probe: runs while the machine stands still."""
        view = target.symbol("slot_guest::view")
        count = 3 + len(FIGURES) + 3 * SPACES + THINGS + 4 * slots
        words = list(struct.unpack(f"<{count}I", target.physical(view, 4 * count)))
        _, self.zero_frame, self.strays = words[:3]
        self.figures = dict(zip(FIGURES, words[3:11]))
        spaces, self.things, books = words[11:11 + 3 * SPACES], words[11 + 3 * SPACES:11 + 3 * SPACES + THINGS], words[11 + 3 * SPACES + THINGS:]
        self.books = {slot: SlotBooks(*books[4 * slot:4 * slot + 3], bool(books[4 * slot + 3])) for slot in range(1, slots)}
        registers = target.registers()
        self.active = registers["cr3"] // PAGE
        physical = functools.cache(target.physical)  # directories share the kernel's tables
        for number in range(SPACES):
            directory, resident, swapped = spaces[3 * number:3 * number + 3]
            if directory:
                tables = self.tables[number] = read_tables(physical, directory * PAGE, registers["cr4"], memory_end=memory_end)
                self.words[number], self.counts[number] = dict(_words(tables)), (resident, swapped)
        self.references = _read_references(target, memory_end // PAGE)
        self.contents = self._read_contents(target, memory_end // PAGE)
        used = {swap_slot(word) for words in self.words.values() for word in words.values()} | {slot for slot, its in self.books.items() if its.entries or its.copies}
        self.disk = {slot: read_slot(target.swap_image, slot) for slot in used if slot is not None and 0 < slot < slots}
        self.tlb = target.tlb(self.touched) if self.touched else {}

    def _read_contents(self, target: Any, frame_count: int) -> dict[int, bytes]:
        shown = {word >> 12 for words in self.words.values() for word in words.values() if word & PRESENT}
        frames = sorted(frame for frame in shown | set(self.things) | {its.copy for its in self.books.values()} if 0 < frame < frame_count)
        if len(frames) > self.wanted_frames:
            frames = random.Random(len(frames)).sample(frames, self.wanted_frames)
        return dict(zip(frames, target.physical_ranges([(frame * PAGE, PAGE) for frame in frames]))) if frames else {}


def _words(tables: TableSet) -> Iterator[tuple[int, int]]:
    """Every entry of the user range that is not empty, by the number of its page; rights as both levels give them."""
    for slot in USER_SLOTS:
        pde = tables.directory[slot]
        if pde & PRESENT:
            for i, pte in enumerate(tables.tables.get(slot, ())):
                if pte:
                    yield slot << 10 | i, pte & (pde | ~(WRITABLE | USER)) if pte & PRESENT else pte


def _read_references(target: Any, frame_count: int) -> dict[int, int]:
    begin = struct.unpack("<I", target.physical(target.symbol("mm::frame_table::(anonymous namespace)::table"), 4))[0]
    infos = FRAME_INFO.iter_unpack(target.physical(begin, frame_count * FRAME_INFO.size))
    return {frame: info[0] if info[1] in (ALLOCATED, PAGEABLE) else 0 for frame, info in enumerate(infos)}


@dataclass
class StateCheck:
    """One state beside the model. The first disagreement ends the test."""

    story: SwapScenario
    model: SwapModel
    state: State
    op: Op  # the checkpoint
    whose: dict[int, tuple[Frame, str]] = field(default_factory=dict)  # which of the model's frames a machine's is, and who has it

    def check(self) -> None:
        self.model.zero.place = self.state.zero_frame
        if self.model.unsure:
            self.resolve()
        for number, space in sorted(self.model.spaces.items()):
            for at, page in sorted(space.pages.items()):
                self.check_page(number, at, page)
            extra = sorted(self.state.words[number].keys() - space.pages.keys())
            if extra:
                self.fail_at(number, extra[0], f"space {number} has {len(space.pages)} pages, and no others", f"{_page(extra[0])} is there as well")
        self.check_things()
        self.check_contents()
        self.check_disk()
        if self.story.watches_counts:
            self.check_counts()
        if self.story.watches_books:
            self.check_books()
        if self.story.watches_references:
            self.check_references()
        self.check_tlb()

    def resolve(self) -> None:
        """What the contract leaves open, the piece's own books tell; contents and references are compared all the same."""
        self.model.resolve({slot for slot, its in self.state.books.items() if its.copies})

    # -- pages ---------------------------------------------------------------------------------------------------------------

    def check_page(self, number: int, at: int, page: Shown | Slot) -> None:
        word = self.state.words[number].get(at, 0)
        if isinstance(page, Slot):
            if word != page.number << SLOT_SHIFT | SWAPPED:
                self.fail_at(number, at, f"{_page(at)} of space {number} has a swap entry for slot {page.number}", f"its entry is {describe_pte(word)}",
                             "Every entry that led to the frame becomes Pte::swapped(slot): reverse_map::for_each() finds them all.")
            return
        if not word & PRESENT:
            self.fail_at(number, at, f"{_page(at)} of space {number} is present", f"its entry is {describe_pte(word)}")
        self.check_place(page.frame, word >> 12, f"{_page(at)} of space {number}", (number, at))
        if bool(word & WRITABLE) != page.writable:
            why = self.why_writable(page)
            self.fail_at(number, at, f"{_page(at)} of space {number} is {'writable' if page.writable else 'read-only'}: {why}", f"it is {'writable' if word & WRITABLE else 'read-only'}",
                         "A page that comes back may be written at once if its area may be and nobody else has its frame, nor an entry of its slot.")

    def why_writable(self, page: Shown) -> str:
        if page.writable:
            return "it is the space's own"
        if page.frame.is_held:
            return "its slot has entries still, and slot and copy must stay equal"
        return f"its frame has {page.frame.owners} owners" if page.frame.owners > 1 else "its area, or nobody's write yet, says so"

    def check_place(self, frame: Frame, seen: int, who: str, where: tuple[int, int] | None = None) -> None:
        if frame.place == 0:
            frame.place = seen
        other = self.whose.get(seen)
        if frame.place != seen:
            self.fail_where(where, f"{who} shows frame {frame.place:#x}, as before or as others do", f"it shows frame {seen:#x}",
                            "What was shared when it went out is shared when it comes back; what stays in memory stays where it is.")
        if other and other[0] is not frame:
            self.fail_where(where, f"{who} has a frame of its own", f"it shows frame {seen:#x}, which {other[1]} shows")
        self.whose[seen] = frame, who

    def check_things(self) -> None:
        for number, thing in sorted(self.model.things.items()):
            if isinstance(thing, Frame):
                self.check_place(thing, self.state.things[number], f"the numbered page {number}")

    # -- contents ------------------------------------------------------------------------------------------------------------

    def check_contents(self) -> None:
        for frame, who in self.whose.values():
            self.compare(self.state.contents.get(frame.place), bytes(frame.contents), f"frame {frame.place:#x} ({who})",
                         "load() reads the slot itself; a neighbour comes into a frame of its own, and never over a copy that is there.")

    def check_disk(self) -> None:
        for slot in self.model.area.used.values():
            if slot.copy is not None and slot.copy.changed:
                continue  # kept for a page that was written since: its contents are old
            who = f"{slot.entries} entries" if slot.entries else "a copy that is equal"
            self.compare(self.state.disk.get(slot.number), bytes(slot.contents), f"slot {slot.number} of the swap disk, which has {who},",
                         "A page is written before its entries change; a slot that has entries, or an equal copy, is nobody else's.")

    def compare(self, seen: bytes | None, wanted: bytes, what: str, hint: str) -> None:
        if seen is None or seen == wanted:
            return
        offset = next(i for i in range(0, PAGE, 4) if seen[i : i + 4] != wanted[i : i + 4])
        words = [int.from_bytes(data[offset : offset + 4], "little") for data in (wanted, seen)]
        self.fail(f"{what} holds {words[0]:#010x} at offset {offset:#x}", f"it holds {words[1]:#010x}", hint)

    # -- books ---------------------------------------------------------------------------------------------------------------

    def check_counts(self) -> None:
        for number, words in self.state.words.items():
            present = sum(1 for word in words.values() if word & PRESENT)
            wanted, seen = (present, len(words) - present), self.state.counts[number]
            if wanted != seen:
                self.fail(f"space {number} counts {wanted[0]} pages present and {wanted[1]} in the swap area, as its page tables say", f"it counts {seen[0]} and {seen[1]}",
                          "count_swapped_out() for each entry that becomes a swap entry; show_swapped() counts by itself.")

    def check_books(self) -> None:
        if self.state.strays:
            self.fail("slot_of() says SwapSlot(0), or a slot of the area", f"for {self.state.strays} frames it says something else")
        for number, its in sorted(self.state.books.items()):
            slot = self.model.area.used.get(number)
            entries = slot.entries if slot else 0
            if its.entries != entries:
                self.fail(f"slot {number} has {entries} entries: so many page tables and others name it", f"entries() says {its.entries}",
                          "One for each swap entry in a page table, and for each store() and share(); one less for each load() and release().")
            self.check_copy(number, slot, its)
        self.check_figures()

    def check_copy(self, number: int, slot: Slot | None, its: SlotBooks) -> None:
        copy = slot.copy if slot else None
        if copy is None:
            if its.copies:
                self.fail(f"slot {number} has no copy" + ("" if slot else ", and is free"), f"slot_of() says that frame {its.copy:#x} is one",
                          "A frame that left, or was given back, is no copy any more: forget().")
            return
        if its.copies != 1:
            self.fail(f"slot {number} has one copy, {copy.place:#x}", f"slot_of() says so of {its.copies} frames")
        self.check_place(copy, its.copy, f"the copy of slot {number}")
        if its.held != copy.is_held:
            self.fail(f"the {slot.entries if slot else 0} entries of slot {number} {'own a' if copy.is_held else 'own no'} reference of its copy", f"holds() says {its.held}")
        self.compare(self.state.contents.get(its.copy), bytes(copy.contents), f"the copy of slot {number}, frame {its.copy:#x},", "")

    def check_figures(self) -> None:
        model, figures = self.model, self.model.figures
        wanted = {"slots": model.area.usable, "free": model.area.free, "copies": len(model.copies), "pages_out": figures.pages_out, "clean_out": figures.clean_out,
                  "pages_in": figures.pages_in, "cache_hits": figures.cache_hits, "read_ahead": figures.read_ahead}
        for name, value in wanted.items():
            if self.state.figures[name] != value:
                self.fail(f"statistics().{name} is {value}", f"it is {self.state.figures[name]}")

    def check_references(self) -> None:
        for who, frame in self.model.frames():
            seen = self.state.references.get(frame.place, 0)
            if frame.place == 0 or seen == frame.owners:
                continue
            parts = [f"{frame.shown} pages show it"] * bool(frame.shown) + ["the entries of its slot own one"] * frame.is_held + [f"{frame.others} others have it"] * bool(frame.others)
            self.fail(f"frame {frame.place:#x} ({who}) has {frame.owners} references: {' and '.join(parts)}", f"FrameInfo::references is {seen}",
                      "While a slot has entries and a copy, the entries together own one reference of the copy.")

    def check_tlb(self) -> None:
        """No translation that the CPU remembers allows more than the tables, or leads elsewhere."""
        space = next((number for number, tables in self.state.tables.items() if tables.directory_frame == self.state.active), None)
        for address, entry in self.state.tlb.items():
            if entry is None or space is None:
                continue
            if stale := contradiction(entry, self.state.tables[space].translate(address)):
                self.fail_at(space, address // PAGE, "no TLB entry contradicts the page tables", f"{remembered(address, entry)}, but {stale}",
                             WHO_TELLS_THE_CPU)

    # -- failing -------------------------------------------------------------------------------------------------------------

    def fail(self, expected: str, seen: str, hint: str = "") -> NoReturn:
        last = self.story.last_call()
        fail(f"{expected} (state {self.state.name!r})", seen + (f". The last operation: {last}" if last else ""), hint, operation=(last or self.op).number)

    def fail_at(self, space: int, at: int, expected: str, seen: str, hint: str = "") -> NoReturn:
        self.fail(expected, f"{seen}. The walk in space {space}: {self.state.tables[space].describe_walk(at * PAGE)}", hint)

    def fail_where(self, where: tuple[int, int] | None, expected: str, seen: str, hint: str = "") -> NoReturn:
        if where:
            self.fail_at(*where, expected, seen, hint)
        self.fail(expected, seen, hint)


def _page(at: int) -> str:
    return f"page {at * PAGE:#010x}"
