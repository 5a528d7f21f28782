"""The model of lab 07-cow against rules that need no model: owners are counted, contents stay with whoever wrote them."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from oracle.cow import NEIGHBOURHOOD, PAGE, SLOT_PAGES, ZEROS, Attributes, CowModel, Effect, Thing

BEGIN = 0x4000_0000
PRIVATE, READ_ONLY = Attributes("rw-"), Attributes("r--")


def family(pages: int = 8, attributes: Attributes = PRIVATE) -> CowModel:
    """Space 0 with one area."""
    model = CowModel()
    model.create(0)
    model.map(0, BEGIN, pages, attributes)
    return model


def page(model: CowModel, space: int, number: int = 0):
    return model.spaces[space].pages[BEGIN // PAGE + number]


def test_a_first_write_brings_a_frame_and_a_page_table() -> None:
    model = family()
    assert model.store(0, BEGIN + 8, 7) == Effect(faults=1, frames=2)
    assert model.store(0, BEGIN + PAGE, 7) == Effect(faults=1, frames=1)
    assert model.store(0, BEGIN + PAGE, 8) == Effect()
    assert model.load(0, BEGIN + 8) == (7, Effect())


def test_a_read_shows_the_frame_of_zeros_and_a_write_copies_it() -> None:
    model = family()
    assert model.load(0, BEGIN) == (0, Effect(faults=1, frames=1))
    assert page(model, 0).frame is model.zero and not page(model, 0).writable and model.zero.owners == 2
    assert model.store(0, BEGIN, 5) == Effect(faults=1, copied=1, frames=1)
    assert page(model, 0).frame is not model.zero and model.zero.owners == 1 and model.zero.word(0) == 0


def test_the_contracts_example() -> None:
    """before fork(), after, the child writes, the parent writes: the picture in copy_on_write.h."""
    model = family()
    model.store(0, BEGIN, 1)
    first = page(model, 0).frame
    assert (page(model, 0).writable, first.owners) == (True, 1)
    assert model.fork(0, 1) == Effect(frames=1)
    assert [(page(model, space).frame, page(model, space).writable) for space in (0, 1)] == [(first, False), (first, False)] and first.owners == 2
    assert model.resolve_write(1, BEGIN // PAGE) == Effect(faults=1, copied=1, frames=1)
    assert page(model, 1).frame is not first and page(model, 1).writable and (first.owners, page(model, 1).frame.owners) == (1, 1)
    assert not page(model, 0).writable
    assert model.resolve_write(0, BEGIN // PAGE) == Effect(faults=1, last_owner=1)
    assert page(model, 0).frame is first and page(model, 0).writable


def test_a_copy_has_the_contents_and_goes_its_own_way() -> None:
    model = family()
    for offset, word in ((0, 1), (4, 2), (4092, 3)):
        model.store(0, BEGIN + offset, word)
    model.fork(0, 1)
    model.store(1, BEGIN + 4, 9)
    assert [[model.load(space, BEGIN + offset)[0] for offset in (0, 4, 4092)] for space in (0, 1)] == [[1, 2, 3], [1, 9, 3]]
    contents = model.snapshot().contents
    assert bytes(contents[page(model, 0).frame.number])[:8] == bytes([1, 0, 0, 0, 2, 0, 0, 0])
    assert bytes(contents[model.zero.number]) == ZEROS


def test_shared_areas_show_the_same_frames_and_may_be_absent_in_the_child() -> None:
    model = CowModel()
    model.create(0)
    model.things[0] = Thing(4, 4 * PAGE, None)
    model.map(0, BEGIN, 4, Attributes("rw-", True, 0, 0))
    model.store(0, BEGIN, 5)
    assert model.fork(0, 1) == Effect(frames=0, perhaps=1)
    assert page(model, 1).optional and page(model, 1).writable and page(model, 0).writable
    word, effect = model.load(1, BEGIN)
    assert word == 5 and effect.uncertain and not page(model, 1).optional and model.spaces[1].is_certain
    model.store(1, BEGIN, 6)
    assert model.load(0, BEGIN)[0] == 6


def test_private_pages_of_a_file() -> None:
    model = CowModel()
    model.create(0)
    model.things[0] = Thing(3, 2 * PAGE + 10, 0x1000)
    model.map(0, BEGIN, 3, Attributes("rw-", False, 0, 0))
    assert model.load(0, BEGIN + PAGE + 8)[0] == 0x1000 + 1024 + 2
    assert page(model, 0, 1).frame.owners == 2  # the object's, and the page's
    assert model.store(0, BEGIN + PAGE, 9).copied == 1
    assert model.things[0].frames[1].owners == 1 and model.things[0].frames[1].word(0) == 0x1000 + 1024
    assert model.store(0, BEGIN, 9) == Effect(faults=1, frames=2)  # the object's page, and a copy at once
    last = model.things[0].page_contents(2)
    assert len(last) == PAGE and last[8:10] == (0x1000 + 2048 + 2).to_bytes(4, "little")[:2] and not any(last[10:])


def test_a_read_brings_neighbours_that_are_in_memory_and_in_the_same_area() -> None:
    model = CowModel()
    model.create(0)
    model.things[0] = Thing(16, 16 * PAGE, 1)
    model.map(0, BEGIN, 16, Attributes("r--", False, 0, 0))
    for number in range(NEIGHBOURHOOD + 1):
        model.load(0, BEGIN + number * PAGE)
    model.create(1)
    model.map(1, BEGIN, 16, Attributes("r--", False, 0, 0))
    model.protect(1, BEGIN + 2 * PAGE, 1, "---")
    model.load(1, BEGIN + 4 * PAGE)
    assert sorted(at - BEGIN // PAGE for at in model.spaces[1].pages) == [3, 4, 5, 6, 7]


def test_four_megabytes_come_at_once_where_nothing_is() -> None:
    model = family(2 * SLOT_PAGES)
    assert model.store(0, BEGIN + 5 * PAGE, 1) == Effect(faults=1, frames=SLOT_PAGES)
    model.load(0, BEGIN + SLOT_PAGES * PAGE)
    assert model.store(0, BEGIN + (SLOT_PAGES + 1) * PAGE, 1) == Effect(faults=1, frames=1)


def test_protection() -> None:
    model = family()
    model.store(0, BEGIN, 1)
    model.protect(0, BEGIN, 1, "---")
    assert not page(model, 0).user and not page(model, 0).writable
    model.protect(0, BEGIN, 1, "rw-")
    assert page(model, 0).user and page(model, 0).writable
    model.fork(0, 1)
    model.protect(0, BEGIN, 1, "r--")
    model.protect(0, BEGIN, 1, "rw-")
    assert not page(model, 0).writable, "others show its frame"


def test_after_a_fork_without_memory_either_is_right() -> None:
    model = family()
    model.store(0, BEGIN, 1)
    model.share_failed(0)
    assert page(model, 0).writable is None
    assert model.store(0, BEGIN, 2).uncertain and page(model, 0).writable


def test_what_only_the_piece_is_asked_about() -> None:
    model = family(attributes=READ_ONLY)
    model.load(0, BEGIN)
    with pytest.raises(AssertionError):
        model.resolve_write(0, BEGIN // PAGE)


@pytest.mark.parametrize("seed", range(8))
def test_counts_and_contents_after_anything(seed: int) -> None:
    """A dictionary of words for each space is enough to know what reads must find; owners are recounted from the pages."""
    rng, model, words = random.Random(seed), family(), {0: {}}
    model.things[0] = Thing(8, 8 * PAGE, 77)
    model.map(0, BEGIN + 8 * PAGE, 8, Attributes("rw-", False, 0, 0))
    numbers = iter(range(1, 10_000))
    for _ in range(600):
        space, address = rng.choice(sorted(model.spaces)), BEGIN + rng.randrange(16) * PAGE + rng.randrange(1024) * 4
        chance = rng.random()
        if chance < 0.1 and len(model.spaces) < 8:
            child = next(numbers)
            model.fork(space, child)
            words[child] = dict(words[space])
        elif chance < 0.15 and len(model.spaces) > 1:
            model.destroy(space)
            del words[space]
        elif chance < 0.6:
            model.store(space, address, word := rng.getrandbits(32))
            words[space][address] = word
        else:
            offset = address - BEGIN
            plain = 77 + (offset - 8 * PAGE) // 4 if offset >= 8 * PAGE else 0
            assert model.load(space, address)[0] == words[space].get(address, plain)
        _recount(model)
    for space in list(model.spaces):
        model.destroy(space)
    assert model.zero.owners == 1 and all(frame.owners == 1 for frame in model.things[0].frames.values())


def _recount(model: CowModel) -> None:
    shown = Counter(page.frame.number for space in model.spaces.values() for page in space.pages.values())
    for space in model.spaces.values():
        for shown_page in space.pages.values():
            frame = shown_page.frame
            assert frame.pages == shown[frame.number]
            assert not shown_page.writable or frame.owners == 1
        assert space.tables == len({at // SLOT_PAGES for at in space.pages})
