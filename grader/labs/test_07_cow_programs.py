"""Lab 07-cow, user programs on the piece: families of processes fork, write, end, and at every look the page tables of all of them show
which frames they share, and the kernel's counts how many there are. A model of the steps says what is right (labs/family.py).
"""

from __future__ import annotations

from judge.scenario import expect
from labs.cow import CowScenario
from labs.family import Family, Seen
from labs.family_view import Member
from labs.programs import Programs
from oracle.shared_pages import PAGE, READ, RW

COPIES_HINT = "A copy is one frame: count the allocate() and release() of one write, and look at who has the frame when it is written to."


def data_file(cow: CowScenario, pages: int) -> bytes:
    """A file whose last page is not full."""
    return cow.random.randbytes(pages * PAGE - cow.random.randrange(1, PAGE // 2))


def expect_cost(before: Seen, after: Seen, who: int, copied: int, regained: int, why: str) -> None:
    """Between two looks, with everybody settled, this member's writes copied and regained so many pages, and took so many frames."""
    one, other = before.process(who).faults.hows, after.process(who).faults.hows
    seen = {how: other[how] - one[how] for how in ("Copied", "LastOwner")}
    expect(seen == {"Copied": copied, "LastOwner": regained}, f"{why}: {copied} copies, {regained} writes by a last owner",
           f"{seen['Copied']} copies, {seen['LastOwner']} writes by a last owner", COPIES_HINT)
    frames = after.view.frames_in_use - before.view.frames_in_use
    expect(frames == copied, f"{why}: {copied} frames more are in use", f"{frames} more", COPIES_HINT)


def test_program_share(cow: CowScenario) -> None:
    """fork() shows every page in both, read-only; nothing is copied, and untouched memory costs nothing."""
    family, chance = Family(cow, counts=True, rights=True), cow.random
    pages = chance.randrange(40, 80)
    block = family.map(0, pages, crossing=True)
    touched = chance.randrange(8, pages - 4)
    family.write(0, block, touched)
    family.read(0, block + touched * PAGE, 2)  # zeros
    zeros = family.map(0, chance.randrange(3, 9))
    family.read(0, zeros, 2)
    untouched = [family.map(0, chance.randrange(1, 200)) for _ in range(3)]
    family.settle()
    before = family.look(0)
    child = family.fork(0)
    after = family.look(0, "right after fork()")
    family.settle()
    settled = family.look(child)
    family.read(child, block, touched)
    family.read(0, zeros, 2)
    again = family.look(child)
    family.run()
    parent, born = after.process(0), after.process(child)
    for begin in untouched:
        slot = begin >> 22
        expect(slot not in born.tables.table_slots, f"the child has no page table for the 4 MiB from {slot << 22:#010x}: the parent has no page there",
               f"it has one in frame {born.tables.table_slots.get(slot, 0):#x}", "Ask slot_contents() before you ask for a page table.")
    differing = [address for address, page in parent.pages.items() if page.frame not in after.view.object_frames
                 and (address not in born.pages or born.pages[address].frame != page.frame)]
    copied = after.view.faults.hows["Copied"] - before.view.faults.hows["Copied"]
    expect(len(differing) <= copied, f"the parent has written to {copied} pages since fork(); the child shows the same frames everywhere else",
           f"{len(differing)} pages differ, the first at {differing[0] if differing else 0:#010x}")
    expect_no_copies(before, after, born)
    expect_cost(settled, again, child, 0, 0, "reading shared pages")


def expect_no_copies(before: Seen, after: Seen, child: Member) -> None:
    """What fork() may take: page tables, and what the kernel needs for any process. The parent's first write to its stack may have copied."""
    taken = after.view.frames_in_use - before.view.frames_in_use
    copied = sum(after.view.faults.hows[how] - before.view.faults.hows[how] for how in ("Copied", "Zeroed", "ObjectCopy"))
    limit = child.page_tables + copied + 16  # a kernel stack, and what the heap takes for areas and the process
    expect(taken <= limit, f"fork() takes {child.page_tables} page tables and little besides, at most {limit} frames", f"{taken} frames",
           "share() shares frames; it copies none.")


def test_program_write(cow: CowScenario) -> None:
    """One write splits one page, whoever writes; what the other one has stays, and the last owner writes without a copy."""
    family, chance = Family(cow, rights=True), cow.random
    pages = chance.randrange(8, 24)
    block = family.map(0, pages)
    family.write(0, block, pages)
    child = family.fork(0)
    family.write(0, block)  # the TLB still knew that this page may be written
    family.settle()
    order = chance.sample(range(1, pages), 5)
    start = family.look(child, "before the writes")
    family.write(child, block + order[0] * PAGE)
    one = family.look(child, "after the child's write")
    family.write(0, block + order[1] * PAGE)
    two = family.look(0, "after the parent's write")
    family.write(0, block + order[0] * PAGE)
    family.write(child, block + order[1] * PAGE)
    last = family.look(child, "after the last owners' writes")
    for page in order[2:]:
        family.write(child if page % 2 else 0, block + page * PAGE + chance.randrange(1, 1000) * 4)
    for who in (0, child):
        family.read(who, block, pages)
    family.write(child, block, pages)
    family.write(0, block, pages)
    apart = family.look(0)
    family.write(child, block, pages)
    family.look(child)
    family.run()
    expect_cost(start, one, child, 1, 0, "the child's first write to a page that both show")
    expect_cost(one, two, 0, 1, 0, "the parent's first write to a page that both show")
    expect_cost(two, last, 0, 0, 1, "the parent's write to a page that the child has copied")
    shared = {page.frame for page in apart.process(0).pages.values()} & {page.frame for page in apart.process(child).pages.values()}
    own = [frame for frame in shared if frame not in apart.view.object_frames and frame != apart.view.zero_frame]
    expect(all(block > page or page >= block + pages * PAGE for frame in own for _, page in apart.view.shown_by(frame)),
           "when both have written to every page, they share none of the block", f"{len(own)} frames")


def test_program_chain(cow: CowScenario) -> None:
    """Grandchildren, and forks after copies: each generation writes a part, and shows the rest of what its ancestors wrote."""
    family, chance = Family(cow, rights=True), cow.random
    pages = chance.randrange(10, 20)
    block = family.map(0, pages)
    family.write(0, block, pages)
    line = [0]
    for _ in range(chance.randrange(4, 6)):
        child = family.fork(line[-1])
        family.write(child, block + chance.randrange(pages) * PAGE)
        family.write(chance.choice(line), block + chance.randrange(pages) * PAGE)
        line.append(child)
    family.look(line[-1])
    for who in line:
        family.read(who, block, pages)
    middle = line[len(line) // 2]
    sibling = family.fork(middle)
    family.write(middle, block, pages // 2)
    family.write(sibling, block + 2 * PAGE, pages // 2)
    family.look(sibling)
    for who in (*line, sibling):
        family.read(who, block, pages)
    family.run()


def test_program_kernel_writes(cow: CowScenario) -> None:
    """What the kernel writes to user memory splits pages like user code's writes: read(), getrlimit(), the status of wait()."""
    family, chance = Family(cow, {"data": data_file(cow, 5)}), cow.random
    pages = chance.randrange(8, 16)
    block = family.map(0, pages)
    family.write(0, block, pages)
    file = family.open(0, "data")
    family.call(0, "SetLimit", 7, family.limit, note="lowers its limit of files")
    child = family.fork(0)
    grandchild = family.fork(child)
    family.settle()
    start = family.look(child)
    family.ask_limit(child, block + chance.randrange(1024) * 4)
    one = family.look(child, "after getrlimit()")
    family.read_file(child, file, block + 2 * PAGE - chance.randrange(1, 2000), PAGE + chance.randrange(2000, 4000))  # over three pages
    family.look(child, "after read()")
    family.end(grandchild, chance.randrange(1, 100), into=block + 5 * PAGE + chance.randrange(1024) * 4)
    family.look(child, "after wait()")
    family.read_file(0, file, block + 6 * PAGE + chance.randrange(100, 2000), 1000)
    family.read_file(0, file, block + 7 * PAGE, PAGE)
    for who in (0, child):
        for page in range(pages):
            family.read(who, block + page * PAGE + chance.randrange(1024) * 4)
    family.look(0)
    family.end(child, 5, into=block)
    family.look(0)
    family.run()
    expect_cost(start, one, child, 1, 0, "getrlimit() to a page that three show")


def test_program_shared(cow: CowScenario) -> None:
    """Shared memory stays shared, over any number of forks; what is written there is everybody's."""
    family, chance = Family(cow, {"data": data_file(cow, 6)}, counts=True), cow.random
    pages = chance.randrange(6, 14)
    common = family.map(0, pages, shared=True)
    mapped = family.map(0, 6, READ, file="data", shared=True)
    private = family.map(0, pages)
    family.write(0, common, pages // 2)
    family.write(0, private, pages)
    family.read(0, mapped, 3)
    child = family.fork(0)
    family.write(0, common)
    family.write(child, common + PAGE)
    family.settle()
    start = family.look(child)
    family.write(child, common + 2 * PAGE)
    family.write(child, private + PAGE)
    one = family.look(child)
    grandchild = family.fork(child)
    family.write(grandchild, common + (pages - 1) * PAGE)  # nobody has looked there before
    family.write(0, common + 3 * PAGE, pages - 3)
    family.read(child, mapped, 6)
    family.look(grandchild)
    for who in (0, child, grandchild):
        family.read(who, common, pages)
        family.read(who, private, pages)
        family.read(who, mapped, 6)
    family.look(0)
    family.end(grandchild)
    family.end(child)
    family.read(0, common, pages)
    family.look(0)
    family.run()
    shows = one.process(child).faults.hows["Copied"] - start.process(child).faults.hows["Copied"]
    expect(shows == 1, "of a write to shared and a write to private memory one copies", f"{shows} copies")


def test_program_files(cow: CowScenario) -> None:
    """Text is nobody's to copy; a private mapping of a file is copied page by page, and the file stays as it is."""
    family, chance = Family(cow, {"data": data_file(cow, 10)}, counts=True), cow.random
    mapped = family.map(0, 10, file="data")
    family.read(0, mapped + PAGE)
    family.write(0, mapped + chance.choice((0, 2, 3)) * PAGE)  # a copy at once, or of a page that is there by now
    child = family.fork(0)
    for _ in range(3):
        family.write(chance.choice((0, child)), mapped + chance.randrange(10) * PAGE + chance.randrange(1024) * 4)
    family.settle()
    family.look(child)
    grandchild = family.fork(child)
    family.write(child, mapped, 10)
    family.write(0, mapped + 4 * PAGE, 3)
    again = family.map(grandchild, 10, file="data")
    for who in (0, child, grandchild):
        family.read(who, mapped, 10)
    family.read(grandchild, again, 10)
    after = family.look(grandchild)
    family.run()
    texts = [{address: page.frame for address, page in after.process(who).pages.items() if address < 0x2000_0000} for who in (0, child, grandchild)]
    for other in texts[1:]:
        differing = [address for address in texts[0].keys() & other.keys() if texts[0][address] != other[address]]
        expect(not differing, "all show the same frames where their code is", f"the pages at {', '.join(map(hex, differing[:3]))} differ",
               "Read-only pages are shared as well, and nobody ever writes to them.")


def test_program_stacks(cow: CowScenario) -> None:
    """Two processes with one stack go on by themselves: down, up, and through signal handlers."""
    family, chance = Family(cow), cow.random
    block = family.map(0, 4)
    family.write(0, block, 4)
    family.descend(0, chance.randrange(4, 12))
    child = family.fork(0)
    family.look(child)
    deeper = chance.randrange(3, 9)
    family.descend(child, deeper)
    family.descend(0, deeper + chance.randrange(1, 4))
    family.handle(child, block + PAGE)
    family.handle(0, block + 2 * PAGE)
    grandchild = family.fork(child)
    family.look(grandchild)
    family.ascend(grandchild)
    family.handle(grandchild, block + 3 * PAGE)
    family.ascend(grandchild)
    family.ascend(0)
    family.ascend(child)
    family.descend(grandchild, deeper)
    family.handle(child, block + chance.randrange(4) * PAGE)
    for who in (child, 0, grandchild):
        family.ascend(who)
        family.read(who, block, 4)
    family.look(0)
    family.run()


def test_program_exec(cow: CowScenario) -> None:
    """A child that becomes another program gives its memory back, and the parent's is as before."""
    family, chance = Family(cow), cow.random
    pages = chance.randrange(10, 30)
    block = family.map(0, pages)
    family.write(0, block, pages)
    warm = family.fork(0)
    family.become(warm)
    family.settle()
    start = family.look(0)
    child = family.fork(0)
    family.write(child, block + chance.randrange(pages) * PAGE)
    family.become(child)
    family.settle()
    after = family.look(0)
    family.read(0, block, pages)
    family.write(0, block, pages)
    written = family.look(0)
    family.run()
    frames = after.view.frames_in_use - start.view.frames_in_use
    expect(frames <= 0, "a child came, became another program, and ended: no frame more is in use", f"{frames} more",
           "Every page that the child showed gives a reference back.")
    expect_cost(after, written, 0, 0, pages, f"writing to all {pages} pages, which nobody else shows any more")


def test_program_exits(cow: CowScenario) -> None:
    """Whatever the order in which a family ends: every frame comes back, and who is left is the last owner."""
    families = [generations(cow, f"kin{number}.bin", first_one_first=number == 1) for number in range(3)]
    programs = Programs(cow)
    ran, later, frames = [], [], []
    for family in families:
        ran.append(family.prepare(programs))
        later.append(programs.let_run(120))
        frames.append(programs.frames())
    cow.disk = Family.disk(*families)
    cow.boot()
    for family, one, two in zip(families, ran, later):
        family.check(one, two)
    for op in frames[1:]:
        more = op.value - frames[0].value
        expect(more <= 0, "a family has come and gone: as many frames are in use as before", f"{more} more",
               "Who ends gives one reference back for each page that it shows, and the others go on with the same frames.", operation=op.number)


def generations(cow: CowScenario, name: str, *, first_one_first: bool) -> Family:
    """A family that ends in an order of chance, children before parents or after them."""
    family, chance = Family(cow, name=name, counts=True), cow.random
    pages = chance.randrange(6, 12)
    block = family.map(0, pages)
    family.write(0, block, pages)
    for _ in range(5):
        parent = chance.choice(family.alive)
        child = family.fork(parent)
        family.write(child, block + chance.randrange(pages) * PAGE)
        family.write(parent, block + chance.randrange(pages) * PAGE)
    order = chance.sample(family.alive[1:], 5)
    order.insert(0 if first_one_first else 5, 0)
    for who in order[:-1]:
        family.exit(who)
        survivor = chance.choice(family.alive)
        family.write(survivor, block + chance.randrange(pages) * PAGE)
        family.read(survivor, block, pages)
        if family.members[0].alive:
            family.look(survivor)
    last = order[-1]
    family.write(last, block, pages)
    if last == 0:
        family.look(last)
    family.exit(last)
    return family


def test_program_no_memory(cow: CowScenario) -> None:
    """fork() without memory is an error that leaves nothing behind; a write that finds no frame for its copy ends the writer alone."""
    family, chance = Family(cow, counts=True), cow.random
    pages = chance.randrange(6, 14)
    block = family.map(0, pages, crossing=True)
    family.write(0, block, pages)
    other = family.map(0, 3)
    family.write(0, other, 3)
    family.starve(0, block, pages)
    family.settle()
    family.look(0)
    family.write(0, block, pages)
    child, victim = family.fork(0), family.fork(0)
    family.settle()
    family.settle()
    family.ask_without_memory(child, block + PAGE)
    family.write_without_memory(victim, block + chance.randrange(pages) * PAGE, dies=True)
    family.settle()
    family.look(child)
    for who in (0, child):
        family.read(who, block, pages)
    family.write(child, block + 2 * PAGE)
    family.write_without_memory(0, block + 2 * PAGE, dies=False)  # its last owner needs no frame
    family.look(0)
    family.run()


def test_program_many(cow: CowScenario) -> None:
    """Many children of one parent, each with a page or two of its own."""
    family, chance = Family(cow, counts=True), cow.random
    pages, count = chance.randrange(20, 30), chance.randrange(24, 32)
    block = family.map(0, pages)
    family.write(0, block, pages)
    children = [family.fork(0) for _ in range(count)]
    for child in children:
        family.write(child, block + chance.randrange(pages) * PAGE)
    family.settle()
    start = family.look(0)
    writers = chance.sample(children, 5)
    for child in writers:
        family.write(child, block, 3)
    after = family.look(0)
    gone = chance.sample(children, count - 2)
    for child in gone:
        family.end(child)
    family.write(0, block, pages)
    family.settle()
    family.look(0)
    family.run()
    copies = sum(after.spaces[child].copied - start.spaces[child].copied for child in writers)
    frames = after.view.frames_in_use - start.view.frames_in_use
    expect(frames == copies, f"{count} children, of whom five wrote to pages that others show, {copies} in all: as many frames more", f"{frames} more", COPIES_HINT)


def test_program_random(cow: CowScenario) -> None:
    """Forks, writes, reads, protection and ends at random."""
    family, chance = Family(cow, {"data": data_file(cow, 6)}), cow.random
    blocks = [family.map(0, chance.randrange(4, 12)) for _ in range(3)]
    sizes = {block.begin: block.pages for block in family.members[0].space.blocks}
    for block in blocks:
        family.write(0, block, sizes[block])
    family.map(0, 4, shared=True)
    family.map(0, 6, file="data")
    sizes = {block.begin: block.pages for block in family.members[0].space.blocks}
    for number in range(120):
        who, what = chance.choice(family.alive), chance.randrange(20)
        block = chance.choice([block for block in family.members[who].space.blocks if block.begin in sizes])
        address = block.begin + chance.randrange(block.pages) * PAGE
        if what < 4 and len(family.alive) < 7:
            family.fork(who)
        elif what < 6 and who and not any(being.parent == who and being.alive for being in family.members):
            family.end(who, chance.randrange(100), into=0)
        elif what == 6 and block.begin in blocks:
            family.protect(who, block.begin, block.pages, READ if block.rights == RW else RW)
        elif what == 7 and block.begin in blocks:
            family.discard(who, address, 1)
        elif what < 15 and block.rights == RW:
            family.write(who, address + chance.randrange(1024) * 4)
        else:
            family.read(who, address + chance.randrange(1024) * 4)
        if number % 20 == 19:
            family.look(chance.choice(family.alive))
    for who in family.alive:
        for begin in blocks:
            family.read(who, begin, sizes[begin])
    family.look(0)
    family.run()
