"""Lab 06-faults, user programs on the piece: memory appears when a process looks at it, page by page, and shows what it should."""

from __future__ import annotations

from emulator.machine import Machine
from emulator.volume import read_file
from judge import paths
from judge.scenario import expect
from labs.faults import FaultsScenario
from labs.lazy_calls import LARGE, OBJECT, READ, RW, Block, File, LazyScript, check_block, follow, frames_of, lazy_disk, new_file
from labs.lazy_calls import read_pages
from labs.lazy_image import IMAGE_PAGES, Image
from labs.programs import Programs
from paging.tables import PAGE


def touch_some(script: LazyScript, faults: FaultsScenario, block: Block, count: int, *, writes: bool = True) -> None:
    """Reads and writes of bytes anywhere in a block, some pages more than once."""
    chance = faults.random
    pages = chance.sample(range(block.pages), min(count, block.pages))
    for page in pages + chance.choices(pages, k=count // 3):
        offset = page * PAGE + chance.randrange(PAGE)
        if writes and chance.random() < 0.5:
            script.write(block, offset, chance.randrange(1, 256))
        else:
            script.read(block, offset)


def test_program_zeros(faults: FaultsScenario) -> None:
    """Mappings and heap: what was touched is present, reads show zeros that all share, writes get frames of their own."""
    script, chance = LazyScript(), faults.random
    file = new_file(faults, 2)
    number = script.open(file)
    blocks = [script.zeros(chance.randrange(30, 60)), script.heap(chance.randrange(12, 30)), script.zeros(chance.randrange(8, 16), READ)]
    script.look("untouched")
    for block, writes in zip(blocks, (True, True, False)):
        touch_some(script, faults, block, 8, writes=writes)
    script.look("touched")
    border = chance.randrange(1, blocks[0].pages) * PAGE
    script.read_into(blocks[0], border - chance.randrange(1, 300), number, file, chance.randrange(400, 2000))
    script.look("by-the-kernel")
    follow(faults, script, files=(file,))


def test_program_files(faults: FaultsScenario) -> None:
    """Mappings of a file: read when somebody looks, shared until somebody writes, and the file itself stays as it was."""
    script, chance = LazyScript(), faults.random
    file = new_file(faults, chance.randrange(20, 33))
    number = script.open(file)
    private = script.map_file(file, number, file.pages, rights=RW)
    script.look("untouched")
    last = len(file.data) - 1
    script.read(private, last)
    script.write(private, chance.randrange(3) * PAGE, chance.randrange(256))
    touch_some(script, faults, private, 6)
    script.look("private")
    first = chance.randrange(1, 8)
    others = [script.map_file(file, number, chance.randrange(4, file.pages - first), first_page=first, shared=shared)
              for shared in (False, True)]
    for other in others:
        touch_some(script, faults, other, 4, writes=False)
    script.look("twice-more")
    script.refused(f"store {others[1].name} 1 1", "a write to a file that is mapped to be read")
    touch_some(script, faults, private, 6)
    script.write(private, last, chance.randrange(256))
    script.look("end")
    [ran] = follow(faults, script, files=(file,))
    view = ran.view("end")
    frames: dict[int, set[int]] = {index: set() for index in range(file.pages)}
    for block in script.blocks:
        for page, frame in frames_of(block, view).items():
            if block.state[page] == OBJECT:
                frames[block.first_page + page].add(frame)
    twice = [index for index, seen in frames.items() if len(seen) > 1]
    expect(not twice, "all who read a page of a file see one frame",
           f"page {twice[0]} lies in {len(frames[twice[0]])} frames" if twice else "")
    assert faults.run and faults.run.disk
    expect(read_file(faults.run.disk, file.name) == file.data,
           "what a process writes to a private mapping does not reach the file", "the file has changed")


def test_program_large(faults: FaultsScenario) -> None:
    """4 MiB at the first write to an aligned piece of a large mapping; small pages at its ends, and where somebody has read before."""
    script, chance = LazyScript(), faults.random
    faults.machine = Machine(32)
    block = script.zeros(3 * LARGE + chance.randrange(LARGE - 1))  # two or three aligned pieces lie in it
    script.look("untouched")
    script.write(block, chance.randrange(LARGE, 2 * LARGE) * PAGE, chance.randrange(1, 256))
    script.look("written")
    script.write(block, 0, chance.randrange(1, 256))
    script.write(block, block.pages * PAGE - 1, chance.randrange(1, 256))
    at = 2 * LARGE + chance.randrange(8)
    script.read(block, at * PAGE)
    script.write(block, (at + 9) * PAGE, chance.randrange(1, 256))
    script.look("around")
    follow(faults, script)


def test_program_random(faults: FaultsScenario) -> None:
    """A hundred touches at random in memory of all kinds; every fault is resolved once."""
    script, chance = LazyScript(), faults.random
    file = new_file(faults, chance.randrange(10, 20))
    number = script.open(file)
    blocks = [script.zeros(chance.randrange(8, 40)), script.heap(chance.randrange(4, 20)),
              script.map_file(file, number, file.pages, rights=RW), script.map_file(file, number, file.pages), script.map_file(file, number, file.pages, shared=True)]
    for part in range(4):
        for _ in range(25):
            index = chance.randrange(len(blocks))
            offset = chance.randrange(blocks[index].pages * PAGE)
            if index < 3 and chance.random() < 0.5:
                script.write(blocks[index], offset, chance.randrange(256))
            else:
                script.read(blocks[index], offset)
        script.look(f"part-{part + 1}")
    follow(faults, script, files=(file,))


def test_program_together(faults: FaultsScenario) -> None:
    """Two processes map one file: who comes later finds in memory what the other has read, in the same frames, until one writes."""
    chance = faults.random
    file = new_file(faults, chance.randrange(24, 40))
    scripts = [LazyScript("first.txt"), LazyScript("second.txt")]
    for script, touches in zip(scripts, (10, 6)):
        block = script.map_file(file, script.open(file), file.pages, rights=RW)
        touch_some(script, faults, block, touches, writes=False)
        script.look(f"{script.name[:-4]}-reads")
        touch_some(script, faults, block, touches)
        script.look(f"{script.name[:-4]}-writes")
    programs = Programs(faults)
    first, ran_first = scripts[0].start(programs)
    faults.disk = lazy_disk(*scripts, files=(file,))
    ran_second = scripts[1].run(programs)
    later = programs.look(first, "first-later", read_pages)
    programs.kill(first, "SIGKILL")
    programs.wait(first)
    faults.boot()
    scripts[0].follow(ran_first)
    scripts[1].follow(ran_second)
    view = later.view
    ours, theirs = (script.blocks[0] for script in scripts)
    check_block(ours, view, later.found, "first-later", ran_second.op.number)
    mine, other = frames_of(ours, view), frames_of(theirs, ran_second.view("second-writes"))
    for page in sorted(mine.keys() & other.keys()):
        both = ours.state[page] == theirs.state[page] == OBJECT
        expect((mine[page] == other[page]) == both,
               f"page {page} of the file lies in {'one frame' if both else 'a frame for each'} of two processes",
               f"frames {mine[page]:#x} and {other[page]:#x}", operation=ran_second.op.number)



def test_program_image(faults: FaultsScenario) -> None:
    """A program's pages come when they are used: text when it is executed, variables when they are looked at, zeros behind them."""
    chance = faults.random
    uses = [["r12", *(f"{what}{page}" for what, most in IMAGE_PAGES.items() for page in chance.sample(range(most), 2))] for _ in range(2)]
    for one in uses:
        chance.shuffle(one)
    file = File("bin/bigimg", (paths.programs_folder() / "bigimg").read_bytes())
    programs = Programs(faults)
    faults.disk = lazy_disk(files=(file,))
    stays = programs.start("bigimg", "stays", *uses[0])
    first = programs.let_run(8, checkpoints=["stays"], reader=read_pages)
    second = programs.run("bigimg", "ends", *uses[1], checkpoints=["ends"], reader=read_pages)
    programs.kill(stays, "SIGKILL")
    programs.wait(stays)
    faults.boot()
    images = [Image(file, ran, name, used) for ran, name, used in ((first, "stays", uses[0]), (second, "ends", uses[1]))]
    for image in images:
        programs.three_views_agree(image.view, where=f"at checkpoint {image.name}", operation=image.ran.op.number)
        image.check_results()
        image.check_bytes()
    images[0].check_present(set())
    images[0].check_variables()
    images[1].check_present(images[0].called)
    images[1].check_zeros()
    mine, others = (image.text_frames() for image in images)
    for index in sorted(mine.keys() & others.keys()):
        expect(mine[index] == others[index], f"page {index} of /bin/bigimg, which is executed, lies in one frame for two processes",
               f"frames {mine[index]:#x} and {others[index]:#x}", operation=second.op.number)
