"""The whole machine at one state of a paging test: read out by the host, then compared with the model.

Nothing here asks the piece or the kernel for its opinion. Page tables come from physical memory, TLB entries from the emulator,
and frames are counted by the calls of the frame allocator.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from judge.scenario import Op, fail
from labs.stale import contradiction, remembered
from oracle.paging import ADDRESS_SPACE, LARGE_PAGE, PAGE, PIECE_SLOT, SHARED_BEGIN, USER_BEGIN, USER_END, Page
from paging.runs import PageRun, compare
from paging.tables import FRAME_MASK, PAGE_SIZE, PRESENT, USER, WRITABLE, TableSet, describe_entry, read_tables

if TYPE_CHECKING:
    from labs.paging import PagingScenario

KMAP_WINDOW = (0xF000_0000, 0xF040_0000)  # temporary mappings come and go here: mm/paging/layout.h

# What a directory entry means: the CPU notes accesses in the rest (and writes, if a recursive slot makes it a page's entry).
MEANING = FRAME_MASK | PRESENT | WRITABLE | USER | PAGE_SIZE

# Functions whose calls are counted from outside, with breakpoints: no variable of the kernel is believed.
# Calls that take a frame and those of them that got none; calls that give one back, and those after which it stayed
TAKE_FRAME, TOOK_NONE = "mm::frames::allocate(mm::Zone, mm::Contents)", "mm::frames::(anonymous namespace)::without_frame(Error)"
GIVE_FRAME, GAVE_NONE = "mm::frames::release(FrameNumber)", "mm::frames::(anonymous namespace)::frame_stays(Error)"
FRAME_CALLS = (TAKE_FRAME, TOOK_NONE, GIVE_FRAME, GAVE_NONE)

USER_SLOTS = range(USER_BEGIN // LARGE_PAGE, USER_END // LARGE_PAGE)
SHARED_SLOTS = range(SHARED_BEGIN // LARGE_PAGE, 1024)
OWN_SLOT = PIECE_SLOT // LARGE_PAGE


@dataclass
class State:
    """What the host read at one checkpoint."""

    name: str
    tables: dict[str, TableSet] = field(default_factory=dict)  # by directory
    active: int = 0                                            # frame that CR3 points to
    tlb: dict[int, Any] = field(default_factory=dict)          # touched address -> TLB entry or None
    calls: dict[str, int] = field(default_factory=dict)        # of each counted function since the first state

    def read(self, target: Any, frames: dict[str, int], touched: list[int], memory_end: int) -> None:
        """Reads the stopped machine: the tables of the directories in `frames`, the TLB at `touched`."""
        registers = target.registers()
        self.active = registers["cr3"] // PAGE
        physical = functools.cache(target.physical)  # directories share most of their tables
        for name, frame in (frames or {"kernel": self.active}).items():
            self.tables[name] = read_tables(physical, frame * PAGE, registers["cr4"], memory_end=memory_end)
        self.tlb = target.tlb([address & ~(PAGE - 1) for address in touched]) if touched else {}


def called(name: str) -> str:
    """A directory in words."""
    return "the kernel's directory" if name == "kernel" else f"directory {name}"


def runs(pages: dict[int, Page]) -> Iterable[PageRun]:
    """The model's pages in the form that compare() takes."""
    for number, page in sorted(pages.items()):
        yield PageRun(number * PAGE, page.frame * PAGE, PAGE, page.rights.writable, page.rights.user, page.rights.global_,
                      page.large)


@dataclass
class StateCheck:
    """One state beside the model. The first disagreement ends the test."""

    story: PagingScenario
    state: State
    op: Op  # the checkpoint

    def check(self, *, frames: bool, swap_entries: bool) -> None:
        for name, tables in self.state.tables.items():
            self.check_shape(name, tables)
            self.check_user_part(name, tables)
            self.check_kernel_part(name, tables)
            if swap_entries:
                self.check_swap_entries(name, tables)
        if frames:
            self.check_frames()
        self.check_tlb()

    # -- the pages ---------------------------------------------------------------------------------------------------

    def check_shape(self, name: str, tables: TableSet) -> None:
        findings = tables.findings(self.story.machine.memory_bytes)
        if findings:
            self.fail(f"the tables of {called(name)} are well formed", "; ".join(finding.text for finding in findings[:4]))

    def check_user_part(self, name: str, tables: TableSet) -> None:
        pages = self.story.model.user[name]
        differences = compare(runs(pages), tables.pages(USER_BEGIN, USER_END), USER_BEGIN, USER_END, limit=4)
        if differences:
            self.fail_at(differences[0].virtual, name,
                         f"{called(name)} maps what was asked for, and nothing else, at checkpoint {self.state.name!r}",
                         "; ".join(difference.text for difference in differences))
        for slot in USER_SLOTS:
            first = pages.get(slot * 1024)
            if first and first.large and not tables.is_large(tables.directory[slot]):
                self.fail_at(slot * LARGE_PAGE, name, f"the 4 MiB page at {slot * LARGE_PAGE:#010x} is one directory entry",
                             f"PDE {slot} is {describe_entry(tables.directory[slot])}: a page table of 1024 small pages")

    def check_swap_entries(self, name: str, tables: TableSet) -> None:
        want = [PageRun(number * PAGE, slot * PAGE, PAGE, swapped=True) for number, slot in sorted(self.story.model.swapped[name].items())]
        differences = compare(want, tables.swapped(USER_BEGIN, USER_END), USER_BEGIN, USER_END, limit=4)
        if differences:
            self.fail_at(differences[0].virtual, name,
                         f"{called(name)} has, at checkpoint {self.state.name!r}, the swap entries that the kernel wrote and nobody "
                         "unmapped or replaced; every other entry that is not present is 0",
                         "; ".join(difference.text for difference in differences))

    def check_kernel_part(self, name: str, tables: TableSet) -> None:
        start = self.story.start.tables["kernel"]
        low = compare(start.pages(0, USER_BEGIN), tables.pages(0, USER_BEGIN), 0, USER_BEGIN, limit=3)
        if low:
            self.fail(f"{called(name)} has the kernel's map below {USER_BEGIN:#x}, as it was made at boot",
                      "; ".join(difference.text for difference in low))
        if name != "kernel":
            self.check_shared_entries(name, tables)
            return
        want = [*start.pages(SHARED_BEGIN, ADDRESS_SPACE), *runs(self.story.model.shared)]
        parts = ((SHARED_BEGIN, KMAP_WINDOW[0]), (KMAP_WINDOW[1], PIECE_SLOT), (PIECE_SLOT + LARGE_PAGE, ADDRESS_SPACE))
        differences = [difference for begin, end in parts
                       for difference in compare(want, tables.pages(begin, end), begin, end, limit=3)]
        if differences:
            self.fail_at(differences[0].virtual, name,
                         "the shared range maps what the kernel had at boot and what was asked for since, and nothing else",
                         "; ".join(difference.text for difference in differences))

    def check_shared_entries(self, name: str, tables: TableSet) -> None:
        """Another directory's entries of the shared range are those of the kernel's; one that is newer than the directory may
        still be missing."""
        start, kernel = self.story.start.tables["kernel"], self.state.tables["kernel"]
        for slot in SHARED_SLOTS:
            own, want = tables.directory[slot], kernel.directory[slot]
            if slot == OWN_SLOT or own & MEANING == want & MEANING:
                continue
            born_with = start.directory[slot] & PRESENT or slot in self.story.slots_at_birth[name]
            if own & PRESENT or born_with:
                self.fail_at(slot * LARGE_PAGE, name, f"{called(name)} shares the kernel's entries from {SHARED_BEGIN:#x} on",
                             f"PDE {slot} ({slot * LARGE_PAGE:#010x}) is {describe_entry(own)} in {called(name)} and "
                             f"{describe_entry(want)} in the kernel's")

    # -- the frames --------------------------------------------------------------------------------------------------

    def check_frames(self) -> None:
        """Recounts, from the tables themselves, the frames that the piece should hold."""
        user_tables = self.user_tables()
        kernel = self.state.tables["kernel"].table_slots
        new_shared = kernel.keys() & set(SHARED_SLOTS) - self.story.start.tables["kernel"].table_slots.keys() - {OWN_SLOT}
        in_own_slot = {tables.table_slots[OWN_SLOT] for tables in self.state.tables.values()
                       if OWN_SLOT in tables.table_slots}
        directories = len(self.state.tables) - 1
        want = directories + len(user_tables) + len(new_shared) + len(in_own_slot) + self.story.owned
        calls = self.state.calls
        taken = (calls[TAKE_FRAME] - calls[TOOK_NONE]) - (calls[GIVE_FRAME] - calls[GAVE_NONE])
        count = (f"{directories} directories, {len(user_tables)} page tables of the user range, {len(new_shared)} new ones of "
                 f"the shared range" + (f", {self.story.owned} of the test's own" if self.story.owned else ""))
        if taken > want:
            self.fail(f"the frames taken are the tables that can be found: {count}",
                      f"{taken - want} frames more than that are taken and were not given back: leaked")
        if taken < want:
            self.fail(f"the frames taken are the tables that can be found: {count}",
                      f"{want - taken} of these frames were given back while they are still in use")

    def user_tables(self) -> dict[int, str]:
        """The frames of all page tables of the user range, with the entry that names each: one alone, and no empty table.

        A table with swap entries is not empty; but only the model says which these are, as a piece may leave more behind.
        """
        owner: dict[int, str] = {}
        for name, tables in self.state.tables.items():
            for slot, frame in tables.table_slots.items():
                if slot not in USER_SLOTS:
                    continue
                what = f"PDE {slot} of {called(name)}"
                if frame in owner:
                    self.fail("a page table of the user range belongs to one directory entry alone",
                              f"frame {frame:#x} is the page table of {owner[frame]} and of {what}")
                owner[frame] = what
                swapped = any(number // 1024 == slot for number in self.story.model.swapped[name])
                if not swapped and not any(word & PRESENT for word in tables.frames.get(frame, (PRESENT,))):
                    self.fail_at(slot * LARGE_PAGE, name, "a page table that becomes empty is given back",
                                 f"{what} still names the page table in frame {frame:#x}, in which nothing is mapped")
        return owner

    # -- the TLB -----------------------------------------------------------------------------------------------------

    def check_tlb(self) -> None:
        active = next((name for name, tables in self.state.tables.items() if tables.directory_frame == self.state.active), None)
        for address, entry in self.state.tlb.items():
            # The kernel's directory speaks for the shared range: the active one may still lack an entry that the CPU has seen.
            name = "kernel" if address >= SHARED_BEGIN else active
            if entry is None or name is None:
                continue
            if stale := contradiction(entry, self.state.tables[name].translate(address)):
                self.fail_at(address, name, "no TLB entry contradicts the page tables after a call returned",
                             f"{remembered(address, entry)}, but {stale}",
                             "Call tlb::invalidate_page() after the entry has changed. When a full flush is right, mind that "
                             "tlb::flush() leaves global pages.")

    # -- failing -----------------------------------------------------------------------------------------------------

    def fail(self, expected: str, seen: str) -> NoReturn:
        """Ends the test; a person who repeats it wants to stop before the last call of the piece."""
        last = self.story.last_call()
        fail(expected, seen, operation=(last or self.op).number)

    def fail_at(self, address: int, name: str, expected: str, seen: str, hint: str = "") -> NoReturn:
        """Ends the test over one address: with its walk, and the last call that concerned it."""
        last = self.story.last_call(name, address)
        seen += f". The walk: {self.state.tables[name].describe_walk(address)}"
        if last:
            seen += f". The last call there: {last}: {last.says}"
        fail(expected, seen, hint, operation=(last or self.op).number)
