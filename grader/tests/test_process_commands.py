"""The monitor's commands about processes, typed at like a person would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.disk import program_disk, programs_in
from emulator.volume import copy_image
from judge.link import prepare_programs
from judge.paths import ROOT
from test_monitor import PROMPT, Console


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    prepare_programs()
    disk: Path = tmp_path_factory.mktemp("monitor") / "disk.img"
    copy_image(program_disk(programs_in(ROOT / "build/user/bin")), disk)
    console = Console(options="monitor", machine=["-drive", f"file={disk},format=raw,if=ide"])
    try:
        console.until(PROMPT)
        yield console
    finally:
        console.close()


def names(console: Console) -> list[str]:
    return [line.split()[-1] for line in console.run("ps").splitlines()[1:]]


def test_a_program_runs_and_the_monitor_waits_for_it(console: Console) -> None:
    assert console.run("run echo hello   world") == "hello world\n"
    assert re.fullmatch(r"\d+ ended with status 1\n", console.run("run false"))
    assert re.fullmatch(r"(?s).*killed by SIGSEGV: null pointer.*\d+ ended by SIGSEGV\n", console.run("run faults null"))
    assert names(console) == ["kernel"]


def test_a_program_that_was_started_is_listed_mapped_killed_and_waited_for(console: Console) -> None:
    pid = re.fullmatch(r"process (\d+)\n", console.run("start sleep 1000"))[1]
    assert names(console) == ["kernel", "sleep"]
    assert re.search(rf"^ +{pid} 0x[0-9a-f]{{8}} +\d+ K +\d+ K +\d+ K +\d+ K +\d+ K +\d+ sleep$", console.run("spaces"), re.MULTILINE)
    assert re.search(r"r.x", console.run(f"maps {pid}"))
    assert console.run(f"kill {pid}") in ("", f"sleep[{pid}] killed by SIGKILL\n")
    assert f"{pid}: status 0, signal 9\n" in console.run(f"wait {pid}")
    assert names(console) == ["kernel"] and console.run("wait") == "wait: NoChild\n"


def test_the_scheduler_counts(console: Console) -> None:
    def figures() -> dict[str, int]:
        return {name: int(value) for name, value in re.findall(r"^ *(\D+?) +(\d+)", console.run("switches"), re.MULTILINE)}

    before = figures()
    console.run("run true")
    after = figures()
    assert after["switches"] >= before["switches"] + 2 and after["system calls"] > before["system calls"]
    assert after["processes"] == 1 and after["kernel stacks"] == 1, "that of the idle task"


@pytest.mark.parametrize(("line", "answer"), [
    ("run nothing", "run: NotFound\n"),
    ("run", "run: InvalidArgument\nusage: run PROGRAM [ARGUMENT...]\n"),
    ("kill 0", "kill: NotFound\n"),
    ("kill 4000", "kill: NotFound\n"),
    ("maps 0", "maps: NotFound\n"),
    ("wait 4000", "wait: NoChild\n"),
])  # fmt: skip
def test_what_cannot_be_done_is_named(console: Console, line: str, answer: str) -> None:
    assert console.run(line) == answer
