"""Thrashing and its end: a pair of processes too large for memory gets on faster when one at a time runs, and nobody waits for ever."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from emulator.disk import program_disk, programs_in
from emulator.swap_disk import SwapDisk
from judge import paths
from scripted import Boots, Run, Script, boots

WAITING, SUSPENDED = 3, 5  # abi::ProcessState
PAIR = "thrash 900 6 2"  # 1800 pages where memory has some 1580: with the programs' own pages, over 1.5 times what clock can use


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("load"))


@pytest.fixture
def start(boot, tmp_path):
    """Boots a script on a small machine with swap."""
    disk, swap = tmp_path / "disk.img", tmp_path / "swap.img"
    shutil.copyfile(program_disk(programs_in(paths.programs_folder())), disk)
    SwapDisk(kib=16384).write(swap)
    return lambda script, control: boot(script, megabytes=8, options=f"overcommit=always loadcontrol={control}", disk=disk, swap=swap)


def finished(start, program: str, control: str) -> tuple[Run, int, tuple[int, ...]]:
    script = Script()
    ran, counters = script.add(f"program.run {program}"), script.add("load.counters")
    script.add("commit.account")
    run = start(script, control)
    run.to_end()
    assert run.values(ran)[1] == 0, run.text()
    return run, run.records()[ran].ticks, run.values(counters)


def test_a_pair_too_large_for_memory_gets_on_faster_one_at_a_time(start):
    _, without, off = finished(start, PAIR, "off")
    _, with_control, on = finished(start, PAIR, "on")
    assert off == (0,) * 8, "off is off"
    assert with_control < without * 3 // 4, (with_control, without)
    samples, overloads, holds, releases, turns, held, _, capacity = on
    assert holds >= 1 and holds == releases + turns and held == 0, "everybody was let go on"
    assert overloads >= 3 and 1000 < capacity < 1900
    assert holds * 20 <= samples, "no flapping: a turn is long"


def test_a_pair_that_fits_is_left_alone(start):
    _, _, counters = finished(start, "thrash 300 6 2", "on")
    assert counters[2] == 0 and counters[1] == 0


def test_one_process_alone_is_never_suspended(start):
    _, _, counters = finished(start, "thrash 2000 3 1", "on")
    assert counters[2] == 0


def test_who_waits_for_a_suspended_process_hears_of_its_end(start):
    """A parent waits for two children, one of which is suspended when it is killed: at once it is gone, and the other goes on."""
    script = Script()
    parent = script.add("program.start thrash 900 200 2")
    looks = []
    for _ in range(40):
        script.add("program.yield 8")
        looks.append(script.add("program.ps"))
    suspended = script.add("program.suspended")
    script.add(f"program.kill ${suspended} 9")
    script.add("program.yield 4")
    without_it = script.add("program.ps")
    other = script.add(f"program.child ${parent}")
    script.add(f"program.kill ${other} 9")
    ended = script.add(f"program.wait ${parent}")
    script.add("reclaim.check")
    run = start(script, "on")
    run.to_end()

    def processes(look: int) -> dict[int, tuple[int, int]]:
        """Parent and state of each."""
        values = run.values(look)
        return {pid: (of, state) for pid, of, state in zip(values[::3], values[1::3], values[2::3])}

    seen = [[state for _, state in processes(look).values()] for look in looks]
    assert any(SUSPENDED in states for states in seen), "somebody was suspended"
    assert all(states.count(SUSPENDED) <= 1 for states in seen), "one of two goes on"
    waiting, victim, survivor = run.value(parent), run.value(suspended), run.value(other)
    before, after = processes(looks[-1]), processes(without_it)
    assert before[waiting][1] == after[waiting][1] == WAITING
    assert before[victim] == (waiting, SUSPENDED) and victim not in after, "its parent has heard of it, and collected it"
    assert after[survivor][0] == waiting and survivor != victim and after[survivor][1] != SUSPENDED
    length, *words = run.values(ended)[2:]
    said = b"".join(word.to_bytes(4, "little") for word in words)[:length].decode()
    assert run.values(ended)[1] == 1 << 8 and "0 of 2 ended well" in said, said
    assert said.count("killed by SIGKILL") == 1, "the other one's end was told before"
