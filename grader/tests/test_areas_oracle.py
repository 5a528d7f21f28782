"""Lab 05's model: what a set of areas holds, looked at page by page, and the possible places, tried one by one."""

from __future__ import annotations

import random

import pytest

from oracle.areas import (PAGE, READ, USER_BEGIN, USER_END, WRITE, Area, AreaModel, Placement, Random, attributes, digest, draw, first_difference, merged,
                          range_errors, read_areas)

BASE = 0x3000_0000
WINDOW = 40


def area(begin: int, end: int, kind: int = attributes(), object_: int = 0, first_page: int = 0) -> Area:
    """Pages counted from BASE."""
    return Area(BASE + begin * PAGE, BASE + end * PAGE, kind, object_, first_page)


def by_pages(areas: list[Area]) -> dict[int, tuple[int, int, int]]:
    """What each page is."""
    found: dict[int, tuple[int, int, int]] = {}
    for one in areas:
        for number, page in enumerate(range(one.begin, one.end, PAGE)):
            assert page not in found, "two areas share a page"
            found[page] = (one.attributes, one.object, one.first_page + number if one.object else 0)
    return found


def random_area(rng: random.Random) -> Area:
    begin = rng.randrange(WINDOW)
    object_ = rng.choice((0, 0, 0xE800_0000))
    return area(begin, min(begin + rng.randrange(1, 9), WINDOW), attributes(rng.choice((READ, READ | WRITE)), rng.choice((1, 2))), object_,
                (begin + rng.choice((0, 0, 1))) if object_ else 0)


def random_model(rng: random.Random, count: int = 12) -> AreaModel:
    model = AreaModel()
    for _ in range(count):
        model.areas = model.insert(random_area(rng)).areas
    return model


def check(model: AreaModel) -> None:
    assert model.areas == sorted(model.areas)
    assert merged(model.areas) == model.areas
    by_pages(model.areas)


def test_insert_remove_and_protect_do_to_each_page_what_they_should() -> None:
    rng = random.Random(1)
    for _ in range(300):
        model = random_model(rng)
        check(model)
        before = by_pages(model.areas)
        one = random_area(rng)
        inside = range(one.begin, one.end, PAGE)
        added = model.insert(one)
        assert ("Exists" in added.errors) == any(page in before for page in inside)
        if not added.errors:
            assert by_pages(added.areas) == before | by_pages([one])
        taken = model.remove(one.begin, one.end)
        assert by_pages(taken.areas) == {page: what for page, what in before.items() if page not in inside}
        assert by_pages(taken.shown) == {page: what for page, what in before.items() if page in inside}
        assert taken.needs_memory == (len(taken.areas) > len(model.areas))
        changed = model.protect(one.begin, one.end, READ)
        assert ("NotMapped" in changed.errors) == any(page not in before for page in inside)
        if not changed.errors:
            wanted = {page: ((what[0] & ~7 | READ, *what[1:]) if page in inside else what) for page, what in before.items()}
            assert by_pages(changed.areas) == wanted
            assert by_pages(changed.shown) == {page: wanted[page] for page in inside if wanted[page] != before[page]}
        for change in (added, taken, changed):
            check(AreaModel(change.areas))
        assert by_pages(model.areas) == before, "a change is an answer; the model itself stays"


def test_find() -> None:
    rng = random.Random(2)
    for _ in range(50):
        model = random_model(rng)
        for address in [BASE + rng.randrange(WINDOW * PAGE) for _ in range(20)] + [edge + near for one in model.areas for edge in (one.begin, one.end) for near in (-1, 0)]:
            holding = [one for one in model.areas if one.begin <= address < one.end]
            assert model.find(address) == (holding[0] if holding else None)
            above = [one for one in model.areas if one.end > address]
            assert model.find_from(address) == (above[0] if above else None)


def test_possible_places_are_those_that_a_search_page_by_page_finds() -> None:
    rng = random.Random(3)
    for _ in range(400):
        model = random_model(rng, rng.randrange(8))
        taken = by_pages(model.areas)
        low = rng.randrange(WINDOW)
        it = Placement(rng.randrange(1, 9), BASE + low * PAGE, BASE + rng.randrange(low + 1, WINDOW + 1) * PAGE, PAGE << rng.choice((0, 0, 1, 3)), random=rng.getrandbits(32),
                       guard_pages=rng.randrange(4))
        wanted = [begin for begin in range(it.end - it.pages * PAGE, it.begin - 1, -PAGE)
                  if begin % it.alignment == 0 and not any(begin + number * PAGE in taken for number in range(-it.guard_pages, it.pages + it.guard_pages))]
        assert [begin for some in model.possible_begins(it) for begin in some] == wanted
        assert model.place(it) == (wanted[it.random % len(wanted)] if wanted else None)
        if wanted:
            hint = rng.choice(wanted)
            assert model.place(Placement(it.pages, it.begin, it.end, it.alignment, hint, it.random, it.guard_pages)) == hint
        odd = BASE + rng.randrange(WINDOW) * PAGE + 1
        assert model.place(Placement(it.pages, it.begin, it.end, it.alignment, odd, it.random, it.guard_pages)) == (wanted[it.random % len(wanted)] if wanted else None)


def test_the_example_of_the_contract() -> None:
    model = AreaModel([area(4, 5)])
    begins = [model.place(Placement(3, BASE, BASE + 10 * PAGE, random=number)) for number in range(6)]
    assert [(begin - BASE) // PAGE for begin in begins if begin is not None] == [7, 6, 0, 7, 6, 0]


@pytest.mark.parametrize("begin, end, errors", [
    (BASE, BASE + PAGE, set()),
    (USER_BEGIN, USER_END, set()),
    (BASE, BASE, {"InvalidArgument"}),
    (BASE + 1, BASE + PAGE, {"Misaligned"}),
    (BASE + PAGE, BASE, {"OutOfRange"}),
    (0, PAGE, {"OutOfRange"}),
    (USER_END - PAGE, USER_END + PAGE, {"OutOfRange"}),
    (0xFFFF_F000, 0, {"OutOfRange"}),
    (1, 1, {"InvalidArgument", "Misaligned", "OutOfRange"}),
])
def test_ranges_that_are_none(begin: int, end: int, errors: set[str]) -> None:
    assert range_errors(begin, end) == errors


@pytest.mark.parametrize("change, continues", [
    ({}, True), ({"attributes": attributes(READ)}, False), ({"attributes": attributes(kind=1)}, False), ({"attributes": attributes(shared=True)}, False),
    ({"object": 8, "first_page": 14}, False), ({"begin": BASE + 5 * PAGE}, False)])
def test_what_continues_an_area(change: dict[str, int], continues: bool) -> None:
    right = Area(**{"begin": BASE + 4 * PAGE, "end": BASE + 9 * PAGE, "attributes": attributes(), "object": 0, "first_page": 0, **change})
    assert area(0, 4).continued_by(right) == continues


def test_pages_of_an_object_follow_each_other() -> None:
    left = area(0, 4, object_=8, first_page=10)
    assert [page for page in range(20) if left.continued_by(area(4, 6, object_=8, first_page=page))] == [14]
    assert left.part(BASE + 2 * PAGE, BASE + 3 * PAGE) == area(2, 3, object_=8, first_page=12)


def test_pictures_and_words() -> None:
    areas = [area(2, 4), area(4, 5, attributes(READ)), area(7, 30)]
    assert draw(areas, BASE, BASE + 10 * PAGE) == "|..AAB..CCC|"
    assert str(area(2, 4, object_=0xE800_0000, first_page=5)) == "0x30002000-0x30004000 rw- private mapping, page 0x5 of object 0xe8000000"
    assert read_areas([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]) == [Area(1, 2, 3, 4, 5), Area(6, 7, 8, 9, 10)]
    assert first_difference(areas, areas) is None and first_difference(areas, areas[:2]) == 2 and first_difference(areas, [areas[0], areas[2]]) == 1
    assert digest(areas) != digest(areas[::-1]) and digest([]) == 0x811C_9DC5


def test_the_guests_random_numbers() -> None:
    """Marsaglia's 13, 17, 5: the first numbers from 1."""
    guest = Random(1)
    assert [guest.next() for _ in range(3)] == [270369, 67634689, 2647435461]
