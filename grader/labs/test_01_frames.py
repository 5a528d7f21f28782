"""The tests of lab 01-frames about the frame allocator; those about the firmware's memory map have a file of their own.

Each test writes a script of operations, boots the kernel with it once, and says what must hold. How free frames are kept,
and in which order they are handed out, is the student's choice: only what the contracts promise is looked at.
"""

from __future__ import annotations

from emulator.machine import BAD, MIB, RESERVED, Machine, MemoryEntry
from judge.scenario import Op, expect, fail
from oracle.frames import ADDRESS_END, FRAME_END, FREE_FRAME_HEADER, FREED_FRAME_POISON, PAGE_SIZE, AllocatorModel, FrameSet, Zone, zone_of

from labs.frame_lab import Bulk, Look, zone_counts
from labs.frames import FramesScenario
from labs.frames_machines import LOW, hostile_machine, three_zones

# Handing out


def test_unique(frames: FramesScenario) -> None:
    """Each allocation returns another frame, and each of them is memory."""
    frames.machine = Machine(frames.random.randrange(12, 17))
    ops = [frames.allocate() for _ in range(frames.random.randrange(30, 50))]
    wanted = frames.random.randrange(1500, 2000)  # about half of what there is
    many = frames.take(wanted)
    look = frames.look("allocated")
    frames.boot()
    available, owner = look.all_frames, {}
    for op in ops:
        frame = op.value
        expect(frame not in owner, "every frame has one owner", f"frame {frame:#x} was returned by {owner.get(frame)} and by {op}",
               "allocate() must take the frame out of the free ones before it returns it.", operation=op.number)
        expect(frame in available, f"a frame of free memory ({available})", f"{op} returned frame {frame:#x}",
               "The value is a frame number, not an address; and only frames that initialize() found free may come.", operation=op.number)
        owner[frame] = op
    expect(many.done == wanted, f"{wanted} more frames, of the {len(available)} that were free", f"{many.done}, then Error::{many.error}",
           operation=many.op.number)
    strange = look.held - available
    expect(not strange, f"only frames of free memory ({available})", f"allocate() returned {strange}", operation=many.op.number)


def test_reserved(frames: FramesScenario) -> None:
    """However many frames are asked for, none is frame 0, BIOS, kernel image, boot module, frame table, page table, stack or a hole in the map."""
    size = frames.random.randrange(7, 10) * MIB
    hole = MemoryEntry(6 * MIB + frames.random.randrange(100) * PAGE_SIZE, frames.random.randrange(1, 64) * PAGE_SIZE, BAD)
    normal = MemoryEntry(16 * MIB, frames.random.randrange(256, 512) * PAGE_SIZE)
    # Firmware that calls the BIOS area usable, too: what is reserved stays reserved.
    frames.machine = Machine(20, (MemoryEntry(0, size), hole, normal))
    taken = [frames.exhaust(zone) for zone in ("high", "normal", "dma")]  # with zones or without, this is all
    look = frames.look("exhausted")
    frames.boot()
    places = look.places | {"a hole in the memory map": FrameSet.covering_bytes([(hole.base, hole.end), (size, normal.base), (normal.end, ADDRESS_END)])}
    for name, place in places.items():
        stolen = look.held & place
        expect(not stolen, f"no frame of {name} is ever handed out", f"allocate() returned {len(stolen)} of them: {stolen}",
               "initialize() gets these as `reserved`, in any order; they may overlap each other and reach outside `usable`.")
    strange = look.held - look.all_frames
    expect(not strange, "only free frames of memory are handed out", f"{strange} were")
    expect(sum(bulk.done for bulk in taken) > 0, "frames that nobody has reserved are handed out", f"none was: Error::{taken[-1].error}")


def test_exhaustion(frames: FramesScenario) -> None:
    """Without a free frame allocate() returns OutOfMemory, as often as it is asked, and nothing is lost: the frames that are freed then come again."""
    everything = frames.exhaust()
    look = frames.look("exhausted")
    before = frames.free_counts()
    refusals = [frames.allocate(zone) for zone in ("high", "normal", "dma")]
    after = frames.free_counts()
    freed = frames.give_back(3)
    again = [frames.allocate() for _ in range(3)]
    refusals += [frames.allocate(contents="zeroed")]
    full_again = frames.look("exhausted again")
    frames.boot()
    expect(everything.error == "OutOfMemory", "with no frame left, allocate() returns Error::OutOfMemory",
           f"Error::{everything.error} after {everything.done} frames", operation=everything.op.number)
    frames.expect_all_taken(look.held, look.all_frames, "when allocate() said OutOfMemory")
    frames.expect_counts(after, [op.value for op in before], "after more refusals, as before them")
    expect(freed.done == 3, "three frames can be given back", f"{freed.done}")
    for op in again:
        expect(op.ok, "a frame that was freed after exhaustion can be allocated", op.says, operation=op.number)
    for op in refusals:
        expect(op.error == "OutOfMemory", "with no frame left, allocate() returns Error::OutOfMemory", f"{op}: {op.says}", operation=op.number)
    frames.expect_all_taken(full_again.held, look.held, "when everything was allocated again")


def test_reuse(frames: FramesScenario) -> None:
    """Everything that was freed can be allocated again: three times all of memory, freed in three orders, with the counts restored."""
    before = frames.free_counts()
    rounds = []
    for order in frames.random.sample(("ascending", "descending", "scattered"), 3):
        taken = frames.exhaust()
        look = frames.look(f"all taken, then freed {order}")
        returned = frames.give_back(order=order)
        rounds.append((order, taken, look, returned, frames.free_counts()))
    frames.boot()
    first = rounds[0][2].held
    expect(first, "there are frames to allocate", "none was handed out")
    for order, taken, look, returned, counts in rounds:
        frames.expect_all_taken(look.held, first, "when everything was allocated again")
        expect(returned.done == taken.done, "all of them can be freed", f"{returned.done} of {taken.done}", operation=returned.op.number)
        frames.expect_counts(counts, [op.value for op in before], f"after all were freed ({order}), as at the start")


def test_counts(frames: FramesScenario) -> None:
    """free_frames() is right for every zone after every single call."""
    frames.machine = three_zones(frames.random, high_frames=frames.random.randrange(2, 4))  # so few that Normal helps out
    model_ops: list[tuple[str, Op, list[Op]]] = []
    held: list[Op] = []
    start = frames.free_counts()
    for _ in range(frames.random.randrange(11, 15)):
        if held and frames.random.random() < 0.25:
            op = held.pop(frames.random.randrange(len(held)))
            model_ops.append(("free", op, [frames.free(op), *frames.free_counts()]))
        else:
            op = frames.allocate(frames.random.choice(("dma", "normal", "high", "high", "high")))
            held.append(op)
            model_ops.append(("allocate", op, [op, *frames.free_counts()]))
    look = frames.look("end")
    frames.boot()
    model = AllocatorModel(look.all_frames)
    frames.expect_counts(start, [model.free_count(zone) for zone in Zone], "after the boot")
    for what, op, (call, *counts) in model_ops:
        expect(call.ok, f"{what}() succeeds", call.says, operation=call.number)
        if what == "allocate":
            may = model.may_take(Zone[op.line.split()[2].upper()])
            expect(op.value in may, f"{op} returns a free frame of the right zone ({may})", f"frame {op.value:#x}", operation=op.number)
            model.take(op.value)
        else:
            model.give_back(op.value)
        frames.expect_counts(counts, [model.free_count(zone) for zone in Zone], f"after {call}")


# Contents


def test_zeroed(frames: FramesScenario) -> None:
    """Contents::Zeroed is 4096 zero bytes, also in a frame that has been used before; Contents::Unspecified may be anything."""
    frames.exhaust(note="so that no frame is fresh from the machine")
    frames.mark_all(frames.random.getrandbits(32))
    frames.give_back(note="each of them full of something")
    ops = [frames.allocate(contents="zeroed") for _ in range(10)]
    look = frames.look("zeroed", sample=lambda held: held)
    frames.boot()
    for op in ops:
        contents = look.samples.get(op.value)
        expect(contents is not None, "allocate() returns a frame that the machine has", op.says, operation=op.number)
        dirty = [offset for offset, byte in enumerate(contents) if byte]
        expect(not dirty, "a Zeroed frame holds 4096 zero bytes",
               f"frame {op.value:#x}: {len(dirty)} bytes are not zero, the first at offset {dirty[0]:#x}" if dirty else "",
               "Zero the frame when it is handed out; links of your own that lie in it count, too.", operation=op.number)


def test_poison(frames: FramesScenario) -> None:
    """A freed frame is filled with kFreedFramePoison, but for its first kFreeFrameHeader bytes."""
    wanted = frames.random.randrange(100, 200)
    taken = frames.take(wanted)
    frames.mark_all(frames.random.getrandbits(32))
    held = frames.look("held")
    returned = frames.give_back()
    # Some that were held before, whichever they are; the first look has been taken when the second chooses.
    freed = frames.look("freed", sample=lambda _: frames.some_of(held.held, 12))
    frames.boot()
    expect(taken.done == wanted, f"{wanted} frames can be allocated", f"{taken.done}, then Error::{taken.error}", operation=taken.op.number)
    expect(returned.done == taken.done, "all frames can be freed", f"{returned.done} of {taken.done}", operation=returned.op.number)
    poison = FREED_FRAME_POISON.to_bytes(4, "little") * ((PAGE_SIZE - FREE_FRAME_HEADER) // 4)
    for frame, contents in freed.samples.items():
        body = contents[FREE_FRAME_HEADER:]
        wrong = next((i & ~3 for i in range(len(body)) if body[i] != poison[i]), 0)
        expect(body == poison, f"from byte {FREE_FRAME_HEADER} on, every word of a freed frame is {FREED_FRAME_POISON:#x} (CONFIG_MEMORY_DEBUGGING)",
               f"frame {frame:#x} holds {int.from_bytes(body[wrong:wrong + 4], 'little'):#010x} at offset {wrong + FREE_FRAME_HEADER:#x}",
               "free() fills the frame with fill_frame(); all of it, not 1024 bytes.", operation=returned.op.number)


# Misuse


def test_double_free(frames: FramesScenario) -> None:
    """A frame that is free already cannot be freed: NotAllocated, and nothing has changed."""
    a, b, c = frames.allocate(), frames.allocate(), frames.allocate()
    frames.free(a)
    before = frames.free_counts()
    at_once = frames.free(a, note="again, at once")
    after = frames.free_counts()
    frames.free(b), frames.free(c)
    later = [frames.free(a, note="again, after others"), frames.free(b, note="again"), frames.free(c, note="again")]
    taken = frames.exhaust(note="after the refused frees")
    full = frames.look("exhausted")
    back = frames.free(a, note="it is in use again: this is right")
    once_more = frames.free(a, note="and this is not")
    last = frames.allocate()
    frames.boot()
    for op in (at_once, *later, once_more):
        refused(op, "a frame that is free cannot be freed again", "Which state is the frame in? Know it, do not guess it from the list's head.")
    frames.expect_counts(after, [op.value for op in before], "after a refused free(), as before it")
    expect(taken.done >= 3, "frames can still be allocated, each once", f"{taken.done}, then Error::{taken.error}", operation=taken.op.number)
    for op in (a, b, c):
        expect(op.value in full.held, f"frame {op.value:#x}, which was freed, is allocated again before memory is exhausted", "it never came",
               "A refused free() must leave list and counts as they are.", operation=taken.op.number)
    expect(back.ok, "a frame that was allocated again can be freed again", back.says, operation=back.number)
    expect(last.ok and last.value == a.value, f"the only free frame, {a.value:#x}, can be allocated", last.says, operation=last.number)


def test_foreign_free(frames: FramesScenario) -> None:
    """Frames that were never handed out cannot be freed: reserved ones, free ones, holes, numbers past the end of memory."""
    size = frames.machine.megabytes * MIB
    hole = MemoryEntry(6 * MIB + frames.random.randrange(100) * PAGE_SIZE, 16 * PAGE_SIZE, RESERVED)
    frames.machine = Machine(frames.machine.megabytes, (LOW, MemoryEntry(1 * MIB, size - MIB), hole))
    mine = frames.allocate()
    kernel = 0x100 + frames.random.randrange(4)
    strangers = {
        "frame 0, which is reserved": 0,
        "a frame of the BIOS area": 0xA0 + frames.random.randrange(0x60),
        "a frame of the kernel's code": kernel,
        "a frame in a hole of the memory map": (hole.base >> 12) + frames.random.randrange(16),
        "the first frame past the end of memory": size >> 12,
        "a frame far past the end of memory": FRAME_END - 1 - frames.random.randrange(1000),
        "a frame that was never handed out": mine + 1,
    }
    # The neighbour of the only frame in use is free, reserved or a hole: nobody was given it.
    before = frames.free_counts()
    ops = {name: frames.free(frame, note=name) for name, frame in strangers.items()}
    after = frames.free_counts()
    taken = frames.exhaust()
    look = frames.look("end")
    frames.boot()
    for name, op in ops.items():
        refused(op, f"{name} cannot be freed", "Look before you change: beyond frame_count() there is no entry in the frame table.")
    frames.expect_counts(after, [op.value for op in before], "after refused frees, as before them")
    expect(taken.done > 0, "frames can be allocated after the refused frees", f"Error::{taken.error}", operation=taken.op.number)
    stolen = look.held - look.all_frames
    expect(not stolen, "a refused free() does not make a frame free", f"allocate() returned {stolen}", operation=taken.op.number)


def refused(op: Op, why: str, hint: str) -> None:
    """The operation was free() of what is not in use."""
    expect(op.error == "NotAllocated", f"{why}: Error::NotAllocated", f"{op}: {op.says}", hint, operation=op.number)


def test_orders(frames: FramesScenario) -> None:
    """Runs of more than one frame are lab 03's: Unsupported, and nothing has changed. (An allocator that serves them must hand out whole,
    aligned, free runs.)"""
    rng = frames.random
    orders = [1, rng.randrange(2, 10), 10, rng.randrange(21, 32), 32 + rng.randrange(1000)]
    one = frames.allocate()
    before = frames.free_counts()
    runs = [(order, frames.allocate(order=order)) for order in orders]
    look = frames.look("runs")
    frees = [(op, order, frames.free(one, order=order, note="allocated with order 0")) for order, op in runs if order > 20]
    served = [frames.free(op, order=order) for order, op in runs]
    after = frames.free_counts()
    frames.free(one)
    frames.boot()
    available = look.all_frames
    for (order, op), returned in zip(runs, served):
        if op.error == "Unsupported":
            expect(not returned.ok, f"order {order} is not served by free() either", f"{returned}: {returned.says}", operation=returned.number)
            continue
        # A buddy allocator, as lab 03 asks for.
        expect(order <= 20 and (op.ok or op.error == "OutOfMemory"), f"order {order} is answered with Error::Unsupported", f"{op}: {op.says}",
               "Lab 01 serves single frames only: check the order before anything else.", operation=op.number)
        if op.ok:
            run = FrameSet([(op.value, op.value + (1 << order))])
            expect(op.value % (1 << order) == 0 and not run - available and one.value not in run,
                   f"an allocator that serves order {order} returns {1 << order} free frames in a row, aligned to their number",
                   f"{op}: {run}", "Answer Error::Unsupported until lab 03.", operation=op.number)
            expect(returned.ok, "the run can be freed", returned.says, operation=returned.number)
    for _, order, op in frees:
        expect(op.error == "Unsupported", f"free() answers order {order} with Error::Unsupported", f"{op}: {op.says}", operation=op.number)
    frames.expect_counts(after, [op.value for op in before], "after refused calls, as before them")


# Zones


def test_zones(frames: FramesScenario) -> None:
    """While the zone that was asked for has free frames, the frame comes from it."""
    frames.machine = three_zones(frames.random)
    wanted = [zone for zone in Zone for _ in range(12)]
    frames.random.shuffle(wanted)
    ops = [(zone, frames.allocate(zone.name.lower())) for zone in wanted]
    frames.boot()
    for zone, op in ops:
        expect(op.value < FRAME_END, "allocate() returns the number of a frame", f"{op}: {op.says}", operation=op.number)
        got = zone_of(op.value)
        expect(got <= zone, f"a request for {zone.title} never gets a frame of a higher zone: the caller could not use it",
               f"{op} returned frame {op.value:#x}, which lies in {got.title}", operation=op.number)
        expect(got == zone, f"a request for {zone.title} is served from {zone.title} while it has free frames",
               f"{op} returned frame {op.value:#x}, which lies in {got.title}", "Lower zones are scarce: spare them for those who need them.",
               operation=op.number)


def test_fallback(frames: FramesScenario) -> None:
    """When the zone has no free frame, the next lower one serves; a higher one never does."""
    frames.machine = three_zones(frames.random)
    high_taken = frames.take(200, "high", note="more than High has")
    after_high = frames.look("200 frames for High")
    normal_taken = frames.take(320, "normal", note="more than Normal has left")
    after_normal = frames.look("320 frames for Normal")
    frames.give_back(40, note="somewhere")
    some_free = frames.look("some were freed")
    dma_gone = frames.exhaust("dma")
    after_dma = frames.look("DMA exhausted")
    frames.exhaust("high", note="to see what there is")
    everything = frames.look("all exhausted")
    frames.boot()
    expect(high_taken.done == 200, "200 frames for a caller that can use High, Normal and DMA", f"{high_taken.done}, then Error::{high_taken.error}",
           operation=high_taken.op.number)
    expect_held(after_high, everything, [0, None, "all"], high_taken, "after 200 frames for High")
    expect(normal_taken.done == 320, "320 frames for a caller that can use Normal and DMA", f"{normal_taken.done}, then Error::{normal_taken.error}",
           operation=normal_taken.op.number)
    expect_held(after_normal, everything, [None, "all", "all"], normal_taken, "after 320 more frames for Normal")
    expect(dma_gone.error == "OutOfMemory", "DMA requests end with Error::OutOfMemory, although higher zones have free frames",
           f"Error::{dma_gone.error}", operation=dma_gone.op.number)
    above = zone_counts(some_free.held)[1:]
    expect_held(after_dma, everything, ["all", *above], dma_gone, "after DMA was exhausted by DMA requests")


def expect_held(look: Look, everything: Look, wanted: list[int | str | None], op: Bulk, when: str) -> None:
    """How many frames of each zone are in use: a number, all that there are, or some (None)."""
    for zone, held, there, want in zip(Zone, zone_counts(look.held), zone_counts(everything.held), wanted):
        if want == "all":
            expect(held == there, f"{when}, all {there} frames of {zone.title} are in use before a lower zone is touched", f"{held} are",
                   "Go down to the next zone only when this one has no free frame.", operation=op.op.number)
        elif want is None:
            expect(held > 0, f"{when}, {zone.title} has helped out", "none of its frames is in use", operation=op.op.number)
        else:
            expect(held == want, f"{when}, {want} frames of {zone.title} are in use", f"{held} are", operation=op.op.number)


# Size, time, and the long run


def test_sizes(frames: FramesScenario) -> None:
    """Machines from 8 MiB to 2 GiB: every frame is counted in its zone, and can be used."""
    small, large = frames, frames.second_machine()
    small.machine, large.machine = Machine(8), Machine(2048)
    for machine in (small, large):  # the large one starts slowly: only after the small one was right
        counts = machine.free_counts()
        for zone in Zone:
            machine.take(machine.random.randrange(40, 80), zone.name.lower())
        machine.churn(150)
        machine.give_back(order="ascending")
        after, look = machine.free_counts(), machine.look("end")
        machine.boot()
        size = f"on a machine of {machine.machine.megabytes} MiB"
        machine.expect_counts(counts, zone_counts(look.all_frames), f"after the boot {size}")
        machine.expect_counts(after, [op.value for op in counts], f"after random work {size}, as before it")


SLACK_FACTOR, SLACK_TICKS = 3, 300  # a temporary mapping of High memory and a few more levels of a tree are no fault
FAST_ENOUGH = 2000  # ticks; who takes longer in 16 MiB is compared with this: slowness there is no excuse


def test_cost(frames: FramesScenario) -> None:
    """allocate() and free() take no longer in 1 GiB of memory than in 16 MiB, neither when memory is free nor when it is nearly full."""
    small, large = frames, frames.second_machine()
    small.machine, large.machine = Machine(16), Machine(1024)
    costs = [_costs(small, "dma"), _costs(large, "high")]  # where nearly all of the memory is
    grown = [(name, a, costs[1][name]) for name, a in costs[0].items() if costs[1][name] > SLACK_FACTOR * min(a, FAST_ENOUGH) + SLACK_TICKS]
    expect(len(grown) < len(costs[0]), "the cost of no call grows with the size of memory", _cost_text(grown), _COST_HINT)
    if grown:
        easy = [name for name, _, _ in grown if "nearly full" not in name and "last frame" not in name]
        if easy:
            fail("the cost of a call does not grow with the size of memory", _cost_text(grown), _COST_HINT)
        frames.partial(1, "constant while memory is free, but not when it is nearly full: " + _cost_text(grown) + ". " + _COST_HINT)


_COST_HINT = ("Nothing may be searched frame by frame, in either function: keep free frames where the next one is at hand (a list), or a "
              "summary above the bitmap that says which words have a bit.")


def _costs(machine: FramesScenario, zone: str) -> dict[str, float]:
    """Ticks per call in each situation."""
    some = machine.take(48, zone)
    freed = machine.give_back(order="ascending")
    everything = machine.exhaust(zone)
    last_freed = machine.give_back(8)
    last = machine.take(8, zone)
    here_and_there = machine.give_back(machine.machine.megabytes * 4)  # one frame in 64
    machine.boot()
    size = f"in {machine.machine.megabytes} MiB"
    half = machine.machine.memory_bytes // PAGE_SIZE // 2
    for bulk, wanted in ((some, 48), (freed, 48), (everything, half), (last_freed, 8), (last, 8),
                         (here_and_there, machine.machine.megabytes * 4)):
        expect(bulk.done >= wanted, f"at least {wanted} frames {size} for {bulk.op.line}", f"{bulk.done}, then Error::{bulk.error}", operation=bulk.op.number)
    return {
        "allocate() while memory is free": some.ticks_each,
        "free() while memory is free": freed.ticks_each,
        "allocate() down to the last frame": everything.ticks_each,
        "allocate() when memory is nearly full": last.ticks_each,
        "free() when memory is nearly full": last_freed.ticks_each,
        "free() of one frame in 64, here and there": here_and_there.ticks_each,
    }


def _cost_text(grown: list[tuple[str, float, float]]) -> str:
    return "; ".join(f"{name}: {small:,.0f} ticks in 16 MiB, {large:,.0f} in 1 GiB" for name, small, large in grown)


def test_churn(frames: FramesScenario) -> None:
    """Hundreds of allocations and frees at random: no frame in two hands, none changed behind its owner's back, no free() refused."""
    frames.machine = three_zones(frames.random)
    rounds = [frames.churn(frames.random.randrange(250, 350)) for _ in range(2)]
    look = frames.look("in the end")
    frames.boot()
    for work in rounds:
        expect(work.done > 0, "the frames that were allocated can be freed", "none was")
    strange = look.held - look.all_frames
    expect(not strange, "only free frames of memory are handed out", f"{strange} were")


def test_recount(frames: FramesScenario) -> None:
    """After random work the host counts every frame in the machine's own memory: what is held and what still comes out of the
    allocator is all of memory, none missing, none twice."""
    frames.machine = hostile_machine(frames.random)
    frames.churn(frames.random.randrange(250, 350))
    middle = frames.look("in the middle")
    promised = frames.free_counts()
    rest = frames.exhaust(note="what is left")
    end = frames.look("end")
    frames.boot()
    left = end.held - middle.held
    frames.expect_all_taken(end.held, end.all_frames, "when the last frame was taken after random work")
    expect(rest.done == len(left), "the frames that were left come one by one", f"{rest.done} of {len(left)}", operation=rest.op.number)
    frames.expect_counts(promised, zone_counts(left), "before the rest was taken, counted by the host")
