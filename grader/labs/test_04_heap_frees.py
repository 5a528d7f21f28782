"""The tests of lab 04-heap about wrong frees: twice, of what is no object, of what the heap has long given back."""

from __future__ import annotations

from judge.scenario import Op, Reference, expect
from oracle.heap import KMALLOC, PAGE_SIZE, Expected, Kind

from labs.heap import Cache, HeapScenario, Site, Watched

NOT_REFUSED = "Ask the frame table first who owns the frame; look into memory only when it is yours."


def _refused(heap: HeapScenario, watched: Watched, what: str) -> None:
    heap.expect_error(watched.op, "NotAllocated", f"{what} is refused", NOT_REFUSED)


def test_double_free(heap: HeapScenario) -> None:
    """An object that is free already cannot be freed again, at once or later: NotAllocated, a finding with both call sites, and the
    object comes only once again."""
    rng = heap.random
    cache = heap.cache(rng.randrange(20, 300))
    stories: list[tuple[str, Op, int, Cache | None, Site, Site, Op, Site, Watched]] = []
    after = []
    for which in (cache, None):
        size = which.size if which else rng.randrange(20, 900)
        objects = [(heap.allocate(which, site) if which else heap.kmalloc(size, site), site) for site in (heap.site() for _ in range(6))]
        freed = []
        for index, (op, site) in enumerate(rng.sample(objects, 3)):
            by = heap.site()
            heap.free(which, op, by) if which else heap.kfree(op, by)
            freed.append((op, site, by))
            if index == 0:
                stories.append(("at once", op, size, which, site, by, *_free_again(heap, which, op)))
        for op, site, by in freed:
            stories.append(("later", op, size, which, site, by, *_free_again(heap, which, op)))
        after.append((which, [heap.allocate(which) if which else heap.kmalloc(size) for _ in range(8)]))
    large = heap.kmalloc(rng.randrange(2, 9) * PAGE_SIZE)
    heap.kfree(large)
    twice = heap.watch(lambda: heap.kfree(large, note="again"))
    nothing = [heap.watch(lambda: heap.kfree(0, note="null")), heap.watch(lambda: heap.free(cache, 0, note="null"))]
    checked = heap.watch(lambda: heap.check())
    count = heap.statistics(cache)
    look = heap.look("at the end")
    heap.boot()
    for when, op, size, which, site, by, held, last, watched in stories:
        _refused(heap, watched, f"the second free of an object, {when},")
        kind = Kind.DOUBLE_FREE if held.value else Kind.FOREIGN_FREE
        known = {"size": size, "allocated": site.number, "freed": by.number, "cache": which.slot if which else KMALLOC} if held.value else {}
        heap.expect_findings(watched, [Expected(kind, op.value, found=last.number, **known)], f"the second free, {when},")
    _refused(heap, twice, "the second free of a large block")
    expect([finding.kind for finding in heap.findings_of(twice)] in ([Kind.DOUBLE_FREE], [Kind.FOREIGN_FREE]), "the second free of a large block is one finding",
           heap.found_title(heap.findings_of(twice)), operation=twice.op.number)
    for watched in nothing:
        expect(watched.op.ok, "free of null is fine", watched.op.says, operation=watched.op.number)
        heap.expect_findings(watched, [], "")
    look.check_memory()
    for which, ops in after:
        addresses = [op.value for op in ops]
        expect(len(set(addresses)) == len(addresses), "an object that was freed twice is handed out once", "two allocations returned the same one",
               "Refuse before you put it into a list.", operation=ops[0].number)
    heap.expect_quiet(checked.op)
    expect(count.values[2] == 11, "a refused free() changes no count: 11 objects are in use", f"{count.values[2]}", operation=count.number)


def _free_again(heap: HeapScenario, which: Cache | None, op: Op) -> tuple[Op, Site, Watched]:
    site = heap.site()
    return heap.held(op), site, heap.watch(lambda: heap.free(which, op, site, note="again") if which else heap.kfree(op, site, note="again"))


def test_foreign_free(heap: HeapScenario) -> None:
    """Whatever is no object of this cache, or no block of kmalloc(), is refused with a finding, and nothing changes: not by reading what is
    not mapped, not by writing what is somebody else's."""
    rng = heap.random
    heap.objects()
    before = heap.look("start")
    cache, other = heap.cache(rng.randrange(40, 300)), heap.cache(rng.randrange(40, 300))
    mine, others, block, large = heap.allocate(cache), heap.allocate(other), heap.kmalloc(rng.randrange(40, 900)), heap.kmalloc(5 * PAGE_SIZE)
    owned = [(mine, cache.size), (others, other.size), (block, 40), (large, 5 * PAGE_SIZE)]
    marks = [heap.mark() for _ in owned]
    for (op, size), mark in zip(owned, marks):
        heap.fill(op, size, mark)
    places = {name: heap.op("heap.place", name) for name in ("stack", "text", "data", "table", "frame")}
    start = heap.frames()
    strangers: list[tuple[str, Op | Reference | int]] = [
        ("the second byte of an object", mine + 1), ("the inside of an object", mine + 8 * rng.randrange(1, 5)), ("the inside of a block", block + 8 * rng.randrange(1, 5)),
        ("the second page of a large block", large + PAGE_SIZE), ("the inside of a large block", large + 8 * rng.randrange(1, 2000)),
        ("the bytes before an object", mine - 8), ("the bytes before a block", block - 16),
        *((f"an address on the kernel's {name}" if name != "frame" else "a frame of somebody else", op) for name, op in places.items()),
        ("the inside of somebody else's frame", places["frame"] + 8 * rng.randrange(1, 500)),
        ("an address in frame 0", 8 * rng.randrange(1, 500)), ("a BIOS address", 0xF0000 + 8 * rng.randrange(1000)),
        ("a free frame", heap.machine.entries[1].end - 8 * PAGE_SIZE),
        ("a user address", 0x1000_0000 + 8 * rng.randrange(1 << 20)), ("memory that the machine has not", 0x0F00_0000 + 8 * rng.randrange(1 << 10)),
        ("an unmapped address of vmalloc's range", 0xD000_0000 + PAGE_SIZE * rng.randrange(1 << 10)), ("an address of a device", 0xE800_0000),
        ("the last address", 0xFFFF_FFF8), ("an address that is not aligned", 0xFFFF_FFFF)]
    stories = []
    for what, address in strangers:
        for which in (cache, None):
            site = heap.site() if len(heap.sites) < 60 else heap.sites[-1]
            stories.append((f"{what}, freed {'to a cache' if which else 'with kfree()'},", address, site, heap.watch(
                lambda: heap.free(which, address, site, note=what) if which else heap.kfree(address, site, note=what))))
    for what, address, which in (("an object of another cache", others, cache), ("a block of kmalloc()", block, cache), ("an object of a cache", mine, None)):
        site = heap.sites[-1]
        stories.append((f"{what}, freed to the wrong one,", address, site, heap.watch(
            lambda: heap.free(which, address, site, note=what) if which else heap.kfree(address, site, note=what))))
    resized = [heap.watch(lambda: heap.krealloc(address, 100, note="krealloc")) for address in (mine, block + 8, 0x1000_0000)]
    end = heap.frames()
    compared = [(heap.compare(op, size, mark), size) for (op, size), mark in zip(owned, marks)]
    checked = heap.watch(lambda: heap.check())
    heap.objects()
    look = heap.look("after the refusals")
    frees = [heap.free(cache, mine), heap.free(other, others), heap.kfree(block), heap.kfree(large)]
    heap.boot()
    for what, address, site, watched in stories:
        _refused(heap, watched, what)
        heap.expect_findings(watched, [Expected(Kind.FOREIGN_FREE, heap.address_of(address), found=site.number)], what)
    for watched in resized:
        _refused(heap, watched, "krealloc() of what is no block")
        expect(watched.count == 1, "krealloc() of what is no block is one finding", f"{watched.count}", operation=watched.op.number)
    expect(end.value == start.value, "a refused free() gives no frame back and takes none", f"{start.value} frames in use before, {end.value} after")
    for op, size in compared:
        heap.expect_intact(op, size, "a refused free() changes no object in use")
    heap.expect_quiet(checked.op)
    heap.expect_objects(look, before)
    for op in frees:
        expect(op.ok, "objects in use can be freed after all these refusals", f"{op}: {op.says}", operation=op.number)


def test_stale_free(heap: HeapScenario) -> None:
    """What the heap gave back is no longer its: a free of an old pointer is refused, also when somebody else has the frame now."""
    rng = heap.random
    sizes = [rng.randrange(100, 1500) for _ in range(3)]
    blocks = [heap.kmalloc(size) for size in sizes for _ in range(20)] + [heap.kmalloc(3 * PAGE_SIZE)]
    for op in blocks:
        heap.kfree(op)
    heap.settle()
    old = rng.sample(blocks[:-1], 6) + [blocks[-1]]
    held = [heap.held(op) for op in old]
    free = [heap.watch(lambda: heap.kfree(op, note="its frame is free now")) for op in old[:3]]
    heap.hold("all", note="every frame belongs to somebody else now")
    stories = [heap.watch(lambda: heap.kfree(op, note="its frame is somebody else's")) for op in old]
    resized = heap.watch(lambda: heap.krealloc(old[0], 10))
    heap.let_go()
    checked = heap.watch(lambda: heap.check())
    again = [heap.kmalloc(size) for size in sizes]
    heap.boot()
    for op in blocks:
        expect(op.ok, "blocks can be had", op.says, operation=op.number)
    for watched, op, mine in zip(free + stories, old[:3] + old, held[:3] + held):
        _refused(heap, watched, "a pointer to memory that the heap gave back")
        if not mine.value:
            heap.expect_findings(watched, [Expected(Kind.FOREIGN_FREE, op.value)], "the free of an old pointer")
    _refused(heap, resized, "krealloc() of a pointer to memory that the heap gave back")
    heap.expect_quiet(checked.op)
    for op in again:
        expect(op.ok, "the heap goes on", op.says, operation=op.number)
