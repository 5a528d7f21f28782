"""The model of lab 02-paging, which decides what a correct piece would have done, and the comparison of TLB and tables."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from labs.stale import contradiction
from oracle.paging import (LARGE_PAGE, PAGE, READ_USER, SHARED_BEGIN, USER_BEGIN, USER_END, WRITE_GLOBAL, WRITE_USER, PageTables,
                           Request, Rights)
from paging.tables import Walk

START = 0x4000_0000


@pytest.fixture
def model() -> PageTables:
    tables = PageTables()
    tables.create("A")
    return tables


def _map(model: PageTables, start: int, frame: int, count: int = 1, *, directory: str = "A", large: bool = False,
         rights: Rights = WRITE_USER) -> None:
    request = Request("map", directory, start, count, frame, large, rights)
    assert model.errors(request) == set()
    model.apply(request)


def test_a_split_keeps_every_other_page(model: PageTables) -> None:
    _map(model, START, 0x2000, large=True, rights=READ_USER)
    model.apply(Request("unmap", "A", START + 5 * PAGE, 1))
    assert model.page("A", START + 5 * PAGE) is None
    pages = model.user["A"]
    assert len(pages) == 1023
    assert all(page.frame == 0x2000 + number % 1024 and page.rights == READ_USER and not page.large
               for number, page in pages.items())


def test_a_whole_large_page_changes_its_rights_without_a_split(model: PageTables) -> None:
    _map(model, START, 0x2000, large=True)
    model.apply(Request("protect", "A", START, 1024, rights=READ_USER))
    assert all(page.large and page.rights == READ_USER for page in model.user["A"].values())


def test_physical_addresses_count_through_a_large_page(model: PageTables) -> None:
    _map(model, START, 0x2000, large=True)
    assert model.physical("A", START + 0x12_3456) == 0x212_3456
    assert model.physical("A", START - 1) is None


@pytest.mark.parametrize("request_, errors", [
    (Request("map", "A", START, 0), {"InvalidArgument"}),
    (Request("map", "A", START + 4, 1), {"Misaligned"}),
    (Request("map", "A", START, 1, 1, True), {"Misaligned"}),
    (Request("map", "A", USER_END - PAGE, 2), {"OutOfRange"}),
    (Request("map", "A", USER_END - PAGE, 1), set()),
    (Request("map", "A", START, 0x10_0001), {"OutOfRange"}),
    (Request("map", "A", START, 2, 0xFFFFF), {"OutOfRange"}),
    (Request("map", "A", START, 1, 0xFFFFF), set()),
    (Request("map", "A", SHARED_BEGIN, 1), {"OutOfRange"}),
    (Request("map", "kernel", SHARED_BEGIN, 1), set()),
    (Request("map", "kernel", 0xFFFF_F000, 1), set()),
    (Request("map", "kernel", 0xFFFF_F000, 2), {"OutOfRange"}),
    (Request("map", "kernel", SHARED_BEGIN, 1, rights=WRITE_USER), {"InvalidArgument"}),
    (Request("map", "kernel", SHARED_BEGIN, 1, 0, True), {"Unsupported"}),
    (Request("map", "A", START, 1, rights=WRITE_GLOBAL), {"InvalidArgument"}),
    (Request("map", "A", USER_BEGIN - 2, 1), {"Misaligned", "OutOfRange"}),
    (Request("protect", "A", START, 1), {"NotMapped"}),
    (Request("unmap", "A", START, 1), set()),
])
def test_errors_of_the_contract(model: PageTables, request_: Request, errors: set[str]) -> None:
    assert model.errors(request_) == errors


def test_tables_that_a_request_needs(model: PageTables) -> None:
    _map(model, START + LARGE_PAGE, 1)
    assert model.tables_needed(Request("map", "A", START, 3 * 1024)) == 2
    assert model.tables_needed(Request("map", "A", START + LARGE_PAGE + PAGE, 1)) == 0
    assert model.tables_needed(Request("map", "A", START, 3, 0, True)) == 0
    _map(model, START + 2 * LARGE_PAGE, 0x2000, 2, large=True)
    assert model.tables_needed(Request("unmap", "A", START + 3 * LARGE_PAGE - PAGE, 2)) == 2
    assert model.tables_needed(Request("unmap", "A", START + 2 * LARGE_PAGE, 1024)) == 0
    assert model.errors(Request("unmap", "A", START + 2 * LARGE_PAGE, 1), frames_left=0) == {"OutOfMemory"}


def test_a_shared_table_stays_when_it_is_empty(model: PageTables) -> None:
    _map(model, SHARED_BEGIN, 1, directory="kernel", rights=WRITE_GLOBAL)
    model.apply(Request("unmap", "kernel", SHARED_BEGIN, 1))
    assert model.tables_needed(Request("map", "kernel", SHARED_BEGIN + PAGE, 1)) == 0


def test_a_swap_entry_is_not_mapped_and_keeps_its_table(model: PageTables) -> None:
    _map(model, START, 0x10, 2)
    model.swap_out("A", START // PAGE, 12)
    assert model.page("A", START) is None and model.errors(Request("protect", "A", START, 2)) == {"NotMapped"}
    model.apply(Request("unmap", "A", START + PAGE, 1))
    assert model.user_tables("A") == {START // LARGE_PAGE} and model.tables_needed(Request("map", "A", START + 9 * PAGE, 1)) == 0
    model.apply(Request("unmap", "A", START, 1))
    assert model.swapped["A"] == {} and model.user_tables("A") == set() and model.tables_needed(Request("map", "A", START, 1)) == 1


@pytest.mark.parametrize("large", [False, True])
def test_a_page_replaces_a_swap_entry(model: PageTables, large: bool) -> None:
    _map(model, START, 0x10, 3)
    for page in (0, 2):
        model.swap_out("A", START // PAGE + page, 12)
    _map(model, START, 0x2000, large=large)
    assert model.swapped["A"] == ({} if large else {START // PAGE + 2: 12})
    assert model.page("A", START).frame == 0x2000 and (model.page("A", START + PAGE).frame == (0x2001 if large else 0x11))


def test_a_tlb_entry_may_allow_less_than_the_tables_but_not_more() -> None:
    walk = Walk(START, 0x5000, writable=True, user=False, global_=False, large=False, pde=1, pte=1)

    def entry(**held: object) -> SimpleNamespace:
        return SimpleNamespace(**{"frame_address": 0x5000, "writable": False, "user": False} | held)

    assert contradiction(entry(), walk) == ""
    assert contradiction(entry(writable=True), walk) == ""
    assert "users" in contradiction(entry(user=True), walk)
    assert "frame 0x5" in contradiction(entry(frame_address=0x6000), walk)
    assert "nothing is mapped" in contradiction(entry(), None)
