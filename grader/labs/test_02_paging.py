"""The tests of lab 02-paging: what they do to the piece, and what must hold.

Wherever a test says `paging.state(...)`, the whole machine is compared with the model: every page of every directory and the
kernel's part, and where the test is about them, the frames in use and the TLB (see labs/paging.py). So most tests are a story
with states in it, and no more.
"""

from __future__ import annotations

from judge.scenario import expect
from labs.paging import FREED_POISON, POOL_FRAME, POOL_FRAMES, PagingScenario
from oracle.paging import (ADDRESS_SPACE, FULL_FLUSH_PAGES, LARGE_PAGE, PAGE, READ_GLOBAL, READ_KERNEL, READ_USER, SHARED_BEGIN,
                           SHARED_RIGHTS, USER_BEGIN, USER_END, USER_RIGHTS, WRITE_GLOBAL, WRITE_KERNEL, WRITE_USER, PageTables,
                           Request, Rights)
from paging.tables import ACCESSED, DIRTY, describe_entry

LAST_PAGE = ADDRESS_SPACE - PAGE


def test_create(paging: PagingScenario) -> None:
    """A new directory maps nothing of its own and shares all of the kernel's entries, so that the machine runs on it."""
    paging.watch_frames()
    a, b = paging.create(), paging.create()
    paging.state("created")
    paging.activate(a)
    paging.state("running-on-a")
    paging.activate(b)
    paging.translate(b, paging.user_address())
    paging.state("running-on-b")
    paging.boot()


def test_map(paging: PagingScenario) -> None:
    """A mapped page leads to its frame with the rights asked for; no other page appears; missing tables are made."""
    a = paging.create()
    paging.activate(a)
    for rights in USER_RIGHTS:
        page = paging.user_address() + paging.random.randrange(1024) * PAGE
        frame, word = paging.frames(), paging.word()
        paging.poke(frame, word)
        paging.map(a, page, frame, 1, rights)
        paging.read(page)
        paging.state(f"mapped-{rights}")
    paging.boot()


def test_borders(paging: PagingScenario) -> None:
    """First and last page of a table, ranges that run over tables, first and last page of the user range."""
    paging.watch_frames()
    a = paging.create()
    paging.activate(a)
    start = paging.user_address(slots=4)
    paging.map(a, start, paging.frames(), note="first page of a table")
    paging.map(a, start + LARGE_PAGE - PAGE, paging.frames(), note="last page of a table")
    paging.state("first-and-last")
    paging.map(a, start + 2 * LARGE_PAGE - 2 * PAGE, paging.frames(4), 4, note="over the end of a table")
    paging.state("over-one-border")
    paging.map(a, start + 2 * LARGE_PAGE + 5 * PAGE, paging.far_frames(1200), 1200, READ_USER, note="more than a whole table")
    paging.state("over-a-table")
    paging.map(a, USER_BEGIN, paging.frames(), note="first page of the user range")
    paging.map(a, USER_END - PAGE, paging.frames(), note="last page of the user range")
    paging.map(a, USER_END - 2 * PAGE, 0xFFFFF, note="the last frame of 4 GiB")
    paging.state("ends-of-the-range")
    paging.boot()


def test_translate(paging: PagingScenario) -> None:
    """translate() finds what the CPU would find, to the byte: offsets, neighbouring tables, 4 MiB pages, the kernel's map."""
    a = paging.create()
    start = paging.user_address(slots=4)
    paging.map(a, start + LARGE_PAGE - PAGE, paging.frames(), 1, WRITE_USER)
    paging.map(a, start + LARGE_PAGE, paging.frames(), 1, READ_KERNEL)
    paging.map(a, start + 2 * LARGE_PAGE, paging.large_frames(), 1, READ_USER, large=True)
    for offset in (0, paging.random.randrange(1, PAGE - 1), PAGE - 1):
        paging.translate(a, start + LARGE_PAGE - PAGE + offset)
        paging.translate(a, start + LARGE_PAGE + offset)
    for offset in (0, PAGE, paging.random.randrange(PAGE, LARGE_PAGE), LARGE_PAGE - 1):
        paging.translate(a, start + 2 * LARGE_PAGE + offset)
    for unmapped in (start, start + LARGE_PAGE - 2 * PAGE, start + LARGE_PAGE + PAGE, start + 3 * LARGE_PAGE, 0):
        paging.translate(a, unmapped)
    for kernel_address in (0x100000, POOL_FRAME * PAGE + paging.random.randrange(LARGE_PAGE)):
        paging.translate(a, kernel_address)
        paging.translate(paging.kernel, kernel_address)
    paging.state("translated")
    paging.boot()


def test_unmap(paging: PagingScenario) -> None:
    """Unmapped pages are gone and all others stay: one, the head, tail and middle of a range, and ranges with holes."""
    a = paging.create()
    paging.activate(a)
    start = paging.user_address(slots=2) + LARGE_PAGE - 20 * PAGE
    paging.map(a, start, paging.frames(40), 40)
    paging.unmap(a, start, 3, note="the head")
    paging.unmap(a, start + 37 * PAGE, 3, note="the tail")
    paging.unmap(a, start + 10 * PAGE, note="one in the middle")
    paging.state("head-tail-middle")
    paging.unmap(a, start + 5 * PAGE, 20, note="over the border of two tables, one page of it gone before")
    paging.state("with-a-hole")
    paging.unmap(a, start + 5 * PAGE, 20, note="nothing is mapped there any more")
    paging.unmap(a, paging.user_address(slots=3), 2100, note="nothing was ever mapped there")
    paging.state("nothing-to-do")
    paging.boot()


def test_tables_returned(paging: PagingScenario) -> None:
    """A page table is given back with its last page, and not before."""
    paging.watch_frames()
    a = paging.create()
    start = paging.user_address(slots=3)
    paging.map(a, start, paging.frames())
    paging.map(a, start + LARGE_PAGE - PAGE, paging.frames())
    paging.unmap(a, start)
    paging.state("one-page-left")
    paging.unmap(a, start + LARGE_PAGE - PAGE)
    paging.state("empty")
    paging.map(a, start + 7 * PAGE, paging.far_frames(2060), 2060)
    paging.unmap(a, start + 7 * PAGE, 2059)
    paging.state("two-of-three-empty")
    paging.unmap(a, start, 3 * 1024)
    paging.state("all-empty")
    paging.map(a, start, paging.frames())
    paging.state("used-again")
    paging.boot()


def test_destroy(paging: PagingScenario) -> None:
    """destroy() gives back a directory and its tables, never the frames that were mapped; the active directory is Busy."""
    paging.watch_frames()
    a, b = paging.create(), paging.create()
    start = paging.user_address(slots=3)
    own = paging.own_frame()
    paging.map(a, start, own)
    paging.map(b, start, own)
    paging.map(a, start + LARGE_PAGE - 5 * PAGE, paging.frames(10), 10)
    paging.map(a, start + 2 * LARGE_PAGE, paging.large_frames(), 1, large=True)
    paging.map(paging.kernel, SHARED_BEGIN + 7 * PAGE, paging.frames(), 1, READ_GLOBAL, note="a table that all directories share")
    paging.activate(a)
    paging.read(SHARED_BEGIN + 7 * PAGE)
    paging.destroy(a, error="Busy")
    paging.destroy(paging.kernel, error="InvalidArgument")
    paging.state("refused")
    paging.activate(b)
    paging.destroy(a)
    paging.state("a-is-gone")
    paging.unmap(b, start)
    paging.activate(paging.kernel)
    paging.destroy(b)
    paging.state("both-are-gone")
    paging.boot()


def test_zeroed(paging: PagingScenario) -> None:
    """New tables hold nothing of what their frames held before."""
    paging.soil_memory()
    a = paging.create()
    start = paging.user_address(slots=2)
    paging.map(a, start + paging.random.randrange(1024) * PAGE, paging.frames())
    paging.map(a, start + LARGE_PAGE, paging.frames(9), 9)
    paging.map(paging.kernel, SHARED_BEGIN + 5 * PAGE, paging.frames(), 1, WRITE_GLOBAL)
    state = paging.state("mapped")

    def holds_nothing_old() -> None:
        for name, tables in state.tables.items():
            for frame, words in [*tables.frames.items(), (tables.directory_frame, tables.directory)]:
                old = [index for index, word in enumerate(words) if word == FREED_POISON]
                expect(not old, "a new page directory or page table is zero but for what was put there",
                       f"frame {frame:#x} of directory {name} holds {FREED_POISON:#x} in {len(old)} entries, the first at "
                       f"{old[0] if old else 0}: what a freed frame holds",
                       "Contents::Zeroed asks the frame allocator for a frame of zeros.")

    paging.then(holds_nothing_old)
    paging.boot()


def test_replace(paging: PagingScenario) -> None:
    """map() over a mapped page replaces it: the same frame again, another frame, other rights, part of a range."""
    a = paging.create()
    paging.activate(a)
    page = paging.user_address() + 77 * PAGE
    first, second = paging.frames(), paging.frames()
    paging.poke(first, paging.word())
    paging.map(a, page, first)
    paging.map(a, page, first, note="the same again")
    paging.read(page)
    paging.state("the-same")
    paging.map(a, page, second, 1, READ_USER)
    paging.state("another-frame")
    paging.map(a, page - 3 * PAGE, paging.frames(6), 6, WRITE_KERNEL)
    paging.map(a, page + 2 * PAGE, paging.frames(4), 4, WRITE_USER)
    paging.state("overlapping")
    paging.boot()


def test_aliases(paging: PagingScenario) -> None:
    """One frame at two addresses, and in two directories: a write through one is seen through all, and removing one leaves
    the others."""
    paging.watch_frames()
    a, b = paging.create(), paging.create()
    one, two = paging.user_address() + 9 * PAGE, paging.user_address() + 300 * PAGE
    frame = paging.own_frame()
    for directory, page in ((a, one), (a, two), (b, one)):
        paging.map(directory, page, frame)
    paging.activate(a)
    paging.write(one, paging.word())
    paging.read(two)
    paging.write(two + 8, paging.word())
    paging.read(one + 8)
    paging.activate(b)
    paging.read(one)
    paging.state("three-names")
    paging.activate(a)
    paging.unmap(a, one)
    paging.read(two, note="still there")
    paging.state("two-names")
    paging.activate(b)
    paging.read(one, note="still there in the other directory")
    paging.boot()


def test_rights(paging: PagingScenario) -> None:
    """Rights go up and down page by page, whatever the neighbours in the same table have."""
    a = paging.create()
    paging.activate(a)
    start = paging.user_address()
    for number, rights in enumerate((READ_KERNEL, WRITE_USER, READ_USER, WRITE_KERNEL)):
        paging.map(a, start + number * PAGE, paging.frames(), 1, rights)
    paging.state("four-rights-in-one-table")
    for number, rights in ((0, WRITE_USER), (1, READ_KERNEL), (2, WRITE_KERNEL), (3, READ_USER), (1, WRITE_USER)):
        paging.protect(a, start + number * PAGE, 1, rights)
        paging.state(f"page-{number}-{rights}")
    paging.protect(a, start, 4, READ_KERNEL, note="all down")
    paging.protect(a, start + PAGE, 2, WRITE_USER, note="two up again")
    paging.state("down-and-up")
    far = paging.user_address(slots=2) + LARGE_PAGE - 30 * PAGE
    paging.map(a, far, paging.frames(60), 60, WRITE_USER)
    paging.protect(a, far + PAGE, 58, READ_USER, note="over two tables")
    paging.state("over-two-tables")
    paging.boot()


def test_both_levels(paging: PagingScenario) -> None:
    """Writing, and use by users, need the bit in the PDE and in the PTE: translate() says so when the kernel lowered a PDE."""
    a = paging.create()
    page = paging.user_address() + 5 * PAGE
    paging.map(a, page, paging.frames(), 1, WRITE_USER)
    paging.state("mapped")
    slot = page // LARGE_PAGE * 4
    entry = paging.op("paging.peek", a.op, slot, note="the PDE")
    expected = []
    for lowered, rights in ((4, Rights(True, False)), (2, Rights(False, True)), (6, Rights(False, False))):
        paging.op("paging.poke", a.op, slot, entry - lowered, note=f"the PDE, made {rights}")
        expected.append((paging.op("paging.translate", a.op, page), rights))
    paging.op("paging.poke", a.op, slot, entry, note="the PDE as it was")
    paging.translate(a, page)
    paging.boot()
    for op, rights in expected:
        seen = Rights(bool(op.values[2] & 1), bool(op.values[2] & 2))
        expect(seen == rights, f"with a PDE that allows {rights}, a page whose PTE allows rw-user is {rights}", f"{op}: {seen}",
               "Rights of both levels are ANDed (Intel SDM 3A, 4.6).", operation=op.number)


def test_shared(paging: PagingScenario) -> None:
    """The kernel maps in the shared range, up to the last page of the address space; every directory sees it, older ones too,
    and page tables stay there."""
    a = paging.create()
    slot = SHARED_BEGIN + paging.random.randrange(2, 60) * LARGE_PAGE
    paging.activate(a)
    for page, rights in zip((slot, slot + LARGE_PAGE - PAGE, SHARED_BEGIN, LAST_PAGE), SHARED_RIGHTS):
        frame = paging.frames()
        paging.poke(frame, paging.word())
        paging.map(paging.kernel, page, frame, 1, rights)
        paging.read(page, note="through a directory that is older than the mapping")
    paging.state("seen-by-an-older-one")
    b = paging.create()
    paging.activate(b)
    paging.read(slot)
    paging.read(LAST_PAGE)
    paging.state("seen-by-a-younger-one")
    paging.protect(paging.kernel, LAST_PAGE, 1, WRITE_GLOBAL)
    paging.write(LAST_PAGE, paging.word())
    paging.map(paging.kernel, LAST_PAGE - 2 * PAGE, paging.frames(3), 3, READ_GLOBAL, note="up to the end")
    paging.state("the-end-of-the-address-space")
    paging.unmap(paging.kernel, slot, 1024)
    paging.unmap(paging.kernel, LAST_PAGE - 2 * PAGE, 3)
    paging.state("unmapped")
    paging.map(paging.kernel, slot + 3 * PAGE, paging.frames(), 1, READ_GLOBAL)
    paging.activate(a)
    paging.read(slot + 3 * PAGE)
    paging.state("used-again")
    paging.boot()


def test_inactive(paging: PagingScenario) -> None:
    """All functions work on a directory that CR3 does not point to, and leave the one that it points to alone."""
    a, b = paging.create(), paging.create()
    page = paging.user_address(slots=2) + LARGE_PAGE - 2 * PAGE
    ours, theirs = paging.frames(4), paging.frames(4)
    paging.poke(ours, paging.word())
    paging.poke(theirs, paging.word())
    paging.poke(theirs + 1, paging.word())
    paging.map(a, page, ours, 4)
    paging.activate(a)
    paging.read(page)
    paging.map(b, page, theirs, 4)
    paging.read(page)
    paging.protect(b, page, 2, READ_USER)
    paging.unmap(b, page + 3 * PAGE)
    paging.translate(b, page)
    paging.map(b, page, theirs + 1, 1, READ_KERNEL)
    paging.write(page, paging.word(), note="the active one is still writable")
    paging.state("a-is-active")
    paging.activate(b)
    paging.read(page)
    paging.unmap(a, page, 4)
    paging.read(page)
    paging.state("b-is-active")
    paging.map(paging.kernel, page, ours, 2)
    paging.create()
    paging.state("the-kernel-directory-has-user-pages-of-its-own")
    paging.boot()


def test_large(paging: PagingScenario) -> None:
    """4 MiB pages: one directory entry, no table; mapped over tables, which are given back; unmapped as a whole."""
    paging.watch_frames()
    a = paging.create()
    paging.activate(a)
    start = paging.user_address(slots=3)
    frames = paging.large_frames()
    paging.poke(frames, paging.word(), 16)
    paging.poke(frames + 1023, paging.word(), PAGE - 4)
    paging.map(a, start, frames, 1, WRITE_USER, large=True)
    paging.read(start + 16)
    paging.read(start + LARGE_PAGE - 4)
    paging.state("one")
    paging.map(a, start + LARGE_PAGE + 3 * PAGE, paging.far_frames(1500), 1500, WRITE_USER)
    paging.map(a, start + LARGE_PAGE, frames, 2, READ_KERNEL, large=True, note="over two tables of small pages")
    paging.state("over-tables")
    paging.unmap(a, start, 1024)
    paging.state("the-first-is-gone")
    paging.unmap(a, start, 3 * 1024)
    paging.state("all-are-gone")
    paging.map(a, start, paging.frames())
    paging.state("small-again")
    paging.boot()


def test_split_unmap(paging: PagingScenario) -> None:
    """Unmapping a part of a 4 MiB page splits it; every other page keeps frame and rights."""
    paging.watch_frames()
    a = paging.create()
    start = paging.user_address(slots=3)
    frames = paging.large_frames()
    paging.map(a, start, frames, 1, READ_USER, large=True)
    paging.unmap(a, start + paging.random.randrange(1, 1023) * PAGE)
    paging.state("one-page")
    paging.map(a, start, frames, 2, WRITE_KERNEL, large=True)
    paging.unmap(a, start + LARGE_PAGE - PAGE, 2)
    paging.state("last-of-one-first-of-the-next")
    paging.map(a, start, frames, 1, WRITE_USER, large=True)
    paging.map(a, start + LARGE_PAGE, frames, 1, WRITE_USER, large=True)
    paging.unmap(a, start, 1024 + 512)
    paging.state("one-and-a-half")
    paging.boot()


def test_split_map(paging: PagingScenario) -> None:
    """Mapping small pages over a part of a 4 MiB page splits it; every other page keeps frame and rights."""
    a = paging.create()
    paging.activate(a)
    start = paging.user_address(slots=2)
    frames = paging.large_frames()
    number = paging.random.randrange(2, 1000)
    paging.poke(frames + number - 1, paging.word())
    paging.poke(frames + number + 1, paging.word())
    paging.map(a, start, frames, 1, WRITE_USER, large=True)
    page = start + number * PAGE
    other = paging.frames()
    paging.poke(other, paging.word())
    paging.map(a, page, other, 1, READ_KERNEL)
    for address in (page - PAGE, page, page + PAGE):
        paging.read(address)
    paging.state("one-page")
    paging.map(a, start + LARGE_PAGE, frames, 1, READ_KERNEL, large=True)
    paging.map(a, start + LARGE_PAGE - 3 * PAGE, paging.frames(5), 5, WRITE_USER, note="from what was split into the next")
    paging.state("over-a-border")
    paging.boot()


def test_split_protect(paging: PagingScenario) -> None:
    """Changing the rights of a part of a 4 MiB page splits it; changing them all does not need to."""
    a = paging.create()
    paging.activate(a)
    start = paging.user_address(slots=3)
    paging.map(a, start, paging.large_frames(), 1, WRITE_USER, large=True)
    paging.protect(a, start, 1024, READ_USER, note="the whole page")
    paging.state("whole")
    paging.protect(a, start + LARGE_PAGE - PAGE, 1, WRITE_KERNEL, note="its last page")
    paging.protect(a, start, 1, WRITE_USER, note="its first page")
    paging.state("first-and-last")
    paging.map(a, start + LARGE_PAGE, paging.large_frames(), 1, READ_KERNEL, large=True)
    paging.protect(a, start + LARGE_PAGE - 40 * PAGE, 80, READ_USER, note="small pages and part of a large one")
    paging.state("both-sizes")
    paging.boot()


def test_kept_bits(paging: PagingScenario) -> None:
    """protect() and a split keep the accessed and dirty bits: a page that was written stays known as written."""
    a = paging.create()
    paging.activate(a)
    small, large = paging.user_address(), paging.user_address()
    frames = paging.large_frames()
    paging.map(a, small, paging.frames(2), 2)
    paging.map(a, large, frames, 1, large=True)
    paging.write(small, paging.word())
    paging.read(small + PAGE)
    paging.write(large + 99 * PAGE, paging.word())
    before = paging.state("touched")
    paging.protect(a, small, 2, READ_USER)
    paging.protect(a, large + 7 * PAGE, 1, READ_USER, note="splits")
    after = paging.state("protected")

    def check() -> None:
        then, now = before.tables[a.name], after.tables[a.name]
        for page, story in ((small, "was written"), (small + PAGE, "was read")):
            old, new = then.entries(page)[1] or 0, now.entries(page)[1] or 0
            expect((old ^ new) & (ACCESSED | DIRTY) == 0,
                   f"the page at {page:#010x} {story}, and protect() leaves that in its entry",
                   f"the PTE was {describe_entry(old)} and is {describe_entry(new)}",
                   "The CPU sets accessed and dirty, and only it knows: who builds a new entry must carry them over.")
        old = then.entries(large)[0]
        for number in range(1024):
            new = now.entries(large + number * PAGE)[1] or 0
            expect((old ^ new) & (ACCESSED | DIRTY) == 0,
                   "after a split each page has the accessed and dirty bits of the 4 MiB page, which was written",
                   f"the PDE was {describe_entry(old, large=True)}, "
                   f"the PTE of {large + number * PAGE:#010x} is {describe_entry(new)}",
                   "Nobody knows which of the 1024 pages was written: it must count for all.")

    paging.then(check)
    paging.boot()


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


def test_tlb_unmap(paging: PagingScenario) -> None:
    """After unmap() the CPU remembers nothing of the pages: one, several, and more than one INVLPG each would be worth."""
    paging.watch_tlb()
    a = paging.create()
    paging.activate(a)
    start = paging.user_address(slots=2) + LARGE_PAGE - 10 * PAGE
    paging.map(a, start, paging.frames(64), 64)
    touched = [start + number * PAGE for number in range(64)]
    for page in touched:
        paging.read(page)
    paging.unmap(a, start + 5 * PAGE)
    paging.read(start + 5 * PAGE)
    paging.state("one")
    paging.unmap(a, start + 7 * PAGE, 6)
    paging.read(start + 11 * PAGE)
    paging.state("six-over-two-tables")
    for page in touched[20:]:
        paging.read(page)
    paging.unmap(a, start + 20 * PAGE, 44)
    for page in touched[20::5]:
        paging.read(page)
    paging.state("forty-four")
    paging.boot()


def test_tlb_protect(paging: PagingScenario) -> None:
    """After rights are taken away, the CPU does not remember a page as writable or as the user's."""
    paging.watch_tlb()
    a = paging.create()
    paging.activate(a)
    start = paging.user_address()
    paging.map(a, start, paging.frames(50), 50)
    for number in range(50):
        paging.write(start + number * PAGE, paging.word())
    paging.protect(a, start, 1, READ_USER)
    paging.state("read-only")
    paging.protect(a, start + PAGE, 1, WRITE_KERNEL)
    paging.state("supervisor")
    paging.protect(a, start + 5 * PAGE, 40, READ_KERNEL)
    paging.state("forty")
    paging.map(a, start + 2 * PAGE, POOL_FRAME, 2, READ_USER)
    paging.state("mapped-again-read-only")
    paging.boot()


def test_tlb_remap(paging: PagingScenario) -> None:
    """After a page is mapped to another frame, the CPU reads the new one: one page, and many."""
    paging.watch_tlb()
    a = paging.create()
    paging.activate(a)
    start = paging.user_address()
    old, new = paging.frames(48), paging.frames(48)
    for number in range(0, 48, 3):
        paging.poke(old + number, paging.word())
        paging.poke(new + number, paging.word())
    paging.map(a, start, old, 48)
    for number in range(0, 48, 3):
        paging.read(start + number * PAGE)
    paging.map(a, start + 3 * PAGE, new + 3)
    paging.read(start + 3 * PAGE)
    paging.state("one")
    paging.map(a, start, new, 48)
    for number in range(0, 48, 3):
        paging.read(start + number * PAGE)
    paging.state("many")
    paging.boot()


def test_tlb_large(paging: PagingScenario) -> None:
    """The same for 4 MiB pages: the CPU forgets all of them when they are replaced, split or unmapped."""
    paging.watch_tlb()
    a = paging.create()
    paging.activate(a)
    start = paging.user_address()
    first, second = paging.large_frames(), paging.large_frames()
    places = sorted(paging.random.sample(range(1, 1023), 6))
    for number in places:
        paging.poke(first + number, paging.word())
        paging.poke(second + number, paging.word())

    def touch() -> None:
        for number in places:
            paging.read(start + number * PAGE)

    paging.map(a, start, first, 1, large=True)
    touch()
    paging.map(a, start, second, 1, large=True, note="large over large")
    touch()
    paging.state("replaced")
    paging.unmap(a, start + places[2] * PAGE, note="splits")
    touch()
    paging.protect(a, start + places[3] * PAGE, 1, READ_KERNEL)
    touch()
    paging.state("split")
    paging.map(a, start, first, 1, large=True, note="large over a table of small pages")
    touch()
    paging.state("large-again")
    paging.protect(a, start, 1024, READ_KERNEL)
    paging.state("read-only")
    paging.unmap(a, start, 1024)
    touch()
    paging.state("gone")
    paging.boot()


def test_tlb_global(paging: PagingScenario) -> None:
    """Global pages outlive a reload of CR3, so a change of them must be forgotten explicitly, few or many."""
    paging.watch_tlb()
    a = paging.create()
    paging.activate(a)
    start = SHARED_BEGIN + paging.random.randrange(3, 60) * LARGE_PAGE
    old, new = paging.frames(60), paging.frames(60)
    for number in range(0, 60, 4):
        paging.poke(old + number, paging.word())
        paging.poke(new + number, paging.word())

    def touch() -> None:
        for number in range(0, 60, 4):
            paging.read(start + number * PAGE)

    paging.map(paging.kernel, start, old, 60, WRITE_GLOBAL)
    touch()
    paging.map(paging.kernel, start + 4 * PAGE, new + 4, 1, WRITE_GLOBAL)
    touch()
    paging.unmap(paging.kernel, start + 8 * PAGE)
    touch()
    paging.state("one")
    paging.map(paging.kernel, start, new, 60, WRITE_GLOBAL)
    touch()
    for number in range(0, 60, 4):
        paging.write(start + number * PAGE, paging.word())
    paging.state("many-replaced")
    paging.protect(paging.kernel, start, 60, READ_GLOBAL)
    paging.state("many-read-only")
    paging.activate(paging.kernel)
    touch()
    paging.unmap(paging.kernel, start, 60)
    touch()
    paging.state("many-unmapped")
    paging.boot()


def test_tlb_exact(paging: PagingScenario) -> None:
    """A change of up to 32 pages flushes nothing but these pages: hundreds of later accesses would pay for it."""
    paging.watch_tlb()
    a, b = paging.create(), paging.create()
    paging.activate(a)
    start = paging.user_address(slots=2) + LARGE_PAGE - 16 * PAGE
    shared = SHARED_BEGIN + paging.random.randrange(3, 60) * LARGE_PAGE
    before = paging.state("before")
    for count in (1, 2, FULL_FLUSH_PAGES):
        for directory, page, up, down in ((a, start, WRITE_USER, READ_USER), (b, start, WRITE_USER, READ_USER),
                                          (paging.kernel, shared, WRITE_GLOBAL, READ_GLOBAL)):
            paging.map(directory, page, paging.frames(count), count, up)
            paging.protect(directory, page, count, down)
            paging.map(directory, page, paging.frames(count), count, up, note="replaces")
            paging.unmap(directory, page, count)
    small = paging.state("small-pages")
    paging.no_full_flush(before, small)
    large = paging.user_address()
    paging.map(a, large, paging.large_frames(), 1, large=True)
    before_splits = paging.state("before-the-splits")
    paging.protect(a, large + 5 * PAGE, 1, READ_USER, note="splits a 4 MiB page")
    paging.unmap(a, large + 9 * PAGE, 2)
    paging.no_full_flush(before_splits, paging.state("after-the-splits"))
    paging.boot()


def test_random(paging: PagingScenario) -> None:
    """A long random story on two directories and the shared range, with small pages: the tables are the model's at every stop."""
    _random_story(paging, steps=90, large=False)


def test_random_large(paging: PagingScenario) -> None:
    """A long random story with 4 MiB pages in it."""
    _random_story(paging, steps=70, large=True)


def _random_story(paging: PagingScenario, *, steps: int, large: bool) -> None:
    """Random requests, about one in ten of them wrong, in a few directory entries, so that they meet often."""
    paging.watch_frames()
    paging.watch_tlb()
    random = paging.random
    plan = PageTables()
    directories = [paging.create(), paging.create()]
    for directory in directories:
        plan.create(directory.name)
    active = directories[0]
    paging.activate(active)
    base = paging.user_address(slots=3)
    shared = SHARED_BEGIN + random.randrange(3, 50) * LARGE_PAGE
    large_frames = [paging.large_frames(), paging.large_frames()]

    def ask(request: Request) -> None:
        directory = next((own for own in directories if own.name == request.directory), paging.kernel)
        if request.verb == "map":
            paging.map(directory, request.start, request.frame, request.count, request.rights, large=request.large)
        elif request.verb == "unmap":
            paging.unmap(directory, request.start, request.count)
        else:
            paging.protect(directory, request.start, request.count, request.rights)
        if not plan.errors(request):
            plan.apply(request)

    for step in range(1, steps + 1):
        in_shared = random.random() < 0.2
        name = "kernel" if in_shared else random.choice(directories).name
        begin = shared if in_shared else base
        rights = random.choice(SHARED_RIGHTS if in_shared else USER_RIGHTS)
        verb = random.choice(("map", "map", "map", "unmap", "unmap", "protect"))
        if large and not in_shared and verb == "map" and random.random() < 0.4:
            first = begin + random.randrange(2) * LARGE_PAGE
            ask(Request("map", name, first, random.choice((1, 1, 2)), large_frames[0], True, rights))
        elif large and not in_shared and verb != "map" and random.random() < 0.3:
            ask(Request(verb, name, begin + random.randrange(3) * LARGE_PAGE, 1024, rights=rights))
        else:
            border = random.choice((0, LARGE_PAGE, 2 * LARGE_PAGE))
            page = begin + border + random.randrange(-20 if border else 0, 30) * PAGE
            count = random.choice((1, 1, 2, 3, 7, 20, 40))
            if verb == "protect" and random.random() < 0.7:
                held = plan.shared if in_shared else plan.user[name]
                count = next((n for n in range(count, 0, -1) if all(page // PAGE + k in held for k in range(n))), count)
            slip = random.random()
            if slip < 0.05:
                page += random.randrange(1, PAGE)
            elif slip < 0.1:
                rights = Rights(rights.writable, True, True)
            frame = random.randrange(POOL_FRAME, POOL_FRAME + POOL_FRAMES // 2 - count)
            ask(Request(verb, name, page, count, frame, False, rights))
        for _ in range(3):
            space = plan.shared if random.random() < 0.2 else plan.user[active.name]
            if not space:
                continue
            page = random.choice(sorted(space))
            address = page * PAGE + 4 * random.randrange(1024)
            if space[page].rights.writable and random.random() < 0.5:
                paging.write(address, paging.word())
            else:
                paging.read(address)
        if step % 11 == 0:
            active = random.choice(directories)
            paging.activate(active)
        if step % 10 == 0:
            paging.state(f"step-{step}")
    for directory in directories:
        paging.unmap(directory, base, 3 * 1024)
    paging.state("all-unmapped")
    paging.boot()
