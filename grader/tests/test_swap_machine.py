"""The whole kernel short of memory, seen from outside: page tables, frame table and swap disk tell one story while programs work, and no
slot is in use when they are gone. The same work at the real shell, in both emulators."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from emulator.swap_disk import SwapDisk
from judge.scenario import Checkpoint
from labs.programs import Programs
from labs.swap_audit import SwapAudit, read_audit
from paging.tables import PAGE
from program_boots import booter
from shell_session import ShellSession, build_what_is_missing

MEMORY, HOGS, HOG_MIB = 5, 3, 2
HOG_PAGES = HOG_MIB * 256
KNUTH = 2654435761  # hog writes the number of each page, times this, to its first word
SHELLS_OWN = 64  # pages of init and the shell that may be in the swap area while nothing else runs


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator:
    with booter(tmp_path_factory.mktemp("machine")) as machines:
        yield machines


def test_hogs_side_by_side_are_whole_and_leave_nothing(machine) -> None:
    """Three programs that together are larger than memory. Then they are killed, with most of their pages on the disk."""
    scenario = machine(MEMORY)
    scenario.swap = SwapDisk(kib=12 << 10)
    programs = Programs(scenario)

    def read(target: Any) -> SwapAudit:
        return read_audit(target, scenario.machine.memory_bytes)

    hogs = [programs.start("hog", HOG_MIB, 3600) for _ in range(HOGS)]
    ran = programs.let_run(400)
    full = programs.look(hogs[0], "full", lambda target, _: read(target))
    for hog in hogs:
        programs.kill(hog, "SIGKILL")
        programs.wait(hog)
    end = Checkpoint("end", scenario.op("swap.look", "end"), read, False)
    scenario.checkpoints.append(end)
    scenario.boot()

    begins = [int(begin, 16) for begin in re.findall(r"mapped at (0x[0-9a-f]+)", ran.text)]
    assert len(begins) == HOGS == ran.text.count("every page written"), ran.text
    audit: SwapAudit = full.found
    assert not audit.wrong(), audit.wrong()[:5]
    assert sum(map(len, audit.swapped.values())) > (HOGS * HOG_MIB - MEMORY) * 256
    for hog in hogs:
        begin = next(begin for begin in begins if audit.contents(hog.value, begin) is not None)
        words = [int.from_bytes((audit.contents(hog.value, begin + i * PAGE) or b"")[:4], "little") for i in range(HOG_PAGES)]
        assert words == [i * KNUTH & 0xFFFF_FFFF for i in range(HOG_PAGES)]
        assert not any(any((audit.contents(hog.value, begin + i * PAGE) or b"?")[4:]) for i in range(HOG_PAGES))
    assert not end.probe.wrong(), end.probe.wrong()[:5]
    assert not end.probe.leaks(), end.probe.leaks()
    assert end.probe.statistics.pages_out > 0


def in_use(shell: ShellSession) -> tuple[int, int]:
    """Frames and slots, as meminfo tells."""
    rows = dict(re.findall(r"^  (handed out|swap|  of these, free) +(\d+)", shell.run("meminfo"), re.MULTILINE))
    return int(rows["handed out"]), int(rows["swap"]) - int(rows["  of these, free"])


@pytest.mark.parametrize("emulator", ["bochs", "qemu"])
def test_at_the_shell_programs_larger_than_memory_come_and_go(emulator: str) -> None:
    build_what_is_missing()
    with ShellSession(emulator=emulator, memory=8) as shell:
        for _ in range(2 if emulator == "bochs" else 1):
            assert "hog: 7 MiB, every page written" in shell.run("hog 7")
            assert in_use(shell)[1] <= SHELLS_OWN
        figures = shell.run("vmstat")
    assert re.search(r"swap", figures), figures


def test_at_the_shell_who_needs_more_than_memory_and_swap_ends_alone() -> None:
    """Nothing but the defaults of `make run`: each of two programs is promised what it asks for, both together are too large."""
    build_what_is_missing()
    with ShellSession(emulator="qemu", memory=8) as shell:
        frames, _ = in_use(shell)
        shell.type("hog 9 1000 &\r")
        pid = re.search(r"\[(\d+)\] hog runs", shell.until("every page written\n"))[1]
        said = shell.run("hog 14")
        dead = re.search(r"^out of memory: a page fault of hog\[(\d+)\] needs a frame; \d+ frames are left, and 0 of 4095 swap slots$", said, re.MULTILINE)[1]
        assert f"hog[{dead}] is killed: it needs the memory itself\nhog[{dead}] killed by SIGKILL: out of memory, eip " in said
        assert said.endswith("\nhog was ended by SIGKILL: killed\n"), said
        hogs = re.findall(r"^ +(\d+) .* hog$", shell.run("ps"), re.MULTILINE)
        assert hogs == [pid] != [dead], "the other one is there"
        assert f"[{pid}] hog was ended" in shell.run(f"kill {pid}")
        frames_then, slots = in_use(shell)
        assert frames_then - frames < 4 and slots <= SHELLS_OWN


def test_an_audit_finds_what_is_wrong(machine) -> None:
    """The same machine with a slot that is damaged on the disk, an entry too many, and a copy that is none: each is told."""
    scenario = machine(MEMORY)
    scenario.swap = SwapDisk(kib=1 << 10)
    programs = Programs(scenario)
    scenario.op("swap.limit", 40)
    work = programs.run("swapwork", "family", 0x4000_0000, 60, 1, 0, 7, 1, checkpoints=["forked", "read", "apart", "left"],
                        reader=lambda target, _: read_audit(target, scenario.machine.memory_bytes))
    scenario.boot()
    assert work.lines[-1] == "wrong 0"
    audit: SwapAudit = work.looks["read"].found
    assert not audit.wrong(), audit.wrong()[:5]
    slot = next(iter(audit.used))
    assert any(f"slot {slot} has" in told for told in changed(audit, entries=audit.entries[:slot] + (9,) + audit.entries[slot + 1:]).wrong())
    copy = next(slot for slot, frame in audit.copies.items() if audit.disk[slot] == audit.memory[frame])
    damaged = changed(audit, disk=audit.disk | {copy: b"\1" * PAGE})
    assert any(f"copy of slot {copy}" in told for told in damaged.wrong())
    assert any("in use, says the piece" in told for told in changed(audit, object_pages={max(free_slots(audit)): [(0x1234, 0)]}).wrong())
    frames = {frame: type(info)(info.references + 1, info.use, info.dirtied) for frame, info in audit.frames.items()}
    assert len(changed(audit, frames=frames).wrong()) == len(frames)


def changed(audit: SwapAudit, **fields: Any) -> SwapAudit:
    """Another audit, of a machine on which something is different."""
    return replace(audit, **fields)


def free_slots(audit: SwapAudit) -> list[int]:
    return [slot for slot in range(1, audit.slots) if not audit.entries[slot] and slot not in audit.copies]
