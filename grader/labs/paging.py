"""What the tests of lab 02-paging do to the piece, and how they look at what it did.

A test writes a script with the methods below (map, unmap, protect, read, write ...) and calls `state(name)` wherever the
whole machine is to be looked at. `boot()` runs the script, then goes through it once more beside the model
(oracle/paging.py): each answer must be one that the contract allows, and at each state

- every directory's tables, read out of physical memory, mean exactly the pages that the model has, no more and no less,
- the kernel's own part is as it was at boot,
- after `watch_frames()`: the frames in use are the directories and page tables that can be counted in those tables, and no
  table is empty,
- after `watch_swap_entries()`: the swap entries are the model's, and no other entry that is not present holds anything,
- after `watch_tlb()`: the CPU's TLB holds nothing, for the addresses that the test touched, that a fresh walk does not find.

The last three are for the tests that are about them, so that one mistake does not cost every test.

The first disagreement ends the test; if the machine crashed, what was wrong before the crash is told rather than the crash.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from emulator.machine import MIB, RESERVED, Machine, MemoryEntry
from judge.scenario import Op, expect, fail
from labs.paging_state import FRAME_CALLS, State, StateCheck
from labs.replayed import ReplayedScenario
from oracle.paging import (FULL_FLUSH_PAGES, LARGE_PAGE, PAGE, SHARED_BEGIN, SLOTS, USER_BEGIN, USER_END, WRITE_USER, PageTables,
                           Request, Rights)

# Memory that the machine has but the kernel may not allocate: the tests map it and know that nobody else uses it.
POOL_BEGIN = 24 * MIB
POOL_END = 40 * MIB
POOL_FRAME = POOL_BEGIN // PAGE
POOL_FRAMES = (POOL_END - POOL_BEGIN) // PAGE

FREED_POISON = 0xF4EEDF4E  # kFreedFramePoison in mm/physical/frame_allocator.h

FULL_FLUSHES = {"mm::tlb::flush()": "flush()", "mm::tlb::flush_including_global()": "flush_including_global()"}

STALE_HINT = ("If the tables are right, the CPU still uses a translation that it remembers: who changes an entry must forget the "
              "old one (tlb.h).")

WHY_ERROR = {
    "InvalidArgument": "the request contradicts itself",
    "Misaligned": "an address or frame is not a multiple of the page size",
    "OutOfRange": "the range, or its frames, end outside what may be mapped",
    "Unsupported": "large pages do not go into the shared range",
    "NotMapped": "part of the range is not mapped",
    "OutOfMemory": "there is no frame for a page table that is needed",
}


def paging_machine(megabytes: int = 48) -> Machine:
    """A PC with a hole of memory that is reserved from 24 to 40 MiB."""
    return Machine(megabytes, (
        MemoryEntry(0, 640 * 1024),
        MemoryEntry(0xF0000, 0x10000, RESERVED),
        MemoryEntry(MIB, POOL_BEGIN - MIB),
        MemoryEntry(POOL_BEGIN, POOL_END - POOL_BEGIN, RESERVED),
        MemoryEntry(POOL_END, (megabytes * MIB) - POOL_END),
    ))


@dataclass(frozen=True)
class Directory:
    """A page directory of the test: its name in the model, and how the script names it."""

    name: str
    op: Op | None = None  # the paging.create; None for kernel_directory()

    @property
    def argument(self) -> object:
        return self.op if self.op is not None else "kernel"

    def __str__(self) -> str:
        return f"directory {self.name}" if self.op else "the kernel's directory"


class PagingScenario(ReplayedScenario):
    """One boot of a kernel with the paging piece under test."""

    reads_tables = False  # a state reads the tables of all directories itself

    def prepare(self) -> None:
        self.machine = paging_machine()
        self.model = PageTables()
        self.kernel = Directory("kernel")
        self.steps: list[tuple[Op, Callable[[Op], None]]] = []
        self.alive: dict[str, Directory] = {"kernel": self.kernel}
        self.touched: list[int] = []
        self.states: dict[str, State] = {}
        self.memory: dict[tuple[int, int], int] = {}  # (frame, offset) -> word, as far as the test wrote it
        self.active = self.kernel
        self.frames_left: int | None = None
        self.owned = 0
        self.slots_at_birth: dict[str, set[int]] = {}
        self.directory_frames: dict[str, int] = {}
        self._used_slots: set[int] = set()
        self._next_frame = POOL_FRAME + self.random.randrange(1, 200)
        self._large_frames_used = 0
        self._looked_at: set[str] = set()  # directories that a state has compared
        self._watches_frames = self._watches_tlb = self._watches_swap_entries = False
        self._history: list[tuple[Op, Request | None]] = []  # calls of the piece that have been gone through
        self._counted: list[str] = []  # functions
        self._counter: Any = None
        self.start = State("start")
        self.state("start", self.start)

    # -- the piece ---------------------------------------------------------------------------------------------------

    def create(self, error: str | None = None) -> Directory:
        """A new page directory."""
        name = chr(ord("A") + sum(op.line.startswith("paging.create") for op in self.operations))
        directory = Directory(name, self.op("paging.create", note=f"directory {name}"))
        if error is None:
            self.alive[name] = directory
        self._then(directory.op, lambda op: self._created(directory, op, error))
        return directory

    def destroy(self, directory: Directory, error: str | tuple[str, ...] | None = None) -> Op:
        """Takes a directory apart. With `error`, one of these must come back."""
        op = self.op("paging.destroy", directory.argument, note=str(directory))
        if error is None:
            del self.alive[directory.name]
        self._then(op, lambda op: self._destroyed(directory, op, error))
        return op

    def map(self, directory: Directory, start: int, frame: int | Op, count: int = 1, rights: Rights = WRITE_USER, *,
            large: bool = False, note: str = "") -> Op:
        """Maps `count` pages. An Op as frame is one that own_frame() gave."""
        op = self.op("paging.map", directory.argument, start, frame, count, "large" if large else "small", rights, note=note)
        self._then(op, lambda op: self._answered(op, Request(
            "map", directory.name, start, count, frame.value if isinstance(frame, Op) else frame, large, rights)))
        return op

    def unmap(self, directory: Directory, start: int, count: int = 1, *, note: str = "") -> Op:
        op = self.op("paging.unmap", directory.argument, start, count, note=note)
        self._then(op, lambda op: self._answered(op, Request("unmap", directory.name, start, count)))
        return op

    def protect(self, directory: Directory, start: int, count: int, rights: Rights, *, note: str = "") -> Op:
        op = self.op("paging.protect", directory.argument, start, count, rights, note=note)
        self._then(op, lambda op: self._answered(op, Request("protect", directory.name, start, count, rights=rights)))
        return op

    def translate(self, directory: Directory, address: int) -> Op:
        """Asks the piece where an address leads; the answer must be what the model has, or for the kernel's low part, what
        the tables themselves say."""
        op = self.op("paging.translate", directory.argument, address)
        self._then(op, lambda op: self._translated(op, directory, address))
        return op

    # -- the machine -------------------------------------------------------------------------------------------------

    def activate(self, directory: Directory) -> Op:
        """Loads CR3. Looks at the directory first, if no state has: without the kernel's entries in it the machine would die,
        and could not say of what."""
        if directory.name not in self._looked_at:
            self.state(f"before-loading-{directory.name}")
        op = self.op("paging.activate", directory.argument, note=str(directory))
        self._then(op, lambda op: setattr(self, "active", directory))
        return op

    def read(self, address: int, *, note: str = "") -> Op:
        """Reads a word through the MMU: it must be what was written to the frame that the model maps there, or nothing must be
        mapped. Leaves a TLB entry, which later states look for."""
        self.touched.append(address)
        op = self.op("paging.read", address, note=note)
        self._then(op, lambda op: self._has_read(op, address))
        return op

    def write(self, address: int, word: int, *, note: str = "") -> Op:
        """Writes a word through the MMU, where a writable page must be."""
        self.touched.append(address)
        op = self.op("paging.write", address, word, note=note)
        self._then(op, lambda op: self._has_written(op, address, word))
        return op

    def poke(self, frame: int, word: int, offset: int = 0) -> Op:
        """Writes a word into a frame, past the MMU."""
        op = self.op("paging.poke", frame, offset, word)
        self._then(op, lambda op: self.memory.__setitem__((frame, offset), word))
        return op

    def swap_out(self, directory: Directory, address: int, *, note: str = "") -> Op:
        """The kernel puts a swap entry, whose slot is chosen at random, in the place of a page; its page table must be there."""
        slot = self.random.choice((self.random.randrange(1, 200), self.random.randrange(1, SLOTS)))
        op = self.op("paging.swap", directory.argument, address, slot, note=note)
        self._then(op, lambda op: self._swapped_out(op, directory, address, slot))
        return op

    def own_frame(self) -> Op:
        """A frame that belongs to the test, as a frame of a user's page belongs to whoever mapped it."""
        op = self.op("paging.frame", note="a frame of the test's own")
        self._then(op, lambda op: self._own(1))
        return op

    def limit(self, frames: int | None) -> Op:
        """From here on the machine hands out this many frames and no more; None ends that."""
        op = self.op("frames.limit", "none" if frames is None else frames)
        self._then(op, lambda op: setattr(self, "frames_left", frames))
        return op

    def soil_memory(self) -> Op:
        """Every free frame holds what a freed frame holds, not zeros."""
        return self.op("paging.soil")

    def watch_frames(self) -> None:
        """The states of this test count frames, too."""
        self._watches_frames = True
        self._counted += FRAME_CALLS

    def watch_swap_entries(self) -> None:
        """The states of this test compare swap entries, too."""
        self._watches_swap_entries = True

    def watch_tlb(self) -> None:
        """The states of this test look into the TLB, too."""
        self._watches_tlb = True

    def state(self, name: str, state: State | None = None) -> State:
        """Stops the machine and looks at all of it: see the top of this file."""
        state = state or State(name)
        self._looked_at |= set(self.alive)
        directories, touched = dict(self.alive), list(dict.fromkeys(self.touched)) if self._watches_tlb else []
        checkpoint = self.checkpoint(name, lambda target: self._look(target, state, directories, touched))
        self._then(checkpoint.op, lambda op: self._verify(op, state))
        self.states[name] = state
        return state

    def no_full_flush(self, before: State, after: State) -> None:
        """Between two states the piece must not have called a full flush. Counted from outside, with breakpoints."""
        self._counted += [name for name in FULL_FLUSHES if name not in self._counted]

        def check() -> None:
            calls = [f"{after.calls[name] - before.calls[name]} calls of tlb::{short}" for name, short in FULL_FLUSHES.items()
                     if after.calls[name] > before.calls[name]]
            expect(not calls, f"changes of up to {FULL_FLUSH_PAGES} pages forget these pages only, with tlb::invalidate_page()",
                   f"{' and '.join(calls)} between {before.name!r} and {after.name!r}")

        self.then(check)

    def then(self, check: Callable[[], None]) -> None:
        """A check of the test's own, made in its place among the others when the script is gone through."""
        self.steps.append((self.operations[-1], lambda op: check()))

    # -- choosing ----------------------------------------------------------------------------------------------------

    def user_address(self, *, slots: int = 1) -> int:
        """The start of `slots` free directory entries in a row somewhere in the user range, its first and last left out."""
        while True:
            slot = self.random.randrange(USER_BEGIN // LARGE_PAGE + 1, USER_END // LARGE_PAGE - slots - 1)
            if not any(slot - 1 <= used <= slot + slots for used in self._used_slots):
                self._used_slots |= set(range(slot, slot + slots))
                return slot * LARGE_PAGE

    def frames(self, count: int = 1) -> int:
        """The first of `count` frames of the pool that this test has not used yet."""
        first = self._next_frame
        self._next_frame += count + self.random.randrange(1, 9)  # a gap, so that no two requests continue each other by chance
        if first + count > POOL_FRAME + POOL_FRAMES // 2:
            raise RuntimeError("the test uses more small frames than the pool's first half has")
        return first

    def far_frames(self, count: int) -> int:
        """The first of `count` frames at addresses where the machine has no memory: for pages that nobody touches."""
        return self.random.randrange(0x40000, 0xC0000 - count)

    def large_frames(self) -> int:
        """The first of 1024 frames for a 4 MiB page, from the pool's second half; two at most."""
        number = self._large_frames_used
        self._large_frames_used += 1
        if number > 1:
            raise RuntimeError("the pool has two large frames")
        return POOL_FRAME + POOL_FRAMES // 2 + number * 1024

    def word(self) -> int:
        """A word that is not there by chance."""
        return self.random.randrange(1 << 24, 1 << 32)

    # -- going through the script ------------------------------------------------------------------------------------

    def _then(self, op: Op | None, check: Callable[[Op], None]) -> None:
        assert op is not None
        self.steps.append((op, check))

    def _go_through(self) -> None:
        for op, check in self.steps:
            if not op.is_done:
                return
            check(op)

    def last_call(self, name: str = "", address: int | None = None) -> Op | None:
        """The last call that concerned this address of a directory, or just the last one: that is where to look."""
        for op, request in reversed(self._history):
            if address is None or (request and request.start <= address < request.end and request.directory in (name, "kernel")):
                return op
        return self._history[-1][0] if self._history else None

    def _created(self, directory: Directory, op: Op, error: str | None) -> None:
        self._history.append((op, None))
        if error is not None:
            return _expect_error(op, (error,))
        expect(op.ok, "create() makes a page directory while there are free frames", op.says, operation=op.number)
        twin = [name for name, frame in self.directory_frames.items() if frame == op.value]
        expect(not twin, "each directory has a frame of its own", f"directory {directory.name} is in frame {op.value:#x}, as is "
               f"directory {' and '.join(twin)}", operation=op.number)
        self.directory_frames[directory.name] = op.value
        self.model.create(directory.name)
        self.slots_at_birth[directory.name] = set(self.model.shared_tables)

    def _destroyed(self, directory: Directory, op: Op, error: str | tuple[str, ...] | None) -> None:
        self._history.append((op, None))
        if error is not None:
            return _expect_error(op, (error,) if isinstance(error, str) else error)
        expect(op.ok, f"{directory} can be destroyed: CR3 does not point to it", op.says, operation=op.number)
        self.model.destroy(directory.name)
        self.directory_frames.pop(directory.name, None)

    def _own(self, frames: int) -> None:
        self.owned += frames

    def _answered(self, op: Op, request: Request) -> None:
        """An answer of map, unmap or protect."""
        self._history.append((op, request))
        allowed = self.model.errors(request, self.frames_left)
        if op.error is None:
            if allowed:
                reason = " and ".join(WHY_ERROR[error] for error in sorted(allowed))
                fail(f"{op} is refused with {_errors(allowed)}: {reason}", "it succeeded", operation=op.number)
            if self.frames_left is not None:
                self.frames_left -= self.model.tables_needed(request)
            self.model.apply(request)
        elif op.error not in allowed:
            if self.frames_left is not None and op.error == "OutOfMemory" and self.model.tables_needed(request):
                return  # it wanted more tables for a while than it would have needed
            wanted = f"is refused with {_errors(allowed)}" if allowed else "succeeds"
            fail(f"{op} {wanted}", f"Error::{op.error}", operation=op.number)

    def _translated(self, op: Op, directory: Directory, address: int) -> None:
        if USER_BEGIN <= address < USER_END or address >= SHARED_BEGIN:
            page = self.model.page(directory.name, address)
            want = None if page is None else (self.model.physical(directory.name, address), page.large, page.rights)
        else:
            walk = self.start.tables["kernel"].translate(address)
            want = walk and (walk.physical, walk.large, Rights(walk.writable, walk.user, walk.global_))
        if want is None:
            return _expect_error(op, ("NotMapped",))
        expected = f"{want[0]:#010x} in a {'4 MiB' if want[1] else '4 KiB'} page, {want[2]}"
        expect(op.ok, f"{op} finds {expected}", op.says, operation=op.number)
        rights = Rights(bool(op.values[2] & 1), bool(op.values[2] & 2), bool(op.values[2] & 4))
        size = {PAGE: "4 KiB", LARGE_PAGE: "4 MiB"}.get(op.values[1], f"{op.values[1]}-byte")
        seen = f"{op.values[0]:#010x} in a {size} page, {rights}"
        expect(seen == expected, f"{op} finds {expected}: that is what the CPU would find", seen, operation=op.number)

    def _swapped_out(self, op: Op, directory: Directory, address: int, slot: int) -> None:
        expect(op.ok, f"a page table is there for {address:#010x}: a page or a swap entry is in it", f"{op} found none{self._after(address)}",
               "A page table goes when all of its 1024 entries are 0, and not before.", operation=op.number)
        self.model.swap_out(directory.name, address // PAGE, slot)

    def _has_read(self, op: Op, address: int) -> None:
        physical = self.model.physical(self.active.name, address)
        if physical is None:
            expect(not op.ok, f"nothing is mapped at {address:#010x}, so that a read there faults",
                   f"{op} read {op.says}{self._after(address)}", STALE_HINT, operation=op.number)
            return
        want = self.memory.get((physical // PAGE, physical % PAGE))
        expect(op.ok, f"{address:#010x} is mapped to {physical:#010x} and can be read", f"{op}: no page there",
               operation=op.number)
        expect(want is None or op.value == want,
               f"a read of {address:#010x} finds {want or 0:#010x}, which frame {physical // PAGE:#x} holds",
               f"{op} read {op.says}{self._where_from(op.value)}{self._after(address)}",
               STALE_HINT, operation=op.number)

    def _after(self, address: int) -> str:
        last = self.last_call(self.active.name, address)
        return f". The last call there: {last}: {last.says}" if last else ""

    def _where_from(self, word: int) -> str:
        """Which frame of the test a word that was read belongs to."""
        found = [frame for (frame, _), held in self.memory.items() if held == word]
        return f", which is in frame {found[0]:#x}" if found else ""

    def _has_written(self, op: Op, address: int, word: int) -> None:
        physical = self.model.physical(self.active.name, address)
        assert physical is not None, f"the test writes to {address:#x}, where nothing is mapped"
        expect(op.ok, f"{address:#010x} is mapped to {physical:#010x} and may be written", f"{op}: the tables do not allow it",
               operation=op.number)
        self.memory[physical // PAGE, physical % PAGE] = word

    def _look(self, target: Any, state: State, directories: dict[str, Directory], touched: list[int]) -> None:
        """Reads the stopped machine: called by the judge at the checkpoint."""
        answers = _answers(target.serial())
        frames = {name: answers[directory.op.number] for name, directory in directories.items()
                  if directory.op is not None and directory.op.number in answers}
        if state is not self.start:
            frames["kernel"] = self.start.active
        state.read(target, frames, touched, self.machine.memory_bytes)
        if self._counted:
            self._counter = self._counter or target.count_hits(self._counted)
            state.calls = self._counter.read()

    def _verify(self, op: Op, state: State) -> None:
        if state is not self.start:
            StateCheck(self, state, op).check(frames=self._watches_frames, swap_entries=self._watches_swap_entries)


def _answers(serial: bytes) -> dict[int, int]:
    """First values of the operations so far, by number."""
    return {int(number): int(value, 16) for number, value in re.findall(rb"^=(\d+) ok (0x[0-9a-f]+)", serial, re.MULTILINE)}


def _errors(names: Iterable[str]) -> str:
    return " or ".join(f"Error::{name}" for name in sorted(names))


def _expect_error(op: Op, errors: tuple[str, ...]) -> None:
    expect(op.error in errors, f"{op} is refused with {_errors(errors)}", op.says, operation=op.number)
