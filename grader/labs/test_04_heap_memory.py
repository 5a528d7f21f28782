"""The tests of lab 04-heap about memory that runs out, and about giving it back."""

from __future__ import annotations

from judge.scenario import expect
from oracle.heap import PAGE_SIZE

from labs.heap import Bulk, HeapScenario

FEW_FRAMES = 64  # left when the heap says OutOfMemory: the watermark's, and a few at hand


def test_exhaustion(heap: HeapScenario) -> None:
    """All of memory, until OutOfMemory; then everything comes back and can be had again."""
    heap.use_megabytes(4)
    rng = heap.random
    size = rng.randrange(600, 1800)
    cache = heap.cache(rng.randrange(600, 1800))
    rounds = []
    for what in (size, cache, size):
        start = heap.settle()
        taken = heap.exhaust(what)
        # Smaller ones might fit into what is left over.
        refused = [heap.kmalloc(rng.randrange(4 * PAGE_SIZE, 60_000)) for _ in range(3)]
        for _ in range(3):
            heap.kmalloc(size), heap.kmalloc_aligned(4000, 4096)  # answered somehow: the books must be right afterwards
        left = heap.hold("all")
        heap.let_go()
        checked = heap.watch(lambda: heap.check())
        thinned = heap.thin()
        again = heap.exhaust(what, limit=20)
        rounds.append((taken, refused, left, checked, thinned, again, heap.give_back(), start, heap.settle()))
    heap.boot()
    for taken, refused, left, checked, thinned, again, returned, start, settled in rounds:
        expect(taken.done > 0, "blocks can be had from memory that is free", f"Error::{taken.error} at the first request", operation=taken.op.number)
        expect(taken.error == "OutOfMemory", "memory ends with Error::OutOfMemory", f"Error::{taken.error} after {taken.done} blocks", operation=taken.op.number)
        for op in refused:
            heap.expect_error(op, "OutOfMemory", "without frames larger blocks cannot be had either")
        expect(left.value <= FEW_FRAMES, "OutOfMemory means that there is no frame", f"{left.value} frames were still to be had", operation=taken.op.number)
        heap.expect_quiet(checked.op)
        expect(thinned.done == (taken.done + 1) // 2, "every second block can be freed", f"{thinned.done} of {taken.done}", operation=thinned.op.number)
        expect(again.done == 20, "what was freed can be had again", f"{again.done} of 20 blocks, then Error::{again.error}", operation=again.op.number)
        expect(returned.done == taken.done - thinned.done + again.done, "all the others can be freed", f"{returned.done}", operation=returned.op.number)
    heap.expect_frames(rounds[2][-1], rounds[0][-1].value, "after the third time as after the first: nothing was lost")
    expect(rounds[2][0].done >= rounds[0][0].done * 0.97, f"as many blocks as the first time, {rounds[0][0].done}", f"{rounds[2][0].done}", operation=rounds[2][0].op.number)


def test_failures(heap: HeapScenario) -> None:
    """Each allocation of frames fails once in the middle of the same work: the call fails with OutOfMemory, nothing else happens,
    nothing is lost."""
    rng = heap.random
    mark, size, most = heap.mark(), rng.randrange(20, 2000), rng.randrange(15_000, 40_000)
    rounds = []
    limits: list[int | None] = [None, None, *range(0, 24), *sorted(rng.sample(range(24, 80), 8)), 500]
    heap.op("heap.name", 0, "short-lived")
    for limit in limits:
        heap.settle()
        heap.limit(limit)
        heap.op("heap.create", 0, size, 8, 0)
        churned = Bulk(heap.op("heap.churn", mark, 60, most, 40, note=f"after {limit} frames every request for more fails"))
        dropped = heap.drop()
        heap.op("heap.destroy", 0)
        heap.limit(None)
        rounds.append((limit, churned, dropped, heap.settle()))
    checked = heap.watch(lambda: heap.check())
    heap.boot()
    for limit, churned, dropped, settled in rounds:
        expect(churned.done == 60 and dropped.done >= 0, "all requests are answered", f"{churned.done} of 60", operation=churned.op.number)
        expect(limit != 0 or churned.failures > 0, "without frames some requests fail", "none did", operation=churned.op.number)  # one run may serve them all
        heap.expect_frames(settled, rounds[1][-1].value, f"after a failure (when {limit} frames were left) as after none",
                           "Give back what you had taken for the block that did not come about: frames, runs, the slab, its bookkeeping.")
    heap.expect_findings(checked, [], "")


def test_shrink(heap: HeapScenario) -> None:
    """shrink() gives back all frames without objects in use and says how many; the same work does not hold more and more."""
    rng = heap.random
    cache, other = heap.cache(rng.randrange(200, 900)), heap.cache(rng.randrange(900, 1500), 32)
    size = rng.randrange(300, 1500)
    start = heap.settle()
    rounds = []
    for _ in range(3):
        count = 120
        for what in (cache, size, other):
            heap.exhaust(what, limit=count)
        full = heap.frames()
        freed = heap.give_back()
        before = heap.frames()
        given = heap.shrink()
        after = heap.frames()
        rounds.append((full, freed, before, given, after, heap.statistics(cache), heap.statistics(other)))
    some = [heap.allocate(cache) for _ in range(60)]
    marks = [heap.mark() for _ in some]
    for op, mark in zip(some, marks):
        heap.fill(op, cache.size, mark)
    kept = sorted(rng.sample(range(60), 7))
    for index, op in enumerate(some):
        if index not in kept:
            heap.free(cache, op)
    heap.shrink()
    compared = [heap.compare(some[index], cache.size, marks[index]) for index in kept]
    last = [heap.free(cache, some[index]) for index in kept]
    heap.boot()
    for full, freed, before, given, after, *caches in rounds:
        expect(freed.done == 360, "360 objects can be allocated and freed", f"{freed.done}", operation=freed.op.number)
        expect(before.value - after.value == given.value, "shrink() returns how many frames it gave back", f"{given.value}, but {before.value - after.value} fewer are in use",
               operation=given.number)
        for op in caches:
            expect(op.values[4] == 0, "an empty cache holds no frame after shrink()", f"{op.values[4]}", operation=op.number)
        taken, kept_frames = full.value - start.value, after.value - start.value
        expect(kept_frames <= max(8, taken // 8), f"of the {taken} frames that were taken, those without an object in use are given back by shrink(): kmalloc()'s as well",
               f"{kept_frames} are still held", "A slab whose last object was freed is empty: shrink() finds it and gives its frames back.", operation=given.number)
    heap.expect_frames(rounds[2][4], rounds[0][4].value, "the same work holds no more frames the third time than the first")
    for op in compared:
        heap.expect_intact(op, cache.size, "shrink() leaves objects in use alone")
    for op in last:
        expect(op.ok, "what is left can be freed after shrink()", f"{op}: {op.says}", operation=op.number)


def test_pressure(heap: HeapScenario) -> None:
    """When memory is short, the frames of empty slabs serve others: the kernel calls shrink() in the middle of an allocation."""
    heap.use_megabytes(4)
    rng = heap.random
    cache, other = heap.cache(rng.randrange(600, 1000)), heap.cache(rng.randrange(200, 600) * 3)
    first = heap.exhaust(cache)
    heap.give_back(note="the cache may keep its slabs: nobody needs them yet")
    second = heap.exhaust(other)
    heap.give_back()
    size = rng.randrange(1000, 1900)
    third = heap.exhaust(size)
    thinned = heap.thin()
    more = heap.exhaust(cache, limit=50, note="while half of kmalloc()'s blocks are in use")
    returned = heap.give_back()
    checked = heap.watch(lambda: heap.check())
    heap.boot()
    total = first.done * cache.size
    for bulk, each, what in ((second, other.size, "another cache"), (third, size, "kmalloc()")):
        expect(bulk.done * each * 3 >= total, f"{total} bytes that one cache has freed can be had by {what}, at least a third of them",
               f"{bulk.done * each} bytes in {bulk.done} blocks, then Error::{bulk.error}",
               "Empty slabs go back when shrink() is called; the kernel does so when frames are short, in the middle of your own request for one.", operation=bulk.op.number)
    expect(returned.done == third.done - thinned.done + more.done, "all of it can be freed", f"{returned.done}", operation=returned.op.number)
    heap.expect_quiet(checked.op)
