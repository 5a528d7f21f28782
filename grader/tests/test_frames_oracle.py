"""Lab 01's model: sets of frames, what a firmware map is worth, and that the reference agrees with it on maps at random."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from emulator.machine import MemoryEntry
from oracle.frames import AllocatorModel, FrameSet, Zone, usable_frames, zone_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = 4096


def test_ranges_that_overlap_or_touch_are_merged() -> None:
    assert FrameSet([(5, 7), (0, 2), (2, 4), (6, 9), (3, 3)]).ranges == ((0, 4), (5, 9))


def test_set_arithmetic_agrees_with_plain_sets() -> None:
    rng = random.Random(1)
    for _ in range(200):
        plain = [set(rng.sample(range(60), rng.randrange(40))) for _ in range(2)]
        a, b = (FrameSet.of_frames(frames) for frames in plain)
        assert set(a - b) == plain[0] - plain[1]
        assert set(a & b) == plain[0] & plain[1]
        assert set(a | b) == plain[0] | plain[1]
        assert len(a) == len(plain[0])
        assert [frame in a for frame in range(60)] == [frame in plain[0] for frame in range(60)]
        assert [a[i] for i in range(len(a))] == sorted(plain[0])


def test_a_bitmap_is_read_bit_by_bit() -> None:
    assert FrameSet.from_bitmap(bytes([0b1000_0001, 0xFF, 0, 0b0000_0010])).ranges == ((0, 1), (7, 16), (25, 26))
    assert not FrameSet.from_bitmap(bytes(8))


def test_bytes_cover_every_frame_that_they_touch() -> None:
    assert FrameSet.covering_bytes([(PAGE - 1, PAGE + 1), (5 * PAGE, 5 * PAGE)]).ranges == ((0, 2),)


def test_usable_frames_agree_with_a_walk_over_all_bytes() -> None:
    """Bytes in steps of 512, so that every frame has eight places where something may begin or end."""
    rng = random.Random(2)
    for _ in range(300):
        entries = [MemoryEntry(rng.randrange(120) * 512, rng.randrange(60) * 512, rng.choice((1, 1, 1, 2, 9))) for _ in range(rng.randrange(8))]
        assert usable_frames(entries) == FrameSet.of_frames(frame for frame in range(30) if _is_usable(entries, frame)), entries


def _is_usable(entries: list[MemoryEntry], frame: int) -> bool:
    steps = range(frame * PAGE, (frame + 1) * PAGE, 512)
    kinds = [{entry.kind for entry in entries if entry.base <= at < entry.end} for at in steps]
    return all(kind == {1} for kind in kinds)


@pytest.mark.parametrize("entry, frames", [
    (MemoryEntry(2**64 - PAGE, 2 * PAGE), ()),
    (MemoryEntry(2**32 - 2 * PAGE, 2**64 - 1), ((0xFFFFE, 0x100000),)),
    (MemoryEntry(2**32, PAGE), ()),
    (MemoryEntry(1, PAGE), ()),
    (MemoryEntry(1, 2 * PAGE), ((1, 2),)),
    (MemoryEntry(PAGE, 0), ()),
])
def test_limits_of_an_entry(entry: MemoryEntry, frames: tuple[tuple[int, int], ...]) -> None:
    assert usable_frames([entry]).ranges == frames


def test_zones() -> None:
    assert [zone_of(frame) for frame in (0, 4095, 4096, 65535, 65536, 0xFFFFF)] == [0, 0, 1, 1, 2, 2]


def test_the_model_falls_back_downwards_only() -> None:
    model = AllocatorModel(FrameSet([(10, 12), (4096, 4097)]))
    assert model.may_take(Zone.HIGH).ranges == ((4096, 4097),)
    model.take(4096)
    assert model.may_take(Zone.HIGH).ranges == ((10, 12),)
    assert [model.free_count(zone) for zone in Zone] == [2, 0, 0]
    model.take(10), model.take(11)
    assert not model.may_take(Zone.DMA)
    model.give_back(4096)
    assert not model.may_take(Zone.DMA) and model.may_take(Zone.NORMAL).ranges == ((4096, 4097),)


_HOST_PROGRAM = r"""
#include <cinttypes>
#include <cstdio>
#include "mm/physical/memory_map.h"
// Maps from stdin, one a line: a number of entries, then base, length and kind of each. Answers with the ranges.
int main() {
    size_t count;
    while (scanf("%zu", &count) == 1) {
        mm::MemoryMapEntry entries[64];
        for (size_t i = 0; i < count; ++i) {
            uint32_t kind;
            if (scanf("%" SCNu64 " %" SCNu64 " %" SCNu32, &entries[i].base, &entries[i].length, &kind) != 3) return 1;
            entries[i].kind = mm::MemoryKind(kind);
        }
        FrameRange ranges[65];
        const auto found = mm::memory_map::sanitise({entries, count}, ranges);
        for (size_t i = 0; i < found.value(); ++i) printf("%u %u ", ranges[i].begin.value(), ranges[i].end.value());
        printf("\n");
    }
}
"""


_SOURCES = [name for name in ("solutions/01-frames", "grader/corpus/alt/frames-bitmap/01-frames") if (ROOT / name).is_dir()]


@pytest.mark.parametrize("sources", _SOURCES)
def test_sanitise_on_the_host_agrees_with_the_model(sources: str, tmp_path: Path) -> None:
    """The same source as a 32-bit program of this computer, with a trap for undefined behaviour, on a thousand maps."""
    program = tmp_path / "program.cpp"
    program.write_text(_HOST_PROGRAM)
    binary = tmp_path / "program"
    subprocess.run(["i686-linux-gnu-g++", "-std=c++20", "-O1", "-static", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error",
                    "-D_GLIBCXX_ASSERTIONS", f"-I{ROOT / 'kernel'}", str(program), str(ROOT / sources / "memory_map.cpp"), "-o", str(binary)],
                   check=True)
    rng = random.Random(3)
    maps = [[_any_entry(rng) for _ in range(rng.randrange(0, 20))] for _ in range(1000)]
    lines = "".join(f"{len(entries)} " + " ".join(f"{e.base} {e.length} {e.kind}" for e in entries) + "\n" for entries in maps)
    done = subprocess.run([str(binary)], input=lines, capture_output=True, text=True, check=True)
    for entries, line in zip(maps, done.stdout.splitlines(), strict=True):
        numbers = [int(word) for word in line.split()]
        assert tuple(zip(numbers[::2], numbers[1::2])) == usable_frames(entries).ranges, entries


def _any_entry(rng: random.Random) -> MemoryEntry:
    scale = rng.choice((1, 512, PAGE, 1 << 20, 1 << 28, 1 << 40))
    base = rng.choice((0, 0, 2**32 - 64 * PAGE, 2**64 - 2**44)) + rng.randrange(4000) * scale
    return MemoryEntry(base % 2**64, rng.randrange(4000) * rng.choice((0, 1, 700, scale, scale)) % 2**64, rng.choice((1, 1, 1, 2, 5, 77)))
