"""The tests of lab 03-buddy about zones, what lies in the runs, and the figures that describe the free memory."""

from __future__ import annotations

from collections.abc import Callable

from emulator.machine import KIB, MIB, Machine
from judge.scenario import Op, expect
from oracle.buddy import RunModel, crossed_boundaries
from oracle.frames import FREE_FRAME_HEADER, FREED_FRAME_POISON, PAGE_SIZE, Zone

from labs.buddy import BuddyScenario, free_at
from labs.frame_lab import Look

# Zones


def test_counts(buddy: BuddyScenario) -> None:
    """free_frames() is right for every zone after every single call, whatever its order."""
    buddy.use_three_zones(high_frames=buddy.random.randrange(24, 40))  # so few that lower zones help out
    held: list[tuple[Op, int]] = []
    story: list[tuple[Op, int, Op | None, list[Op]]] = []  # the call, its order, the run that it frees, the counts behind it
    start = buddy.free_counts()
    for _ in range(buddy.random.randrange(14, 20)):
        if held and buddy.random.random() < 0.3:
            first, order = held.pop(buddy.random.randrange(len(held)))
            story.append((buddy.free(first, order), order, first, buddy.free_counts()))
        else:
            order = buddy.random.randrange(6)
            held.append((buddy.allocate(order, buddy.random.choice(("dma", "normal", "high", "high"))), order))
            story.append((held[-1][0], order, None, buddy.free_counts()))
    look = buddy.look("end")
    buddy.boot()
    model = RunModel(look.all_frames)
    buddy.expect_counts(start, [model.free_count(zone) for zone in Zone], "after the boot")
    for call, order, first, counts in story:
        if first is None:
            buddy.expect_run(call, order, model)
        else:
            expect(call.ok, "a run in use can be freed", f"{call}: {call.says}", operation=call.number)
            model.give_back(first.value)
        buddy.expect_counts(counts, [model.free_count(zone) for zone in Zone], f"after {call}")


def test_zones(buddy: BuddyScenario) -> None:
    """While the zone that was asked for has a free run of the order, the run comes from it."""
    buddy.use_three_zones()
    wanted = [(zone, buddy.random.randrange(4)) for zone in Zone for _ in range(8)]
    buddy.random.shuffle(wanted)
    ops = [(zone, order, buddy.allocate(order, zone.name.lower())) for zone, order in wanted]
    look = buddy.look("allocated")
    buddy.boot()
    model = RunModel(look.all_frames)
    for zone, order, op in ops:
        expect(not op.ok or op.value < zone.frames.ranges[-1][1], f"a request for {zone.title} never gets frames of a higher zone: the caller could not use them",
               f"{op} returned frame {op.value:#x}" if op.ok else op.says, operation=op.number)
        buddy.expect_run(op, order, model, zone)


def test_fallback(buddy: BuddyScenario) -> None:
    """A zone whose free runs are too small does not serve: the next lower one does, and a higher one never."""
    buddy.use_three_zones(high_frames=240)
    questions: list[tuple[Look, int, Zone, Op]] = []

    def ask(order: int, zone: Zone) -> None:
        look = buddy.look(f"before {len(questions)}")
        questions.append((look, order, zone, buddy.allocate(order, zone.name.lower())))

    buddy.take(240, 0, "high", note="all that High has")
    ask(0, Zone.HIGH)
    buddy.give_back(100, 0, "odd", note="single frames are free, no two of them buddies")
    for order in (1, 0, 3):
        ask(order, Zone.HIGH)
    buddy.exhaust(6, "normal", note="more than Normal has")
    buddy.give_back(3, 6, "ascending", note="of the lowest: three runs of DMA")
    for order, zone in ((6, Zone.HIGH), (6, Zone.NORMAL), (0, Zone.NORMAL), (0, Zone.HIGH)):
        ask(order, zone)
    buddy.exhaust(2, "dma")
    buddy.give_back(8, 6, "descending", note="of the highest: some of Normal")
    for order, zone in ((2, Zone.DMA), (6, Zone.DMA), (6, Zone.HIGH), (2, Zone.NORMAL), (10, Zone.HIGH)):
        ask(order, zone)
    buddy.boot()
    for look, order, zone, op in questions:
        model = RunModel(free_at(look))
        if model.serving_zone(order, zone) is not None:
            buddy.expect_run(op, order, model, zone)
            continue
        expect(op.error == "OutOfMemory", f"Error::OutOfMemory: no zone up to {zone.title} has a free run of order {order}", f"{op}: {op.says}",
               "Never a higher zone: the caller could not use what it gets.", operation=op.number)


def test_dma(buddy: BuddyScenario) -> None:
    """Runs of up to 64 KiB from the DMA zone lie below 16 MiB and cross no multiple of 64 KiB: an ISA device can use them."""
    buddy.machine = Machine(20)
    ops = [(order, buddy.allocate(order, "dma")) for order in (buddy.random.randrange(5) for _ in range(25))]
    buddy.exhaust(4, "dma")
    look = buddy.look("exhausted")
    more = buddy.allocate(4, "dma", note="DMA has none left, Normal has")
    buddy.boot()
    for order, op in ops:
        end = (op.value + (1 << order)) * PAGE_SIZE
        expect(end <= 16 * MIB, "a run from the DMA zone ends at or below 16 MiB", f"{op}: it ends at {end:#x}", operation=op.number)
        expect(crossed_boundaries(op.value, 1 << order, 64 * KIB // PAGE_SIZE) == 0, "a run of at most 64 KiB crosses no multiple of 64 KiB",
               f"{op}: it goes from {op.value * PAGE_SIZE:#x} to {end:#x}", "Runs are aligned to their size.", operation=op.number)
    above = look.held - Zone.DMA.frames
    expect(not above, "requests for DMA get frames of the DMA zone only", f"{above}")
    expect(more.error == "OutOfMemory", "Error::OutOfMemory, although higher zones have free runs", more.says, operation=more.number)


# Contents


def test_zeroed(buddy: BuddyScenario) -> None:
    """Contents::Zeroed is zero in every byte of every frame of the run, also where the frames have been used before."""
    rng = buddy.random
    buddy.take_everything(note="so that no frame is fresh from the machine")
    buddy.mark_all(rng.getrandbits(32) | 1)
    buddy.give_back(note="each of them full of something")
    orders = [0, rng.randrange(1, 4), rng.randrange(4, 8), 8, 0]
    ops = [(order, buddy.allocate(order, contents="zeroed")) for order in orders]
    damages = [buddy.compare_run(op, order, 0) for order, op in ops]
    look = buddy.look("zeroed", sample=lambda held: buddy.some_of(held, 6))
    buddy.boot()
    for (order, op), damage in zip(ops, damages):
        expect(op.ok, f"a run of order {order}: there is one", op.says, operation=op.number)
        expect(not damage.text, f"all {1 << order} frames of a Zeroed run are zero", f"{op}: {damage.text}",
               "Every frame of the run: zero_frame() fills one. Links of your own in a frame count, too.", operation=op.number)
    for frame, contents in look.samples.items():
        expect(not any(contents), "a frame of a Zeroed run holds 4096 zero bytes", f"frame {frame:#x} holds others")


def test_poison(buddy: BuddyScenario) -> None:
    """Every frame of a freed run is filled with kFreedFramePoison, but for its first kFreeFrameHeader bytes."""
    rng = buddy.random
    orders = [0, rng.randrange(1, 4), rng.randrange(4, 7), 7]
    ops = [(order, buddy.allocate(order)) for order in orders]
    buddy.mark_all(rng.getrandbits(32))
    held = buddy.look("held")
    freed = [buddy.free(op, order) for order, op in rng.sample(ops, len(ops))]
    damages = [buddy.compare_run(op, order, FREED_FRAME_POISON, FREE_FRAME_HEADER) for order, op in ops]
    look = buddy.look("freed", sample=lambda _: buddy.some_of(held.held, 6))
    buddy.boot()
    for op in freed:
        expect(op.ok, "a run in use can be freed", f"{op}: {op.says}", operation=op.number)
    for (order, op), damage in zip(ops, damages):
        expect(not damage.text, f"from byte {FREE_FRAME_HEADER} on, every word of all {1 << order} frames of a freed run is {FREED_FRAME_POISON:#x} (CONFIG_MEMORY_DEBUGGING)",
               f"the run at {op.value:#x}: {damage.text}", "Every frame of the run: fill_frame() fills one.", operation=damage.op.number)
    for frame, contents in look.samples.items():
        words = contents[FREE_FRAME_HEADER:]
        expect(words == FREED_FRAME_POISON.to_bytes(4, "little") * (len(words) // 4), f"every word of a freed frame is {FREED_FRAME_POISON:#x}", f"frame {frame:#x} holds others")


# Figures


def test_free_runs(buddy: BuddyScenario) -> None:
    """free_runs() is what the host counts in the frames that are free: at first, in small pieces, partly freed, and when all is taken."""
    for pictures, look, when in _moments(buddy, buddy.pictures):
        buddy.expect_pictures(pictures, free_at(look), when)


def test_fragmentation(buddy: BuddyScenario) -> None:
    """fragmentation() is what the host computes from the frames that are free; 0 when none is."""
    for indices, look, when in _moments(buddy, buddy.indices):
        buddy.expect_indices(indices, free_at(look), when)


def _moments(buddy: BuddyScenario, figures: Callable[[str], list[Op]]) -> list[tuple[list[Op], Look, str]]:
    """Asks for the figures of all zones in many states of memory, and runs the machine."""
    rng = buddy.random
    buddy.use_three_zones()
    moments = []

    def ask(when: str) -> None:
        moments.append((figures(when), buddy.look(when), when))

    ask("after the boot")
    for order in rng.sample(range(9), 3):
        buddy.take(rng.randrange(1, 6), order, rng.choice(("dma", "normal", "high")))
        ask(f"after runs of order {order} were taken")
    buddy.give_back(way="descending")
    ask("after all were freed")
    buddy.take(rng.randrange(300, 400), 0, "high")
    buddy.take(rng.randrange(300, 400), 1, "normal")
    buddy.take(rng.randrange(100, 200), 0, "dma")
    ask("after hundreds of small runs were taken")
    buddy.give_back(rng.randrange(150, 200), 0, "odd")
    ask("after every other frame was freed")
    buddy.give_back(rng.randrange(100, 200), 1, "scattered")
    ask("after some pairs were freed here and there")
    buddy.take_everything("high")
    ask("when all is taken")
    buddy.give_back(rng.randrange(3, 9), way="scattered")
    ask("after some runs were freed")
    buddy.give_back(way="ascending")
    ask("when all is free again")
    buddy.boot()
    return moments
