"""The tests of lab 03-buddy about handing out runs, splitting and merging; misuse, zones and figures have files of their own.

Each test writes a script of operations, boots the kernel with it once, and says what must hold. How free runs are kept and which of
them is handed out is the student's choice: only what the contract
promises is looked at. Which runs there are, the host reckons from the frames that are free.
"""

from __future__ import annotations

from emulator.machine import BAD, MIB, Machine, MemoryEntry
from judge.scenario import expect
from oracle.buddy import ORDERS, RunModel, blocks, run, run_counts, runs
from oracle.frames import ADDRESS_END, PAGE_SIZE, FrameSet

from labs.buddy import WAYS, BuddyScenario, free_at
from labs.frames_machines import LOW

# Handing out


def test_single(buddy: BuddyScenario) -> None:
    """Runs of one frame: each allocation returns another frame of memory, and a frame that was freed can come again."""
    ops = [buddy.allocate() for _ in range(buddy.random.randrange(20, 30))]
    look = buddy.look("some")
    freed = [buddy.free(op) for op in buddy.random.sample(ops, 8)]
    everything = buddy.exhaust()
    end = buddy.look("exhausted")
    buddy.boot()
    model = RunModel(look.all_frames)
    for op in ops:
        buddy.expect_run(op, 0, model)
    for op in freed:
        expect(op.ok, "a frame in use can be freed", op.says, operation=op.number)
    expect(everything.error == "OutOfMemory", "with no frame left, allocate() returns Error::OutOfMemory", f"Error::{everything.error}", operation=everything.op.number)
    buddy.expect_all_taken(end.held, end.all_frames, "when allocate() said OutOfMemory")


def test_runs(buddy: BuddyScenario) -> None:
    """A run of every order from 0 to 10, and some small ones in between: all their frames are free ones, and no frame is in two runs."""
    orders = [*ORDERS, *(buddy.random.randrange(5) for _ in range(15))]
    buddy.random.shuffle(orders)
    orders.sort(key=lambda order: order < 9)  # the two largest first: there is room for one of each, and not everywhere
    ops = [(order, buddy.allocate(order)) for order in orders]
    look = buddy.look("allocated")
    buddy.boot()
    available, owner = look.all_frames, {}
    for order, op in ops:
        expect(op.ok, f"a run of order {order}: there is one", f"{op}: {op.says}", operation=op.number)
        frames = run(op.value, order)
        strange = frames - available
        expect(not strange, f"all {1 << order} frames of the run are free memory ({available})", f"{op} returned frame {op.value:#x}: {strange} are not", operation=op.number)
        for other in owner:
            both = frames & owner[other]
            expect(not both, "every frame has one owner", f"{op} returned frames {frames}, of which {other} had been given {both}",
                   "A run that is handed out, or split, leaves its list first.", operation=op.number)
        owner[op] = frames


def test_aligned(buddy: BuddyScenario) -> None:
    """A run of order k begins at a multiple of 2^k, wherever the memory begins that it lies in."""
    rng = buddy.random
    ends = [4 * MIB + rng.randrange(1, 64) * 2 * PAGE_SIZE + PAGE_SIZE for _ in range(2)]  # odd frames
    middle = MemoryEntry(ends[0], 5 * MIB + rng.randrange(1, 100) * PAGE_SIZE - ends[0] + 3 * MIB)
    last = MemoryEntry(5 * MIB + ends[1], 13 * MIB - 5 * MIB - ends[1] + 3 * PAGE_SIZE)
    buddy.machine = Machine(14, (LOW, MemoryEntry(MIB, 2 * MIB + 5 * PAGE_SIZE), middle, last))
    orders = [9, 8, *(rng.choice((1, 1, 2, 3, 4, 5, 6, 7)) for _ in range(28))]
    ops = [(order, buddy.allocate(order)) for order in orders]
    buddy.boot()
    for order, op in ops:
        expect(op.ok, f"a run of order {order}: there is one", f"{op}: {op.says}", operation=op.number)
        expect(op.value % (1 << order) == 0, f"a run of order {order} begins at a multiple of {1 << order:#x}", f"{op} returned frame {op.value:#x}",
               "Aligned to frame number 0, not to the first frame of the memory that it lies in.", operation=op.number)


def test_reserved(buddy: BuddyScenario) -> None:
    """Whatever runs are asked for, none reaches into the BIOS, the kernel, a table, a hole in the map, or past the end of memory."""
    rng = buddy.random
    hole = MemoryEntry(6 * MIB + rng.randrange(100) * PAGE_SIZE, rng.randrange(1, 64) * PAGE_SIZE, BAD)
    size = rng.randrange(9, 12) * MIB + rng.randrange(1, 256) * PAGE_SIZE
    normal = MemoryEntry(16 * MIB, rng.randrange(700, 1000) * PAGE_SIZE)
    # Firmware that calls the BIOS area usable, too: what is reserved stays reserved.
    buddy.machine = Machine(20, (MemoryEntry(0, size), hole, normal))
    taken = [bulk for zone in ("high", "normal", "dma") for bulk in buddy.take_everything(zone)]  # with zones or without, this is all
    look = buddy.look("exhausted")
    buddy.boot()
    places = look.places | {"a hole in the memory map": FrameSet.covering_bytes([(hole.base, hole.end), (size, normal.base), (normal.end, ADDRESS_END)])}
    for name, place in places.items():
        stolen = look.held & place
        expect(not stolen, f"no run has a frame of {name}", f"allocate() handed out {len(stolen)} of them: {stolen}",
               "A run is free only if all of its frames are: cut `usable` at the reserved ranges before you make runs of it.")
    strange = look.held - look.all_frames
    expect(not strange, "only free frames of memory are handed out", f"{strange} were")
    expect(sum(bulk.done for bulk in taken) > 0, "runs are handed out", f"none was: Error::{taken[0].error}")


def test_every_order(buddy: BuddyScenario) -> None:
    """All of memory by each order, from 10 down to 0: as many runs as fit, not one more, and all of them can be freed."""
    rounds = [(order, buddy.exhaust(order), buddy.give_back(way=buddy.random.choice(WAYS))) for order in reversed(ORDERS)]
    look = buddy.look("end")
    buddy.boot()
    for order, taken, returned in rounds:
        wanted = blocks(look.all_frames, order)
        expect(taken.done == wanted, f"{wanted} runs of order {order} in memory that is all free", f"{taken.done}, then Error::{taken.error}",
               "A larger run is split for a smaller request; what lies between borders that are aligned to nothing is made of small runs.",
               operation=taken.op.number)
        expect(taken.error == "OutOfMemory", "allocate() ends with Error::OutOfMemory", f"Error::{taken.error}", operation=taken.op.number)
        expect(returned.done == wanted, "all of them can be freed", f"{returned.done} of {wanted}", operation=returned.op.number)


# Splitting and merging


def test_split(buddy: BuddyScenario) -> None:
    """A large run serves small requests, and nothing of what remains is lost: it comes in the largest runs that it makes."""
    orders = buddy.random.sample(range(10), 4)
    ops = [(order, buddy.allocate(order)) for order in orders]
    look = buddy.look("split")
    rest = buddy.take_everything()
    end = buddy.look("all taken")
    buddy.boot()
    model = RunModel(look.all_frames)
    for order, op in ops:
        buddy.expect_run(op, order, model)
    buddy.expect_in_runs(rest, free_at(look), f"after runs of the orders {', '.join(map(str, orders))} were taken")
    buddy.expect_all_taken(end.held, end.all_frames, "when everything was taken")


def test_merge(buddy: BuddyScenario) -> None:
    """Memory that was handed out in small pieces and freed, in whatever order, is as it was: the same number of runs of every order."""
    buddy.machine = Machine(16, (LOW, MemoryEntry(MIB, 15 * MIB)))  # with two runs of the largest order that would be buddies
    rounds = []
    for order, way in zip((0, buddy.random.randrange(1, 4), buddy.random.randrange(4, 10)), buddy.random.sample(WAYS, 3)):
        pieces, returned = buddy.exhaust(order), buddy.give_back(way=way)
        whole = buddy.take_everything(note=f"after runs of order {order} were freed, {way}")
        rounds.append((order, way, pieces, returned, whole, buddy.look(f"after {way}")))
        buddy.give_back()
    buddy.boot()
    for order, way, pieces, returned, whole, look in rounds:
        expect(returned.done == pieces.done, f"all runs of order {order} can be freed", f"{returned.done} of {pieces.done}", operation=returned.op.number)
        buddy.expect_in_runs(whole, look.all_frames, f"after all runs of order {order} were freed ({way})")
        buddy.expect_all_taken(look.held, look.all_frames, "when everything was taken")


def test_pieces(buddy: BuddyScenario) -> None:
    """A run that was handed out in pieces of many orders is whole again when the last piece is back, in whatever order they come."""
    rounds = []
    for order in (10, buddy.random.randrange(4, 8)):
        whole = buddy.leave_one_run(order)
        pieces = _pieces(buddy, order)
        ops = [(size, buddy.allocate(size)) for size in pieces]
        full = buddy.allocate(0, note="the run is full")
        freed = [buddy.free(op, size) for size, op in buddy.random.sample(ops, len(ops))]
        again = buddy.allocate(order, note="of its pieces")
        rounds.append((order, whole, ops, full, freed, again))
        buddy.give_back()
    buddy.boot()
    for order, whole, ops, full, freed, again in rounds:
        model = RunModel(run(whole.value, order))
        for size, op in ops:
            buddy.expect_run(op, size, model)
        expect(full.error == "OutOfMemory", "with no frame left, allocate() returns Error::OutOfMemory", full.says, operation=full.number)
        for op in freed:
            expect(op.ok, "a piece can be freed", f"{op}: {op.says}", operation=op.number)
        expect(again.ok and again.value == whole.value, f"the {1 << order} frames from {whole.value:#x} on, freed in {len(ops)} pieces, serve a request of order {order}", again.says,
               "After a merge, look for the buddy of what came of it, again and again.", operation=again.number)


def _pieces(buddy: BuddyScenario, order: int) -> list[int]:
    """Orders of the runs that a run is cut into, largest first, so that any allocator can place them."""
    pieces = [order]
    for _ in range(buddy.random.randrange(6, 25)):
        largest = [size for size in pieces if size > 0]
        if largest:
            size = buddy.random.choice(largest)
            pieces.remove(size)
            pieces += [size - 1, size - 1]
    return sorted(pieces, reverse=True)


def test_apart(buddy: BuddyScenario) -> None:
    """Neighbours that are not buddies, and buddies of which a part is in use, are no larger run."""
    rng = buddy.random
    whole = buddy.leave_one_run(10)
    buddy.exhaust(0, note="the run in single frames")
    odd, even = 2 * rng.randrange(256) + 1, 2 * rng.randrange(280, 500)
    neighbours = [buddy.free(whole + odd), buddy.free(whole + (odd + 1))]
    none = [buddy.allocate(1, note="two neighbours are free, no buddies")]
    quarter = even // 4 * 4
    three = [buddy.free(whole + (quarter + i)) for i in rng.sample(range(4), 4)[:3]]
    none += [buddy.allocate(2, note="three of four frames are free")]
    buddy.exhaust(0, note="all in use again")
    half = rng.choice((0, 512))  # will be free completely; of the other, all but the last frame
    others = rng.sample(range(512 - half, 1023 - half), 511)
    halves = [buddy.free(whole + i) for i in (*others, *rng.sample(range(half, half + 512), 512))]
    none += [buddy.allocate(10, note="1023 of 1024 frames are free")]
    buddy.exhaust(0, note="all in use again")
    chosen = sorted(rng.sample(range(1024), rng.randrange(600, 800)))
    freed = [buddy.free(whole + i) for i in rng.sample(chosen, len(chosen))]
    taken = buddy.take_everything(note="of a run with many frames in use")
    buddy.boot()
    for op in neighbours + three + halves + freed:
        expect(op.ok, "a frame in use can be freed", f"{op}: {op.says}", operation=op.number)
    for op in none:
        expect(op.error == "OutOfMemory", "Error::OutOfMemory, as no aligned run of this order is free", f"{op}: {op.says}",
               "Merge with the buddy (the first frame XOR the size) only, and only when it is free in one piece of the same order.", operation=op.number)
    came = sum(bulk.done << order for order, bulk in enumerate(taken))
    expect(came == len(chosen), f"with {len(chosen)} of the 1024 frames from {whole.value:#x} on free, so many frames come, in runs of what orders ever",
           f"{came} came", operation=taken[0].op.number)


def test_edges(buddy: BuddyScenario) -> None:
    """Zones of odd sizes, holes and the end of memory: every frame beside them is used and merged, and nothing beyond them is looked at."""
    buddy.use_three_zones()
    singles = buddy.exhaust(0, "high")
    first = buddy.look("in single frames")
    returned = buddy.give_back(way=buddy.random.choice(WAYS))
    whole = buddy.take_everything("high")
    look = buddy.look("in runs")
    back = buddy.give_back(way=buddy.random.choice(WAYS))
    buddy.boot()
    expect(singles.error == "OutOfMemory", "allocate() ends with Error::OutOfMemory", f"Error::{singles.error}", operation=singles.op.number)
    buddy.expect_all_taken(first.held, first.all_frames, "when every frame was taken")
    expect(returned.done == singles.done, "all frames can be freed", f"{returned.done} of {singles.done}", operation=returned.op.number)
    buddy.expect_in_runs(whole, look.all_frames, "after all frames of a machine with odd borders were freed")
    buddy.expect_all_taken(look.held, look.all_frames, "when everything was taken in runs")
    expect(back.done == sum(run_counts(look.all_frames)) == len(list(runs(look.all_frames))), "all runs can be freed", f"{back.done}", operation=back.op.number)
