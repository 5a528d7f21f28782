"""Copy-on-write in the whole kernel: families of address spaces and of processes that write, fork and die in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from judge.scenario import Scenario
from labs.programs import Programs
from paging.tables import PAGE
from program_boots import booter
from scripted import Boots, boots
from test_spaces import Work, look_at

Machines = Callable[..., Scenario]

SPACES = 12
NUMBERS = bytes(i * 7 & 0xFF for i in range(6 * PAGE))
# Two page tables, of zeros; a file; shared memory.
ZEROS, FILE, SHARED = 0x301F_0000, 0x3000_0000, 0x3050_0000


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("families"))


class Family(Work):
    """Spaces that descend from one, and change by writing only."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, eager=False)
        space = self.spaces[0]
        for begin, count, protection, file in ((ZEROS, 32, "rw-", None), (FILE, 24, "rw-", self.files[2]),
                                               (SHARED, 8, "rw-", self.files[1]), (0x1003_0000, 6, "r-x", self.files[0])):
            shared = begin == SHARED
            self.expect(f"space.map 0 {count} {protection} {'shared' if shared else 'private'} fixed {begin} "
                        f"{file.number if file else 'none'} 0", space.map(begin, count, protection, shared, False, file, 0))

    def step(self) -> None:
        number = self.random.choice(list(self.spaces))
        operations = [self.write] * 9 + [self.read] * 3 + [self.fork] * 3 + [self.leave] * (3 if len(self.spaces) > 2 else 0)
        self.random.choice(operations)(number, self.spaces[number])

    def fork(self, number: int, space) -> None:
        child = next((n for n in range(SPACES) if n not in self.spaces), None)
        if child is not None:
            self.directories[child] = self.script.add(f"space.fork {number} {child}")
            self.spaces[child] = space.fork()

    def leave(self, number: int, space) -> None:
        self.script.add("space.activate none")
        self.script.add(f"space.destroy {number}")
        self.spaces.pop(number).leave()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_family_of_spaces_shares_each_frame_as_often_as_its_count_says(boot, seed: int) -> None:
    family = Family(seed)
    snapshots = []
    for checkpoint in range(4):
        for _ in range(150):
            family.step()
        snapshots.append(family.look(f"after-{checkpoint}"))
    released = family.finish()
    run = boot(family.script, megabytes=32)
    for snapshot in snapshots:
        run.to_checkpoint(snapshot.name)
        look_at(run, snapshot)
    run.to_end()
    records = run.records()
    assert {operation: records[operation].error for operation in family.errors} == family.errors
    assert {operation: run.value(operation) for operation in family.values} == family.values
    assert run.value(released) == run.value(family.in_use), "every frame is back"


@pytest.mark.parametrize("profile", ["grading", "no-demand-paging", "no-memory-debugging"])
def test_processes_that_fork_at_random_see_their_own_writes_only(tmp_path, profile: str) -> None:
    with booter(tmp_path, profile) as machine:
        scenario = machine(32)
        programs = Programs(scenario, {"numbers": NUMBERS})
        programs.run("clones", 1, 60)
        before = programs.frames()
        ran = [(seed, programs.run("clones", seed, 60)) for seed in (2, 3, 4)]
        after = programs.frames()
        left = programs.processes()
        scenario.boot()
    for seed, clones in ran:
        assert clones.exit_status == 0, str(clones)
        processes, words = clones.lines[-1].split(" processes, ")
        assert int(processes) > 5 and words == "0 wrong, many writes", f"seed {seed}: {clones}"
    assert len(left.values) == 3, "only the kernel's own process is left"
    assert after.value == before.value, "every frame is back"
