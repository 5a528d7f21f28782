"""The tests of lab 09-swap that do everything at once: some thousand operations at random, and what is left when all is gone."""

from __future__ import annotations

from labs.swap import SwapScenario, pages


def test_everything_back(swap: SwapScenario) -> None:
    """When all spaces and pages are gone, every frame has come back, and every slot is free."""
    swap.watch_books()
    swap.destroy(swap.filled(4)[0])  # what the kernel keeps for all spaces is there from now on
    before = swap.frames_in_use()
    for round_ in range(3):
        parent, begin = swap.filled(30)
        child = swap.fork(parent)
        thing = swap.page()
        swap.out(parent, begin, 26)
        swap.store(thing, changed=False)
        swap.read(begin + pages(swap.random.randrange(10)), 12)
        swap.activate(child)
        swap.write(begin + pages(swap.random.randrange(10)) + swap.offset(), 15)
        swap.load(thing)
        swap.out(child, begin, 30)
        swap.out(parent, begin, 30)
        swap.read(begin + pages(7), 9)
        swap.write(begin + pages(8) + swap.offset())
        swap.clean(child, begin + pages(8))
        swap.release(thing)
        swap.shrink(3)
        swap.state(f"before-the-end-{round_}")
        swap.destroy(*swap.random.sample((parent, child), 2))
    after = swap.frames_in_use()
    swap.state("all-gone")
    swap.boot()
    swap.expect_frames(after, before, "when everybody is gone")


def test_random(swap: SwapScenario) -> None:
    """Families of spaces that map, write, read, fork, go and come back in any order, with a swap area that is full at times: all is as the model says, at every look."""
    swap.watch_references()
    swap.watch_books()
    swap.watch_counts()
    work = Work(swap, swap.random.randrange(90, 130))
    for round_ in range(12):
        for _ in range(60):
            work.step()
        swap.state(f"round-{round_}", contents=40)
    swap.destroy_all()
    swap.release(*work.things)
    swap.state("all-gone")
    swap.boot()


class Work:
    """Operations at random. What they find, the model knows when the script is gone through; here it is enough that each makes sense."""

    MOST_SPACES, AREA = 7, 40

    def __init__(self, swap: SwapScenario, slots: int) -> None:
        self.swap, self.random = swap, swap.random
        swap.area(slots)
        self.areas: dict[int, dict[int, list[int]]] = {}  # of each space: begin, and the pages that are there still
        self.things: list[int] = []  # numbered pages: stored, if there was a slot
        self.begin_space()

    def step(self) -> None:
        actions = [(self.write, 20), (self.read, 22), (self.out, 22), (self.fork, 4), (self.end, 3), (self.unmap, 5), (self.begin_space, 2), (self.switch, 10),
                   (self.clean, 3), (self.shrink, 2), (self.store, 5), (self.load, 5)]
        self.random.choices([action for action, _ in actions], [weight for _, weight in actions])[0]()

    def begin_space(self) -> None:
        if len(self.areas) < self.MOST_SPACES:
            space = self.swap.create()
            self.areas[space] = {self.swap.map(space, self.AREA): list(range(self.AREA))}
            self.write()

    def fork(self) -> None:
        if len(self.areas) < self.MOST_SPACES:
            parent = self.random.choice(list(self.areas))
            self.areas[self.swap.fork(parent)] = {begin: list(there) for begin, there in self.areas[parent].items()}

    def end(self) -> None:
        if len(self.areas) > 2:
            space = self.random.choice(list(self.areas))
            del self.areas[space]
            self.swap.destroy(space)
            self.switch()

    def switch(self) -> None:
        self.swap.activate(self.random.choice(list(self.areas)))

    def some(self, space: int) -> tuple[int, int]:
        """The begin of some pages in a row that are mapped, and how many."""
        begin, there = self.random.choice(list(self.areas[space].items()))
        if not there:
            return begin, 0
        first = self.random.choice(there)
        count = 1
        while count < 9 and first + count in there and self.random.random() < 0.8:
            count += 1
        return begin + pages(first), count

    def write(self) -> None:
        if self.swap.active is not None:
            address, count = self.some(self.swap.active)
            if count:
                self.swap.write(address + self.swap.offset(), count)

    def read(self) -> None:
        if self.swap.active is not None:
            address, count = self.some(self.swap.active)
            if count:
                self.swap.read(address, count)

    def out(self) -> None:
        for _ in range(self.random.randrange(1, 4)):
            space = self.random.choice(list(self.areas))
            address, count = self.some(space)
            if count:
                self.swap.pick(space, address, count)
        self.swap.out()

    def unmap(self) -> None:
        space = self.random.choice(list(self.areas))
        address, count = self.some(space)
        if count:
            count = min(count, 3)
            self.swap.unmap(space, address, count)
            for begin, there in self.areas[space].items():
                gone = {(address - begin) // pages(1) + i for i in range(count)}
                if address >= begin:
                    there[:] = [at for at in there if at not in gone]

    def clean(self) -> None:
        if self.swap.active is not None:
            address, count = self.some(self.swap.active)
            if count:
                self.swap.write(address + self.swap.offset())
                self.swap.out(self.swap.active, address, note="is read back, and written ahead")
                self.swap.write(address + self.swap.offset())
                self.swap.clean(self.swap.active, address)

    def shrink(self) -> None:
        self.swap.shrink(1000)

    def store(self) -> None:
        if len(self.things) < 12:
            self.things.append(self.swap.page())
            self.swap.store(self.things[-1], changed=True)

    def load(self) -> None:
        if self.things:
            thing = self.things.pop(self.random.randrange(len(self.things)))
            self.swap.load(thing)
            self.swap.release(thing)
