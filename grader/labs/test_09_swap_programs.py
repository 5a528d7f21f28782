"""The tests of lab 09-swap with whole programs, which work on more memory than there is."""

from __future__ import annotations

from judge.scenario import Machine, expect
from labs.process_view import USER_END
from labs.programs import SIGNALS
from labs.swap import SwapScenario
from labs.swap_audit import SwapAudit
from labs.swap_programs import SwapWork, mix, records_after, wrong_records
from paging.tables import PAGE

EIO = 5
OWN_PAGES = 4  # of the parent in `swapwork ends`


def key_after(work: SwapWork, page: int, rounds: int) -> int:
    """What swapwork has written to a page last: in each round of a sweep every third page."""
    return work.key + next((r for r in range(rounds, 0, -1) if (page + r) % 3 == 0), 0)


def check_sweep(work: SwapWork, least_out: int) -> None:
    pid, pages, half = work.ran.pid, range(work.pages), work.pages // 2
    for name, rounds, shown in (("filled", 0, pages), ("worked", work.more, pages), ("halved", work.more, pages[half:])):
        audit = work.audit(name)
        if name != "halved":
            work.uses_the_disk(audit, least_out)
        work.holds(audit, pid, {page: key_after(work, page, rounds) for page in shown})
    work.ended_well()


def test_program_sequential(swap: SwapScenario) -> None:
    """Twice as many pages as frames, one after the other: each is found where its page table says, and comes back as it was."""
    frames = swap.random.randrange(60, 90)
    work = SwapWork(swap, "sweep", 2 * frames, more=2, frames=frames)
    work.run("filled", "worked", "halved")
    swap.boot()
    check_sweep(work, frames)


def test_program_shuffled(swap: SwapScenario) -> None:
    """Four times as many pages as a small machine has for programs, in any order."""
    work = SwapWork(swap, "sweep", swap.random.randrange(1300, 1400), machine=Machine(3), shuffled=True)  # some 340 frames can be had
    work.run("filled", "worked", "halved")
    swap.boot()
    check_sweep(work, work.pages * 2 // 3)


def test_program_parallel(swap: SwapScenario) -> None:
    """Several processes with pages at the same addresses: everybody finds his own."""
    children, pages = swap.random.randrange(3, 6), swap.random.randrange(30, 50)
    work = SwapWork(swap, "crowd", pages, more=children, frames=children * pages // 2, shuffled=True, swap_pages=3 * children * pages)
    work.run("filled", "worked")
    swap.boot()
    for name in ("filled", "worked"):
        audit = work.audit(name)
        work.uses_the_disk(audit, children * pages // 2)
        for number in range(1, children + 1):
            key = work.key + 2 * number
            keys = {page: key + (name == "worked" and page % 2 == 0) for page in range(pages)}
            work.holds(audit, work.member(number), keys, f" (child {number})")
    work.ended_well()


def test_program_sort(swap: SwapScenario) -> None:
    """Processes sort their parts of records in shared memory, and one merges them: three times as many pages as frames."""
    parts, pages = swap.random.randrange(2, 5), swap.random.randrange(40, 60)
    work = SwapWork(swap, "sort", pages, more=parts, frames=2 * pages // 3)
    work.run("sorted", "merged")
    swap.boot()
    work.audit("sorted")
    merged = work.audit("merged")
    work.uses_the_disk(merged, pages)
    wrong = wrong_records(work, merged, pages + 1, records_after(work, 1))
    expect(not wrong, "the merged records lie in their order in private memory", wrong, operation=work.ran.op.number)
    work.ended_well()


def test_program_stack(swap: SwapScenario) -> None:
    """A stack deeper than memory: what was left on the way down is there on the way up."""
    levels = swap.random.randrange(100, 140)
    work = SwapWork(swap, "descend", 1, more=levels, frames=levels // 2, swap_pages=3 * levels)
    work.run("bottom", "top")
    swap.boot()
    bottom = work.audit("bottom")
    work.uses_the_disk(bottom, levels // 2)
    lowest, distance = (int(word, 16) for word in next(line for line in work.ran.lines if line.startswith("levels ")).split()[1:])
    for level in range(levels):
        for address in range(lowest + level * distance, lowest + level * distance + PAGE, 256):
            page = bottom.contents(work.ran.pid, address // PAGE * PAGE)
            seen = page and int.from_bytes(page[address % PAGE:address % PAGE + 4], "little")
            expect(address < USER_END and seen == mix(address + work.key & 0xFFFF_FFFF), f"the word at {address:#010x} of the stack is as it was left",
                   f"{seen:#x}" if page else "the page is neither in memory nor in the swap area", operation=work.ran.op.number)
    work.audit("top")
    work.ended_well()


def test_program_fork(swap: SwapScenario) -> None:
    """fork() with most pages in the swap area: both show the same slots, written once, until somebody writes."""
    frames = swap.random.randrange(50, 70)
    pages = 2 * frames
    work = SwapWork(swap, "family", pages, frames=frames, swap_pages=6 * pages)
    work.run("forked", "read", "apart", "left")
    swap.boot()
    forked, read, apart, left = (work.audit(name) for name in ("forked", "read", "apart", "left"))
    family = [work.ran.pid, work.member(1), work.member(2)]
    work.uses_the_disk(forked, frames)
    for pid in family:
        work.holds(forked, pid, {page: work.key for page in range(pages)}, " before fork()")
        work.holds(read, pid, {page: work.key for page in range(pages)}, " before fork()")
    for audit, members in ((apart, family), (left, family[:2])):
        for number, pid in enumerate(members):
            work.holds(audit, pid, {page: work.key + (1 + number) * (number < 2 and page % 3 == number) for page in range(pages)})
    expect_one_slot_each(work, forked, family)
    written = read.device.pages_written - forked.device.pages_written
    most = forked.resident + 2 * len(family)  # each of these once, and what they write on their stacks
    expect(written <= most, f"three processes look at {pages} pages that they share: at most the {forked.resident} that were in memory are written, "
           "for the others are on the disk already", f"{written} pages were written", "A frame that has a slot with equal contents is not written.",
           operation=work.ran.op.number)
    work.ended_well()


def expect_one_slot_each(work: SwapWork, audit: SwapAudit, family: list[int]) -> None:
    """Pages that nobody has written to since fork() lie in one slot for all who show them."""
    for page in range(work.pages):
        slots = {audit.swapped[pid][work.address(page)] for pid in family if work.address(page) in audit.swapped[pid]}
        expect(len(slots) <= 1, f"page {work.address(page):#010x}, which all show since fork(), lies in one slot", f"it lies in the slots {sorted(slots)}",
               "Written once: every entry that led to the frame becomes a swap entry for that slot.", operation=work.ran.op.number)


def test_program_ends(swap: SwapScenario) -> None:
    """exec(), exit() and SIGKILL give the slots of a process back. Its parent, whose pages went out meanwhile, finds them as it left them."""
    frames = swap.random.randrange(40, 60)
    work = SwapWork(swap, "ends", 2 * frames, frames=frames)
    work.run("full-0", "newcomer", "gone-0", "full-1", "gone-1", "full-2", "gone-2")
    swap.boot()
    for number in range(3):
        full, gone = work.audit(f"full-{number}"), work.audit(f"gone-{number}")
        child = work.member(number)
        work.uses_the_disk(full, frames)
        work.holds(full, child, {page: work.key + number for page in range(work.pages)})
        for audit in (full, gone):
            work.holds(audit, work.ran.pid, {work.pages + 1 + page: work.key + number for page in range(OWN_PAGES)}, " before the child was made")
        expect(len(gone.used) < frames // 2, f"the slots of the child {number} are given back at its end", f"{len(gone.used)} slots have entries",
               operation=work.ran.op.number)
    expect(len(work.audit("newcomer").used) < frames // 2, "exec() gives the old program's slots back", f"{len(work.audit('newcomer').used)} slots have entries")
    work.ended_well()


def test_program_disk_error(swap: SwapScenario) -> None:
    """The disk fails under one page: who needs it gets SIGBUS, or EIO from a system call; nobody else, and nothing is lost."""
    frames = swap.random.randrange(40, 60)
    work = SwapWork(swap, "errors", 2 * frames, frames=frames)
    work.run("refused", "buried")
    swap.boot()
    told = dict(line.split() for line in work.ran.lines if line.startswith(("refused ", "victim ")))
    refused, buried = work.audit("refused"), work.audit("buried")
    expect(told.get("refused") == str(-EIO), "a system call that needs a page which cannot be read returns -EIO", f"it printed {work.ran.text!r}",
           "swap_in() answers DeviceError, and nothing has changed.", operation=work.ran.op.number)
    expect(told.get("victim") == str(SIGNALS["SIGBUS"]), "a process whose page cannot be read is ended by SIGBUS", f"its status is {told.get('victim')}",
           "swap_in() answers DeviceError, and nothing has changed.", operation=work.ran.op.number)
    for audit in (refused, buried):
        for pid in (work.ran.pid, work.member(1)):
            work.holds(audit, pid, {page: work.key for page in range(work.pages)})
    work.ended_well()


def test_program_full(swap: SwapScenario) -> None:
    """A swap area that is full: what finds no slot stays in memory, and when slots are free again they are used."""
    frames = swap.random.randrange(24, 36)
    slots = swap.random.randrange(frames, 2 * frames)
    work = SwapWork(swap, "overflow", 4 * frames, frames=frames, swap_pages=slots)
    work.run("full", "again")
    swap.boot()
    pid, pages, half = work.ran.pid, work.pages, work.pages // 2
    full, again = work.audit("full"), work.audit("again")
    work.uses_the_disk(full, slots - 8)
    work.holds(full, pid, {page: work.key for page in range(pages)})
    work.holds(again, pid, {page: work.key for page in range(half, pages)} | {pages + 1 + page: work.key + 1 for page in range(half)})
    work.uses_the_disk(again, slots - 8)
    work.ended_well()
