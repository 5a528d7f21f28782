"""paging/swap_entries.py: which pages lie in which slot, over page tables laid out by hand."""

from __future__ import annotations

import random

from paging.swap_entries import SwappedPage, pages_by_slot, wrong_entries
from paging.tables import PAGE, TableSet
from test_tables import Memory

DIRECTORIES = {"process 1": 0x1000, "process 2": 0x8000, "kernel": 0x9000}


def decoded(memory: Memory) -> dict[str, TableSet]:
    """The tables of all three directories."""
    found = {}
    for name, memory.cr3 in DIRECTORIES.items():
        found[name] = memory.decode()
    return found


def machine() -> Memory:
    memory = Memory()
    memory.next_frame = 0x20
    return memory


def swap_out(memory: Memory, name: str, address: int, slot: int) -> None:
    memory.cr3 = DIRECTORIES[name]
    memory.swapped(address, slot)


def test_nothing_swapped():
    assert pages_by_slot({}) == {} and pages_by_slot(decoded(machine())) == {} and wrong_entries(decoded(machine()), 100) == []


def test_pages_that_share_a_slot_and_slots_in_a_row():
    memory = machine()
    for name in ("process 2", "process 1"):
        swap_out(memory, name, 0x40000000, 7)
    swap_out(memory, "process 1", 0x40001000, 8)
    swap_out(memory, "process 1", 0xBFFFF000, 3)
    memory.cr3 = DIRECTORIES["process 1"]
    memory.small(0x40002000, 9)  # a frame of that number is no slot
    found = pages_by_slot(decoded(memory))
    assert found == {3: [("process 1", 0xBFFFF000)], 7: [("process 1", 0x40000000), ("process 2", 0x40000000)], 8: [("process 1", 0x40001000)]}
    assert list(found) == [3, 7, 8] and str(found[7][1]) == "0x40000000 of process 2"
    assert wrong_entries(decoded(memory), 9) == []


def test_only_the_user_range_counts():
    memory = machine()
    swap_out(memory, "kernel", 0xC0000000, 5)
    swap_out(memory, "kernel", 0x0FFFF000, 6)
    assert pages_by_slot(decoded(memory)) == {}


def test_entries_that_no_kernel_writes():
    memory = machine()
    for page, slot in enumerate((0, 11, 12, 0xFFFFFF, 5)):
        swap_out(memory, "process 1", 0x40000000 + page * PAGE, slot)
    swap_out(memory, "process 2", 0x50000000, 6)
    memory.cr3 = DIRECTORIES["process 2"]
    memory.word(memory.table(0x50000000 >> 22), 0x345066)  # a page whose present bit alone was cleared
    assert wrong_entries(decoded(memory), 12, bad=[4, 5]) == [
        "page 0x40000000 of process 1 names slot 0, which is the header of the swap area",
        "page 0x40002000 of process 1 names slot 12, and the last one is 11",
        "page 0x40003000 of process 1 names slot 16777215, and the last one is 11",
        "page 0x40004000 of process 1 names slot 5, which the swap area's header calls bad",
        "page 0x50000000 of process 2: its entry is 0x00345066 (not present and not 0, yet no swap entry that the kernel writes)"]


def test_many_at_random_are_all_found():
    memory, source = machine(), random.Random(6)
    want: dict[int, list[SwappedPage]] = {}
    pages = [(name, 0x40000000 + page * PAGE) for name in DIRECTORIES for page in source.sample(range(3 * 1024), 300)]
    for name, address in sorted(pages):
        slot = source.randrange(1, 400)
        swap_out(memory, name, address, slot)
        want.setdefault(slot, []).append(SwappedPage(name, address))
    assert pages_by_slot(decoded(memory)) == want and wrong_entries(decoded(memory), 400) == []
    assert len(wrong_entries(decoded(memory), 200)) == sum(len(found) for slot, found in want.items() if slot >= 200) > 0
