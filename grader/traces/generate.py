#!/usr/bin/python3
"""Writes the traces with which lab 04's speed and utilisation are measured.

    generate.py             writes every *.trace beside this script, the same each time
    generate.py --check     says whether they are what it would write (exit status 1 if not)
    generate.py --show N    prints the trace that a run with seed N adds to them

What the kinds are like, and what each is hard on:

    binary   Small and medium blocks in turn; then all the medium ones go, and somewhat larger ones come. The larger ones fit into no
             hole, unless neighbours that are free are joined, or sizes are kept apart from the beginning.
    buffers  Buffers that grow by krealloc() as their text does, several at a time, and are cut to size in the end.
    inodes   Objects of a few fixed sizes, like inodes and directory entries, that come and go at random: what slabs are made for.
    large    Blocks of one to sixteen pages among small ones: runs of frames, and what is left over behind them.
    mixed    Sizes by a power law (half the blocks are below 60 bytes, one in 200 above 4096) and lifetimes at random.
    queue    First in, first out, at lengths that swing: messages and packets.
    waves    Small objects in waves: hundreds come, most of them go, the rest stays and keeps its pages from being given back.

Every trace frees all its blocks in the end. A test runs the seven files and one trace more, `seeded`, that the run's seed makes (a
mixture of the kinds above, with sizes of its own). So nobody tunes a heap to the files alone: an instructor chooses a seed that he does
not tell, `grader/faultline grade 04-heap --submission DIR --seed N`, for all submissions alike.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from traces.trace import FOLDER, MAX_BLOCKS, Operation, Trace  # noqa: E402

SEED = 4


class Writer:
    """Writes a trace. Numbers of freed blocks are given out again when no new ones are left, the oldest first."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.operations: list[Operation] = []
        self.live: list[int] = []  # oldest first
        self._free: list[int] = []
        self._next = 0

    def allocate(self, size: int) -> int:
        if self._next < MAX_BLOCKS:
            block, self._next = self._next, self._next + 1
        else:
            block = self._free.pop(0)
        self.operations.append(Operation("a", block, size))
        self.live.append(block)
        return block

    def free(self, block: int) -> None:
        self.live.remove(block)
        self._free.append(block)
        self.operations.append(Operation("f", block))

    def resize(self, block: int, size: int) -> None:
        self.operations.append(Operation("r", block, size))

    def free_any(self) -> None:
        self.free(self.rng.choice(self.live))

    def free_oldest(self) -> None:
        self.free(self.live[0])

    def free_all(self) -> None:
        """At random, as at the end of every trace."""
        for block in self.rng.sample(self.live, len(self.live)):
            self.free(block)


# -- the kinds ---------------------------------------------------------------------------------------------------------------


def binary(out: Writer) -> None:
    small, medium = out.rng.choice([(64, 448), (96, 416), (48, 464)])
    for _ in range(2):
        pairs = [(out.allocate(small), out.allocate(medium)) for _ in range(out.rng.randrange(130, 150))]
        for _, block in pairs:
            out.free(block)
        for _ in pairs:
            out.allocate(medium + small)
        out.free_all()


def buffers(out: Writer) -> None:
    open_buffers: dict[int, int] = {}
    for _ in range(700):
        if len(open_buffers) < 12 or out.rng.random() < 0.08:
            size = out.rng.randrange(16, 65)
            open_buffers[out.allocate(size)] = size
            continue
        block = out.rng.choice(list(open_buffers))
        size = open_buffers[block] + out.rng.randrange(8, 40 + open_buffers[block] // 2)
        if size > out.rng.randrange(1000, 9000):
            out.resize(block, max(open_buffers[block] - out.rng.randrange(1, 300), 8))  # finished: cut to size, and kept for a while
            del open_buffers[block]
            kept = [other for other in out.live if other not in open_buffers]
            if len(kept) > 25:
                out.free(kept[0])
        else:
            open_buffers[block] = size
            out.resize(block, size)


def inodes(out: Writer) -> None:
    sizes = [out.rng.choice(choice) for choice in ((40, 48, 56), (96, 104, 120), (192, 208, 232), (344, 400, 456), (584, 632, 680))]
    for _ in range(900):
        if len(out.live) < out.rng.randrange(160, 320):
            out.allocate(out.rng.choice(sizes))
        else:
            out.free_any()


def large(out: Writer) -> None:
    for _ in range(420):
        if len(out.live) < out.rng.randrange(20, 50):
            pages = out.rng.choice([1, 1, 1, 2, 2, 3, 4, 4, 6, 8, 12, 16])
            out.allocate(out.rng.randrange(64, 512) if out.rng.random() < 0.3 else pages * 4096 - out.rng.choice([0, 0, 16, 100, 700, 1500]))
        else:
            out.free_any()


def power_law(rng: random.Random) -> int:
    return min(16384, int(32 / (1 - rng.random()) ** 0.9))


def mixed(out: Writer) -> None:
    for _ in range(1000):
        if len(out.live) < out.rng.randrange(150, 350):
            out.allocate(power_law(out.rng))
        elif out.rng.random() < 0.1:
            out.resize(out.rng.choice(out.live), power_law(out.rng))
        else:
            out.free_any()


def queue(out: Writer) -> None:
    lengths = [out.rng.randrange(100, 260) if step % 2 == 0 else out.rng.randrange(5, 40) for step in range(8)]
    for length in lengths:
        while len(out.live) < length:
            out.allocate(out.rng.choice([out.rng.randrange(60, 100), out.rng.randrange(100, 600), 1514]))
            if out.rng.random() < 0.3 and out.live:
                out.free_oldest()
        while len(out.live) > length:
            out.free_oldest()


def waves(out: Writer) -> None:
    for _ in range(4):
        favourites = [out.rng.randrange(16, 513) for _ in range(4)]
        for _ in range(out.rng.randrange(170, 210)):
            out.allocate(out.rng.choice(favourites) if out.rng.random() < 0.7 else out.rng.randrange(8, 513))
        for _ in range(len(out.live) * 3 // 4):
            out.free_any()


def seeded(out: Writer) -> None:
    """A mixture: each stretch allocates after the manner of one kind, at sizes of its own, and leaves some behind."""
    for _ in range(5):
        typical = int(8 * 2 ** (out.rng.random() * 8))  # 8 to 2048
        fixed = [out.rng.randrange(max(typical // 2, 8), typical * 2 + 8) for _ in range(3)]
        style, target = out.rng.choice(["fixed", "random", "power"]), out.rng.randrange(60, 180)
        for _ in range(180):
            size = {"fixed": out.rng.choice(fixed), "random": out.rng.randrange(8, typical * 3 + 9), "power": power_law(out.rng)}[style]
            if len(out.live) < target or out.rng.random() < 0.4:
                out.allocate(size)
            elif out.rng.random() < 0.15:
                out.resize(out.rng.choice(out.live), size)
            else:
                out.rng.choice([out.free_any, out.free_oldest])()


KINDS: dict[str, Callable[[Writer], None]] = {kind.__name__: kind for kind in (binary, buffers, inodes, large, mixed, queue, waves)}


def make(kind: Callable[[Writer], None], rng: random.Random) -> Trace:
    """One trace of a kind. The same numbers give the same trace."""
    out = Writer(rng)
    kind(out)
    out.free_all()
    return Trace(kind.__name__, tuple(out.operations))


def make_seeded(rng: random.Random) -> Trace:
    """The trace that a run adds."""
    return make(seeded, rng)


# -- the files ---------------------------------------------------------------------------------------------------------------


def file_text(name: str) -> str:
    trace = make(KINDS[name], random.Random(f"{SEED} {name}"))
    head = f"# {name}: {len(trace.operations)} operations, at most {trace.peak} bytes in use. Written by generate.py; see there.\n"
    return head + trace.text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the files are up to date")
    parser.add_argument("--show", metavar="N", type=lambda text: int(text, 0), help="print the trace that seed N makes")
    options = parser.parse_args()
    if options.show is not None:
        print(make_seeded(seeded_random(options.show)).text, end="")
        return 0
    stale = [name for name in KINDS if not (FOLDER / f"{name}.trace").is_file() or (FOLDER / f"{name}.trace").read_text("ascii") != file_text(name)]
    for name in stale:
        if options.check:
            print(f"{name}.trace is not what generate.py writes")
        else:
            (FOLDER / f"{name}.trace").write_text(file_text(name), "ascii")
    return 1 if stale and options.check else 0


def seeded_random(seed: int) -> random.Random:
    """The numbers of the trace that a run with this seed adds."""
    return random.Random(f"{seed:#x} trace")


if __name__ == "__main__":
    sys.exit(main())
