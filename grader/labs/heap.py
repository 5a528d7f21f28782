"""The scenario of lab 04-heap: what its tests do to caches and kmalloc, and what the machine says afterwards."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from emulator.machine import LOW_MEMORY_END, MIB, Machine, MemoryEntry
from judge.scenario import Checkpoint, Failure, Op, Reference, Run, Scenario, expect
from oracle.heap import BLOCK, KMALLOC, PAGE_SIZE, STRANGER, Block, Expected, Finding, Kind, differences, match, overlaps, read_blocks
from paging.tables import TableSet, read_tables

ALL = 0xFFFFFFFF
MORE_THAN_THERE_ARE = 20_000  # blocks that exhaust() asks for: more than fit into the machines that tests empty
ERRORS = ("None", "OutOfMemory", "Unsupported", "InvalidArgument", "Misaligned", "OutOfRange", "NotAllocated", "NotMapped", "Busy")
MAX_KEPT = 32  # findings::kMaxKept
FRAME_INFO = 16  # sizeof(FrameInfo); the byte at 4 is FrameInfo::use
ALLOCATED = 3  # FrameUse::Allocated
CHURN_SITES = 4  # sites 0 to 3 are those that the guest uses by itself

VMALLOC = range(0xC000_0000, 0xE000_0000)
IDENTITY_END = 256 * MIB

_VERBS = "read write open close copy send make load store find draw parse mount queue merge".split()
_NOUNS = "block page inode packet name table buffer request window path socket ticket record label entry".split()
_FOLDERS = "fs net block audio video crypto power input".split()

TROUBLES = {
    1: ("the functions return memory or an error", "success, and a null pointer (for {detail} bytes)", "When there is no memory, return Error::OutOfMemory."),
    2: ("every block lies at a multiple of its alignment, and of 8", "a block at {address:#x}, where a multiple of {detail} was wanted",
        "Round the object's address up, not that of its red zone or header."),
    3: ("blocks do not overlap", "a block at {address:#x}, inside or over the one at {detail:#x} which is in use",
        "Is a block in two free lists? Is the size rounded up everywhere by the same rule?"),
    4: ("a block holds what its owner wrote into it until it is freed", "the block at {address:#x} has changed at offset {detail:#x}",
        "Nobody but the owner writes to bytes [0, size): no link, no poison, no header of a neighbour."),
    5: ("a block that is in use can be freed", "free of the block at {address:#x} ({detail} bytes) was refused with Error::{error}",
        "The heap must know its own blocks whatever was allocated or freed since."),
    6: ("what fails for want of memory fails with Error::OutOfMemory", "Error::{error} for {detail} bytes", "mm::frames may say Unsupported, too: go another way then."),
    7: ("krealloc() keeps the contents as far as both sizes go", "the block that is now at {address:#x} has lost them from offset {detail:#x} on",
        "Copy as many bytes as the smaller of the two sizes says."),
    8: ("an object of a cache with a constructor is handed out in its constructed state", "the object at {address:#x} is not",
        "Run the constructor on every object of a new slab, and leave the bytes of a free object alone."),
}


@dataclass(frozen=True)
class Site:
    """A call site that the script invents."""

    index: int
    function: str
    file: str
    line: int

    @property
    def number(self) -> int:
        """As the guest reports it: 0 is "not known"."""
        return self.index + 1

    def __str__(self) -> str:
        return f"{self.function}() at {self.file}:{self.line}"


@dataclass(frozen=True)
class Cache:
    """A cache of the script's."""

    slot: int
    name: str
    size: int
    alignment: int
    mark: int  # 0: no constructor
    op: Op  # create()


class Bulk:
    """An operation over many blocks. Asking what was done fails the test if something was wrong on the way."""

    def __init__(self, op: Op) -> None:
        self.op = op

    @property
    def done(self) -> int:
        """Blocks or steps that were handled."""
        done, trouble, address, detail, error, _ = self.op.values
        if trouble:
            wanted, seen, hint = TROUBLES[trouble]
            raise Failure(wanted, f"{seen.format(address=address, detail=detail, error=error_name(error))} ({self.op}, step {done})", hint,
                          operation=self.op.number)
        return done

    @property
    def error(self) -> str:
        """The error that ended the work, or "None"."""
        return error_name(self.op.values[4]) if self.done >= 0 else ""

    @property
    def failures(self) -> int:
        """Calls that returned OutOfMemory."""
        return self.op.values[5] if self.done >= 0 else 0


def error_name(number: int) -> str:
    return ERRORS[number] if number < len(ERRORS) else f"number {number}"


@dataclass(frozen=True)
class Watched:
    """An operation, how many findings there were before and after it, and the last of them."""

    op: Op
    before: Op
    after: Op
    last: Op

    @property
    def count(self) -> int:
        """How many findings it led to."""
        return self.after.value - self.before.value


class Look:
    """A checkpoint at which the host reads the guest's books, what for_each_object() showed last, and whose frames lie behind."""

    def __init__(self, scenario: HeapScenario, name: str, sample: Callable[[], Iterable[tuple[int, int]]]) -> None:
        self._sample = sample
        self.checkpoint: Checkpoint = scenario.checkpoint(name, self._read)
        self.held: list[Block] = []
        self.shown: list[Block] = []
        self.samples: list[bytes | None] = []  # of the (address, length) pieces asked for; None where the frame is nobody's
        self._uses = b""
        self._tables: TableSet | None = None

    def _read(self, target: Any) -> None:
        """The probe: runs while the machine stands still."""
        self.held = read_blocks(_records(target, "heap_guest::blocks", "heap_guest::block_count"), site_offset=1)
        self.shown = read_blocks(_records(target, "heap_guest::seen", "heap_guest::seen_count"))
        table = _word(target, "mm::frame_table::(anonymous namespace)::table")
        count = _word(target, "mm::frame_table::(anonymous namespace)::entries")
        self._uses = target.physical(table, min(count, 1 << 20) * FRAME_INFO)[4::FRAME_INFO]
        registers = target.registers()
        self._tables = read_tables(target.physical, registers["cr3"], registers["cr4"])
        self.samples = [self._bytes(target, address, length) for address, length in self._sample()]

    def frame_behind(self, page: int) -> int | None:
        """The frame that the page tables lead to, if anybody owns it."""
        assert self._tables is not None
        walk = self._tables.translate(page * PAGE_SIZE)
        frame = None if walk is None else walk.physical // PAGE_SIZE
        return frame if frame is not None and frame < len(self._uses) and self._uses[frame] == ALLOCATED else None

    def _bytes(self, target: Any, address: int, length: int) -> bytes | None:
        pieces = []
        while length:
            frame, offset = self.frame_behind(address // PAGE_SIZE), address % PAGE_SIZE
            part = min(length, PAGE_SIZE - offset)
            if frame is None:
                return None
            pieces.append(target.physical(frame * PAGE_SIZE + offset, part))
            address, length = address + part, length - part
        return b"".join(pieces)

    def check_memory(self) -> None:
        """Every block lies in memory that the frame allocator or vmalloc has handed out, and no two share a byte."""
        for first, second in overlaps(self.held):
            expect(False, "no two blocks share a byte", f"{second.size} bytes at {second.address:#x} overlap {first.size} bytes at {first.address:#x}",
                   TROUBLES[3][2])
        owners: dict[int, int] = {}
        for block in self.held:
            for page in block.pages:
                frame = self.frame_behind(page)
                expect(frame is not None, "every byte of a block lies in a frame that mm::frames (or vmalloc) has handed out",
                       f"the page {page * PAGE_SIZE:#x} of the block at {block.address:#x} ({block.size} bytes) lies in none",
                       "A table of your own in the kernel's image is no heap: frames come from mm::frames and mm::pages, large blocks from mm::vmalloc.")
                expect(owners.setdefault(frame, page) == page, "two pages never lie in one frame",
                       f"the pages {owners[frame] * PAGE_SIZE:#x} and {page * PAGE_SIZE:#x} both lie in frame {frame:#x}")


def _word(target: Any, symbol: str) -> int:
    return struct.unpack("<I", target.physical(target.symbol(symbol), 4))[0]


def _records(target: Any, symbol: str, count: str) -> bytes:
    return target.physical(target.symbol(symbol), min(_word(target, count), 1024) * BLOCK.size)


class HeapScenario(Scenario):
    """Readable names for the guest's operations on the heap."""

    reads_tables = False

    def prepare(self) -> None:
        """A machine with enough memory and an odd end, and call sites whose names nobody can know."""
        self.command_line = "harness without_processes"
        self.sites: list[Site] = []
        self.caches: list[Cache] = []
        self.watched: list[Watched] = []
        self.findings: list[Finding] = []
        self._finding_ops: list[Op] = []
        self.use_megabytes(16)
        for _ in range(CHURN_SITES):
            self.site()

    def use_megabytes(self, megabytes: int) -> None:
        """How much memory the machine has, about."""
        end = megabytes * MIB - self.random.randrange(64) * PAGE_SIZE
        self.machine = Machine(megabytes, (MemoryEntry(0, LOW_MEMORY_END), MemoryEntry(MIB, end - MIB)))

    # Names

    def site(self) -> Site:
        """Another call site."""
        rng = self.random
        site = Site(len(self.sites), f"{rng.choice(_VERBS)}_{rng.choice(_NOUNS)}_{rng.randrange(1000)}",
                    f"kernel/{rng.choice(_FOLDERS)}/{rng.choice(_NOUNS)}_{rng.randrange(100)}.cpp", rng.randrange(1, 1 << 16))
        self.sites.append(site)
        self.op("heap.site", site.index, site.function, site.file, site.line)
        return site

    def cache(self, size: int, alignment: int = 8, *, constructor: bool = False, note: str = "") -> Cache:
        """create() of a cache; only the first four may have a constructor."""
        slot, rng = len(self.caches), self.random
        name = f"{rng.choice(_NOUNS)}-{rng.randrange(1000)}"
        mark = rng.randrange(1, 1 << 32) if constructor else 0
        self.op("heap.name", slot, name)
        cache = Cache(slot, name, size, alignment, mark, self.op("heap.create", slot, size, alignment, mark, note=note))
        self.caches.append(cache)
        return cache

    def site_title(self, number: int) -> str:
        """A call site in words."""
        if number == 0:
            return "not known"
        return str(self.sites[number - 1]) if number <= len(self.sites) else "a place that did not call"

    def cache_title(self, number: int) -> str:
        if number == KMALLOC:
            return "kmalloc"
        return self.caches[number].name if number < len(self.caches) else "no cache of that name"

    # One call each

    def allocate(self, cache: Cache, site: Site | None = None, note: str = "") -> Op:
        return self.op("heap.allocate", cache.slot, (site or self._some_site()).index, note=note)

    def free(self, cache: Cache, address: object, site: Site | None = None, note: str = "") -> Op:
        return self.op("heap.free", cache.slot, address, (site or self._some_site()).index, note=note)

    def destroy(self, cache: Cache, note: str = "") -> Op:
        return self.op("heap.destroy", cache.slot, note=note)

    def kmalloc(self, size: int, site: Site | None = None, note: str = "") -> Op:
        return self.op("heap.kmalloc", size, (site or self._some_site()).index, note=note)

    def kmalloc_aligned(self, size: int, alignment: int, site: Site | None = None, note: str = "") -> Op:
        return self.op("heap.kmalloc_aligned", size, alignment, (site or self._some_site()).index, note=note)

    def krealloc(self, address: object, size: int, site: Site | None = None, note: str = "") -> Op:
        return self.op("heap.krealloc", address, size, (site or self._some_site()).index, note=note)

    def kfree(self, address: object, site: Site | None = None, note: str = "") -> Op:
        return self.op("heap.kfree", address, (site or self._some_site()).index, note=note)

    def shrink(self) -> Op:
        return self.op("heap.shrink")

    def check(self, note: str = "") -> Op:
        return self.op("heap.check", note=note)

    def objects(self) -> Op:
        """for_each_object(); a look() behind it reads what was shown."""
        return self.op("heap.objects")

    def statistics(self, cache: Cache | int, note: str = "") -> Op:
        """for_each_cache(): times shown, object size, in use, capacity, frames; with KMALLOC the sums of the kmalloc caches."""
        slot = cache.slot if isinstance(cache, Cache) else "kmalloc"
        return self.op("heap.statistics", slot, note=note)

    def _some_site(self) -> Site:
        return self.sites[self.random.randrange(CHURN_SITES)]

    # Frames

    def frames(self) -> Op:
        """Frames in use: mm::frames counts them, not the piece."""
        return self.op("heap.frames")

    def settle(self, note: str = "") -> Op:
        """Frames in use after shrink() and vmalloc's purge()."""
        return self.op("heap.settle", note=note)

    def limit(self, count: int | None) -> Op:
        """Only `count` more allocations of frames succeed; None ends that."""
        return self.op("frames.limit", "none" if count is None else count)

    def held(self, address: object) -> Op:
        """Whether the address's frame is in use: 1 or 0."""
        return self.op("heap.held", address)

    # Bytes

    def fill(self, address: object, length: int, mark: int) -> Op:
        return self.op("heap.fill", address, length, mark)

    def compare(self, address: object, length: int, mark: int, note: str = "") -> Op:
        """Its value is `length` when every byte is as fill() wrote it, else the offset of the first that is not."""
        return self.op("heap.compare", address, length, mark, note=note)

    def flip(self, address: Op | Reference, note: str = "") -> Op:
        """Changes some bits of a byte. Fails with NotMapped where the byte is nobody's."""
        return self.op("heap.flip", address, self.random.randrange(1, 256), note=note)

    def mark(self) -> int:
        return self.random.randrange(1, 1 << 32)

    # Many blocks

    def churn(self, count: int, most: int, live: int, note: str = "") -> Bulk:
        """Operations at random; every block holds a pattern, which is checked."""
        return Bulk(self.op("heap.churn", self.mark(), count, most, live, note=note))

    def drop(self, note: str = "") -> Bulk:
        """Frees what churn() left."""
        return Bulk(self.op("heap.drop", note=note))

    def exhaust(self, what: Cache | int, limit: int = MORE_THAN_THERE_ARE, note: str = "") -> Bulk:
        """Allocates from a cache, or with kmalloc() of so many bytes, until there is an error."""
        if isinstance(what, Cache):
            return Bulk(self.op("heap.exhaust", what.slot, what.size, self._some_site().index, limit, note=note))
        return Bulk(self.op("heap.exhaust", "kmalloc", what, self._some_site().index, limit, note=note))

    def give_back(self, count: int = ALL, note: str = "") -> Bulk:
        """Frees what exhaust() allocated."""
        return Bulk(self.op("heap.give_back", count, self._some_site().index, note=note))

    def thin(self, note: str = "") -> Bulk:
        """Frees every second block of what exhaust() allocated."""
        return Bulk(self.op("heap.thin", self._some_site().index, note=note))

    def hold(self, which: str, note: str = "") -> Op:
        """The guest takes `all` frames that are left, or only the `odd` ones, so that no two free ones lie side by side."""
        return self.op("heap.hold", which, self.mark(), note=note)

    def let_go(self) -> Op:
        return self.op("heap.let_go")

    # Findings

    def watch(self, call: Callable[[], Op]) -> Watched:
        """Notes the findings that come between the lines before and behind the call's."""
        before = self.op("heap.findings")
        op = call()
        after = self.op("heap.findings")
        watched = Watched(op, before, after, self.op("heap.finding", after - 1))
        self.watched.append(watched)
        return watched

    def boot(self) -> Run:
        """With findings to read, reads them all at the end of the script."""
        if self.watched:
            self._finding_ops = [self.op("heap.finding", number) for number in range(MAX_KEPT)]
        run = super().boot()
        self.findings = [Finding(*op.values) for op in self._finding_ops if op.ok]
        return run

    def findings_of(self, watched: Watched) -> list[Finding]:
        """What was found by this operation."""
        if watched.count <= 1:
            return [Finding(*watched.last.values)] if watched.count else []
        expect(watched.after.value <= MAX_KEPT, "each fault is found once", f"{watched.count} findings by {watched.op}",
               "Report damage once, and repair it then.", operation=watched.op.number)
        return self.findings[watched.before.value : watched.after.value]

    def address_of(self, value: Op | Reference | int) -> int:
        """The number behind an argument, after the boot."""
        if isinstance(value, Reference):
            return (self.operations[value.number - 1].value + value.offset) % (1 << 32)
        return value.value if isinstance(value, Op) else value

    def expect_findings(self, watched: Watched, expected: Sequence[Expected], what: str) -> None:
        """The operation led to these findings and to no other."""
        pairs, rest = match(expected, self.findings_of(watched))
        for want, seen in pairs:
            self.expect(seen is not None, f"{what} is found: {self.expected_title(want)}",
                        f"{watched.op} found {self.found_title(rest)}", operation=watched.op.number)
            assert seen is not None
            mistakes = want.mistakes(seen)
            self.expect(not mistakes, f"{what} is found: {self.expected_title(want)}",
                        f"{watched.op} found {self.finding_title(seen)}: wrong are {', '.join(mistakes)}", operation=watched.op.number)
        self.expect(not rest, f"{watched.op} finds {what}, and nothing else" if expected else f"{watched.op} finds nothing",
                    f"{'also ' if expected else ''}{self.found_title(rest)}", "What is not damaged is no finding; what was reported is not reported again.",
                    operation=watched.op.number)

    def expect_quiet(self, *ops: Op) -> None:
        """check() found nothing wrong."""
        for op in ops:
            expect(op.value == 0, "check() finds nothing where nothing is wrong", f"{op.value} findings by {op}",
                   "Owners write to bytes [0, size) of their blocks and nowhere else: that is no damage.", operation=op.number)

    def found_title(self, findings: Sequence[Finding]) -> str:
        return "; ".join(self.finding_title(finding) for finding in findings[:3]) or "nothing"

    def finding_title(self, seen: Finding) -> str:
        """A finding in words."""
        kind = Kind(seen.kind).title if seen.kind in tuple(Kind) else f"kind {seen.kind}"
        parts = [f"{kind} of {seen.object:#x}, {seen.size} bytes of {self.cache_title(seen.cache)}"]
        if seen.damage:
            parts.append(f"first wrong byte at {seen.damage:#x}")
        parts += [f"{word} by {self.site_title(number)}" for word, number in
                  (("allocated", seen.allocated), ("freed", seen.freed), ("found", seen.found)) if number]
        return ", ".join(parts)

    def expected_title(self, want: Expected) -> str:
        parts = [f"{want.kind.title} of {want.object:#x}"]
        if want.size is not None:
            parts.append(f"{want.size} bytes of {self.cache_title(want.cache if want.cache is not None else STRANGER)}")
        if want.damage is not None:
            parts.append(f"first wrong byte at {want.damage:#x}")
        parts += [f"{word} by {self.site_title(number)}" for word, number in
                  (("allocated", want.allocated), ("freed", want.freed), ("found", want.found)) if number is not None]
        return ", ".join(parts)

    # The host's own view

    def look(self, name: str, sample: Callable[[], Iterable[tuple[int, int]]] = tuple) -> Look:
        """Stops the machine and reads blocks, frames and the bytes that `sample` names."""
        return Look(self, name, sample)

    # What must hold

    def expect_aligned(self, op: Op, alignment: int = 8) -> None:
        expect(op.value != 0 and op.value % alignment == 0, f"a block at a multiple of {alignment}", f"{op} returned {op.value:#x}",
               TROUBLES[2][2], operation=op.number)

    def expect_intact(self, op: Op, length: int, why: str) -> None:
        """compare() found all bytes as they should be."""
        expect(op.value == length, why, f"the byte at offset {op.value:#x} of {length} is not what was written ({op})", operation=op.number)

    def expect_error(self, op: Op, error: str, why: str, hint: str = "") -> None:
        expect(op.error == error, f"{why}: Error::{error}", f"{op}: {op.says}", hint, operation=op.number)

    def expect_frames(self, op: Op, most: int, why: str, hint: str = "") -> None:
        """No more frames are in use than there should be."""
        expect(op.value <= most, f"{why}: at most {most} frames in use", f"{op.value}, {op.value - most} too many", hint, operation=op.number)

    def expect_objects(self, look: Look, before: Look) -> None:
        """for_each_object() showed what the guest holds, besides what the kernel had before the test began."""
        kernels = {block.address for block in before.shown}
        plain = {cache.slot for cache in self.caches if not cache.mark}  # an object of these names its owner
        held = [replace(block, owner=block.cache + 1 if block.cache in plain else 0) for block in look.held]
        wrong = differences(held, [block for block in look.shown if block.address not in kernels])
        expect(not wrong, "for_each_object() shows every object in use once, with size, cache, call site and owner", "; ".join(wrong[:4]),
               "kmalloc's blocks count as well, the large ones too.", operation=look.checkpoint.op.number)
