"""The tests of lab 04-heap about kmalloc(): blocks of any size. Caches, guards, wrong frees, and memory that runs out have files of
their own.

Each test writes a script of operations, boots the kernel with it once, and says what must hold. How blocks are kept is the student's
choice: only what slab.h and kmalloc.h promise is looked at.
"""

from __future__ import annotations

from judge.scenario import Op, expect
from oracle.heap import ALIGNMENT, KMALLOC, PAGE_SIZE

from labs.heap import HeapScenario

HUGE = (3 << 30, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFF8, 0xFFFF_F000, 0xFFFF_EFF9)


def test_alignment(heap: HeapScenario) -> None:
    """Every block lies at a multiple of 8; kmalloc_aligned() takes any power of two up to 4096."""
    rng = heap.random
    plain = [heap.kmalloc(size) for size in (1, 2, 3, 5, 7, 9, rng.randrange(10, 100), rng.randrange(100, 1000), rng.randrange(1000, 9000))
             for _ in range(2)]
    aligned = [(alignment, heap.kmalloc_aligned(size, alignment))
               for alignment in (1 << shift for shift in range(13))
               for size in (rng.randrange(1, 20), 2 * alignment + 8, rng.randrange(1, 3000), rng.randrange(4000, 9000))]
    frees = [heap.kfree(op) for op in rng.sample(plain + [op for _, op in aligned], len(plain) + len(aligned))]
    heap.boot()
    for op in plain:
        heap.expect_aligned(op, ALIGNMENT)
    for alignment, op in aligned:
        heap.expect_aligned(op, max(alignment, ALIGNMENT))
    for op in frees:
        expect(op.ok, "kfree() takes back what kmalloc() and kmalloc_aligned() returned", f"{op}: {op.says}", operation=op.number)


def test_memory(heap: HeapScenario) -> None:
    """Blocks lie in frames that the heap has taken, share no byte, and hold what is written into them."""
    rng = heap.random
    before = heap.settle(note="what the heap has at hand does not count")
    sizes = [rng.randrange(1, 200) for _ in range(30)] + [rng.randrange(200, PAGE_SIZE) for _ in range(12)] + [rng.randrange(PAGE_SIZE, 30000) for _ in range(4)]
    rng.shuffle(sizes)
    blocks = [(heap.kmalloc(size), size, heap.mark()) for size in sizes]
    for op, size, mark in blocks:
        heap.fill(op, size, mark)
    look = heap.look("all allocated")
    after = heap.frames()
    compared = [(heap.compare(op, size, mark), size) for op, size, mark in blocks]
    heap.boot()
    for op, _, _ in blocks:
        expect(op.ok and op.value, "kmalloc() returns a block", f"{op}: {op.says}", operation=op.number)
    look.check_memory()
    for op, size in compared:
        heap.expect_intact(op, size, "a block holds what its owner wrote")
    taken = (after.value - before.value) * PAGE_SIZE
    expect(taken + PAGE_SIZE * 4 >= sum(sizes), f"{sum(sizes)} bytes in use take frames from mm::frames",
           f"only {taken} bytes' worth were taken since the test began")


def test_sizes(heap: HeapScenario) -> None:
    """0 bytes, more than there is, sizes that wrap when guards are added, alignments that are none: an error each, and nothing changes."""
    rng = heap.random
    sizes = [*HUGE, 0xFFFF_FFFF - rng.randrange(64), 0xFFFF_FFFF - rng.randrange(PAGE_SIZE), 3 << 30 | rng.randrange(1 << 20)]
    keep = heap.kmalloc(100)
    heap.fill(keep, 100, mark := heap.mark())
    zero: list[Op] = []
    huge: list[Op] = []
    crooked: list[Op] = []
    frames = []
    for _ in range(2):  # what the first round leaves prepared (page tables, say), the second finds
        zero += [heap.kmalloc(0), heap.kmalloc_aligned(0, 64), heap.krealloc(0, 0)]
        huge += [heap.kmalloc(size) for size in sizes]
        huge += [heap.kmalloc_aligned(size, rng.choice((8, 64, 4096))) for size in sizes] + [heap.krealloc(0, sizes[0])]
        crooked += [heap.kmalloc_aligned(100, alignment) for alignment in (0, 3, 24, 4095, 8192, 1 << 31, rng.randrange(1, 1000) * 2048 + 1)]
        frames.append(heap.settle())
    small = heap.kmalloc(rng.randrange(1, 100), note="after all the errors")
    intact = heap.compare(keep, 100, mark)
    frees = [heap.kfree(small), heap.kfree(keep), heap.watch(lambda: heap.check()).op]
    heap.boot()
    for op in zero:
        heap.expect_error(op, "InvalidArgument", "there is no block of 0 bytes")
    for op in huge:
        heap.expect_error(op, "OutOfMemory", "there is not so much memory", "size + guards may be smaller than size: compare before you add.")
    for op in crooked:
        heap.expect_error(op, "InvalidArgument", "an alignment is a power of two up to 4096", "(a & (a - 1)) == 0 holds for 0 as well.")
    heap.expect_frames(frames[1], frames[0].value, "an error takes no frame")
    expect(small.ok, "after the errors, small blocks can be had as before", small.says, operation=small.number)
    heap.expect_intact(intact, 100, "an error leaves other blocks alone")
    expect(all(op.ok for op in frees[:2]), "and be given back", f"{frees[0].says}, {frees[1].says}")
    heap.expect_quiet(frees[2])


def test_trace(heap: HeapScenario) -> None:
    """Thousands of operations at random: every block is aligned, alone in its bytes, and keeps its contents; no finding, no frame lost."""
    heap.use_megabytes(24)
    rng = heap.random
    rounds = []
    for most in (rng.randrange(50, 300), rng.randrange(3000, 5000), rng.randrange(20000, 60000), rng.randrange(300, 3000)):
        start = heap.settle()
        rounds.append((start, heap.churn(600, most, 120), heap.watch(lambda: heap.check()).op, heap.drop(), heap.settle()))
    heap.boot()
    for _, churned, checked, dropped, _ in rounds:
        expect(churned.done == 600 and churned.failures == 0, "with memory free, every request is served",
               f"{churned.failures} times Error::OutOfMemory", operation=churned.op.number)
        heap.expect_quiet(checked)
        assert dropped.done >= 0
    heap.expect_frames(rounds[-1][-1], max(done.value for *_, done in rounds[:-1]), "after shrink() no more is held than after an earlier round")
    for watched in heap.watched:
        heap.expect_findings(watched, [], "")


def test_large(heap: HeapScenario) -> None:
    """Blocks of several pages, and of more than 4 MiB, where the largest run of frames ends."""
    heap.use_megabytes(28)
    rng = heap.random
    sizes = [PAGE_SIZE, PAGE_SIZE + 1, 2 * PAGE_SIZE, rng.randrange(3, 15) * PAGE_SIZE, rng.randrange(20_000, 300_000), (1 << 20) + rng.randrange(5000),
             (4 << 20) + rng.randrange(1 << 20)]
    rounds = []
    for _ in range(2):
        rng.shuffle(sizes)
        blocks = [(heap.kmalloc(size), size, heap.mark()) for size in sizes]
        for op, size, mark in blocks:
            heap.fill(op, size, mark)
        look = heap.look("all allocated")
        compared = [(heap.compare(op, size, mark), size) for op, size, mark in blocks]
        checked = heap.watch(lambda: heap.check())
        frees = [heap.kfree(op) for op, _, _ in blocks]
        rounds.append((blocks, look, compared, checked, frees, heap.settle()))
    heap.boot()
    for blocks, look, compared, checked, frees, _ in rounds:
        for op, size, _ in blocks:
            expect(op.ok, f"{size} bytes can be had while {heap.machine.megabytes} MiB are free", op.says,
                   "Where runs of frames end, mm::vmalloc begins.", operation=op.number)
            heap.expect_aligned(op)
        look.check_memory()
        for op, size in compared:
            heap.expect_intact(op, size, "a large block holds what its owner wrote, every page of it")
        heap.expect_quiet(checked.op)
        for op in frees:
            expect(op.ok, "kfree() takes large blocks back", f"{op}: {op.says}", operation=op.number)
    heap.expect_frames(rounds[1][-1], rounds[0][-1].value, "after the second round as after the first")


def test_single_frames(heap: HeapScenario) -> None:
    """When no two free frames lie side by side, large blocks still come, from vmalloc; caches live on single frames."""
    rng = heap.random
    warm = heap.kmalloc(200_000)
    heap.kfree(warm)
    cache = heap.cache(rng.randrange(300, 1500))
    heap.hold("odd", note="no two free frames in a row any more")
    start = heap.settle()
    sizes = [rng.randrange(2, 6) * PAGE_SIZE, rng.randrange(6000, 60_000), rng.randrange(100_000, 600_000)]
    blocks = [(heap.kmalloc(size), size, heap.mark()) for size in sizes]
    small = [(heap.allocate(cache), cache.size, heap.mark()) for _ in range(30)]
    small += [(heap.kmalloc(size), size, heap.mark()) for size in (rng.randrange(1, 1500) for _ in range(30))]
    for op, size, mark in blocks + small:
        heap.fill(op, size, mark)
    look = heap.look("allocated")
    compared = [(heap.compare(op, size, mark), size) for op, size, mark in blocks + small]
    frees = [heap.kfree(op) for op, _, _ in blocks] + [heap.free(cache, op) for op, _, _ in small[:30]] + [heap.kfree(op) for op, _, _ in small[30:]]
    end = heap.settle()
    heap.let_go()
    heap.boot()
    for op, size, _ in blocks + small:
        expect(op.ok, f"{size} bytes can be had, though only single frames are free", op.says,
               "allocate_run() may fail while half of memory is free: single frames for small objects, mm::vmalloc for large blocks.", operation=op.number)
    look.check_memory()
    for op, size in compared:
        heap.expect_intact(op, size, "a block holds what its owner wrote")
    for op in frees:
        expect(op.ok, "all of it can be freed", f"{op}: {op.says}", operation=op.number)
    heap.expect_frames(end, start.value + 4, "and gives its frames back")


def test_realloc(heap: HeapScenario) -> None:
    """krealloc() grows and shrinks blocks of every size; the contents stay as far as both sizes go; of null it is kmalloc()."""
    rng = heap.random
    stories: list[tuple[Op, Op | None, int]] = []
    lasts = []
    for _ in range(6):
        size, mark = rng.randrange(1, 300), heap.mark()
        block = heap.krealloc(0, size, note="of null")
        heap.fill(block, size, mark)
        stories.append((block, None, 0))
        for _ in range(9):
            longer = rng.choice((rng.randrange(1, 300), rng.randrange(1, 5000), rng.randrange(1, 50_000), max(1, size - rng.randrange(1, 20)), size + rng.randrange(1, 20), size))
            grown = heap.krealloc(block, longer, note=f"from {size} bytes")
            stories.append((grown, heap.compare(grown, min(size, longer), mark), min(size, longer)))
            block, size, mark = grown, longer, heap.mark()
            heap.fill(block, size, mark)
        lasts.append(block)
    look = heap.look("at the end")
    checked = heap.watch(lambda: heap.check())
    frees = [heap.kfree(block) for block in lasts]
    heap.boot()
    for op, compared, length in stories:
        heap.expect_aligned(op)
        if compared is not None:
            heap.expect_intact(compared, length, "krealloc() keeps the contents as far as both sizes go")
    look.check_memory()
    expect(len(look.held) == len(lasts), f"{len(lasts)} blocks are left", f"{len(look.held)}")
    heap.expect_quiet(checked.op)
    for op in frees:
        expect(op.ok, "what krealloc() returned can be freed", f"{op}: {op.says}", operation=op.number)


def test_realloc_failure(heap: HeapScenario) -> None:
    """When krealloc() fails, the old block is as it was: contents, size, call site, guards."""
    rng = heap.random
    heap.objects()
    before = heap.look("start")
    size, mark = rng.randrange(20, 500), heap.mark()
    block = heap.kmalloc(size, heap.site())
    heap.fill(block, size, mark)
    start = heap.settle()
    heap.limit(0)
    no_frames = [heap.krealloc(block, rng.randrange(1 << 20, 4 << 20), heap.site(), note="no frame is left"),
                 heap.krealloc(block, rng.choice(HUGE), heap.site())]
    heap.limit(None)
    no_frames += [heap.krealloc(block, huge, heap.site()) for huge in HUGE]
    nothing = heap.krealloc(block, 0, heap.site())
    intact = heap.compare(block, size, mark)
    heap.objects()
    look = heap.look("after the failures")
    frames = heap.settle()
    checked = heap.watch(lambda: heap.check())
    heap.flip(block + size, note="one byte behind the block")
    freed = heap.watch(lambda: heap.kfree(block))
    heap.boot()
    for op in no_frames:
        heap.expect_error(op, "OutOfMemory", "there is not so much memory")
    heap.expect_error(nothing, "InvalidArgument", "krealloc() to 0 bytes", "It is no kfree().")
    heap.expect_intact(intact, size, "after a failure the old block holds what it held")
    heap.expect_objects(look, before)
    heap.expect_frames(frames, start.value, "a failure takes no frame")
    heap.expect_quiet(checked.op)
    expect(freed.op.ok, "the old block can be freed", freed.op.says, operation=freed.op.number)
    seen = [finding for finding in heap.findings_of(freed) if finding.object == block.value]
    expect(any(finding.size == size and finding.damage == block.value + size for finding in seen),
           f"the guards are still those of {size} bytes: the byte behind them is found when the block is freed", heap.found_title(seen), operation=freed.op.number)
    expect(all(shown.cache == KMALLOC for shown in look.held), "the block is kmalloc's", "it is not")
