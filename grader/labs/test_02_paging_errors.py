"""The tests of lab 02-paging about requests that must fail, and must leave everything as it was."""

from __future__ import annotations

from labs.paging import PagingScenario
from oracle.paging import (LAST_PAGE, LARGE_PAGE, PAGE, READ_KERNEL, READ_USER, SHARED_BEGIN, USER_BEGIN, USER_END, WRITE_GLOBAL,
                           WRITE_KERNEL, WRITE_USER, Rights)


def test_arguments(paging: PagingScenario) -> None:
    """Requests that cannot be served are refused, and change nothing: no pages, misaligned, wrong rights, leaving or wrapping
    the range, a foreign directory for the shared range."""
    paging.watch_frames()
    a = paging.create()
    start = paging.user_address(slots=2)
    frame, large = paging.frames(8), paging.large_frames()
    paging.map(a, start, frame, 4)
    paging.map(a, USER_BEGIN, frame + 4, 2)
    paging.map(a, USER_END - 2 * PAGE, frame + 6, 2)
    paging.state("before")
    new = paging.frames(4)
    for count in (0,):
        paging.map(a, start, new, count)
        paging.unmap(a, start, count)
        paging.protect(a, start, count, READ_USER)
    for wrong in (start + 1, start + PAGE // 2, start - 4):
        paging.map(a, wrong, new)
        paging.unmap(a, wrong)
        paging.protect(a, wrong, 1, READ_USER)
    paging.map(a, start + 8 * PAGE, large, 1, large=True, note="start not a multiple of 4 MiB")
    paging.map(a, start, large + 1, 1, large=True, note="frame not a multiple of 1024")
    for rights in (Rights(False, True, True), Rights(True, False, True)):
        paging.map(a, start, new, 1, rights)
        paging.protect(a, start, 1, rights)
    paging.map(paging.kernel, SHARED_BEGIN, new, 1, WRITE_USER)
    for begin, count in ((USER_BEGIN - PAGE, 2), (USER_END - PAGE, 2), (PAGE, 1), (0x400000, 3), (USER_BEGIN - LARGE_PAGE, 1024)):
        paging.map(a, begin, new, count)
        paging.unmap(a, begin, count)
        paging.protect(a, begin, count, READ_USER)
    paging.map(a, SHARED_BEGIN, new, 1, WRITE_KERNEL, note="only the kernel's directory maps there")
    paging.unmap(a, SHARED_BEGIN)
    paging.map(paging.kernel, SHARED_BEGIN - PAGE, new, 2, WRITE_KERNEL, note="begins outside")
    paging.state("refused")
    all_and_one = (USER_END - USER_BEGIN) // PAGE + 1
    for begin, count in ((start, 0x100000), (start, 0x100001), (start, 0xFFFFFFFF), (USER_BEGIN, all_and_one)):
        paging.unmap(a, begin, count)
        paging.protect(a, begin, count, READ_USER)
        paging.map(a, begin, new, count)
    paging.map(paging.kernel, LAST_PAGE, new, 2, WRITE_GLOBAL, note="wraps to address 0")
    paging.unmap(paging.kernel, LAST_PAGE, 2)
    paging.map(a, start, 0, 1024, large=True, note="1024 pages of 4 MiB: 2^32 bytes")
    paging.map(a, start, 0, 1025, large=True, note="1025 pages of 4 MiB wrap to one")
    paging.map(a, start, 0xFFFFE, 3, note="frames past 4 GiB")
    paging.map(a, start, 0xFFC00, 2, large=True, note="frames past 4 GiB")
    paging.map(paging.kernel, SHARED_BEGIN + 8 * LARGE_PAGE, large, 1, WRITE_GLOBAL, large=True, note="4 MiB in the shared range")
    paging.state("wrapping")
    paging.boot()


def test_protect_holes(paging: PagingScenario) -> None:
    """protect() of a range with a hole is refused and changes nothing, wherever the hole is."""
    a = paging.create()
    start = paging.user_address(slots=4)
    paging.map(a, start, paging.frames(6), 6)
    paging.map(a, start + 2 * LARGE_PAGE - 3 * PAGE, paging.frames(3), 3)
    paging.map(a, start + 2 * LARGE_PAGE, paging.large_frames(), 1, large=True)
    paging.unmap(a, start + 4 * PAGE)
    paging.protect(a, start, 6, READ_KERNEL, note="a page is missing")
    paging.protect(a, start + 5 * PAGE, 2, READ_KERNEL, note="the last one is missing")
    paging.protect(a, paging.user_address(), 1, READ_KERNEL, note="a whole table is missing")
    paging.protect(a, start + 2 * LARGE_PAGE + LARGE_PAGE - 4 * PAGE, 8, READ_KERNEL, note="half in a 4 MiB page, half nowhere")
    paging.state("refused")
    paging.protect(a, start + 2 * LARGE_PAGE - 3 * PAGE, 3 + 5, READ_KERNEL, note="no hole")
    paging.state("done")
    paging.boot()


def test_out_of_memory(paging: PagingScenario) -> None:
    """When a page table cannot be had, map() fails with everything as it was: no page, no table, no frame lost."""
    paging.watch_frames()
    a = paging.create()
    start = paging.user_address(slots=5)
    paging.map(a, start + LARGE_PAGE, paging.frames(), note="one table of the four is there")
    frame = paging.far_frames(2054)
    for frames in range(3):
        paging.limit(frames)
        paging.map(a, start + LARGE_PAGE - 2 * PAGE, frame, 2054, note=f"needs three tables, {frames} frames left")
        paging.limit(None)
        paging.state(f"{frames}-frames-left")
    paging.limit(0)
    paging.create(error="OutOfMemory")
    paging.map(a, start + LARGE_PAGE + PAGE, frame, note="into a table that is there")
    paging.unmap(a, start + LARGE_PAGE)
    paging.map(paging.kernel, SHARED_BEGIN + 33 * LARGE_PAGE - PAGE, frame, 2, WRITE_GLOBAL)
    paging.limit(None)
    paging.state("nothing-left")
    paging.map(paging.kernel, SHARED_BEGIN + 33 * LARGE_PAGE - PAGE, frame, 2, WRITE_GLOBAL)
    paging.map(a, start, frame, 1300)
    paging.state("memory-again")
    paging.boot()


def test_out_of_memory_split(paging: PagingScenario) -> None:
    """When a 4 MiB page cannot be split for want of a frame, unmap(), protect() and map() change nothing."""
    paging.watch_frames()
    a = paging.create()
    start = paging.user_address(slots=3)
    frames = paging.large_frames()
    paging.map(a, start, frames, 2, large=True)
    paging.map(a, start + 2 * LARGE_PAGE, paging.frames(4), 4)
    for left in range(2):
        paging.limit(left)
        paging.unmap(a, start + 512 * PAGE, 1024, note=f"splits two, {left} frames left")
        paging.limit(left)
        paging.protect(a, start + LARGE_PAGE - PAGE, 2, READ_USER, note=f"splits two, {left} frames left")
        paging.limit(left)
        paging.map(a, start + LARGE_PAGE - PAGE, paging.frames(2), 2, note=f"splits two, {left} frames left")
        paging.limit(None)
        paging.state(f"{left}-frames-left")
    paging.limit(0)
    paging.unmap(a, start + LARGE_PAGE, 1024 + 2, note="a whole 4 MiB page and two small ones need no frame")
    paging.limit(None)
    paging.state("whole")
    paging.unmap(a, start + PAGE)
    paging.state("memory-again")
    paging.boot()
