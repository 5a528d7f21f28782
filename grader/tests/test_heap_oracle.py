"""Lab 04's model: overlaps, the list of objects, and which finding answers which expectation."""

from __future__ import annotations

import random

from oracle.heap import BLOCK, KMALLOC, Block, Expected, Finding, Kind, differences, match, overlaps, read_blocks

A = Block(0x1000, 24, 0, 3)
B = Block(0x1018, 8, 1, 2)
C = Block(0x2000, 5000, KMALLOC, 1)


def test_blocks_that_touch_do_not_overlap() -> None:
    assert overlaps([C, B, A]) == []


def test_every_overlap_is_found_whatever_the_order() -> None:
    rng = random.Random(4)
    for _ in range(300):
        blocks = [Block(rng.randrange(200), rng.randrange(1, 12), 0, 1) for _ in range(rng.randrange(12))]
        bytes_held = sum(block.size for block in blocks)
        different = len({byte for block in blocks for byte in range(block.address, block.end)})
        assert bool(overlaps(blocks)) == (different < bytes_held)


def test_a_block_inside_a_larger_one_that_is_not_its_neighbour_in_order() -> None:
    assert overlaps([Block(0, 100, 0, 1), Block(10, 5, 0, 1), Block(50, 5, 0, 1)]) == [
        (Block(0, 100, 0, 1), Block(10, 5, 0, 1)), (Block(0, 100, 0, 1), Block(50, 5, 0, 1))]


def test_pages_of_a_block() -> None:
    assert list(Block(0x1FFF, 1, 0, 0).pages) == [1]
    assert list(Block(0x1FFF, 2, 0, 0).pages) == [1, 2]
    assert list(C.pages) == [2, 3]


def test_records_of_the_guest() -> None:
    data = BLOCK.pack(0x1000, 24, 0, 2, 99) + BLOCK.pack(0x2000, 5000, KMALLOC, 0, 0)
    assert read_blocks(data, site_offset=1) == [A, C]
    assert read_blocks(BLOCK.pack(0x1000, 24, 0, 3, 1)) == [Block(0x1000, 24, 0, 3, 1)]


def test_the_list_of_objects_is_compared_field_by_field() -> None:
    assert differences([A, B, C], [C, A, B]) == []
    assert differences([A, B], [A]) == ["the object at 0x1018 (size 8) is in use and not shown"]
    assert differences([A], [A, A]) == ["the object at 0x1000 is shown twice"]
    assert differences([A], [A, B]) == ["an object at 0x1018 (size 8) is shown that is not in use"]
    assert differences([A], [Block(0x1000, 24, 0, 3, 1)]) == ["the object at 0x1000 is shown with owner number 1, not 0"]
    assert differences([A], [Block(0x1000, 32, 0, 1)]) == ["the object at 0x1000 is shown with size 32, not 24",
                                                          "the object at 0x1000 is shown with call site number 1, not 3"]


def finding(kind: Kind, at: int, **fields: int) -> Finding:
    return Finding(**{"kind": kind, "object": at, "size": 0, "damage": 0, "allocated": 0, "freed": 0, "found": 0, "cache": 0, **fields})


def test_expectations_are_paired_by_object_and_kind() -> None:
    overflow, underflow = finding(Kind.OVERFLOW, 8), finding(Kind.UNDERFLOW, 8, damage=7)
    pairs, rest = match([Expected(Kind.UNDERFLOW, 8), Expected(Kind.OVERFLOW, 8)], [overflow, underflow])
    assert [seen for _, seen in pairs] == [underflow, overflow] and not rest


def test_a_finding_that_nobody_expected_is_left_over() -> None:
    twice = finding(Kind.OVERFLOW, 8)
    pairs, rest = match([Expected(Kind.OVERFLOW, 8)], [twice, twice])
    assert pairs[0][1] == twice and rest == [twice]
    pairs, rest = match([Expected(Kind.OVERFLOW, 8)], [])
    assert pairs[0][1] is None and not rest


def test_only_the_fields_that_matter_are_compared() -> None:
    want = Expected(Kind.OVERFLOW, 8, damage=20, allocated=3)
    assert want.mistakes(finding(Kind.OVERFLOW, 8, damage=20, allocated=3, size=12)) == []
    assert want.mistakes(finding(Kind.UNDERFLOW, 8, damage=21, allocated=3)) == ["kind", "damage"]
