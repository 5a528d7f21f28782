"""The tests of lab 03-buddy about the long run: random work, machines of all sizes, and what a call costs."""

from __future__ import annotations

from emulator.machine import Machine
from judge.scenario import expect, fail
from oracle.buddy import blocks
from oracle.frames import Zone, usable_frames

from labs.buddy import BuddyScenario, free_at
from labs.frame_lab import zone_counts


def test_churn(buddy: BuddyScenario) -> None:
    """Hundreds of runs of all orders, allocated and freed at random: no frame in two runs, none changed behind its owner's back, no free() refused."""
    buddy.use_three_zones()
    rounds = [buddy.churn(buddy.random.randrange(300, 400), orders) for orders in (11, 6, 3)]
    look = buddy.look("in the end")
    buddy.boot()
    for work in rounds:
        expect(work.done > 0, "the runs that were allocated can be freed", "none was")
    strange = look.held - usable_frames(buddy.machine.entries)
    expect(not strange, "only frames of memory are handed out", f"{strange} were")


def test_recount(buddy: BuddyScenario) -> None:
    """After random work counts, runs and fragmentation are what the host reckons from the machine's own memory, and what is left is all there."""
    buddy.use_three_zones()
    for orders in (8, 4):
        buddy.churn(buddy.random.randrange(250, 350), orders)
        buddy.give_back(buddy.random.randrange(20, 40))
    counts, pictures, indices = buddy.free_counts(), buddy.pictures(), buddy.indices()
    middle = buddy.look("in the middle")
    rest = buddy.take_everything("high", note="what is left")
    end = buddy.look("all taken")
    buddy.boot()
    free = free_at(middle)
    buddy.expect_counts(counts, zone_counts(free), "after random work, counted by the host")
    buddy.expect_pictures(pictures, free, "after random work")
    buddy.expect_indices(indices, free, "after random work")
    buddy.expect_in_runs(rest, free, "after random work")
    buddy.expect_all_taken(end.held, end.all_frames, "when the rest was taken")


def test_sizes(buddy: BuddyScenario) -> None:
    """Machines from 8 MiB to 2 GiB: every frame is counted in its zone and its run, and can be used."""
    small, large = buddy, buddy.second_machine()
    small.machine, large.machine = Machine(8), Machine(2048)
    for machine in (small, large):  # the large one starts slowly: only after the small one was right
        counts, pictures = machine.free_counts(), machine.pictures()
        for zone in Zone:
            machine.take(machine.random.randrange(40, 80), machine.random.randrange(3), zone.name.lower())
        machine.take(10, 10, "high")
        machine.give_back(way="ascending", count=100)
        machine.churn(150, 7)
        machine.give_back(way="descending")
        after, again, look = machine.free_counts(), machine.pictures(), machine.look("end")
        large_runs = machine.exhaust(10, "high")
        machine.boot()
        size = f"on a machine of {machine.machine.megabytes} MiB"
        machine.expect_counts(counts, zone_counts(look.all_frames), f"after the boot {size}")
        machine.expect_pictures(pictures, look.all_frames, f"after the boot {size}")
        machine.expect_counts(after, zone_counts(look.all_frames), f"after random work {size}, when all is free")
        machine.expect_pictures(again, look.all_frames, f"after random work {size}, when all is free")
        wanted = blocks(look.all_frames, 10)
        expect(large_runs.done == wanted, f"{wanted} runs of order 10 {size}", f"{large_runs.done}", operation=large_runs.op.number)


POISON_TICKS = 1024  # what fill_frame() writes into a freed frame; not the allocator's own
MOST_TICKS = 10_000  # of one call with all its splits and merges: generous for 10 levels of lists, trees or bitmaps, too little for a search
SLACK_FACTOR, SLACK_TICKS = 3, 1500  # 1 GiB against 16 MiB: temporary mappings of High memory and a few more levels of a tree are no fault


def test_cost(buddy: BuddyScenario) -> None:
    """A call takes no longer in 1 GiB of memory than in 16 MiB, and never longer than a few dozen steps for each order: with one
    large run free, where a frame costs ten splits or merges, and with memory in the smallest pieces, where there are many runs."""
    small, large = buddy, buddy.second_machine()
    small.machine, large.machine = Machine(16), Machine(1024)
    easy, hard = _costs(small, "dma"), _costs(large, "high")  # where nearly all of the memory is
    slow = [(name, easy[name], ticks) for name, ticks in hard.items() if ticks > min(MOST_TICKS, SLACK_FACTOR * easy[name] + SLACK_TICKS) or easy[name] > MOST_TICKS]
    if not slow:
        return
    text = "; ".join(f"{name}: {least:,.0f} ticks in 16 MiB, {most:,.0f} in 1 GiB" for name, least, most in slow)
    if any(name.endswith(_EASY) for name, _, _ in slow):
        fail(f"the cost of a call grows with the number of orders at worst, and stays below {MOST_TICKS:,} ticks", text, _COST_HINT)
    buddy.partial(1, f"bounded while free memory is in one large run, but not when it is in many small ones: {text}. {_COST_HINT}")


_EASY = "with one run of order 10 free"
_COST_HINT = ("No list may be searched, in either function: a run must leave its list without anybody looking for it (links in both "
              "directions, or a bitmap with summaries), and the smallest run that is large enough is found order by order.")


def _costs(machine: BuddyScenario, zone: str) -> dict[str, float]:
    """Ticks per call in each situation."""
    megabytes = machine.machine.megabytes
    large_runs = max(megabytes // 64, 2)
    machine.leave_one_run(10, zone)
    first = machine.allocate(0, zone)
    merged = machine.free(first, 0)
    medium = machine.allocate(5, zone)
    machine.free(medium, 5)
    whole = machine.allocate(10, zone)
    opened = machine.give_back(large_runs, 10, "descending")
    singles = machine.exhaust(0, zone)
    apart = machine.give_back(large_runs * 400, 0, "odd", note="every other frame: no two are buddies")
    refused = machine.allocate(1, zone, note="there are only single frames")
    some = machine.take(16, 0, zone)
    pairs = machine.give_back(large_runs * 100, 0, "scattered", note="many of them beside a free frame")
    larger = machine.take(8, 1, zone)
    back = machine.give_back(8, 1, "scattered")
    machine.boot()
    size = f"in {megabytes} MiB"
    for bulk, wanted in ((opened, large_runs), (singles, large_runs * 1024), (apart, large_runs * 400), (some, 16), (pairs, large_runs * 100), (larger, 8), (back, 8)):
        expect(bulk.done >= wanted, f"at least {wanted} runs {size} for {bulk.op.line}", f"{bulk.done}, then Error::{bulk.error}", operation=bulk.op.number)
    expect(refused.error == "OutOfMemory", "no pair of frames is free", refused.says, operation=refused.number)
    for op in (first, merged, medium, whole):
        expect(op.ok, "runs are allocated and freed while a large one is free", f"{op}: {op.says}", operation=op.number)
    return {
        f"allocate(0) {_EASY}": first.ticks,
        f"free(0) {_EASY}": max(merged.ticks - POISON_TICKS, 0),
        f"allocate(5) {_EASY}": medium.ticks,
        f"allocate(10) {_EASY}": whole.ticks,
        "allocate(0) down to the last frame": singles.ticks_each,
        "free(0) of every other frame": max(apart.ticks_each - POISON_TICKS, 0),
        "allocate(1) when only single frames are free": refused.ticks,
        "allocate(0) when many single frames are free": some.ticks_each,
        "free(0) beside one of many free frames": max(pairs.ticks_each - POISON_TICKS, 0),
        "allocate(1) when many runs are free": larger.ticks_each,
        "free(1) when many runs are free": max(back.ticks_each - 2 * POISON_TICKS, 0),
    }
