"""The tests of lab 01-frames about the firmware's memory map: sanitise() on maps of every kind, and a kernel that boots from one."""

from __future__ import annotations

from emulator.machine import BAD, RESERVED, USABLE, MemoryEntry
from judge.scenario import expect
from oracle.frames import ADDRESS_END, PAGE_SIZE, WRAP

from labs.frames import FramesScenario
from labs.frames_machines import NOT_USABLE, hostile_machine


def test_map_order(frames: FramesScenario) -> None:
    """sanitise() sorts what comes in any order, merges entries that touch, and passes over empty ones."""
    rng = frames.random
    questions = [frames.sanitise([], note="no entries")]
    for _ in range(4):
        entries, at = [], rng.randrange(0, 64)
        for _ in range(rng.randrange(4, 9)):
            length = rng.randrange(1, 300)
            entries.append(MemoryEntry(at * PAGE_SIZE, length * PAGE_SIZE))
            at += length + rng.choice((0, 0, rng.randrange(1, 500)))
            if rng.random() < 0.4:
                entries.append(MemoryEntry(rng.randrange(at) * PAGE_SIZE, 0, rng.choice((USABLE, RESERVED))))
        rng.shuffle(entries)
        questions.append(frames.sanitise(entries))
    frames.boot()
    for question in questions:
        question.check()


def test_map_unaligned(frames: FramesScenario) -> None:
    """A frame is usable when all of its bytes are: ends that are not on a frame's border are rounded inwards, reserved ones outwards, and two
    usable entries that share a frame cover it together."""
    rng = frames.random
    at = rng.randrange(2, 50) * PAGE_SIZE
    cut = rng.randrange(1, PAGE_SIZE)
    questions = [
        frames.sanitise([MemoryEntry(at + 1, 8 * PAGE_SIZE)], note="one byte too high"),
        frames.sanitise([MemoryEntry(at, 8 * PAGE_SIZE - 1)], note="one byte too short"),
        frames.sanitise([MemoryEntry(at + rng.randrange(1, 2000), rng.randrange(1, 2000))], note="less than a frame"),
        frames.sanitise([MemoryEntry(at + 100, PAGE_SIZE)], note="as long as a frame, but none of them whole"),
        frames.sanitise([MemoryEntry(at + cut, 5 * PAGE_SIZE), MemoryEntry(at, cut)], note="two that share a frame and cover it"),
        frames.sanitise([MemoryEntry(at, cut), MemoryEntry(at + cut + 1, 5 * PAGE_SIZE)], note="one byte between two entries"),
        frames.sanitise([MemoryEntry(0, 64 * PAGE_SIZE), MemoryEntry(9 * PAGE_SIZE + cut, 1, RESERVED)], note="one reserved byte"),
    ]
    for _ in range(3):
        entries = [MemoryEntry(rng.randrange(1 << 20), rng.randrange(1 << 18), rng.choice((USABLE, USABLE, RESERVED))) for _ in range(6)]
        questions.append(frames.sanitise(entries))
    frames.boot()
    for question in questions:
        question.check()


def test_map_overlap(frames: FramesScenario) -> None:
    """Where entries overlap, the more careful one wins, whichever comes first: a byte that any entry of another kind
    (known or not) claims is not usable."""
    rng = frames.random
    questions = []
    for kind in rng.sample(NOT_USABLE, 3):
        base, length = rng.randrange(16, 64), rng.randrange(64, 128)
        big = MemoryEntry(base * PAGE_SIZE, length * PAGE_SIZE)
        inside = MemoryEntry((base + rng.randrange(8, 20)) * PAGE_SIZE, rng.randrange(1, 30) * PAGE_SIZE, kind)
        questions += [frames.sanitise([big, inside], note="a hole in the middle"), frames.sanitise([inside, big], note="the hole comes first")]
    base = rng.randrange(10, 20) * PAGE_SIZE
    questions += [
        frames.sanitise([MemoryEntry(base, 40 * PAGE_SIZE), MemoryEntry(base + 10 * PAGE_SIZE, 5 * PAGE_SIZE)], note="one usable entry inside another"),
        frames.sanitise([MemoryEntry(base, 9 * PAGE_SIZE), MemoryEntry(base, 9 * PAGE_SIZE), MemoryEntry(base, 9 * PAGE_SIZE, BAD)],
                        note="the same range, told three times"),
    ]
    for _ in range(3):
        entries = [MemoryEntry(rng.randrange(256) * PAGE_SIZE, rng.randrange(128) * PAGE_SIZE, rng.choice((USABLE, USABLE, rng.choice(NOT_USABLE))))
                   for _ in range(7)]
        questions.append(frames.sanitise(entries))
    frames.boot()
    for question in questions:
        question.check()


def test_map_limits(frames: FramesScenario) -> None:
    """An entry that wraps past 2^64 is cut off there, memory from 4 GiB up is ignored, and a buffer that is too small is an
    error: nothing is written behind its end."""
    rng = frames.random
    top = ADDRESS_END - rng.randrange(2, 200) * PAGE_SIZE
    wrap_at = rng.randrange(1, 1000) * PAGE_SIZE
    low = MemoryEntry(rng.randrange(2, 20) * PAGE_SIZE, rng.randrange(20, 90) * PAGE_SIZE)
    islands = [MemoryEntry(i * 8 * PAGE_SIZE, rng.randrange(1, 8) * PAGE_SIZE) for i in range(rng.randrange(5, 9))]
    questions = [
        frames.sanitise([MemoryEntry(top, ADDRESS_END - top), low], note="ends at 4 GiB exactly"),
        frames.sanitise([low, MemoryEntry(top, 1 << 36)], note="goes on past 4 GiB"),
        frames.sanitise([low, MemoryEntry(ADDRESS_END + low.base, 1 << 30)], note="lies above 4 GiB"),
        frames.sanitise([low, MemoryEntry(ADDRESS_END + low.base, low.length, RESERVED)], note="reserved above 4 GiB"),
        frames.sanitise([low, MemoryEntry(WRAP - wrap_at, 2 * wrap_at)], note="wraps past 2^64"),
        frames.sanitise([MemoryEntry(low.base, WRAP - 1)], note="wraps past 2^64 from below 4 GiB"),
        frames.sanitise([MemoryEntry(0, 1 << 28), MemoryEntry(low.base, WRAP - low.base + PAGE_SIZE, RESERVED)], note="a reserved entry wraps"),
        frames.sanitise(islands, room=len(islands), note="the buffer is just large enough"),
    ]
    too_small = [frames.sanitise(islands, room=room, note=f"room for {room}") for room in (len(islands) - 1, 1, 0)]
    frames.boot()
    for question in questions:
        question.check()
    for question in too_small:
        question.check_refused()


def test_map_boot(frames: FramesScenario) -> None:
    """A kernel that boots from a hostile firmware map hands out exactly the frames that are memory."""
    rng = frames.random
    frames.machine = hostile_machine(rng)
    all_taken = frames.exhaust()
    look = frames.look("exhausted")
    frames.boot()
    expect(all_taken.error == "OutOfMemory", "allocate() returns Error::OutOfMemory in the end", all_taken.error)
    frames.expect_all_taken(look.held, look.all_frames, "on a machine whose firmware's map has holes, overlaps and odd ends")
