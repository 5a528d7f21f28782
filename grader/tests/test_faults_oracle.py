"""Lab 06's model: what it answers, rule by rule, and that whatever happens its books agree with themselves."""

from __future__ import annotations

import random

import pytest

from oracle.faults import (BELOW_STACK_POINTER, NEIGHBOURHOOD, PAGE, SLOT, USER_BEGIN, USER_END, ZERO, Answer, Backing, FaultArea, FaultModel, SpaceModel,
                           decision_text)

BASE = 0x4000_0000  # begins a page table and a block of neighbours
FAR = USER_END      # a stack pointer above everything: no stack is near it


def area(begin: int, end: int, protection: str = "rw-", **more: object) -> FaultArea:
    """Pages counted from BASE."""
    return FaultArea(BASE + begin * PAGE, BASE + end * PAGE, protection, **more)  # type: ignore[arg-type]


def model_of(*areas: FaultArea, objects: dict[int, Backing] | None = None) -> FaultModel:
    model = FaultModel(objects=objects or {})
    model.spaces[0] = SpaceModel()
    for one in areas:
        model.spaces[0].insert(one)
    return model


def touch(model: FaultModel, page: float, access: str = "write", who: str = "user", pointer: int = FAR, space: int = 0) -> Answer:
    return model.resolve(space, BASE + int(page * PAGE), access, who, pointer)


def short(answer: Answer) -> str:
    return answer.how if answer.outcome == "Resolved" else answer.reason if answer.outcome == "Signal" else answer.outcome


def test_zeros() -> None:
    model = model_of(area(0, 10))
    assert [short(touch(model, page, access)) for page, access in ((1, "write"), (2, "read"), (3, "fetch"), (2, "write"), (2, "write"), (1, "read"))] == [
        "Zeroed", "ZeroFrame", "NotExecutable", "Copied", "Retry", "Retry"]
    assert set(model.spaces[0].pages) == {BASE // PAGE + 1, BASE // PAGE + 2}
    assert model.references(ZERO) == 1


def test_frames_that_a_fault_takes() -> None:
    model = model_of(area(0, 10), area(SLOT, SLOT + 9))
    assert [touch(model, page, access).frames for page, access in ((0, "read"), (1, "read"), (2, "write"), (SLOT, "write"), (0, "write"))] == [1, 0, 1, 2, 1]


@pytest.mark.parametrize("protection, access, who, reason", [
    ("---", "read", "user", "NotReadable"), ("---", "write", "kernel", "NotReadable"), ("---", "fetch", "user", "NotReadable"),
    ("r--", "write", "kernel", "NotWritable"), ("r--", "fetch", "user", "NotExecutable"), ("r-x", "write", "user", "NotWritable"),
    ("r--", "fetch", "kernel", "ZeroFrame"), ("r-x", "fetch", "user", "ZeroFrame"), ("--x", "read", "user", "ZeroFrame")])
def test_what_an_area_forbids(protection: str, access: str, who: str, reason: str) -> None:
    assert short(touch(model_of(area(0, 4, protection)), 2, access, who)) == reason


def test_where_no_area_is() -> None:
    model = model_of(area(10, 12), area(14, 20, kind="stack"))
    assert [short(touch(model, page)) for page in (8, 9, 9.99, 12, 13, 20)] == ["NotMapped", "GuardPage", "GuardPage", "NotMapped", "GuardPage", "NotMapped"]


def test_a_stack_grows_near_its_pointer() -> None:
    for below, grows in ((0, True), (BELOW_STACK_POINTER, True), (BELOW_STACK_POINTER + 1, False), (-100 * PAGE, True)):
        model = model_of(area(50, 52, kind="stack"))
        answer = touch(model, 45, pointer=BASE + 45 * PAGE + below)
        assert answer.grew == grows and (short(answer) == "Zeroed") == grows
        assert model.spaces[0].areas == [area(45 if grows else 50, 52, kind="stack")]


def test_a_stack_that_may_not_grow() -> None:
    model = model_of(area(10, 12, "r--"), area(50, 52, kind="stack"))
    model.spaces[0].most_stack = 30
    assert [short(touch(model, page, pointer=0)) for page in (21, 13)] == ["StackLimit", "StackLimit"]
    model.spaces[0].most_stack = 40
    assert short(touch(model, 12, pointer=0)) == "GuardPage"
    model.spaces[0].most_mapped = 2 + 2 + 5
    assert short(touch(model, 44, pointer=0)) == "OutOfMemory"
    assert short(touch(model, 45, pointer=0)) == "Zeroed"
    low = model_of(FaultArea(USER_BEGIN + 4 * PAGE, USER_BEGIN + 5 * PAGE, "r--", "stack"))
    assert [short(low.resolve(0, USER_BEGIN + at * PAGE, "read", "user", 0)) for at in (0, 1)] == ["GuardPage", "ZeroFrame"]


def test_a_stack_that_grows_for_nothing() -> None:
    model = model_of(area(50, 52, "r--", kind="stack"))
    answer = touch(model, 40, pointer=0)
    assert answer.grew and answer.reason == "NotWritable"
    model.spaces[0].most_resident = 0
    answer = touch(model, 30, "read", pointer=0)
    assert answer.grew and answer.outcome == "OutOfMemory"


def test_objects() -> None:
    objects = {0: Backing(6, 5 * PAGE + 100, seed=7, broken=3), 1: Backing(4)}
    model = model_of(area(0, 10, object=0, first_page=1), area(20, 30, object=1, shared=True), area(40, 50, "r--", object=1, shared=True), objects=objects)
    assert [short(touch(model, page, access)) for page, access in ((0, "write"), (0, "read"), (1, "read"), (1, "write"), (2, "read"), (5, "write"), (6, "read"))] == [
        "ObjectCopy", "Retry", "ObjectPage", "Copied", "Device", "PastEnd", "PastEnd"]
    assert [short(touch(model, page, access)) for page, access in ((21, "read"), (21, "write"), (24, "read"), (41, "read"))] == ["ObjectPage", "Retry", "PastEnd", "ObjectPage"]
    space, first = model.spaces[0], BASE // PAGE
    assert (space.pages[first + 21].writable, space.pages[first + 41].writable) == (True, False)
    assert space.pages[first + 21].name == space.pages[first + 41].name and model.references(("object", 1, 1)) == 3
    assert objects[0].reads == 2 and objects[0].loaded == {1, 2}
    assert model.contents(("object", 0, 5))[96:104] == (7 + 5 * 1024 + 24).to_bytes(4, "little") + bytes(4)
    model.poke(0, BASE + 4, 0xABCD)
    assert model.contents(space.pages[first].name)[:8] == (7 + 1024).to_bytes(4, "little") + (0xABCD).to_bytes(4, "little")
    assert model.contents(("object", 0, 1))[4:8] == (7 + 1025).to_bytes(4, "little")


def test_neighbours() -> None:
    objects = {0: Backing(40, 40 * PAGE, loaded={0, 1, 2, 5, 6, 7, 8, 9})}
    model = model_of(area(1, 7, object=0, first_page=1), objects=objects)
    assert touch(model, 3).neighbours == 0, "a write"
    assert touch(model, 4, "read").neighbours == 4, "1, 2, 5 and 6: 0 and 7 lie in no area"
    assert sorted(model.spaces[0].pages) == [BASE // PAGE + page for page in range(1, 7)]
    narrow = model_of(area(0, 16, object=0), objects=objects)
    narrow.spaces[0].most_resident = 3
    assert touch(narrow, 7, "read").neighbours == 2
    assert sorted(narrow.spaces[0].pages) == [BASE // PAGE + page for page in (0, 1, 7)], "from the lowest up"
    shared = model_of(area(0, 16, object=0, shared=True), objects=objects)
    assert touch(shared, 2, "read").neighbours == 0
    assert NEIGHBOURHOOD == 8


def test_large_pages() -> None:
    model = model_of(area(1, 3 * SLOT + 5))
    assert [short(touch(model, page, access)) for page, access in ((2, "write"), (SLOT, "read"), (SLOT + 1, "write"), (2 * SLOT + 9, "write"), (2 * SLOT, "write"), (3 * SLOT, "write"))] == [
        "Zeroed", "ZeroFrame", "Zeroed", "LargePage", "Retry", "Zeroed"]
    model.discard(model.spaces[0], BASE + SLOT * PAGE, BASE + 2 * SLOT * PAGE)
    model.spaces[0].most_resident = len(model.spaces[0].pages) + SLOT - 1
    assert short(touch(model, SLOT + 5)) == "Zeroed"
    model.discard(model.spaces[0], BASE + SLOT * PAGE, BASE + 2 * SLOT * PAGE)
    model.spaces[0].most_resident += 1
    assert touch(model, SLOT + 5).frames == SLOT
    model.runs = False
    model.discard(model.spaces[0], BASE + SLOT * PAGE, BASE + 2 * SLOT * PAGE)
    assert short(touch(model, SLOT + 5)) == "Zeroed"


def test_memory_that_is_short() -> None:
    objects = {0: Backing(9, 9 * PAGE)}
    for page, access, needed in ((0, "write", 2), (1, "read", 1), (SLOT, "read", 2), (SLOT, "write", 3)):
        for frames in range(needed + 1):
            model = model_of(area(0, 9), area(SLOT, SLOT + 9, object=0), objects={0: Backing(9, 9 * PAGE)})
            model.allowance = frames
            assert (touch(model, page, access).outcome == "Resolved") == (frames == needed)
            assert bool(model.spaces[0].pages) == (frames == needed)
    model = model_of(area(0, 9, object=0), objects=objects)
    model.allowance = 1
    assert touch(model, 4, "read").may_load == ("object", 0, 4)
    assert not objects[0].loaded


def test_fork_shares_and_writes_copy() -> None:
    model = model_of(area(0, 9))
    touch(model, 1)
    model.poke(0, BASE + PAGE, 5)
    model.spaces[1] = model.fork(model.spaces[0])
    first = BASE // PAGE
    assert model.references(model.spaces[0].pages[first + 1].name) == 2
    assert [short(touch(model, 1, space=space)) for space in (1, 0, 0)] == ["Copied", "LastOwner", "Retry"]
    model.poke(1, BASE + PAGE, 6)
    assert [model.contents(model.spaces[space].pages[first + 1].name)[0] for space in (0, 1)] == [5, 6]
    assert model.handed_over == 2


def test_protection_follows() -> None:
    model = model_of(area(0, 9))
    touch(model, 1)
    touch(model, 2, "read")
    space, first = model.spaces[0], BASE // PAGE
    model.protect(space, BASE, BASE + 3 * PAGE, "---")
    assert [len(space.areas), space.pages[first + 1].user] == [2, False]
    model.protect(space, BASE, BASE + 3 * PAGE, "rw-")
    assert space.areas == [area(0, 9)]
    assert [space.pages[first + page].writable for page in (1, 2)] == [True, False]


def test_whatever_happens_the_books_agree() -> None:
    rng = random.Random(3)
    for _ in range(20):
        objects = {0: Backing(30, 29 * PAGE + 5, broken=7), 1: Backing(20)}
        model = model_of(objects=objects)
        space = model.spaces[0]
        at = 0
        for _ in range(10):
            count, at = rng.randrange(1, 30), at + rng.randrange(1, 20)
            object_ = rng.choice((None, 0, 1))
            space.insert(area(at, at + count, rng.choice(("rw-", "r--")), kind=rng.choice(("mapping", "stack")) if object_ is None else "mapping",
                              shared=object_ is not None and rng.random() < 0.5, object=object_, first_page=rng.randrange(9) if object_ is not None else 0))
            at += count
        frames = 0
        loaded = len(objects[0].loaded) + len(objects[1].loaded)
        for _ in range(400):
            frames += touch(model, rng.randrange(at), rng.choice(("read", "write", "fetch")), rng.choice(("user", "kernel")), rng.choice((0, FAR))).frames
        own = {shown.name for shown in space.pages.values() if shown.name[0] == "own"}
        loaded = len(objects[0].loaded) + len(objects[1].loaded) - loaded
        assert frames == len(own) + loaded + len(space.tables)
        for page, shown in space.pages.items():
            found = space.find(page * PAGE)
            assert found and (not shown.writable or found.writable)
            assert not shown.writable or found.shared or (shown.name[0] == "own" and model.references(shown.name) == 1)
        assert all(left.end <= right.begin and not left.continues(right) for left, right in zip(space.areas, space.areas[1:]))


def test_words() -> None:
    assert decision_text([0, 0, 5, 0, 3]) == "Resolved by ObjectPage, 3 neighbours"
    assert decision_text([2, 10, 0, 1, 0]) == "Signal, StackLimit, the stack grew"
    assert decision_text([1, 4, 2, 0, 0]) == "Retry with reason GuardPage with how ZeroFrame"
    assert decision_text([9, 0, 0, 0, 0]) == "number 9"
