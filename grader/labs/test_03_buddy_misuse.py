"""The tests of lab 03-buddy about requests that must be refused: exhausted memory, bad orders, and frees of what is no run in use."""

from __future__ import annotations

from emulator.machine import MIB, RESERVED, Machine, MemoryEntry
from judge.scenario import expect
from oracle.frames import FRAME_END, PAGE_SIZE, Zone

from labs.buddy import BuddyScenario, refused
from labs.frames_machines import LOW


def test_exhaustion(buddy: BuddyScenario) -> None:
    """Without a run that is large enough allocate() returns OutOfMemory, as often as it is asked, and nothing is lost: smaller runs still come."""
    order = buddy.random.randrange(2, 6)
    buddy.take_everything(note="all")
    kept = buddy.give_back(3, way="descending", note="three small ones")
    middle = buddy.exhaust(order, note="what is left of this order")
    before = buddy.free_counts()
    refusals = [buddy.allocate(size, zone, contents) for size in (order, 10, order + 1) for zone, contents in (("high", "unspecified"), ("dma", "zeroed"))]
    after = buddy.free_counts()
    rest = buddy.take_everything(note="the small ones")
    look = buddy.look("exhausted again")
    buddy.boot()
    expect(kept.done == 3, "three runs can be given back", f"{kept.done}", operation=kept.op.number)
    expect(middle.error == "OutOfMemory", f"allocate({order}) ends with Error::OutOfMemory", f"Error::{middle.error}", operation=middle.op.number)
    for op in refusals:
        expect(op.error == "OutOfMemory", f"with no run of order {order} left, allocate() returns Error::OutOfMemory", f"{op}: {op.says}", operation=op.number)
    buddy.expect_counts(after, [op.value for op in before], "after refused requests, as before them")
    buddy.expect_all_taken(look.held, look.all_frames, f"after all was taken, and {sum(bulk.done for bulk in rest)} runs once more")


def test_bad_orders(buddy: BuddyScenario) -> None:
    """Orders above 10: every function answers Unsupported, and nothing has changed."""
    rng = buddy.random
    orders = [11, rng.randrange(12, 31), 31, 32, rng.randrange(33, 1 << 16), 64, 0x8000_0000, 0xFFFF_FFFF]
    small, large = buddy.allocate(0), buddy.allocate(9)
    before = buddy.free_counts()
    ops = [op for order in orders for op in (
        buddy.allocate(order), buddy.allocate(order, "high"), buddy.free(small, order), buddy.free(large, order),
        buddy.free_runs(rng.choice(list(Zone)), order), buddy.fragmentation(rng.choice(list(Zone)), order))]
    after = buddy.free_counts()
    returned = [buddy.free(small, 0), buddy.free(large, 9)]
    rest = buddy.take_everything()
    look = buddy.look("all taken")
    buddy.boot()
    for op in ops:
        expect(op.error == "Unsupported", "an order above kMaxOrder is answered with Error::Unsupported", f"{op}: {op.says}",
               "Look at the order before anything else: 1 << 32 is 1 on this CPU, and arrays of 11 lists end at 10.", operation=op.number)
    buddy.expect_counts(after, [op.value for op in before], "after refused calls, as before them")
    for op in returned:
        expect(op.ok, "the runs in use can still be freed with their own order", f"{op}: {op.says}", operation=op.number)
    buddy.expect_in_runs(rest, look.all_frames, "after refused calls, when all is free")


def test_double_free(buddy: BuddyScenario) -> None:
    """A run that is free already cannot be freed, whether it stands alone or has become part of a larger one: NotAllocated, and nothing has changed."""
    order = buddy.random.randrange(1, 6)
    buddy.leave_one_run(10)
    ops = [buddy.allocate(order) for _ in range(4)]
    buddy.free(ops[1], order)
    before = buddy.free_counts()
    again = [buddy.free(ops[1], order, note="again, at once")]
    after = buddy.free_counts()
    buddy.free(ops[3], order), buddy.free(ops[0], order)
    again += [buddy.free(ops[1], order, note="again, after others"), buddy.free(ops[3], order, note="again")]
    buddy.free(ops[2], order)
    again += [buddy.free(op, order, note="again, when all is merged") for op in ops]
    again += [buddy.free(ops[2], 0, note="again, and with another order")]
    taken = buddy.take_everything(note="after the refused frees")
    look = buddy.look("all taken")
    buddy.boot()
    for op in again:
        refused(op, "a run that is free cannot be freed again", "What begins at this frame: a run in use, a free run, or none? Know it, do not guess it from a list's head.")
    buddy.expect_counts(after, [op.value for op in before], "after a refused free(), as before it")
    came = sum(bulk.done << order for order, bulk in enumerate(taken))
    expect(came == 1024, "each of the 1024 free frames is handed out once", f"{came} frames came", "A refused free() must leave lists and counts as they are.",
           operation=taken[0].op.number)
    buddy.expect_all_taken(look.held, look.all_frames, "when everything was taken")


def test_wrong_order(buddy: BuddyScenario) -> None:
    """A run is freed with the order that it was allocated with: with a smaller or a larger one NotAllocated, and it stays whole."""
    order, word = buddy.random.randrange(2, 7), buddy.random.getrandbits(32)
    buddy.leave_one_run(10)
    first, others = buddy.allocate(order), [buddy.allocate(order) for _ in range((1024 >> order) - 1)]
    buddy.fill_run(first, order, word)
    before = buddy.free_counts()
    smaller = [buddy.free(first, size) for size in range(order)]
    larger = [buddy.free(op, size) for size in range(order + 1, 11) for op in (first, buddy.random.choice(others))]
    after = buddy.free_counts()
    contents = buddy.compare_run(first, order, word)
    nothing = buddy.take(1, note="nothing is free")
    right = buddy.free(first, order)
    again = buddy.allocate(order)
    buddy.boot()
    for op in smaller + larger:
        refused(op, f"a run that was allocated with order {order} can be freed with no other", "free() must know the order of every run in use, at its first frame.")
    buddy.expect_counts(after, [op.value for op in before], "after refused frees, as before them")
    expect(not contents.text, "a refused free() leaves the contents alone", contents.text, "Refuse first, poison afterwards.", operation=contents.op.number)
    expect(nothing.done == 0, "nothing has become free", "a frame was handed out", operation=nothing.op.number)
    expect(right.ok, "with its own order the run can be freed", right.says, operation=right.number)
    expect(again.ok and again.value == first.value, f"the run at {first.value:#x}, the only free one, can be allocated again", again.says, operation=again.number)


def test_inside(buddy: BuddyScenario) -> None:
    """What lies inside a run in use cannot be freed by itself, not even its upper half as if it had been split: NotAllocated."""
    rng = buddy.random
    order = rng.randrange(4, 8)
    buddy.leave_one_run(10)
    singles = buddy.exhaust(0, note="so that each frame has begun a run once")
    buddy.give_back(1024, 0, way=rng.choice(("ascending", "scattered")), note="some of them")
    first = buddy.allocate(order)
    before = buddy.free_counts()
    half = 1 << (order - 1)
    ops = [buddy.free(first + half, order - 1, note="its upper half"), buddy.free(first + half, 0), buddy.free(first + half, order),
           buddy.free(first + 1, 0), buddy.free(first + 1, order, note="one frame late"), buddy.free(first + (2 * half - 1), 0, note="its last frame"),
           *(buddy.free(first + rng.randrange(1, 2 * half), rng.randrange(order)) for _ in range(6))]
    after = buddy.free_counts()
    right = buddy.free(first, order)
    buddy.boot()
    expect(singles.done >= 1024, "1024 single frames of one run of order 10", f"{singles.done}", operation=singles.op.number)
    for op in ops:
        refused(op, "no run begins in the middle of a run", "Clear what a frame's entry says of an earlier life when it becomes the inside of a larger run.")
    buddy.expect_counts(after, [op.value for op in before], "after refused frees, as before them")
    expect(right.ok, "the run itself can be freed", right.says, operation=right.number)


def test_foreign_free(buddy: BuddyScenario) -> None:
    """What was never handed out cannot be freed, with any order: reserved frames, free ones, holes, numbers past the end of memory."""
    rng = buddy.random
    size = 12 * MIB + 2 * rng.randrange(1, 100) * PAGE_SIZE
    hole = MemoryEntry(6 * MIB + rng.randrange(100) * PAGE_SIZE, 64 * PAGE_SIZE, RESERVED)
    buddy.machine = Machine(13, (LOW, MemoryEntry(1 * MIB, size - MIB), hole))
    whole = buddy.allocate(10)
    buddy.free(whole, 10)
    inside = -(-(hole.base >> 12) // 16) * 16
    strangers = {
        "frame 0, which is reserved": (0, 0), "a run from frame 0 on": (0, rng.randrange(1, 11)),
        "a frame of the BIOS area": (0xA0 + rng.randrange(0x60), 0), "a run in the BIOS area": (0xA0, rng.randrange(1, 6)),
        "a frame of the kernel's code": (0x100 + rng.randrange(4), 0),
        "a frame in a hole of the memory map": (inside, 0), "a run in a hole of the memory map": (inside, rng.randrange(1, 5)),
        "the first frame past the end of memory": (size >> 12, 0), "a run past the end of memory": (size >> 12, 1), "a run far behind it": (14 * MIB >> 12, rng.randrange(11)),
        "a frame far past the end of memory": (FRAME_END - 1 - rng.randrange(1000), 0), "the last number there is": (0xFFFF_FFFF, rng.randrange(11)),
        "a run that was never handed out": (whole + 8 * rng.randrange(1, 128), 3),
    }
    before = buddy.free_counts()
    ops = {name: buddy.free(first, order, note=name) for name, (first, order) in strangers.items()}
    after = buddy.free_counts()
    taken = buddy.take_everything()
    look = buddy.look("end")
    buddy.boot()
    for name, op in ops.items():
        refused(op, f"{name} cannot be freed", "Look before you change: beyond frame_count() there is no entry in the frame table.")
    buddy.expect_counts(after, [op.value for op in before], "after refused frees, as before them")
    expect(taken[0].done >= 0, "frames can be allocated after the refused frees", f"Error::{taken[0].error}")
    buddy.expect_all_taken(look.held, look.all_frames, "after refused frees, when everything was taken")
