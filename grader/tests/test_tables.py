"""paging/tables.py: decoding and comparing page tables, against an encoder written independently of the decoder."""

from __future__ import annotations

import json
import random
import struct

import pytest

from paging.runs import PageRun, coalesce, compare
from paging.tables import CR4_PGE, CR4_PSE, LARGE_PAGE, PAGE, TableSet, describe_entry, describe_pte, read_tables, swap_slot

CR4 = CR4_PSE | CR4_PGE


class Memory:
    """A small physical memory with a directory at frame 1, in which tables are laid out word by word."""

    def __init__(self, megabytes: int = 16) -> None:
        self.bytes = bytearray(megabytes << 20)
        self.cr3 = 0x1000
        self.next_frame = 2
        self.reads: list[tuple[int, int]] = []

    def read(self, address: int, length: int) -> bytes:
        self.reads.append((address, length))
        data = bytes(self.bytes[address:address + length])
        return data + b"\xff" * (length - len(data))

    def word(self, address: int, value: int | None = None) -> int:
        if value is not None:
            struct.pack_into("<I", self.bytes, address, value)
        return struct.unpack_from("<I", self.bytes, address)[0]

    def pde(self, index: int, value: int | None = None) -> int:
        return self.word(self.cr3 + 4 * index, value)

    def table(self, index: int, bits: int = 7) -> int:
        """The address of the table for a PDE, made if there is none."""
        if not self.pde(index) & 1:
            self.pde(index, self.next_frame * PAGE | bits)
            self.next_frame += 1
        return self.pde(index) & ~0xFFF

    def small(self, virtual: int, frame: int, bits: int = 7) -> None:
        self.word(self.table(virtual >> 22) + 4 * (virtual >> 12 & 1023), frame << 12 | bits)

    def swapped(self, virtual: int, slot: int) -> None:
        self.word(self.table(virtual >> 22) + 4 * (virtual >> 12 & 1023), slot << 8 | 2)

    def decode(self, cr4: int = CR4, **options) -> TableSet:
        return read_tables(self.read, self.cr3, cr4, **options)


def test_an_empty_directory_maps_nothing():
    tables = Memory().decode()
    assert tables.pages() == [] and tables.table_frames() == [] and tables.translate(0x1234) is None


def test_one_page_has_frame_rights_and_offset():
    memory = Memory()
    memory.small(0x40001000, 0x123, 0x5)
    tables = memory.decode()
    assert tables.pages() == [PageRun(0x40001000, 0x123000, PAGE, writable=False, user=True)]
    walk = tables.translate(0x40001ABC)
    assert (walk.physical, walk.writable, walk.user, walk.large) == (0x123ABC, False, True, False)
    assert tables.translate(0x40002000) is None and tables.table_frames() == [2]
    assert tables.table_frames(0x40000000, 0x40001000) == [2] and tables.table_frames(0x40400000) == []


@pytest.mark.parametrize("pde_bits, pte_bits, writable, user", [
    (7, 7, True, True), (5, 7, False, True), (7, 5, False, True), (3, 7, True, False), (7, 3, True, False), (1, 7, False, False),
])
def test_rights_need_both_levels(pde_bits, pte_bits, writable, user):
    memory = Memory()
    memory.table(256, pde_bits)
    memory.small(0x40000000, 9, pte_bits)
    [run] = memory.decode().pages()
    walk = memory.decode().translate(0x40000000)
    assert (run.writable, run.user) == (walk.writable, walk.user) == (writable, user)


def test_global_comes_from_the_leaf_and_needs_pge():
    memory = Memory()
    memory.table(768, 0x103)  # bit 8 of a PDE that names a table means nothing
    memory.small(0xC0000000, 9, 0x3)
    memory.small(0xC0001000, 10, 0x103)
    assert [run.global_ for run in memory.decode().pages()] == [False, True]
    assert [run.global_ for run in memory.decode(CR4_PSE).pages()] == [False]  # the two join: nothing tells them apart


def test_ps_counts_only_with_pse():
    memory = Memory()
    memory.pde(64, 0x00400183)
    memory.word(0x00400000, 0x00777003)
    assert memory.decode().pages() == [PageRun(0x10000000, 0x400000, LARGE_PAGE, True, False, True, True)]
    assert memory.decode(CR4_PGE).pages() == [PageRun(0x10000000, 0x777000, PAGE, True)]
    assert memory.decode(CR4_PGE).table_frames() == [0x400] and memory.decode().table_frames() == []


def test_large_page_translates_with_its_22_bits_of_offset():
    memory = Memory()
    memory.pde(64, 0x00400087)
    walk = memory.decode().translate(0x10345678)
    assert (walk.physical, walk.large, walk.pte) == (0x00745678, True, None)


def test_the_cache_bit_of_a_large_page_is_no_part_of_its_frame():
    memory = Memory()
    memory.pde(64, 0x00401087)  # bit 12 is PAT
    tables = memory.decode()
    assert tables.translate(0x10000000).physical == tables.pages()[0].physical == 0x400000 and tables.findings() == []


def test_pages_of_a_part_of_the_address_space():
    memory = Memory()
    for page in range(8):
        memory.small(0x40000000 + page * PAGE, 0x100 + page)
    tables = memory.decode()
    assert tables.pages(0x40002000, 0x40004000) == [PageRun(0x40002000, 0x102000, 2 * PAGE, True, True)]
    assert tables.pages(0x40008000, 0x50000000) == tables.pages(0, 0x40000000) == []


def test_last_page_of_the_address_space():
    memory = Memory()
    memory.small(0xFFFFF000, 0xFFFFF, 3)
    tables = memory.decode()
    assert tables.pages() == [PageRun(0xFFFFF000, 0xFFFFF000, PAGE, True)]
    assert tables.translate(0xFFFFFFFF).physical == 0xFFFFFFFF
    assert compare([], tables.pages())[0].text == ("0xfffff000: expected nothing mapped, "
                                                   "seen writable supervisor page -> frame 0xfffff")


def test_runs_continue_across_tables_and_end_where_rights_change():
    memory = Memory()
    for page in range(1024 + 8):
        memory.small(0x10000000 + page * PAGE, 0x300 + page, 7 if page != 1000 else 5)
    assert [(run.pages, run.writable) for run in memory.decode().pages()] == [(1000, True), (1, False), (31, True)]


def test_recursive_slot_is_recognised_and_its_pages_left_out():
    memory = Memory()
    memory.small(0x40000000, 0x55)
    memory.pde(1023, memory.cr3 | 3)
    tables = memory.decode()
    assert tables.recursive_slots == (1023,)
    assert [run.virtual for run in tables.pages()] == [0x40000000]
    assert tables.table_frames() == [2]
    assert tables.translate(0xFFFFF000).physical == memory.cr3       # the directory itself
    assert tables.translate(0xFFC00000 + 256 * PAGE).physical == 2 * PAGE  # the table of PDE 256
    assert tables.findings() == []


def test_accessed_dirty_and_available_bits_mean_nothing():
    plain, marked = Memory(), Memory()
    plain.small(0x40000000, 5, 0x7)
    marked.table(256, 0xE27)
    marked.small(0x40000000, 5, 0xE67)
    assert plain.decode().pages() == marked.decode().pages()


def test_words_that_are_not_present_may_hold_anything():
    memory = Memory()
    memory.small(0x40000000, 0xABCDE, 0x6)
    memory.pde(300, 0xFFFFFFFE)
    assert memory.decode().pages() == []


def test_tables_side_by_side_are_read_together():
    memory = Memory()
    for index in range(100):
        memory.small(index << 22, index)
    memory.decode()
    assert len(memory.reads) == 3  # the directory, 64 tables, 36 tables


def test_a_table_outside_memory_is_found_and_not_read():
    memory = Memory(4)
    memory.pde(256, 0x00800007)
    tables = memory.decode(memory_end=4 << 20)
    assert tables.pages() == [] and memory.reads == [(0x1000, PAGE)]
    assert [finding.kind for finding in tables.findings()] == ["outside-memory"]
    assert "PDE 256" in tables.findings()[0].text and "0x00800000" in tables.findings()[0].text
    assert tables.translate(0x40000000) is None and "outside memory" in tables.describe_walk(0x40000000)


def test_findings_name_reserved_bits_shared_tables_and_exposed_tables():
    memory = Memory()
    memory.pde(70, 0x00402087)
    memory.small(0x40000000, 0x55)
    memory.pde(300, memory.pde(256))
    memory.small(0x50000000, 2, 7)  # the table of PDE 256, writable for user code
    memory.small(0x50001000, 2, 5)  # readable for it, which a design may want
    memory.pde(1023, memory.cr3 | 7)
    kinds = [finding.kind for finding in memory.decode().findings()]
    assert sorted(kinds) == ["exposed-table", "reserved-bits", "shared-table", "user-recursion"]
    texts = " ".join(finding.text for finding in memory.decode().findings())
    assert "PDE 256 and PDE 300" in texts and "PDE 70" in texts and "0x50000000 maps frame 0x2" in texts


def test_entries_and_walks_in_words():
    memory = Memory()
    memory.small(0x40001000, 0x234, 0x67)
    assert describe_entry(0x00200067) == "0x00200067 (present, writable, user, accessed, dirty -> frame 0x200)"
    assert describe_entry(0x00200066) == "0x00200066 (not present)"
    assert memory.decode().describe_walk(0x40001000) == (
        "0x40001000: PDE 256 = 0x00002007 (present, writable, user -> frame 0x2); "
        "PTE 1 = 0x00234067 (present, writable, user, accessed, dirty -> frame 0x234)")


def test_a_record_comes_back_as_it_was():
    memory = Memory(4)
    memory.small(0x40001000, 0x234)
    memory.pde(300, 0x00800007)
    tables = memory.decode(memory_end=4 << 20)
    assert TableSet.from_json(json.loads(json.dumps(tables.to_json()))) == tables


@pytest.mark.parametrize("damage", [{"directory": "!!"}, {"directory": ""}, {"tables": {"x": ""}}, {"tables": 3}, {"cr3": None}])
def test_a_damaged_record_is_refused(damage):
    record = Memory().decode().to_json() | damage
    with pytest.raises(ValueError):
        TableSet.from_json(record)


# -- compare ---------------------------------------------------------------------------------------------------------


def page(virtual: int, frame: int, count: int = 1, **rights) -> PageRun:
    return PageRun(virtual, frame * PAGE, count * PAGE, **({"writable": True, "user": True} | rights))


def texts(expected, actual, *arguments, **options) -> list[str]:
    return [difference.text for difference in compare(expected, actual, *arguments, **options)]


def test_equal_sets_have_no_difference_however_they_are_cut():
    whole = [page(0x40000000, 0x400, 1024)]
    cut = [page(0x40000000 + i * PAGE, 0x400 + i) for i in reversed(range(1024))]
    large = [page(0x40000000, 0x400, 1024, large=True)]
    assert texts(whole, cut) == texts(cut, whole) == texts(large, cut) == []


def test_missing_unexpected_wrong_frame_wrong_rights():
    assert texts([page(0x40001000, 0x1234)], []) == [
        "0x40001000: expected writable user page -> frame 0x1234, seen nothing mapped"]
    assert texts([], [page(0x40001000, 0x1234)]) == [
        "0x40001000: expected nothing mapped, seen writable user page -> frame 0x1234"]
    assert texts([page(0x40001000, 1)], [page(0x40001000, 2)]) == [
        "0x40001000: expected writable user page -> frame 0x1, seen writable user page -> frame 0x2"]
    assert texts([page(0x40001000, 1, writable=False)], [page(0x40001000, 1, user=False, global_=True)]) == [
        "0x40001000: expected read-only user page -> frame 0x1, seen writable global supervisor page -> frame 0x1"]


def test_neighbours_that_differ_alike_are_told_together():
    expected = [page(0x40000000, 0x100, 32)]
    assert texts(expected, [page(0x40000000, 0x100, 8), page(0x40010000, 0x110, 16)]) == [
        "0x40008000 to 0x4000ffff (8 pages): expected writable user pages -> frames 0x108 to 0x10f, seen nothing mapped"]
    scattered = [page(0x40000000 + i * PAGE, 0x500 + 7 * i) for i in range(32)]
    assert texts(expected, scattered) == [
        "0x40000000 to 0x4001ffff (32 pages): expected writable user pages -> frames 0x100 to 0x11f, "
        "seen writable user pages -> frames 0x500, 0x507, 0x50e, ..."]


def test_only_the_asked_range_is_compared():
    seen = [page(0x3FFFF000, 1, 3)]
    assert texts([], seen, 0x40000000, 0x40001000) == [
        "0x40000000: expected nothing mapped, seen writable user page -> frame 0x2"]
    assert texts([], seen, 0x50000000) == []


def test_sizes_and_global_are_compared_on_demand():
    large, small = [page(0x40000000, 0x400, 1024, large=True)], [page(0x40000000, 0x400, 1024)]
    assert texts(large, small, sizes=True) == [
        "0x40000000 to 0x403fffff (1024 pages): expected writable user 4 MiB pages -> frames 0x400 to 0x7ff, "
        "seen writable user 4 KiB pages -> frames 0x400 to 0x7ff"]
    assert len(texts(small, [page(0x40000000, 0x400, 1024, global_=True)])) == 1
    assert texts(small, [page(0x40000000, 0x400, 1024, global_=True)], globals_=False) == []


def test_thousands_of_differences_are_cut_short_and_counted():
    expected = [page(0x40000000 + 2 * i * PAGE, i) for i in range(5000)]
    told = texts(expected, [], limit=4)
    assert len(told) == 5
    assert told[-1].startswith("and 4996 more ranges (4996 pages) between 0x40008000 and ")


def test_coalesce_joins_sizes_only_when_they_do_not_matter():
    runs = [page(0x40000000, 0x400, 1024, large=True), page(0x40400000, 0x800, 4)]
    assert coalesce(runs, sizes=True) == runs
    assert coalesce(runs) == [page(0x40000000, 0x400, 1028)]


# -- random ----------------------------------------------------------------------------------------------------------


def random_model(rng: random.Random) -> tuple[Memory, dict[int, tuple]]:
    """Random tables, and page by page what they mean, worked out while encoding and not by decoding."""
    memory = Memory(32)
    model: dict[int, tuple] = {}
    for index in rng.sample(range(1023), rng.randint(0, 24)):
        pde_bits = 1 | rng.choice([0, 2]) | rng.choice([0, 4]) | rng.choice([0, 0x20, 0xE00])
        if rng.random() < 0.3:
            leaf = pde_bits | 0x80 | rng.choice([0, 0x100])
            base = rng.randrange(1024)
            memory.pde(index, base << 22 | leaf)
            for number in range(1024):
                model[index << 10 | number] = (base << 10 | number, bool(leaf & 2), bool(leaf & 4), bool(leaf & 0x100), True)
            continue
        memory.table(index, pde_bits)
        number, frame = 0, 0
        while number < 1024:
            frame = frame + 1 if rng.random() < 0.8 else rng.randrange(1 << 20)
            if rng.random() < 0.1:
                number += rng.randint(1, 300)
                continue
            bits = 1 | rng.choice([2, 2, 2, 0]) | rng.choice([4, 4, 4, 0]) | rng.choice([0, 0, 0, 0x100]) | rng.choice([0, 0x60])
            frame &= 0xFFFFF
            memory.small((index << 10 | number) << 12, frame, bits)
            both = bits & pde_bits
            model[index << 10 | number] = (frame, bool(both & 2), bool(both & 4), bool(bits & 0x100), False)
            number += 1
    return memory, model


def explode(runs) -> dict[int, tuple]:
    """Runs, page by page."""
    return {(run.virtual >> 12) + i: (run.frame + i, run.writable, run.user, run.global_, run.large)
            for run in runs for i in range(run.pages)}


@pytest.mark.parametrize("seed", range(20))
def test_random_tables_mean_what_was_encoded(seed):
    rng = random.Random(seed)
    memory, model = random_model(rng)
    tables = memory.decode()
    runs = tables.pages()
    assert explode(runs) == model
    assert all(a.end <= b.virtual for a, b in zip(runs, runs[1:]))
    assert coalesce(runs, sizes=True) == runs, "runs are as long as they can be"
    for number in [*rng.sample(sorted(model), min(50, len(model))), *(rng.randrange(1023 << 10) for _ in range(50))]:
        walk = tables.translate(number << 12 | 0x123)
        assert (walk and (walk.physical, walk.writable, walk.user, walk.global_, walk.large)) == (
            (model[number][0] << 12 | 0x123, *model[number][1:]) if number in model else None)


@pytest.mark.parametrize("seed", range(20))
def test_random_differences_are_all_told(seed):
    """Damages some pages of a random set; the differences must cover exactly the damaged pages."""
    rng = random.Random(seed)
    _, model = random_model(rng)
    damaged = dict(model)
    changed = set()
    for number in rng.sample(sorted(model), min(40, len(model))):
        frame, writable, user, global_, large = damaged.pop(number)
        changed.add(number)
        if rng.random() < 0.7:
            damaged[number] = rng.choice([(frame ^ 1, writable, user, global_, large), (frame, not writable, user, global_, large),
                                          (frame, writable, not user, global_, large), (frame, writable, user, not global_, large)])
    for number in rng.sample(range(1 << 20), 5):
        if number not in model:
            damaged[number] = (1, True, True, False, False)
            changed.add(number)
    runs = [[PageRun(number << 12, meaning[0] << 12, PAGE, *meaning[1:]) for number, meaning in pages.items()]
            for pages in (model, damaged)]
    told = compare(*runs, limit=10**6)
    assert {n for d in told for n in range(d.virtual >> 12, (d.virtual + d.length) >> 12)} == changed
    assert [d.virtual for d in told] == sorted(d.virtual for d in told)


def test_a_full_address_space_without_two_frames_in_a_row():
    """A million PTEs, none of which continues the one before it."""
    memory = Memory(16)
    for number in range(1 << 10):
        memory.table(number)
    whole = struct.pack("<1024I", *(7 * index << 12 & 0xFFFFF000 | 7 for index in range(1024)))
    memory.bytes[2 * PAGE:(2 + 1024) * PAGE] = whole * 1024
    runs = memory.decode().pages()
    assert len(runs) == 1 << 20 and runs[-1].frame == 7 * 1023


# -- swap entries ------------------------------------------------------------------------------------------------------


def swapped_memory() -> Memory:
    """Two mapped pages, between and behind them five swapped ones, four with slots in a row."""
    memory = Memory()
    memory.small(0x40000000, 0x300)
    for page, slot in ((1, 12), (2, 13), (4, 14), (5, 15), (6, 0xFFFFFF)):
        memory.swapped(0x40000000 + page * PAGE, slot)
    memory.small(0x40003000, 0x301)
    return memory


def test_swap_entries_are_no_pages_but_contents():
    tables = swapped_memory().decode()
    assert [(run.virtual, run.pages) for run in tables.pages()] == [(0x40000000, 1), (0x40003000, 1)]
    assert [(run.virtual, run.frame, run.pages) for run in tables.swapped()] == [
        (0x40001000, 12, 2), (0x40004000, 14, 2), (0x40006000, 0xFFFFFF, 1)]
    assert [run.swapped for run in tables.contents()] == [False, True, False, True, True]
    assert all(run.rights == "swapped" for run in tables.swapped()) and tables.translate(0x40001000) is None
    assert tables.swapped(0x40002000, 0x40005000) == [PageRun(0x40002000, 13 * PAGE, PAGE, swapped=True),
                                                      PageRun(0x40004000, 14 * PAGE, PAGE, swapped=True)]


def test_only_page_tables_have_swap_entries():
    memory = swapped_memory()
    memory.pde(300, 0x1202)  # not present, and no PTE
    memory.pde(1022, memory.cr3 | 3)  # a recursive slot: the directory seen as a page table
    assert [run.virtual for run in memory.decode().swapped()] == [0x40001000, 0x40004000, 0x40006000]


@pytest.mark.parametrize("word, slot, words", [
    (0, None, "0x00000000 (not present)"),
    (0x345067, None, "0x00345067 (present, writable, user, accessed, dirty -> frame 0x345)"),
    (0xC02, 12, "0x00000c02 (swapped, slot 12)"),
    (0xFFFFFF02, 0xFFFFFF, "0xffffff02 (swapped, slot 16777215)"),
    (0x345066, 0x3450, "0x00345066 (not present and not 0, yet no swap entry that the kernel writes)"),
])
def test_a_pte_in_words(word, slot, words):
    assert swap_slot(word) == slot and describe_pte(word) == words


def test_a_walk_tells_of_a_swap_entry():
    assert swapped_memory().decode().describe_walk(0x40001234).endswith("; PTE 1 = 0x00000c02 (swapped, slot 12)")


def test_swapped_pages_are_compared_by_slot():
    before, memory = swapped_memory().decode(), swapped_memory()
    memory.swapped(0x40000000, 7)
    memory.small(0x40001000, 0x400, 5)
    memory.swapped(0x40002000, 99)
    memory.word(memory.table(0x100) + 4 * 6, 0)
    told = compare(before.contents(), memory.decode().contents(), sizes=True, words=("was", "now"))
    assert [(difference.kind, difference.text) for difference in told] == [
        ("swapped", "0x40000000: was writable user 4 KiB page -> frame 0x300, now swapped page in slot 7"),
        ("swapped", "0x40001000: was swapped page in slot 12, now read-only user 4 KiB page -> frame 0x400"),
        ("frame", "0x40002000: was swapped page in slot 13, now swapped page in slot 99"),
        ("missing", "0x40006000: was swapped page in slot 16777215, now nothing mapped")]
    assert compare(before.contents(), swapped_memory().decode().contents()) == []
    assert compare(before.pages(), before.contents())[0].text == (
        "0x40001000 to 0x40002fff (2 pages): expected nothing mapped, seen swapped pages in slots 12 to 13")
