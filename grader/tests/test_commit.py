"""The account of promised memory: what counts, that it balances after whatever is done to areas, and what each policy refuses."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator

import pytest

from emulator.disk import program_disk, programs_in
from emulator.swap_disk import SwapDisk
from judge import paths
from scripted import Boots, Run, Script, boots
from space_script import DATA

PAGE = 4096
RANGE_PAGES = 64
SPACES = 3


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("commit"))


class Account(Script):
    """A script whose every step looks at the account, and the model beside it: a set of promised pages for each space."""

    def __init__(self) -> None:
        super().__init__()
        self.spaces: dict[int, dict[int, tuple[str, bool, bool]]] = {}  # page: protection, shared, has an object
        self.shared_pages = 0
        self.looks: list[tuple[int, int]] = []  # operation, pages promised

    def promised(self) -> int:
        return self.shared_pages + sum(
            not shared and ("w" in protection if has_object else protection != "---")
            for pages in self.spaces.values() for protection, shared, has_object in pages.values())

    def look(self) -> None:
        self.looks.append((self.add("commit.account"), self.promised()))
        for space in self.spaces:
            self.add(f"space.check {space}")

    def check(self, run: Run) -> None:
        for operation, promised in self.looks:
            assert run.values(operation)[0] == promised, self.lines[operation - 2:operation]


def do_anything(account: Account, rng: random.Random) -> None:
    """One change of the areas of some space, in the kernel and in the model."""
    number = rng.choice(list(account.spaces))
    pages = account.spaces[number]
    first = rng.randrange(RANGE_PAGES)
    count = rng.randint(1, RANGE_PAGES - first)
    begin, span = DATA + first * PAGE, range(first, first + count)
    what = rng.choice(("map", "map", "unmap", "protect", "touch", "fork", "discard"))
    if what == "map":
        protection, backing = rng.choice(("rw-", "r--", "---")), rng.choice(("none", "shared", "private"))
        account.add(f"space.map {number} {count} {protection} {'shared' if backing == 'shared' else 'private'} fixed {begin} "
                    f"{'none' if backing == 'none' else 0} 0")
        pages.update((page, (protection, backing == "shared", backing != "none")) for page in span)
    elif what == "unmap":
        account.add(f"space.unmap {number} {begin} {count}")
        for page in span:
            pages.pop(page, None)
    elif what == "protect" and all(page in pages for page in span):
        protection = rng.choice(("rw-", "r--", "---"))
        account.add(f"space.protect {number} {begin} {count} {protection}")
        pages.update((page, (protection, *pages[page][1:])) for page in span)
    elif what == "touch":
        account.add(f"space.touch {number} {begin} {count} write")
    elif what == "discard" and all(page in pages for page in span):
        account.add(f"space.discard {number} {begin} {count}")
    elif what == "fork":
        free = [other for other in range(SPACES) if other not in account.spaces]
        if free:
            account.add(f"space.fork {number} {free[0]}")
            account.spaces[free[0]] = dict(pages)
        elif len(account.spaces) > 1:
            account.add(f"space.destroy {number}")
            del account.spaces[number]


@pytest.mark.parametrize("seed", (1, 2))
def test_the_account_balances_whatever_is_done_to_areas(boot, seed):
    account, rng = Account(), random.Random(seed)
    account.add("space.create 0 1")
    account.spaces[0] = {}
    account.add(f"object.shared 0 {RANGE_PAGES}")
    account.shared_pages = RANGE_PAGES
    for _ in range(120):
        do_anything(account, rng)
        account.look()
    for number in list(account.spaces):
        account.add(f"space.destroy {number}")
        del account.spaces[number]
    account.look()
    account.add("object.release 0")
    account.shared_pages = 0
    account.look()
    run = boot(account, options="overcommit=always")
    run.to_end()
    account.check(run)


def test_stacks_and_heaps_are_promised_as_they_grow(boot):
    script = Script()
    script.add("space.create 0 1")
    heap = script.add(f"space.place_heap 0 {DATA:#x}")
    script.add(f"space.set_heap_end 0 ${heap}+40000")
    grown = script.add("commit.account")
    script.add(f"space.set_heap_end 0 ${heap}+4096")
    shrunk = script.add("commit.account")
    top = script.add("space.stack 0")
    stack = script.add("commit.account")
    script.add(f"space.touch 0 ${top}-24576 1 write")  # six pages down: it has two
    deep = script.add("commit.account")
    script.add("space.check 0")
    run = boot(script)
    run.to_end()
    assert [run.values(look)[0] for look in (grown, shrunk, stack, deep)] == [10, 1, 3, 7]


def test_a_request_that_is_refused_changes_nothing_and_takes_no_page_from_anybody(boot, tmp_path):
    image = tmp_path / "swap.img"
    SwapDisk(kib=1024).write(image)
    script = Script()
    script.add("space.create 0 1")
    script.add(f"space.map 0 100 rw- private fixed {DATA} none 0")
    script.add(f"space.touch 0 {DATA} 100 write")
    before = script.add("commit.account")
    far = DATA + (1 << 28)
    refused = [script.add(f"space.map 0 100000 rw- private fixed {far} none 0"), script.add("object.shared 0 100000")]
    free = script.add(f"space.map 0 100000 --- private fixed {far} none 0")
    refused.append(script.add(f"space.protect 0 {far} 100000 rw-"))
    after, left = script.add("commit.account"), script.add("swap.statistics")
    script.add("space.check 0")
    run = boot(script, options="overcommit=heuristic", swap=image)
    run.to_end()
    assert {run.error(operation) for operation in refused} == {"OutOfMemory"} and not run.error(free)
    assert run.values(before)[0] == run.values(after)[0] == 100 and run.values(after)[6] == 3
    assert run.values(left)[3] == 0, "nothing was swapped for it"


def test_never_means_that_all_promises_together_fit(boot, tmp_path):
    image = tmp_path / "swap.img"
    SwapDisk(kib=1024).write(image)
    script = Script()
    script.add("space.create 0 1")
    script.add("space.create 1 1")
    start = script.add("commit.account")
    script.add(f"space.map 0 1000 rw- private fixed {DATA} none 0")
    script.add(f"space.map 0 1000 r-- private fixed {DATA} none 0")
    script.add("space.fork 0 2")
    tries = [script.add(f"space.map 1 500 rw- private fixed {DATA + i * 500 * PAGE} none 0") for i in range(10)]
    end = script.add("commit.account")
    fork = script.add("space.fork 0 3")
    script.add("space.destroy 2")
    again = script.add("space.fork 0 3")
    script.add("commit.account")
    run = boot(script, options="overcommit=never", swap=image)
    run.to_end()
    _, _, limit, usable, reserve, slots, _ = run.values(start)
    assert slots == 255 and limit == usable - reserve + slots and reserve == max(usable // 8, 128)
    fitting = (limit - 2000) // 500
    assert [run.error(operation) for operation in tries] == [""] * fitting + ["OutOfMemory"] * (10 - fitting)
    assert run.values(end)[0] == 2000 + fitting * 500 <= limit
    assert run.error(fork) == "OutOfMemory" and not run.error(again)


@pytest.mark.parametrize("policy, answer", [("heuristic", "refused\n"), ("never", "refused\n"), ("always", "")])
def test_a_program_hears_of_a_refusal(boot, tmp_path, policy, answer):
    disk = tmp_path / "disk.img"
    shutil.copyfile(program_disk(programs_in(paths.programs_folder())), disk)
    script = Script()
    ran, account = script.add("program.run greedy hold 5000 0"), script.add("commit.account")
    run = boot(script, options=f"overcommit={policy} oom=choose", disk=disk, megabytes=16)
    run.to_end()
    _, status, length, *words = run.values(ran)
    said = b"".join(word.to_bytes(4, "little") for word in words)[:length].decode()
    assert run.values(account)[0] == 0
    assert said == answer if answer else "killed by SIGKILL: out of memory" in said
    assert status == (0x100 if answer else 9)
