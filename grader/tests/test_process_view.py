"""The three views of a process: whatever one of them says alone is found. A process is made up here, word by word."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from labs.process_view import EXECUTE, MAX_AREAS, READ, WRITE, Area, ProcessView, disagreements, read_view
from paging.tables import PAGE, PRESENT, USER, WRITABLE

TEXT, DATA, STACK = 0x1000_0000, 0x2000_0000, 0xBFF0_0000
IMAGE, HEAP, MAPPING, STACKS = range(4)
DIRECTORY = 0x300
OBJECT = 0x00AB_C000
ZEROS = 0x2FF  # the frame of zeros
VIEW = 0x0010_0000  # where the block lies
TABLES = {TEXT >> 22: 0x301, DATA >> 22: 0x302, STACK >> 22: 0x303}


def good_areas() -> list[Area]:
    return [Area(TEXT, TEXT + 2 * PAGE, READ | EXECUTE, IMAGE, 0, OBJECT, 0), Area(DATA, DATA + PAGE, READ | WRITE, IMAGE, 0, OBJECT, 2),
            Area(DATA + PAGE, DATA + 3 * PAGE, READ | WRITE, IMAGE, 0, 0, 0), Area(DATA + 8 * PAGE, DATA + 9 * PAGE, 0, MAPPING, 0, 0, 0),
            Area(DATA + 9 * PAGE, DATA + 10 * PAGE, READ, MAPPING, 1, 0x00AB_D000, 5), Area(STACK, STACK + 4 * PAGE, READ | WRITE, STACKS, 0, 0, 0)]


@dataclass
class Process:
    """What the guest and the page tables say; a test changes some of it."""

    areas: list[Area] = field(default_factory=good_areas)
    entries: dict[int, int] = field(default_factory=dict)  # address -> word
    maps: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    execute_line: int = TEXT + 2 * PAGE

    def __post_init__(self) -> None:
        frame = 0x400
        for area in self.areas:
            for address in range(area.begin, area.end, PAGE):
                if area.protection:
                    self.entries[address] = frame * PAGE | PRESENT | USER | (WRITABLE if area.protection & WRITE else 0)
                frame += 1
        pages, present = sum(area.pages for area in self.areas), len(self.entries)
        self.counts = {"mapped": pages, "resident": present, "shared": 3, "page_tables": 1 + len(TABLES)}
        self.maps = [f"{area.begin:#010x}-{area.end:#010x} {area.rights} {area.kind_name:7} {4 * area.pages:7} KiB, "
                     f"{4 * area.pages if area.protection else 0:7} resident, {0:7} shared: " + self._backing(area) for area in self.areas]
        self.maps.append(f"{len(self.areas)} areas, {4 * pages} KiB, {4 * present} resident, 12 shared, {4 * (1 + len(TABLES))} of page tables")

    @staticmethod
    def _backing(area: Area) -> str:
        return f"/bin/it from page {area.first_page}" if area.object else "zeros"

    def view(self) -> ProcessView:
        return read_view(self, VIEW, 64 << 20)

    # what read_view() asks a machine

    def registers(self) -> dict[str, int]:
        return {"cr3": DIRECTORY * PAGE, "cr4": 0x90}

    def physical_ranges(self, ranges: list[tuple[int, int]]) -> list[bytes]:
        return [self.physical(address, length) for address, length in ranges]

    def physical(self, address: int, length: int) -> bytes:
        if address >= 0x400 * PAGE or address < VIEW:
            return bytes(length)
        memory = bytearray(0x400 * PAGE)
        self._write_view(memory)
        for slot, table in TABLES.items():
            struct.pack_into("<I", memory, DIRECTORY * PAGE + 4 * slot, table * PAGE | PRESENT | USER | WRITABLE)
        for page, word in self.entries.items():
            struct.pack_into("<I", memory, TABLES[page >> 22] * PAGE + 4 * (page >> 12 & 1023), word)
        return bytes(memory[address:address + length])

    def _write_view(self, memory: bytearray) -> None:
        text = "".join(f"{line}\n" for line in self.maps).encode()
        struct.pack_into("<29I", memory, VIEW, 7, DIRECTORY, self.execute_line, DATA, DATA, *self.counts.values(), 99, ZEROS, len(self.areas), len(text), *range(16))
        for i, area in enumerate(self.areas):
            struct.pack_into("<7I", memory, VIEW + 116 + 28 * i, area.begin, area.end, area.protection, area.kind, area.shared, area.object, area.first_page)
        at = VIEW + 116 + 28 * MAX_AREAS
        memory[at:at + len(text)] = text


def test_a_process_whose_views_agree() -> None:
    view = Process().view()
    assert disagreements(view) == [] and disagreements(view, eager=True) == []
    assert (view.pid, view.active, len(view.areas), view.frames_in_use) == (7, True, 6, 99)
    assert view.frames_of(view.areas[0]) == [0x400, 0x401]
    assert (view.faults.outcomes["OutOfMemory"], view.faults.hows["LastOwner"], view.faults.stack_growths, view.faults.neighbours) == (3, 12, 14, 15)


def without(process: Process, address: int) -> None:
    del process.entries[address]


def with_bits(process: Process, address: int, bits: int) -> None:
    process.entries[address] ^= bits


def change_area(process: Process, index: int, **changes: int) -> None:
    process.areas[index] = replace(process.areas[index], **changes)


def change_maps(process: Process, index: int, pattern: str, text: str) -> None:
    process.maps[index], count = re.subn(pattern, text, process.maps[index], count=1)
    assert count == 1


WRONG: dict[str, tuple[str, Callable[[Process], object]]] = {
    "areas overlap": ("overlap, or are not in order", lambda p: change_area(p, 1, end=DATA + 2 * PAGE)),
    "areas out of order": ("overlap, or are not in order", lambda p: p.areas.reverse()),
    "an area below the user range": ("no range of whole pages in the user range", lambda p: change_area(p, 0, begin=0x0FFF_F000)),
    "an area that ends inside a page": ("no range of whole pages", lambda p: change_area(p, 5, end=STACK + PAGE + 1)),
    "an empty area": ("no range of whole pages", lambda p: change_area(p, 3, end=DATA + 8 * PAGE)),
    "areas that should be one": ("the two should be one", lambda p: change_area(p, 2, object=OBJECT, first_page=3)),
    "a page outside all areas": ("outside all areas", lambda p: p.entries.update({DATA + 5 * PAGE: 0x777007})),
    "a page behind the stack": ("outside all areas", lambda p: p.entries.update({STACK + 4 * PAGE: 0x777007})),
    "a missing page": ("only 3 of 4 pages are present", lambda p: without(p, STACK)),
    "text that may be written": ("is writable user in the page tables", lambda p: with_bits(p, TEXT, WRITABLE)),
    "variables that may not be written": ("fewer rights than the area has", lambda p: with_bits(p, DATA, WRITABLE)),
    "a page that the user cannot reach": ("is writable supervisor in the page tables", lambda p: with_bits(p, STACK, USER)),
    "a page in reach without rights": ("is read-only user in the page tables", lambda p: p.entries.update({DATA + 8 * PAGE: 0x777005})),
    "one frame twice": ("lies under another page as well", lambda p: p.entries.update({STACK: p.entries[STACK + PAGE]})),
    "one frame twice, to be read only": ("lies under another page as well", lambda p: p.entries.update(
        {STACK: p.entries[STACK + PAGE] ^ WRITABLE, STACK + PAGE: p.entries[STACK + PAGE] ^ WRITABLE})),
    "an object's frame that may be written": ("lies under another page as well", lambda p: p.entries.update({DATA: p.entries[TEXT] | WRITABLE})),
    "a frame of zeros that may be written": ("the frame of zeros lies under", lambda p: p.entries.update({STACK: ZEROS * PAGE | PRESENT | USER | WRITABLE})),
    "a frame of zeros in a shared area": ("the frame of zeros lies under", lambda p: p.entries.update({DATA + 9 * PAGE: ZEROS * PAGE | PRESENT | USER})),
    "the execute line too low": ("the last area that may be executed", lambda p: setattr(p, "execute_line", TEXT + PAGE)),
    "the execute line above variables": ("may be written and lies below", lambda p: setattr(p, "execute_line", DATA + PAGE)),
    "a page too many counted": ("counted as mapped", lambda p: p.counts.update(mapped=p.counts["mapped"] + 1)),
    "residents miscounted": ("counted as resident", lambda p: p.counts.update(resident=p.counts["resident"] - 1)),
    "page tables miscounted": ("counted for page tables", lambda p: p.counts.update(page_tables=3)),
    "a line of the maps too few": ("lines for 6 areas", lambda p: p.maps.pop(2)),
    "another end in the maps": ("the maps say", lambda p: change_maps(p, 0, "10002000", "10003000")),
    "other rights in the maps": ("the maps say", lambda p: change_maps(p, 1, "rw-p", "r--p")),
    "sharing in the maps": ("the maps say", lambda p: change_maps(p, 4, "r--s", "r--p")),
    "another kind in the maps": ("the maps say", lambda p: change_maps(p, 5, "stack  ", "heap   ")),
    "another size in the maps": ("the maps say", lambda p: change_maps(p, 5, "16 KiB", "12 KiB")),
    "other residents in the maps": ("the maps say", lambda p: change_maps(p, 3, "0 resident", "4 resident")),
    "another page of the object in the maps": ("the maps say", lambda p: change_maps(p, 4, "page 5", "page 6")),
    "another backing in the maps": ("another backing", lambda p: change_maps(p, 2, "zeros", "/bin/it from page 0")),
    "zeros that the maps do not tell": ("show the frame of zeros", lambda p: p.entries.update({STACK: ZEROS * PAGE | PRESENT | USER})),
    "zeros that only the maps tell": ("show the frame of zeros", lambda p: change_maps(p, 5, "$", ", 8 KiB in the frame of zeros")),
    "another sum in the maps": ("the maps end with", lambda p: change_maps(p, 6, "6 areas", "7 areas")),
    "no sum in the maps": ("the maps end with", lambda p: p.maps.pop()),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_one_view_says_alone_is_found(name: str) -> None:
    words, spoil = WRONG[name]
    process = Process()
    spoil(process)
    found = disagreements(process.view(), eager="missing" in name or "may not" in name)
    assert any(words in sentence for sentence in found), found


def test_pages_that_are_not_there_yet_are_fine_on_demand() -> None:
    process = Process()
    without(process, STACK)
    with_bits(process, DATA, WRITABLE)
    process.counts["resident"] -= 1
    change_maps(process, 5, "16 resident", "12 resident")
    change_maps(process, 6, "40 resident", "36 resident")
    view = process.view()
    assert disagreements(view) == []
    assert len(disagreements(view, eager=True)) == 2


def test_untouched_pages_may_show_the_frame_of_zeros() -> None:
    process = Process()
    for page in range(3):
        process.entries[STACK + page * PAGE] = ZEROS * PAGE | PRESENT | USER
    change_maps(process, 5, "$", ", 12 KiB in the frame of zeros")
    assert disagreements(process.view()) == []


def test_more_areas_than_the_guest_shows_are_refused() -> None:
    process = Process()
    process.areas *= 100
    with pytest.raises(ValueError, match="600 areas"):
        process.view()
