"""The tests of lab 04-heap about damage: bytes before and behind an object, bytes of a freed one. Every finding names the object, the
first wrong byte, and the call sites."""

from __future__ import annotations

from collections.abc import Callable

from judge.scenario import Op, expect
from oracle.heap import FREED_BYTE, KMALLOC, PAGE_SIZE, RED_ZONE, Expected, Finding, Kind

from labs.heap import Cache, HeapScenario, Site, Watched


def _damage(heap: HeapScenario, size: int, cache: Cache | None, offset: int, kind: Kind, by_check: bool) -> Callable[[], None]:
    """One object, one wrong byte at `offset` from its beginning; found by free() or by check(). Returns what must hold after the boot."""
    allocated, freed = heap.site(), heap.site()
    block = heap.allocate(cache, allocated) if cache else heap.kmalloc(size, allocated)
    heap.fill(block, size, heap.mark())
    quiet = heap.watch(lambda: heap.check(note="before the damage"))
    flip = heap.flip(block + offset, note=f"offset {offset} of {size} bytes")
    checked = heap.watch(lambda: heap.check()) if by_check else None
    ended = heap.watch(lambda: heap.free(cache, block, freed) if cache else heap.kfree(block, freed))

    def verdict() -> None:
        heap.expect_quiet(quiet.op)
        expect(flip.ok, f"the {RED_ZONE} bytes before and behind an object in use are the heap's memory", f"{flip}: {flip.says}", operation=flip.number)
        want = Expected(kind, block.value, size=size, damage=block.value + offset, allocated=allocated.number, freed=None,
                        found=0 if by_check else freed.number, cache=cache.slot if cache else KMALLOC)
        what = f"a write to offset {offset} of {size} bytes"
        if checked is not None:
            heap.expect_findings(checked, [want], what)
            expect(checked.op.value == 1, "check() returns the number of its findings", f"{checked.op.value}", operation=checked.op.number)
            heap.expect_findings(ended, [], "")
        else:
            heap.expect_findings(ended, [want], what)
        expect(ended.op.ok, "a damaged object is taken back all the same", ended.op.says, operation=ended.op.number)

    return verdict


def _all_hold(heap: HeapScenario, verdicts: list[Callable[[], None]]) -> None:
    end = heap.watch(lambda: heap.check(note="at the end"))
    heap.boot()
    for verdict in verdicts:
        verdict()
    heap.expect_findings(end, [], "")


def _odd_size(heap: HeapScenario, most: int) -> int:
    """No multiple of 8: the class is larger than what was asked for."""
    size = heap.random.randrange(1, most)
    return size + 1 if size % 8 == 0 else size


def test_overflow(heap: HeapScenario) -> None:
    """One byte behind the size that was asked for is found, by free() and by check(), and so is any other of the 8 bytes."""
    rng = heap.random
    verdicts = []
    for size in (_odd_size(heap, 60), _odd_size(heap, 500), 8 * rng.randrange(1, 100), _odd_size(heap, 4000)):
        cache = heap.cache(size)
        for which in (None, cache):
            for by_check in (False, True):
                verdicts.append(_damage(heap, size, which, size + rng.choice((0, 0, rng.randrange(1, RED_ZONE))), Kind.OVERFLOW, by_check))
    _all_hold(heap, verdicts)


def test_underflow(heap: HeapScenario) -> None:
    """Any of the 8 bytes before an object, likewise."""
    rng = heap.random
    verdicts = []
    for size, alignment in ((_odd_size(heap, 60), 8), (_odd_size(heap, 3000), 8), (rng.randrange(1, 500), 1 << rng.randrange(4, 10))):
        cache = heap.cache(size, alignment)
        for which in (None, cache):
            for by_check in (False, True):
                verdicts.append(_damage(heap, size, which, -rng.choice((1, 1, RED_ZONE, rng.randrange(1, RED_ZONE))), Kind.UNDERFLOW, by_check))
    _all_hold(heap, verdicts)


def test_large_guards(heap: HeapScenario) -> None:
    """Blocks of several pages are guarded as well, at the size that was asked for: also where that is a whole number of pages."""
    rng = heap.random
    verdicts = []
    for size in (PAGE_SIZE, rng.randrange(2, 6) * PAGE_SIZE, rng.randrange(5000, 90_000), (4 << 20) + rng.randrange(9000)):
        verdicts.append(_damage(heap, size, None, size + rng.choice((0, rng.randrange(RED_ZONE))), Kind.OVERFLOW, by_check=rng.random() < 0.5))
        verdicts.append(_damage(heap, size, None, -rng.randrange(1, RED_ZONE + 1), Kind.UNDERFLOW, by_check=rng.random() < 0.5))
    _all_hold(heap, verdicts)


def test_realloc_guards(heap: HeapScenario) -> None:
    """After krealloc() the guards stand at the new size, and the call site is the one that asked for it."""
    rng = heap.random
    stories = []
    for _ in range(8):
        old, new = rng.choice(((rng.randrange(100, 120), rng.randrange(60, 100)), (rng.randrange(60, 100), rng.randrange(100, 120)),
                               (rng.randrange(1000, 9000), rng.randrange(1, 900)), (rng.randrange(1, 900), rng.randrange(1000, 9000))))
        first, second, third = heap.site(), heap.site(), heap.site()
        block = heap.kmalloc(old, first)
        heap.fill(block, old, heap.mark())
        grown = heap.krealloc(block, new, second)
        heap.fill(grown, new, heap.mark())
        quiet = heap.watch(lambda: heap.check(note="all of the new size was written"))
        heap.flip(grown + new, note="one byte behind the new size")
        stories.append((old, new, grown, second, third, quiet, heap.watch(lambda: heap.kfree(grown, third))))
    heap.boot()
    for old, new, grown, second, third, quiet, freed in stories:
        heap.expect_quiet(quiet.op)
        heap.expect_findings(freed, [Expected(Kind.OVERFLOW, grown.value, new, grown.value + new, second.number, None, third.number, KMALLOC)],
                             f"a write behind a block that krealloc() changed from {old} to {new} bytes")


def _freed_objects(heap: HeapScenario, count: int) -> list[tuple[Op, int, Cache | None, Site, Site]]:
    """Small objects of two caches and of kmalloc(), each freed while others beside it are in use. Nothing is allocated after the first
    free: a heap that gives frames back at once would get them again, for something else."""
    rng = heap.random
    caches = [heap.cache(rng.randrange(12, 200)), heap.cache(rng.randrange(200, 900), 32)]
    found, allocated = [], []
    for which in (*caches, None):
        size = which.size if which else rng.randrange(12, 600)
        allocated.append((which, size, [(heap.allocate(which, site) if which else heap.kmalloc(size, site), site)
                                        for site in (heap.site() for _ in range(count + 2))]))
    for which, size, objects in allocated:
        for op, site in rng.sample(objects, count):
            heap.fill(op, size, heap.mark())
            freed = heap.site()
            heap.free(which, op, freed) if which else heap.kfree(op, freed)
            found.append((op, size, which, site, freed))
    return found


def test_poison(heap: HeapScenario) -> None:
    """Seen from outside: every byte of a freed object is 0x6B as long as the heap keeps its memory."""
    freed = _freed_objects(heap, 4)
    look = heap.look("freed", sample=lambda: [(op.value, size) for op, size, *_ in freed])
    heap.boot()
    for (op, size, *_), data in zip(freed, look.samples):
        if data is None:
            continue  # the frame has gone back to mm::frames
        wrong = next((i for i, byte in enumerate(data) if byte != FREED_BYTE), size)
        expect(wrong == size, f"every byte of a freed object is {FREED_BYTE:#x} (CONFIG_MEMORY_DEBUGGING)",
               f"that at {op.value:#x} ({size} bytes) holds {data[wrong % size]:#x} at offset {wrong}", "Links of free objects have no place in them: put them beside.",
               operation=op.number)


def test_use_after_free_check(heap: HeapScenario) -> None:
    """A write to a freed object is found by check(), with the call sites of allocation and free; once."""
    stories = []
    for op, size, which, allocated, freed in _freed_objects(heap, 2):
        offset = heap.random.choice((0, size - 1, heap.random.randrange(size)))
        flip = heap.flip(op + offset, note="after the free")
        stories.append((op, size, which, allocated, freed, offset, flip, heap.watch(lambda: heap.check()), heap.watch(lambda: heap.check(note="again"))))
    heap.boot()
    for op, size, which, allocated, freed, offset, flip, checked, again in stories:
        want = [Expected(Kind.USE_AFTER_FREE, op.value, size, op.value + offset, allocated.number, freed.number, 0, which.slot if which else KMALLOC)]
        heap.expect_findings(checked, want if flip.ok else [], "a write after the free")
        heap.expect_findings(again, [], "")


def test_use_after_free_reuse(heap: HeapScenario) -> None:
    """A write to a freed object is found when the object is handed out again, and named with the call sites of its last life."""
    rng = heap.random
    stories = []
    for which in (heap.cache(rng.randrange(40, 200)), heap.cache(rng.randrange(200, 700), 16), None):
        size = which.size if which else rng.randrange(40, 600)
        allocated, freed, again = heap.site(), heap.site(), heap.site()

        def take(site: Site, which: Cache | None = which, size: int = size) -> Op:
            return heap.allocate(which, site) if which else heap.kmalloc(size, site)

        neighbours = [take(heap.sites[0]) for _ in range(2)]
        op = take(allocated)
        neighbours += [take(heap.sites[0]) for _ in range(2)]
        heap.free(which, op, freed) if which else heap.kfree(op, freed)
        offset = rng.randrange(size)
        flip = heap.flip(op + offset, note="after the free")
        takes = [heap.watch(lambda: take(again)) for _ in range(40)]
        stories.append((which, size, op, offset, allocated, freed, again, flip, takes, heap.watch(lambda: heap.check())))
    heap.boot()
    for which, size, op, offset, allocated, freed, again, flip, takes, checked in stories:
        if not flip.ok:
            continue  # its memory has gone back to mm::frames
        found: Watched = next((take for take in takes if take.op.value == op.value), checked)
        want = Expected(Kind.USE_AFTER_FREE, op.value, size, op.value + offset, allocated.number, freed.number,
                        0 if found is checked else again.number, which.slot if which else KMALLOC)
        heap.expect_findings(found, [want], "a write after the free")
        for other in [*takes, checked]:
            if other is not found:
                heap.expect_findings(other, [], "")


def test_once(heap: HeapScenario) -> None:
    """check() finds all the damage there is in one go, and each only once: it is repaired."""
    rng = heap.random
    caches = [heap.cache(rng.randrange(20, 300)), heap.cache(rng.randrange(300, 2000))]
    victims: list[tuple[Op, int, Cache | None, Site]] = []
    for which in (*caches, None):
        for _ in range(4):
            site, size = heap.site(), which.size if which else rng.choice((rng.randrange(1, 2000), rng.randrange(5000, 20_000)))
            victims.append((heap.allocate(which, site) if which else heap.kmalloc(size, site), size, which, site))
    expected = []
    for op, size, which, site in victims:
        if rng.random() < 0.5:
            kind, offset = Kind.OVERFLOW, size
        else:
            kind, offset = Kind.UNDERFLOW, -1
        heap.flip(op + offset)
        expected.append((kind, op, size, offset, which, site))
    checked, again = heap.watch(lambda: heap.check()), heap.watch(lambda: heap.check(note="again"))
    frees = [heap.watch(lambda: heap.free(which, op) if which else heap.kfree(op)) for op, _, which, _ in victims]
    last = heap.watch(lambda: heap.check(note="after all were freed"))
    heap.boot()
    heap.expect_findings(checked, [Expected(kind, op.value, size, op.value + offset, site.number, None, 0, which.slot if which else KMALLOC)
                                   for kind, op, size, offset, which, site in expected], "each of them")
    expect(checked.op.value == len(expected), f"check() returns {len(expected)}, its findings", f"{checked.op.value}", operation=checked.op.number)
    for watched in (again, *frees, last):
        heap.expect_findings(watched, [], "")
    for watched in frees:
        expect(watched.op.ok, "damaged objects can be freed", watched.op.says, operation=watched.op.number)


def test_quiet(heap: HeapScenario) -> None:
    """Owners that use every byte of their blocks, and only these, hear nothing: no false alarm in a long life."""
    rng = heap.random
    caches = [heap.cache(size, alignment, constructor=constructor) for size, alignment, constructor in
              ((rng.randrange(1, 20), 1, False), (rng.randrange(20, 200), 64, True), (rng.randrange(200, 4097), 8, False), (PAGE_SIZE, 8, True))]
    checks = []
    for _ in range(3):
        objects = [(cache, heap.allocate(cache)) for cache in caches for _ in range(8)]
        blocks = [(heap.kmalloc(size), size) for size in (1, rng.randrange(1, 64), rng.randrange(64, 4097), PAGE_SIZE, 3 * PAGE_SIZE, rng.randrange(5000, 50_000))]
        blocks += [(heap.kmalloc_aligned(size, 1 << rng.randrange(13)), size) for size in (rng.randrange(1, 5000) for _ in range(5))]
        for cache, op in objects:
            if not cache.mark:
                heap.fill(op, cache.size, heap.mark())
        for op, size in blocks:
            heap.fill(op, size, heap.mark())
        checks.append(heap.watch(lambda: heap.check()))
        resized = []
        for op, _ in blocks:
            size = rng.randrange(1, 6000)
            resized.append(heap.krealloc(op, size))
            heap.fill(resized[-1], size, heap.mark())
        checks.append(heap.watch(lambda: heap.check()))
        for cache, op in rng.sample(objects, len(objects)):
            heap.free(cache, op)
        for op in resized:
            heap.kfree(op)
        checks.append(heap.watch(lambda: heap.check()))
        heap.shrink()
    end = heap.watch(lambda: heap.check())
    heap.boot()
    for watched in [*checks, end]:
        heap.expect_quiet(watched.op)
        expect(watched.after.value == 0, "there is no finding without damage", f"{watched.after.value} findings, the last of them "
               f"{heap.finding_title(Finding(*watched.last.values)) if watched.last.ok else 'not kept'}", operation=watched.op.number)
