"""When there is no memory left: one process ends, its memory is there at once, the others go on, and it is said why."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.disk import program_disk, programs_in
from emulator.swap_disk import SwapDisk
from judge import paths
from scripted import Boots, Run, Script, boots

SIGKILL = 9


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("oom"))


@pytest.fixture
def disk(tmp_path) -> Path:
    image = tmp_path / "disk.img"
    shutil.copyfile(program_disk(programs_in(paths.programs_folder())), image)
    return image


@pytest.fixture(params=["without swap", "with swap"])
def swap(request, tmp_path) -> Path | None:
    if request.param == "without swap":
        return None
    image = tmp_path / "swap.img"
    SwapDisk(kib=2048).write(image)
    return image


def fresh() -> Script:
    """A script whose first program has run: process 1, which would be init, is nobody's victim."""
    script = Script()
    script.add("program.run true")
    script.add("program.run greedy hold 1 0")
    return script


def output(run: Run, operation: int) -> str:
    """What programs printed in an operation that waited for one."""
    length, *words = run.values(operation)[2:]
    return b"".join(word.to_bytes(4, "little") for word in words)[:length].decode()


def status(run: Run, operation: int) -> int:
    return run.values(operation)[1]


def test_who_has_most_ends_and_who_asked_goes_on(boot, disk, swap):
    """Of three processes the largest ends; the one whose page fault asked has its memory, and the third keeps what it wrote."""
    script = fresh()
    pages = 900 + (512 if swap else 0)
    company = [script.add("program.start greedy hold 1 1") for _ in range(3)]
    for pid in company:
        script.add(f"program.wait ${pid}")  # three at once: as many kernel stacks stay at hand as there will be
    before = script.add("heap.settle")
    large, small = script.add(f"program.start greedy hold {pages} 20"), script.add("program.start greedy hold 200 2")
    script.add("program.yield 40")
    asker = script.add(f"program.run greedy hold {pages - 100} 0")
    short = script.add("oom.counters")
    ended, kept = script.add(f"program.wait ${large}"), script.add(f"program.wait ${small}")
    after = script.add("heap.settle")
    script.add("commit.account")
    run = boot(script, megabytes=8, options="oom=choose overcommit=always loadcontrol=off", disk=disk, swap=swap)
    run.to_end()
    assert status(run, asker) == 0 and "kept\n" in output(run, asker), run.text()
    assert status(run, ended) == SIGKILL and status(run, kept) == 0
    asked, killed, reaped, _ = run.values(short)
    assert (asked, killed) == (1, 1) and reaped >= 500, "its memory came at once"
    assert run.value(after) == run.value(before), "every frame has come back"
    said = run.text()
    table = re.findall(r"^ +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) greedy$", said, re.MULTILINE)
    assert len(table) == 3 and int(table[0][0]) == run.value(large), said
    assert all(int(score) == int(resident) + int(swapped) + int(tables) for _, resident, swapped, tables, score in table)
    assert [int(line[4]) for line in table] == sorted((int(line[4]) for line in table), reverse=True)
    assert f"out of memory: a page fault of greedy[{run.value(asker)}] needs a frame" in said
    assert f"greedy[{run.value(large)}] is killed; {reaped} frames came back at once" in said
    assert ("swap slots" in said) == bool(swap) and ("there is no swap area" in said) != bool(swap)


def test_with_oom_self_the_process_that_asks_ends(boot, disk):
    script = fresh()
    large = script.add("program.start greedy hold 900 2")
    script.add("program.yield 40")
    asker, ended = script.add("program.run greedy hold 800 0"), script.add(f"program.wait ${large}")
    counters = script.add("oom.counters")
    run = boot(script, megabytes=8, options="oom=self overcommit=always", disk=disk)
    run.to_end()
    assert status(run, asker) == SIGKILL and "killed by SIGKILL: out of memory" in output(run, asker)
    assert status(run, ended) == 0 and run.values(counters)[:2] == (0, 0)


def test_who_needs_the_memory_itself_ends_when_the_kernel_writes_for_it(boot, disk):
    """The faults are the kernel's own, in read(): the call fails, and the process that is said to be killed is."""
    script = fresh()
    ran, counters = script.add("program.run greedy read"), script.add("oom.counters")
    run = boot(script, megabytes=8, options="oom=choose overcommit=always", disk=disk)
    run.to_end()
    assert f"greedy[{run.values(ran)[0]}] is killed: it needs the memory itself" in run.text()
    assert status(run, ran) == SIGKILL and "not read" not in output(run, ran)
    assert run.values(counters)[:2] == (1, 0)


def test_without_swap_no_policy_is_asked_for_pages_that_cannot_leave(boot, disk):
    """All that may leave are the pages of programs' files; working sets ask for every page whether it is clean."""
    script = fresh()
    greedy, good = script.add("program.run greedy memory"), script.add("program.run greedy hold 100 0")
    victims = script.add("reclaim.counters")
    script.add("reclaim.check")
    run = boot(script, megabytes=8, options="oom=choose overcommit=always policy=working-set", disk=disk)
    run.to_end()
    assert status(run, greedy) == SIGKILL and status(run, good) == 0, run.text()
    *_, chosen, stayed, anonymous, shared, files = run.values(victims)
    assert (stayed, anonymous, shared) == (0, 0, 0) and files == chosen > 0


def test_a_failure_for_one_process_only_kills_no_other(boot, disk):
    """frames::fail_after() is not the machine's shortage: the large process lives."""
    script = fresh()
    large = script.add("program.start greedy hold 900 1")
    script.add("program.yield 40")
    starved, ended = script.add("program.run lazy starve"), script.add(f"program.wait ${large}")
    counters = script.add("oom.counters")
    run = boot(script, megabytes=8, options="oom=choose overcommit=always", disk=disk)
    run.to_end()
    assert status(run, starved) == 0 and status(run, ended) == 0 and run.values(counters)[1] == 0


@pytest.mark.parametrize("swap, bomb, ending", [("with swap", "memory", SIGKILL), ("without swap", "memory", SIGKILL), ("without swap", "maps", 0),
                                                ("without swap", "fork", 0)], indirect=["swap"])  # small areas and small processes are not swapped
def test_bombs_end_and_leave_nothing_behind(boot, disk, swap, bomb, ending):
    script = fresh()
    script.add(f"program.run greedy {bomb}")  # page tables for so many kernel stacks stay
    before = script.add("heap.settle")
    ran = script.add(f"program.run greedy {bomb}")
    after, good = script.add("heap.settle"), script.add("program.run greedy hold 100 0")
    script.add("commit.account")
    run = boot(script, megabytes=8, options="oom=choose overcommit=always", disk=disk, swap=swap)
    run.to_end()
    assert status(run, ran) in (ending, SIGKILL), output(run, ran)
    assert status(run, good) == 0, "the machine works as before"
    assert run.value(after) == run.value(before), "every frame has come back"
