"""Lab 05-spaces, user programs on the piece: whatever a process does to its memory, areas, page tables and maps tell the same story, and
a model of the calls tells it, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from judge.scenario import Op, expect
from labs.process_view import KINDS, Area
from labs.programs import Programs, areas_in
from labs.space_calls import RW, At, Following, SpaceScript, disk
from labs.spaces import SpacesScenario
from oracle.user_space import DATA_BEGIN, EXECUTE, PAGE, READ, STACKS_BEGIN, USER_END, WRITE

RIGHTS = (RW, READ, 0)
PROCESSES = 24  # of which the layout is compared


def follow(spaces: SpacesScenario, *scripts: SpaceScript) -> list[Following]:
    """Runs each script as a process of one boot, and then all of them once more beside the model."""
    programs = seeded(spaces)
    ran = [script.run(programs) for script in scripts]
    spaces.disk = disk(*scripts)
    spaces.boot()
    return [script.follow(one) for script, one in zip(scripts, ran)]


def seeded(spaces: SpacesScenario) -> Programs:
    """Chance in the kernel comes from the run's seed, so that a run can be repeated."""
    spaces.command_line += f" seed={spaces.random.getrandbits(32):#x}"
    return Programs(spaces)


def new_script(name: str = "calls.txt") -> SpaceScript:
    script = SpaceScript(name)
    script.look("start")
    return script


def mark(script: SpaceScript, block: At, pages: int, first: int = 1) -> None:
    """Writes something else into every page. What nobody has touched is in no page table, and shows no mistake there."""
    for page in range(pages):
        script.write(block + page * PAGE, (first + page) % 255 + 1)


def touch(script: SpaceScript, block: At, page: int, rights: int, byte: int = 0x5A) -> None:
    """Makes a page present as far as its rights allow."""
    if rights == READ:
        script.read(block + page * PAGE)
    else:
        script.write(block + page * PAGE, byte)  # without rights it brings a signal


def test_program_mappings(spaces: SpacesScenario) -> None:
    """mmap, and munmap of the head, the tail, the middle, and of several mappings at once."""
    script, chance = new_script(), spaces.random
    pages = chance.randrange(12, 24)
    block = script.map(pages, RW)
    mark(script, block, pages)
    head, tail = chance.randrange(1, 4), chance.randrange(1, 4)
    script.unmap(block, head)
    script.unmap(block + (pages - tail) * PAGE, tail)
    script.look("ends")
    hole = chance.randrange(head + 2, pages - tail - 2)
    script.unmap(block + hole * PAGE, 1)
    script.look("hole")
    for page in (head, hole - 1, hole + 1, pages - tail - 1):
        script.read(block + page * PAGE)
    others = [script.map(chance.randrange(1, 5), rights) for rights in (READ, RW, READ)]
    for other, rights in zip(others, (READ, RW, READ)):
        touch(script, other, 0, rights)
    script.look("several")
    script.unmap(block + (head + 1) * PAGE, pages + 2)  # over the hole, and past what is left
    script.read(block + head * PAGE)
    script.look("one-page-left")
    script.map(pages - tail - head - 1, RW, at=block + (head + 1) * PAGE, fixed=True)
    script.look("new-pages")  # what was there before is gone, and what came is not there yet
    script.unmap(block + (head + 1) * PAGE, pages - tail - head - 1)
    for other in others:
        script.unmap(other, 5)
    script.look("end")
    follow(spaces, script)


def test_program_protect(spaces: SpacesScenario) -> None:
    """mprotect of the head, the tail, the middle, over several areas, and back."""
    script, chance = new_script(), spaces.random
    pages = chance.randrange(14, 24)
    block = script.map(pages, RW)
    mark(script, block, pages)
    cuts = sorted(chance.sample(range(2, pages - 2), 3))
    script.protect(block, cuts[0], READ)
    script.protect(block + cuts[2] * PAGE, pages - cuts[2], 0)
    script.look("ends")
    script.write(block, 7)
    script.write(block + cuts[1] * PAGE, 8)
    script.write(block + (pages - 1) * PAGE, 9)
    script.protect(block + (cuts[1] - 1) * PAGE, 1, READ)
    script.look("middle")
    script.protect(block + PAGE, pages - 2, READ)  # over all of them: what has it already stays
    script.look("over-several")
    script.unmap(block + cuts[1] * PAGE, 1)
    script.protect(block, pages, RW)  # a hole: nothing changes
    script.look("not-over-a-hole")
    script.protect(block, cuts[1], RW)
    script.protect(block + (cuts[1] + 1) * PAGE, pages - cuts[1] - 1, RW)
    for page in (0, cuts[0], cuts[1] - 1, cuts[1] + 1, pages - 1):
        script.read(block + page * PAGE)
    script.look("end")
    follow(spaces, script)


def test_program_fixed(spaces: SpacesScenario) -> None:
    """MAP_FIXED over what is there: a part of an area, several, the same again; MAP_FIXED_NOREPLACE; wishes."""
    script, chance = new_script(), spaces.random
    pages = chance.randrange(24, 40)
    block = script.map(pages, RW)
    mark(script, block, pages)
    inner = chance.randrange(5, 8)
    script.map(inner, READ, at=block + 4 * PAGE, fixed=True)
    script.look("in-the-middle")
    for page in (3, 4 + inner):
        script.read(block + page * PAGE)
    script.read(block + (4 + chance.randrange(inner)) * PAGE)
    script.map(2, RW, at=block + 2 * PAGE, fixed=True)  # new zeros, but the same area as before
    script.read(block + PAGE)
    script.read(block + 2 * PAGE)
    script.look("the-same-again")
    script.map(inner + 4, RW, at=block + 3 * PAGE, fixed=True)
    script.look("over-several")
    script.read(block + 3 * PAGE)
    script.write(block + (6 + inner) * PAGE, 0x66)
    script.map(3, READ, at=block + (pages - 1) * PAGE, if_free=True)
    script.unmap(block + (pages - 12) * PAGE, 12)
    script.map(3, READ, at=block + (pages - 4) * PAGE, if_free=True)
    script.look("not-over-anything")
    script.map(2, RW, at=block + (pages - 10) * PAGE)  # a wish with room
    script.map(2, RW, at=block + (pages - 9) * PAGE)  # one without
    script.map(1, RW, at=block + (pages - 5) * PAGE)  # one that leaves no guard page
    script.look("wishes")
    follow(spaces, script)


def test_program_heap(spaces: SpacesScenario) -> None:
    """brk up and down, by bytes and by pages, and up to something that is in the way."""
    script, chance = new_script(), spaces.random
    heap = script.ask_break()
    last = 0
    for step in range(6):
        last = chance.randrange(1, 40 * PAGE) if step % 3 else chance.randrange(1, 40) * PAGE
        script.move_break(heap + last)
        top = (last - 1) // PAGE
        script.read(heap + chance.randrange(top + 1) * PAGE)
        script.write(heap + top * PAGE, step + 1)
        script.write(heap + (top + 1) * PAGE, 0xFF)  # past the break: a signal
        if step % 2:
            script.look(f"break-{step}")
    script.move_break(heap + 20 * PAGE)
    mark(script, heap, 20)
    script.protect(heap + 5 * PAGE, 4, READ)
    script.move_break(heap + (7 * PAGE - 100))
    script.look("down-into-another-area")
    script.move_break(heap + 12 * PAGE)
    script.read(heap + 4 * PAGE)
    script.read(heap + 6 * PAGE)
    script.read(heap + 7 * PAGE)
    script.map(2, RW, at=heap + 30 * PAGE, fixed=True)
    script.move_break(heap + 30 * PAGE)
    script.move_break(heap + 30 * PAGE + 1)
    script.look("in-the-way")
    script.move_break(heap + 0)
    script.look("end")
    follow(spaces, script)


def test_program_shared(spaces: SpacesScenario) -> None:
    """Shared memory: attached twice, cut, protected; each part shows the pages that it showed before."""
    script, chance = new_script(), spaces.random
    pages = chance.randrange(8, 16)
    thing = script.create_shared(pages)
    one = script.attach(thing, pages, RW)
    two = script.attach(thing, pages, READ)
    mark(script, one, pages)
    cut = chance.randrange(2, pages - 3)
    script.unmap(one + cut * PAGE, 1)
    script.look("cut")
    script.read(two + cut * PAGE)
    script.read(two + (cut + 1) * PAGE)
    script.write(one + (cut + 1) * PAGE, 0x77)
    script.read(two + (cut + 1) * PAGE)
    script.protect(two + PAGE, 1, RW)
    script.write(two + PAGE, 0x78)
    script.read(one + PAGE)
    script.look("protected")
    anonymous = script.map(6, RW, shared=True)
    mark(script, anonymous, 6, first=chance.randrange(200))
    script.unmap(anonymous, 2)
    script.protect(anonymous + 4 * PAGE, 1, READ)
    script.look("without-a-number")
    script.write(anonymous + 4 * PAGE, 0x79)
    script.protect(anonymous + 4 * PAGE, 1, RW)
    for page in range(2, 6):
        script.read(anonymous + page * PAGE)
    script.protect(two + PAGE, 1, READ)
    script.look("merged-again")
    script.detach(two, pages)
    script.unmap(one, pages)
    script.look("end")
    follow(spaces, script)


def test_program_fork(spaces: SpacesScenario) -> None:
    """A child has the same areas and its own pages, but for shared ones; both go on, and neither disturbs the other."""
    script, chance = new_script(), spaces.random
    pages = chance.randrange(10, 18)
    block = script.map(pages, RW)
    common = script.map(4, RW, shared=True)
    script.protect(block + 3 * PAGE, 2, READ)
    script.unmap(block + 6 * PAGE, 1)
    mark(script, block + 7 * PAGE, 3)
    mark(script, block, 6, first=0x30)
    mark(script, common, 2)
    script.look("before")
    with script.child():
        script.look("child")
        script.read(block + 7 * PAGE)
        script.read(common)
        script.write(block + 8 * PAGE, 0xC1)
        script.write(common + PAGE, 0xC2)
        script.unmap(block + 2 * PAGE, 3)
        script.protect(common, 1, READ)
        script.map(chance.randrange(1, 6), RW)
        script.look("child-on-its-own")
    script.read(block + 8 * PAGE)
    script.read(common + PAGE)
    script.write(block + PAGE, 0x11)
    script.protect(block + 3 * PAGE, 2, RW)
    script.look("parent")
    with script.child():
        script.read(block + PAGE)
        script.write(block + PAGE, 0x22)
        script.look("second-child")
    script.read(block + PAGE)
    script.look("end")
    follow(spaces, script)


def test_program_guards(spaces: SpacesScenario) -> None:
    """Next to the stack and to mappings lies a page that belongs to nothing: to touch it brings SIGSEGV."""
    script = new_script()
    one, two, three = script.map(3, RW), script.map(2, RW), script.map(1, RW)
    script.look("mapped")
    for block, pages in ((one, 3), (two, 2), (three, 1)):
        script.write(block + -PAGE, 1)
        script.write(block + pages * PAGE, 2)
        script.write(block, 3)
    script.look("end")
    programs = seeded(spaces)
    ran = script.run(programs)
    deep = programs.run("faults", "overflow")
    spaces.disk = disk(script, others=("faults",))
    spaces.boot()
    following = script.follow(ran)
    stack = next((area for area in ran.view("start").areas if area.kind == KINDS.index("stack")), None)
    expect(stack is not None, "the process has a stack", "there is no area of that kind")
    for block in (one, two, three):
        begin = following.address(block)
        expect(begin < STACKS_BEGIN, f"mappings lie below {STACKS_BEGIN:#x}, where the stacks are", f"{begin:#x}")
    expect(deep.signal == "SIGSEGV", "a stack that grows into its guard page ends the process with SIGSEGV", str(deep))


def test_program_frames(spaces: SpacesScenario) -> None:
    """fork, exec and exit, killed or not: each frame comes back."""
    script, asleep = new_script(), SpaceScript("asleep.txt")
    for one in (script, asleep):
        use_memory(one, spaces)
    script.do('text program "/bin/true"')
    for _ in range(3):
        with script.child():
            mark(script, script.map(spaces.random.randrange(8, 30), RW), 8)
            script.do("Exec program buffer")
    asleep.do("Sleep 1000000")
    programs = seeded(spaces)

    def kill_sleepers() -> None:
        sleepers = [programs.start("calls", f"/{asleep.name}") for _ in range(3)]
        programs.let_run(8)
        for process in sleepers:
            programs.kill(process, "SIGKILL")
            programs.wait(process)

    script.run(programs, note="so that everything that is made once is there")
    kill_sleepers()
    before = programs.frames()
    ran = script.run(programs)
    between = programs.frames()
    kill_sleepers()
    after = programs.frames()
    spaces.disk = disk(script, asleep)
    spaces.boot()
    script.follow(ran)
    for op, why in ((between, "a process, its children and their programs have come and gone"), (after, "three processes were killed")):
        more = op.value - before.value
        expect(more <= 0, f"{why}: as many frames are in use as before", f"{more} more",
               "What remove() and for_each() do not show is never given back: every part of every area, once.", operation=op.number)


def use_memory(script: SpaceScript, spaces: SpacesScenario) -> None:
    """Some of everything that a process may hold."""
    chance = spaces.random
    block = script.map(chance.randrange(20, 60), RW)
    mark(script, block, 20)
    script.read(script.map(chance.randrange(1, 20), READ))
    mark(script, script.map(chance.randrange(4, 20), RW, shared=True), 4)
    mark(script, script.attach(script.create_shared(8), 8, RW), 8)
    script.unmap(block + 3 * PAGE, 5)
    script.protect(block, 2, 0)
    heap = script.ask_break()
    script.move_break(heap + chance.randrange(4 * PAGE, 20 * PAGE))
    mark(script, heap, 4)


def random_calls(script: SpaceScript, spaces: SpacesScenario, calls: int, room: int = 48) -> None:
    """Calls of all kinds, most of them in one small piece of the address space, so that they meet."""
    chance = spaces.random
    arena = script.map(room, 0)
    script.unmap(arena, room)
    thing = script.create_shared(8)
    heap = script.ask_break()
    for number in range(calls):
        begin = chance.randrange(room - 1)
        pages = min(chance.choice((1, 1, 2, 3, 5, 8, 16)), room - begin)
        at = arena + begin * PAGE
        what = chance.randrange(16)
        if what < 5:
            rights = chance.choice(RIGHTS)
            script.map(pages, rights, at=at, fixed=True)
            touch(script, at, chance.randrange(pages), rights, chance.randrange(1, 256))
        elif what == 5:
            script.map(pages, chance.choice(RIGHTS), at=at, if_free=True)
        elif what == 6:
            block = script.map(pages, RW, at=chance.choice((0, at)), shared=chance.random() < 0.3)
            script.write(block + chance.randrange(pages) * PAGE, chance.randrange(1, 256))
        elif what < 10:
            script.unmap(at, pages)
        elif what < 13:
            script.protect(at, pages, chance.choice(RIGHTS))
        elif what == 13:
            script.attach(thing, 8, chance.choice((READ, RW)), at=arena + chance.randrange(room - 8) * PAGE)
        elif what == 14:
            end = chance.randrange(24 * PAGE)
            script.move_break(heap + end)
            script.write(heap + end // PAGE * PAGE, chance.randrange(1, 256))
        else:
            for _ in range(4):
                script.write(arena + chance.randrange(room) * PAGE, chance.randrange(1, 256))
        if number % (calls // 4) == calls // 4 - 1:
            script.look(f"call-{number + 1}")


def test_program_random(spaces: SpacesScenario) -> None:
    """Two processes that make hundreds of calls at random, and a child that goes on."""
    scripts = [new_script(f"calls{index}.txt") for index in range(2)]
    for script in scripts:
        random_calls(script, spaces, 100)
    with scripts[1].child():
        random_calls(scripts[1], spaces, 24)
    follow(spaces, *scripts)


def test_program_layout(spaces: SpacesScenario) -> None:
    """Chance moves image, heap, mappings and stack of each process; the same seed moves them to the same places."""
    def start(scenario: SpacesScenario) -> list[Op]:
        programs = Programs(scenario)
        scenario.disk = disk()
        started = [(op, programs.areas(op)) for op in (programs.start("calls", "/none") for _ in range(PROCESSES))]
        scenario.boot()
        for number, (op, _) in enumerate(started, 1):
            expect(op.ok, f"{PROCESSES} processes can be started", f"the start of number {number} failed with {op.says}", operation=op.number)
        return [areas for _, areas in started]

    seed = spaces.random.getrandbits(32)
    again, other_seed = spaces.second_machine(), spaces.second_machine()
    boots = []
    for scenario, one_seed in ((spaces, seed), (again, seed), (other_seed, seed ^ 1)):
        scenario.command_line += f" seed={one_seed:#x}"
        boots.append(start(scenario))
    first, second, third = ([areas_in(op) for op in boot] for boot in boots)
    for index, (one, other) in enumerate(zip(first, second)):
        expect([str(area) for area in one] == [str(area) for area in other],
               f"process {index + 1} of two boots with the same seed lies at the same places", _difference(one, other))
    layouts = first + third
    for index, areas in enumerate(layouts):
        _check_layout(areas, f"process {index + 1}")
    for kind, begins in (("image", [areas[0].begin for areas in layouts]), ("stack", [areas[-1].begin for areas in layouts])):
        different = len(set(begins))
        expect(different >= len(begins) * 3 // 4, f"the {kind} of {len(begins)} processes lies at as many places, give or take a few",
               f"{different} places, the first {begins[0]:#x}", "place(): a random number takes each possible begin with the same chance.")


def _check_layout(areas: Sequence[Area], who: str) -> None:
    expect(areas, f"{who} has areas", "for_each() shows none")
    for left, right in zip(areas, areas[1:]):
        expect(left.end <= right.begin, f"the areas of {who} are in order, and share no page", f"{left}, then {right}")
    stack = areas[-1]
    expect(stack.kind == KINDS.index("stack") and STACKS_BEGIN <= stack.begin and stack.end <= USER_END,
           f"the stack of {who} is its highest area", str(stack))
    expect(len(areas) < 2 or areas[-2].end < stack.begin, f"a free page lies below the stack of {who}", f"{areas[-2]}, then {stack}")
    for area in areas:
        low = area.begin < DATA_BEGIN
        expect(not (area.protection & WRITE and low) and not (area.protection & EXECUTE and not low),
               f"what {who} may execute lies below {DATA_BEGIN:#x}, what it may write above", str(area))


def _difference(one: Sequence[Area], other: Sequence[Area]) -> str:
    pairs: Iterator[tuple[Area, Area]] = ((a, b) for a, b in zip(one, other) if str(a) != str(b))
    return next((f"{a} and {b}" for a, b in pairs), f"{len(one)} and {len(other)} areas")
