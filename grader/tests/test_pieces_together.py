"""The pieces of labs 01 to 05 under processes: with each of the corpus's other designs, a kernel runs programs that map, fork, write and
end as the model says, and gets every frame back.

Labs 06 and 07 lean on them in ways that their own tests do not: page tables are written directly, large pages are split for fork(),
and most pages come and go in page faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gdb.client import GdbSession
from judge import paths
from judge.build import build
from judge.corpus import SEED, load_case
from judge.link import prepare_kernel
from labs.programs import Programs
from labs.space_calls import RW, SpaceScript, disk
from oracle.user_space import PAGE, READ
from program_boots import Booter

MEGABYTES = 40
LARGE = 1024 * PAGE


@pytest.fixture(scope="module")
def session() -> Iterator[GdbSession]:
    prepare_kernel()
    with GdbSession() as session:
        yield session


def life() -> SpaceScript:
    """Everything that makes labs 06 and 07 reach down into the other pieces."""
    script = SpaceScript()
    script.look("start")
    block = script.map(3000, RW)  # two large pages, or one, and small ones around them
    for page in (0, 1, 700, 1500, 2200, 2999):
        script.write(block + page * PAGE, page % 250 + 1)
    common = script.map(5, RW, shared=True)
    zeros = script.map(4, READ)
    script.write(common + 2 * PAGE, 0x51)
    script.read(zeros + PAGE)
    heap = script.ask_break()
    script.move_break(heap + 6 * PAGE)
    script.write(heap + 5 * PAGE, 0x52)
    script.look("touched")
    with script.child():
        script.look("child")
        for page in (0, 1500, 2999):
            script.read(block + page * PAGE)
            script.write(block + page * PAGE, 0xC0)
        script.write(common + 2 * PAGE, 0xC1)
        script.unmap(block + 1400 * PAGE, 300)
        script.protect(block + 2100 * PAGE, 400, READ)
        script.read(block + 2200 * PAGE)
        script.write(heap + 5 * PAGE, 0xC2)
        script.look("child-wrote")
    for page in (0, 1, 700, 1500, 2200, 2999):
        script.read(block + page * PAGE)
    script.read(common + 2 * PAGE)
    script.write(block, 0x53)  # nobody else has it any more
    script.write(block + 2000 * PAGE, 0x54)
    script.look("parent-wrote")
    script.protect(block + 600 * PAGE, 1000, READ)
    script.unmap(block + 2900 * PAGE, 100)
    script.map(200, RW, at=block + 1450 * PAGE, fixed=True)
    script.read(block + 1500 * PAGE)
    script.move_break(heap + 0)
    with script.child():
        script.write(block + PAGE, 0xC3)
        script.read(block + 700 * PAGE)
        script.look("second-child")
    script.read(block + PAGE)
    script.look("end")
    return script


def alternatives() -> list[Path]:
    return sorted(folder for folder in (paths.CORPUS / "alt").iterdir() if next(folder.glob("0[1-5]-*"), None))


@pytest.mark.parametrize("folder", alternatives(), ids=lambda folder: folder.name)
def test_processes_live_on_other_designs(session: GdbSession, tmp_path: Path, folder: Path) -> None:
    kernel = build(load_case(folder).lab, folder, SEED, tmp_path).elf
    scenario = Booter(session, tmp_path, kernel=kernel)(MEGABYTES)
    programs, script = Programs(scenario), life()
    first = script.run(programs, note="so that everything that is made once is there")
    before = programs.frames()
    ran = script.run(programs)
    after = programs.frames()
    scenario.disk = disk(script)
    scenario.boot()
    script.follow(first)
    assert ran.exit_status == 0 and after.value == before.value
