"""The tests of lab 07-cow about more than two spaces: generations, exits in any order, and thousands of operations at random."""

from __future__ import annotations

from judge.scenario import expect
from labs.cow import CowScenario, pages
from oracle.cow import PAGE

MOST_SPACES = 12


def write_some(cow: CowScenario, begin: int, count: int, most: int) -> None:
    """The active space writes to some of its pages."""
    for page in cow.random.sample(range(count), cow.random.randrange(1, most)):
        cow.store(begin + pages(page) + cow.offset())


def test_chain(cow: CowScenario) -> None:
    """A child has a child, which has a child ... Each writes before it forks and afterwards; each sees what its ancestors had written when it was made."""
    cow.watch_references()
    space = cow.create()
    begin, offset = cow.map(space, 18), cow.offset()
    cow.store(begin + offset, count=14)
    generations = [space]
    for _ in range(7):
        write_some(cow, begin, 18, 5)
        generations.append(cow.fork(generations[-1]))
        write_some(cow, begin, 18, 4)
        cow.activate(generations[-1])
        cow.load(begin + offset, count=18)
    cow.state("seven-generations")
    for space in cow.random.sample(generations, len(generations)):
        cow.activate(space)
        cow.store(begin + pages(cow.random.randrange(14)) + cow.offset())
    cow.state("all-have-written")
    cow.boot()


def test_again(cow: CowScenario) -> None:
    """Who has copied, or regained, forks again: its own pages become shared once more, whatever was shared stays so."""
    cow.watch_references()
    parent = cow.create()
    begin = cow.map(parent, 15)
    cow.store(begin + cow.offset(), count=15)
    first = cow.fork(parent)
    cow.store(begin + cow.offset(), count=5, note="copies")
    cow.activate(first)
    cow.store(begin + pages(3) + cow.offset(), count=4, note="copies, and two that it has for itself by now")
    cow.activate(parent)
    second = cow.fork(parent)
    third = cow.fork(first)
    cow.state("forked-again")
    for space in (second, parent, third, first):
        cow.activate(space)
        write_some(cow, begin, 15, 7)
    cow.state("written")
    cow.destroy(parent, third)
    cow.fork(first)
    cow.fork(second)
    cow.state("and-again")
    cow.boot()


def test_exits(cow: CowScenario) -> None:
    """Families of spaces go in every order: parents first, children first, in any order; with them goes every frame, and those who stay lose none."""
    before = cow.warm_up()
    file, memory = cow.file(6), cow.shared_memory(6)
    rounds = []
    for order in ("parents-first", "children-first", "any"):
        family = [cow.create()]
        private, mapped = cow.map(family[0], 10), cow.map(family[0], 6, thing=file)
        shared = cow.map(family[0], 6, shared=True, thing=memory)
        for _ in range(7):
            cow.activate(cow.random.choice(family))
            write_some(cow, private, 10, 6)
            write_some(cow, shared, 6, 3)
            cow.load(mapped, count=4)
            write_some(cow, mapped, 6, 3)
            family.append(cow.fork(cow.active))
        going = {"parents-first": family, "children-first": family[::-1], "any": cow.random.sample(family, len(family))}[order]
        cow.destroy(*going[:4])
        cow.state(f"{order}-half")
        cow.activate(going[4])
        cow.store(private + cow.offset(), count=10)
        cow.destroy(*going[4:])
        rounds.append((order, cow.frames_in_use(f"after {order}"), sum(len(thing.frames) for thing in cow.model.things.values())))
    cow.release(file)
    cow.release(memory)
    last = cow.frames_in_use("the objects are gone as well")
    cow.boot()
    first, held_first = rounds[0][1:]
    expect(first.value - held_first >= before.value, "frames that objects have are not given back with the spaces that showed them",
           f"{before.value + held_first - first.value} frames too few are in use", operation=first.number)
    for order, now, held in rounds:
        more = now.value - held - (first.value - held_first)
        expect(more == 0, f"when all spaces of a family have gone, {order}, the objects have {held} frames, and all others have come back", f"{more} more are in use",
               operation=now.number)
    cow.expect_frames(last, before, "when spaces and objects are gone")


def test_random(cow: CowScenario) -> None:
    """Two thousand forks, writes, reads, copies, protections and exits at random; now and then everything is compared."""
    cow.watch_references()
    cow.watch_resident()
    cow.watch_tables()
    before = cow.warm_up()
    walk = RandomWalk(cow)
    for step in range(2000):
        walk.step()
        if step % 200 == 199:
            cow.state(f"after-{step + 1}", contents=16)
    cow.destroy_all()
    for thing in list(cow.model.things):
        cow.release(thing)
    last = cow.frames_in_use("all spaces and objects are gone")
    cow.boot()
    cow.expect_frames(last, before, "when spaces and objects are gone")


class RandomWalk:
    """Operations at random on up to MOST_SPACES spaces, all descended from the same few."""

    def __init__(self, cow: CowScenario) -> None:
        self.cow = cow
        self.file, self.memory = cow.file(10), cow.shared_memory(10)
        self.places = [cow.place(slots=2) + pages(cow.random.randrange(1000, 1023)) for _ in range(4)]
        self.found_space()

    def found_space(self) -> None:
        """One with an area of each kind."""
        cow = self.cow
        space = cow.create()
        for begin, kind in zip(self.places, ({}, {"thing": self.file}, {"thing": self.memory, "shared": True}, {}), strict=True):
            cow.map(space, 10, at=begin, **kind)

    def step(self) -> None:
        cow, chance = self.cow, self.cow.random.random()
        spaces = sorted(cow.model.spaces)
        if not spaces:
            return self.found_space()
        if cow.active is None or chance < 0.15:
            return cow.activate(cow.random.choice(spaces))
        if chance < 0.25:
            if len(spaces) < MOST_SPACES:
                cow.fork(cow.random.choice(spaces))
            return None
        if chance < 0.30:
            return cow.destroy(cow.random.choice(spaces))
        if chance < 0.36:
            return self.write_directly(cow.random.choice(spaces))
        return self.access(chance)

    def access(self, chance: float) -> None:
        """By the active space."""
        cow = self.cow
        areas = cow.model.spaces[cow.active].areas
        begin = cow.random.choice(self.places) + pages(cow.random.randrange(10))
        attributes = areas.get(begin // PAGE)
        if attributes is None or not attributes.user:
            if attributes:
                cow.protect(cow.active, begin, 1, "rw-")
        elif chance < 0.40:
            cow.protect(cow.active, begin, 1, cow.random.choice(("r--", "rw-", "---")))
        elif chance < 0.42:
            cow.unmap(cow.active, begin, 1)
        elif chance < 0.60 or not attributes.writable:
            cow.load(begin + cow.offset())
        elif chance < 0.65 and (following := areas.get(begin // PAGE + 1)) and following.writable:
            cow.copy_to(begin + PAGE - 8, 4 * cow.random.randrange(3, 20))
        else:
            cow.store(begin + cow.offset())

    def write_directly(self, space: int) -> None:
        """resolve_write() for one of the pages that it is there for."""
        inside = self.cow.model.spaces[space]
        fitting = [at for at, page in inside.pages.items() if page.writable is False and inside.areas[at].writable and not inside.areas[at].shared]
        if fitting:
            self.cow.write(space, self.cow.random.choice(sorted(fitting)) * PAGE)
