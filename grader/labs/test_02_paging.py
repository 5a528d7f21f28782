"""The tests of lab 02-paging: pages of 4 KiB, and long stories at random. Large pages, errors and the TLB have files of their own.

Wherever a test says `paging.state(...)`, the whole machine is compared with the model: every page of every directory and the
kernel's part, and where the test is about them, the frames in use and the TLB (see labs/paging.py). So most tests are a story
with states in it, and no more.
"""

from __future__ import annotations

from judge.scenario import expect
from labs.paging import FREED_POISON, POOL_FRAME, POOL_FRAMES, PagingScenario
from oracle.paging import (LAST_PAGE, LARGE_PAGE, PAGE, READ_GLOBAL, READ_KERNEL, READ_USER, SHARED_BEGIN, SHARED_RIGHTS,
                           USER_BEGIN, USER_END, USER_RIGHTS, WRITE_GLOBAL, WRITE_KERNEL, WRITE_USER, PageTables, Request, Rights)


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
