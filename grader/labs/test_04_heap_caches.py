"""The tests of lab 04-heap about object caches: create, allocate, construct, count, list, destroy."""

from __future__ import annotations

from judge.scenario import Op, expect
from oracle.heap import KMALLOC, MAX_OBJECT, PAGE_SIZE

from labs.heap import Cache, HeapScenario


def test_caches(heap: HeapScenario) -> None:
    """Objects of every size from 1 to 4096 bytes, at the cache's alignment, in frames of their own; a new cache holds no frame for objects."""
    rng = heap.random
    shapes = [(1, 1), (rng.randrange(2, 8), 2), (24, 8), (rng.randrange(9, 300), 1 << rng.randrange(3, 8)), (rng.randrange(300, 2000), 64),
              (rng.randrange(20, 200), 1 << rng.randrange(8, 13)), (MAX_OBJECT, 8), (MAX_OBJECT, 4096)]
    caches = [heap.cache(size, alignment) for size, alignment in shapes]
    empty = [heap.statistics(cache, note="new") for cache in caches]
    objects = [(cache, heap.allocate(cache), heap.mark()) for cache in caches for _ in range(14)]
    rng.shuffle(objects)
    for cache, op, mark in objects:
        heap.fill(op, cache.size, mark)
    look = heap.look("all allocated")
    compared = [(heap.compare(op, cache.size, mark), cache.size) for cache, op, mark in objects]
    checked = heap.watch(lambda: heap.check())
    frees = [heap.free(cache, op) for cache, op, _ in objects] + [heap.free(cache, 0, note="null is fine") for cache in caches[:2]]
    again = [(cache, heap.allocate(cache, note="again")) for cache in caches]
    quiet = heap.watch(lambda: heap.check())
    heap.boot()
    for op in empty:
        expect(op.values[0] == 1 and op.values[2:] == [0, 0, 0], "a new cache is shown by for_each_cache(), without objects and without frames for them",
               f"{op}: shown {op.values[0]} times, in use {op.values[2]}, capacity {op.values[3]}, frames {op.values[4]}", operation=op.number)
    for cache, op, *_ in objects + again:
        expect(op.ok, "objects can be had while memory is free", f"{op} of {cache.size} bytes: {op.says}", operation=op.number)
        heap.expect_aligned(op, max(cache.alignment, 8))
    look.check_memory()
    for op, size in compared:
        heap.expect_intact(op, size, "an object holds what its owner wrote")
    for op in frees:
        expect(op.ok, "free() takes the cache's objects back", f"{op}: {op.says}", operation=op.number)
    heap.expect_quiet(checked.op, quiet.op)


def test_cache_trace(heap: HeapScenario) -> None:
    """Caches and kmalloc() at random side by side: nothing is shared, nothing is lost, constructed objects stay constructed."""
    heap.use_megabytes(24)
    rng = heap.random
    for constructor in (True, False, True, False):
        heap.cache(rng.choice((rng.randrange(1, 100), rng.randrange(100, 1000), rng.randrange(1000, 4000))), 1 << rng.randrange(10), constructor=constructor)
    rounds = [(heap.churn(500, rng.randrange(100, 3000), 150), heap.watch(lambda: heap.check()), heap.drop(), heap.settle()) for _ in range(3)]
    calls = heap.op("heap.constructors")
    heap.boot()
    for churned, checked, dropped, _ in rounds:
        expect(churned.done == 500 and churned.failures == 0, "with memory free, every request is served",
               f"{churned.failures} times Error::OutOfMemory", operation=churned.op.number)
        heap.expect_quiet(checked.op)
        assert dropped.done >= 0
    expect(calls.values[1] == 0, "a constructor never runs on memory that is in use", f"it ran on {calls.values[2]:#x}, {calls.values[1]} such calls in all")
    heap.expect_frames(rounds[2][-1], rounds[0][-1].value, "after shrink() no more is held than after the first round")


def test_arguments(heap: HeapScenario) -> None:
    """create() refuses sizes and alignments out of range, and alignments that are no power of two. Nothing is left of such a cache."""
    rng = heap.random
    wrong = [(0, 8), (MAX_OBJECT + 1 + rng.randrange(1000), 8), (0xFFFF_FFF8, 8), (100, 0), (100, rng.choice((3, 12, 24, 4095))), (100, 2 * MAX_OBJECT),
             (rng.randrange(1, 100), 1 << 31)]
    right = heap.cache(*rng.choice(((1, 1), (MAX_OBJECT, MAX_OBJECT), (1, MAX_OBJECT), (MAX_OBJECT, 1))))
    start = heap.settle()
    slot = len(heap.caches)
    heap.op("heap.name", slot, "refused")
    ops = [heap.op("heap.create", slot, size, alignment, 0) for size, alignment in wrong * 20]  # as often as a few frames hold caches
    shown = heap.op("heap.statistics", slot)
    end = heap.settle()
    objects = [heap.allocate(right) for _ in range(3)]
    ended = heap.op("heap.destroy", right.slot, note="objects are in use")
    heap.boot()
    expect(right.op.ok, f"{right.size} bytes at a multiple of {right.alignment} make a cache", right.op.says, operation=right.op.number)
    for op in ops:
        heap.expect_error(op, "InvalidArgument", f"sizes are 1 to {MAX_OBJECT}, alignments powers of two up to {MAX_OBJECT}")
    expect(shown.values[0] == 0, "for_each_cache() shows no cache that was refused", f"{shown.values[0]} of that name", operation=shown.number)
    heap.expect_frames(end, start.value, "a refused cache takes no frame")
    for op in objects:
        heap.expect_aligned(op, max(right.alignment, 8))
    heap.expect_error(ended, "Busy", "a cache with objects in use stays")


def test_destroy(heap: HeapScenario) -> None:
    """A cache with objects in use is Busy and goes on; without any it ends, and all its frames come back. Others do not notice."""
    rng = heap.random
    size, count = rng.randrange(100, 1500), rng.randrange(40, 80)
    other = heap.cache(rng.randrange(20, 400))
    kept = [(heap.allocate(other), mark) for mark in (heap.mark() for _ in range(10))]
    for op, mark in kept:
        heap.fill(op, other.size, mark)
    rounds = []
    for _ in range(2):
        start = heap.settle()
        cache = Cache(1, "short-lived", size, 8, 0, heap.op("heap.name", 1, "short-lived"))
        made = heap.op("heap.create", 1, size, 8, 0)
        objects = [heap.allocate(cache) for _ in range(count)]
        last = rng.choice(objects)
        heap.fill(last, size, mark := heap.mark())
        frees = [heap.free(cache, op) for op in objects if op is not last]
        busy = heap.destroy(cache, note="one object is in use")
        intact = heap.compare(last, size, mark)
        more = heap.allocate(cache, note="of the cache that was Busy")
        frees += [heap.free(cache, more), heap.free(cache, last)]
        full = heap.frames()
        ended = heap.destroy(cache)
        after = heap.frames()
        rounds.append((start, made, objects, frees, busy, intact, more, full, ended, after, heap.op("heap.statistics", 1), heap.settle()))
    others = [heap.compare(op, other.size, mark) for op, mark in kept]
    checked = heap.watch(lambda: heap.check())
    heap.boot()
    for start, made, objects, frees, busy, intact, more, full, ended, after, shown, settled in rounds:
        expect(made.ok and all(op.ok for op in objects), "the cache can be made and used", f"{made.says}, {objects[-1].says}", operation=made.number)
        heap.expect_error(busy, "Busy", "destroy() with an object in use")
        heap.expect_intact(intact, size, "the object in use is as it was")
        expect(more.ok and all(op.ok for op in frees), "after Busy the cache works as before", f"allocate(): {more.says}", operation=more.number)
        expect(ended.ok, "destroy() without objects in use", ended.says, operation=ended.number)
        expect(shown.values[0] == 0, "for_each_cache() shows no cache that was destroyed", f"{shown.values[0]} of that name", operation=shown.number)
    start, after = rounds[1][0], rounds[1][9]
    heap.expect_frames(after, start.value + 2, "destroy() gives the cache's frames back", "Its empty slabs as well, and those with room.")
    heap.expect_frames(rounds[1][-1], rounds[0][-1].value, "caches that come and go leave nothing behind")
    for op in others:
        heap.expect_intact(op, other.size, "objects of other caches are as they were")
    heap.expect_quiet(checked.op)


def test_constructor(heap: HeapScenario) -> None:
    """Every object is handed out in its constructed state: the constructor has run on it, never while it was in use, and nobody has
    written to it since but its owners, who left it as they found it."""
    rng = heap.random
    caches = [heap.cache(size, alignment, constructor=True) for size, alignment in ((rng.randrange(8, 60), 8), (rng.randrange(200, 900), 1 << rng.randrange(3, 9)))]
    checks: list[tuple[Cache, Op]] = []

    def allocated(cache: Cache, count: int) -> list[Op]:
        ops = [heap.allocate(cache) for _ in range(count)]
        checks.extend((cache, heap.op("heap.constructed", cache.slot, op)) for op in ops)
        return ops

    objects = [(cache, op) for cache in caches for op in allocated(cache, rng.randrange(90, 120))]
    freed = rng.sample(objects, len(objects) // 2)
    for cache, op in freed:
        heap.fill(op, cache.size, heap.mark())
    held = [(cache, heap.op("heap.constructed", cache.slot, op, note="in use")) for cache, op in objects if (cache, op) not in freed]
    for cache, op in freed:
        heap.op("heap.reconstruct", cache.slot, op, note="its owner has done with it")
    frees = [heap.free(cache, op) for cache, op in freed]
    for cache in caches:
        allocated(cache, 20)
    heap.shrink()
    for cache in caches:
        allocated(cache, 40)
    calls = heap.op("heap.constructors")
    checked = heap.watch(lambda: heap.check())
    heap.boot()
    for op in frees:
        expect(op.ok, "objects can be freed", f"{op}: {op.says}", operation=op.number)
    for cache, op in checks + held:
        times, right, size = op.values
        expect(times > 0, "the constructor has run on every object before it is handed out", f"never on that of {op}",
               "New slabs come later, too: construct their objects when you make them.", operation=op.number)
        expect(right == size, f"an object of {size} bytes is handed out in its constructed state, and stays in it while nobody writes",
               f"its byte {right} is not what the constructor wrote ({op})", "Links and poison must not lie in an object that was constructed: put them beside it.",
               operation=op.number)
    expect(calls.values[1] == 0, "a constructor never runs on memory that is in use", f"it ran on {calls.values[2]:#x}, {calls.values[1]} such calls in all",
           operation=calls.number)
    heap.expect_quiet(checked.op)


def test_statistics(heap: HeapScenario) -> None:
    """for_each_cache() tells the truth: objects in use, room, frames."""
    rng = heap.random
    cache, other = heap.cache(rng.randrange(10, 300)), heap.cache(rng.randrange(300, 2000), 64)
    before = heap.settle()
    steps: list[tuple[Cache, int, Op, Op]] = []
    held: dict[int, list[Op]] = {cache.slot: [], other.slot: []}
    for _ in range(8):
        for which in (cache, other):
            mine = held[which.slot]
            if mine and rng.random() < 0.4:
                for _ in range(rng.randrange(1, len(mine) + 1)):
                    heap.free(which, mine.pop(rng.randrange(len(mine))))
            else:
                mine += [heap.allocate(which) for _ in range(rng.randrange(1, 40))]
            steps.append((which, len(mine), heap.statistics(which), heap.frames()))
    for which in (cache, other):
        for op in held[which.slot]:
            heap.free(which, op)
    heap.shrink()
    ends = [(which, heap.statistics(which)) for which in (cache, other)]
    heap.boot()
    for which, count, op, frames in steps:
        shown, size, in_use, capacity, taken = op.values
        story = f"{op} says: size {size}, in use {in_use}, capacity {capacity}, frames {taken}"
        expect(shown == 1 and size == which.size, f"the cache is shown once, with objects of {which.size} bytes", f"shown {shown} times; {story}", operation=op.number)
        expect(in_use == count, f"{count} objects are in use", story, operation=op.number)
        expect(capacity >= in_use and taken * PAGE_SIZE >= capacity * size, "the objects in use fit into capacity, and that fits into the frames", story, operation=op.number)
        expect(taken <= frames.value - before.value, f"the cache holds no more than the {frames.value - before.value} frames that were taken since it was made",
               story, operation=op.number)
    for which, op in ends:
        expect(op.values[2:] == [0, 0, 0], "after the last free() and shrink() the cache holds nothing", f"{op}: {op.says}", operation=op.number)


def test_objects(heap: HeapScenario) -> None:
    """for_each_object() shows every object in use once, with its size, its cache's name, the call site that allocated it, and the cache that takes it
    back."""
    rng = heap.random
    heap.objects()
    before = heap.look("start")
    cache, other = heap.cache(rng.randrange(10, 300)), heap.cache(rng.randrange(300, 3000), constructor=True)
    sites = [heap.site() for _ in range(6)]
    objects = [(which, heap.allocate(which, rng.choice(sites))) for which in (cache, other) for _ in range(25)]
    blocks = [heap.kmalloc(size, rng.choice(sites)) for size in [rng.randrange(1, 3000) for _ in range(25)] + [rng.randrange(5000, 90_000), 2 * PAGE_SIZE]]
    blocks += [heap.kmalloc_aligned(rng.randrange(1, 9000), 1 << rng.randrange(13), rng.choice(sites)) for _ in range(8)]
    heap.objects()
    full = heap.look("all in use")
    for which, op in rng.sample(objects, 30):
        heap.free(which, op, rng.choice(sites))
    resized = rng.sample(blocks, 24)
    for op in resized[:12]:
        heap.kfree(op, rng.choice(sites))
    for op in resized[12:]:
        heap.krealloc(op, rng.randrange(1, 9000), rng.choice(sites))
    for _ in range(6):
        heap.allocate(cache, rng.choice(sites), note="in the place of a freed one, perhaps")
    heap.objects()
    some = heap.look("some in use")
    heap.shrink()
    heap.objects()
    shrunk = heap.look("after shrink()")
    heap.boot()
    for look in (full, some, shrunk):
        expect(look.held, "objects are in use", "there are none")
        heap.expect_objects(look, before)
    kmallocs = [block for block in some.held if block.cache == KMALLOC]
    expect(len(kmallocs) == len(blocks) - 12, f"{len(blocks) - 12} blocks of kmalloc() are in use", f"{len(kmallocs)}")
