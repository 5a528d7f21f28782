"""What a user sees of demand paging and copy-on-write: vmstat, the faults in ps, and the demonstration programs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.disk import program_disk, programs_in
from emulator.volume import copy_image
from profiles import built
from shell_session import SHIPPED, ShellSession, build_what_is_missing
from test_monitor import PROMPT, Console
from test_shell import memory, processes

WAYS = ("kernel page table", "zero frame", "zeroed frame", "large page", "object's page", "copy of an object's page", "copy-on-write", "last owner")
ENDS = ("resolved", "possible already", "signal", "out of memory")


@pytest.fixture(scope="module")
def shell() -> Iterator[ShellSession]:
    build_what_is_missing()
    with ShellSession(append="overcommit=always oom=self") as session:
        yield session


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    build_what_is_missing()
    disk = tmp_path / "disk.img"
    copy_image(program_disk(programs_in(SHIPPED)), disk)
    console = Console(options="monitor", machine=["-drive", f"file={disk},format=raw,if=ide"])
    try:
        console.until(PROMPT)
        yield console
    finally:
        console.close()


def counts(text: str) -> dict[str, int]:
    """What vmstat says, without what is indented how far."""
    return {name: int(value) for name, value in re.findall(r"^ *(\S.*?) +(\d+)$", text, re.MULTILINE)}


def vmstat(shell: ShellSession, *arguments: str) -> dict[str, int]:
    return counts(shell.run(" ".join(["vmstat", *arguments])))


def check_sums(seen: dict[str, int]) -> None:
    assert seen["page faults"] == sum(seen[end] for end in ENDS)
    assert seen["resolved"] == sum(seen[way] for way in WAYS)


# vmstat


def test_every_fault_is_counted_by_its_end_and_its_way(shell: ShellSession) -> None:
    before = vmstat(shell)
    check_sums(before)
    shell.run("crash null")
    shell.run("growdemo")
    after = vmstat(shell)
    check_sums(after)
    assert after["signal"] == before["signal"] + 1
    assert 63 <= after["growths of stacks"] - before["growths of stacks"] <= 66
    assert after["zeroed frame"] - before["zeroed frame"] >= 64
    assert after["switches"] > before["switches"] and after["system calls"] > before["system calls"]
    assert after["TLB, pages forgotten"] > before["TLB, pages forgotten"], "copy-on-write of the shell's children"


def test_out_of_memory_is_an_end_of_its_own() -> None:
    build_what_is_missing()
    with ShellSession(append="overcommit=always") as shell:
        before = vmstat(shell)
        shell.run("hog 500")
        after = vmstat(shell)
    assert after["out of memory"] == before["out of memory"] + 1 and after["signal"] == before["signal"]


def test_the_frames_of_vmstat_are_those_of_meminfo(shell: ShellSession) -> None:
    seen, same = vmstat(shell), memory(shell)
    assert abs(seen["frames, free"] + seen["frames, free and zeroed"] - same["free"]) <= 2, "another program asks, with pages of its own"
    assert abs(seen["frames, in use"] - same["handed out"]) <= 2
    assert 0 < seen["pages of files"] < seen["frames, in use"]
    assert abs(seen["pages of files"] - same["of these, pages of files"]) <= 4, "vmstat's own have gone, meminfo's are in memory now"


def test_a_process_has_faults_of_its_own(shell: ShellSession) -> None:
    shell.type("hog 4 100 &\r")
    pid = re.search(r"\[(\d+)\] hog runs", shell.until("every page written\n"))[1]
    seen = vmstat(shell, "-p", pid)
    check_sums(seen)
    assert seen["zeroed frame"] + 1024 * seen["large page"] >= 1024 and "frames, free" not in seen
    assert processes(shell)["hog"][8] == str(seen["page faults"]), "as in ps"
    assert vmstat(shell)["page faults"] > seen["page faults"]
    assert vmstat(shell, "-p", "1")["zeroed frame"] < 10, "init took no part in it"
    shell.run(f"kill {pid}")


def test_vmstat_repeats_what_came_since(shell: ShellSession) -> None:
    heading, first, second = shell.run("vmstat 1 2").splitlines()
    assert heading.split()[:2] == ["FAULTS", "ZERO"] and len(heading) <= 80
    for row in (first, second):
        assert len(row.split()) == len(heading.replace("IN USE", "INUSE").split())
    *faults, switches, calls, idle, free, in_use = second.replace("%", "").split()
    assert set(faults) == {"0"} and int(idle) >= 90 and 0 < int(calls) < 20 and int(switches) < 50, "nobody does anything"
    assert int(free) + int(in_use) == sum(map(int, first.split()[-2:])) > 10_000


@pytest.mark.parametrize(("line", "answer", "status"), [
    ("vmstat x", "usage: vmstat, vmstat -p PID, vmstat SECONDS [TIMES]\n", 2),
    ("vmstat 0", "usage: vmstat, vmstat -p PID, vmstat SECONDS [TIMES]\n", 2),
    ("vmstat -p", "usage: vmstat, vmstat -p PID, vmstat SECONDS [TIMES]\n", 2),
    ("vmstat -p 9999", "vmstat: 9999: no such process\n", 1),
])  # fmt: skip
def test_what_vmstat_cannot_do(shell: ShellSession, line: str, answer: str, status: int) -> None:
    assert shell.run(line) == f"{answer}vmstat ended with status {status}\n"


def first_faults(console: Console, pid: str) -> dict[str, int]:
    """The process's counts, once it has run: it does so while the monitor waits for keys."""
    for _ in range(20):
        seen = counts(console.run(f"vmstat {pid}"))
        if seen["page faults"]:
            return seen
    raise AssertionError(f"process {pid} has had no page fault")


def test_the_monitor_has_the_same_words(shell: ShellSession, console: Console) -> None:
    of_monitor, of_shell = counts(console.run("vmstat")), vmstat(shell)
    assert set(of_monitor) <= set(of_shell), "the shell has those of swap, too"
    check_sums(of_monitor)
    pid = re.fullmatch(r"process (\d+)\n", console.run("start sleep 1000"))[1]
    of_process = first_faults(console, pid)
    check_sums(of_process)
    assert 0 < of_process["page faults"] <= counts(console.run("vmstat"))["page faults"]
    assert console.run("vmstat 4000") == "vmstat: NotFound\n"


# The demonstrations


Row = tuple[int, int, int, int, dict[str, int]]


def rows(text: str) -> dict[str, Row]:
    """What each step did to resident pages, page tables, frames in use; its faults, and what became of them."""
    found = {}
    for what, *figures, ways in re.findall(r"^(\S.*?)  +([+-]\d+) +([+-]\d+) +([+-]\d+) +(\d+)(.*)$", text, re.MULTILINE):
        by_way = {name: int(count) for count, name in re.findall(r"(\d+) ([a-z' -]+)", ways)}
        found.setdefault(what, (*map(int, figures), by_way))
    return found


def test_what_is_mapped_costs_nothing_until_somebody_looks(shell: ShellSession) -> None:
    shown = rows(shell.run("lazydemo"))
    assert shown["1 MiB mapped"] == (0, 0, 0, 0, {})
    resident, tables, frames, faults, ways = shown["16 pages of it read"]
    assert (resident, faults, ways) == (16, 16, {"zero frame": 16}) and frames == tables <= 2, "everybody's frame of zeros"
    resident, tables, frames, faults, ways = shown["these 16 written"]
    assert (resident, tables, frames, ways) == (0, 0, 16, {"copy-on-write": 16})
    resident, tables, frames, faults, ways = shown["64 others written"]
    assert (resident, frames - tables, ways) == (64, 64, {"zeroed frame": 64})
    assert shown["all 80 written again"] == (0, 0, 0, 0, {})
    assert shown["given back (MADV_DONTNEED)"][0] == -80 and shown["given back (MADV_DONTNEED)"][2] <= -80
    assert shown["8 MiB mapped, one byte written"][0] == 1024 and shown["8 MiB mapped, one byte written"][4] == {"large page": 1}
    resident, _, _, faults, ways = shown["its first page read"]
    assert faults == ways["object's page"] == 1 and resident == 1 + ways["neighbours"]


def test_fork_shares_and_who_writes_first_copies(shell: ShellSession) -> None:
    shown = rows(shell.run("cowdemo"))
    assert shown["parent: 64 pages written"][4] == {"zeroed frame": 64}
    resident, tables, frames, _, ways = shown["parent: fork"]
    assert ways == {"copy-on-write": 1}, "the page of its stack"
    assert (resident, tables) == (0, 0) and frames < 20, "directory, page tables, kernel stack: no page of the 64"
    assert shown["child:  reads them all"] == (0, 0, 0, 0, {})
    assert shown["child:  writes 16 of them"] == (0, 0, 16, 16, {"copy-on-write": 16})
    assert shown["parent: writes the same 16"] == (0, 0, 0, 16, {"last owner": 16})
    assert shown["parent: writes the other 48"] == (0, 0, 48, 48, {"copy-on-write": 48})
    assert shown["parent: the child has ended"][2] <= -64 - 3


def test_a_stack_grows_and_keeps_what_it_has(shell: ShellSession) -> None:
    text = shell.run("growdemo")
    shown = rows(text)
    resident, _, frames, faults, ways = shown["32 calls deep, 4 KiB each"]
    assert resident == faults == ways["zeroed frame"] == 32 and 30 <= ways["growths"] <= 32 and 32 <= frames <= 33
    assert shown["32 calls deep, again"] == (0, 0, 0, 0, {})
    assert shown["64 calls deep"][4] == {"zeroed frame": 32, "growths": 32}
    small, large = (int(size) for size in re.findall(r" stack +(\d+) KiB", text))
    assert small == 8 and 256 <= large <= 272 and "The limit is 1024 KiB" in text


def test_every_demonstration_shows_the_same_again(shell: ShellSession) -> None:
    for name in ("lazydemo", "cowdemo", "growdemo"):
        first, second = (rows(shell.run(name)) for _ in range(2))
        assert [row[4] for row in first.values()] == [row[4] for row in second.values()]


def test_without_demand_paging_everything_is_there_at_once() -> None:
    build_what_is_missing()
    with ShellSession(kernel=built("no-demand-paging")) as shell:
        assert "demand paging off" in shell.seen
        lazy, fork, stack = (rows(shell.run(name)) for name in ("lazydemo", "cowdemo", "growdemo"))
        assert shell.run("hog 500").startswith("hog: 500 MiB: out of memory\n"), "nothing is promised"
    assert lazy["1 MiB mapped"][0] == 256 and all(step[3] == 0 for step in (*lazy.values(), *stack.values())), "no page fault at all"
    assert fork["child:  writes 16 of them"] == (0, 0, 16, 16, {"copy-on-write": 16}), "fork shares all the same"


def test_page_faults_stand_in_ps(shell: ShellSession) -> None:
    heading = shell.run("ps").splitlines()[0].split()
    assert heading[8] == "FAULTS"
    found = processes(shell)
    assert int(found["init"][8]) > 0 and int(found["ps"][8]) > 0 and found["kernel"][8] == "0"
