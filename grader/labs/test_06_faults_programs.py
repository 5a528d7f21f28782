"""Lab 06-faults, user programs on the piece: memory appears when a process looks at it, page by page, and what is wrong ends the process
and nothing else.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from emulator.machine import Machine
from emulator.volume import read_file
from judge import paths
from judge.scenario import expect, fail
from labs.faults import FaultsScenario
from labs.lazy_calls import LARGE, NEIGHBOURHOOD, OBJECT, READ, RW, Block, File, LazyScript, check_block, frames_of, lazy_disk, read_pages
from labs.process_view import KINDS, Area, ProcessView
from labs.programs import SIGNALS, Look, Programs, Ran
from paging.tables import PAGE

# fault::Reason (mm/fault/decision.h), and what the kernel prints for each when a process dies of it.
REASON_TEXTS = {
    "None": "",
    "NullPointer": "null pointer",
    "KernelAddress": "address of the kernel",
    "NotMapped": "nothing is mapped there",
    "GuardPage": "guard page below a stack or mapping",
    "NotReadable": "access to memory without rights",
    "NotWritable": "write to read-only memory",
    "NotExecutable": "execution of data",
    "PastEnd": "past the end of the mapped file",
    "Device": "the mapped file cannot be read",
    "StackLimit": "the stack has reached its limit",
}
REASONS = tuple(REASON_TEXTS)
ACCESSES = {"r": "a read of", "w": "a write to", "x": "a jump to"}
FAIL_AFTER, FAIL_NEVER = 4, 5  # DebugCall
SIGSEGV, EFAULT = SIGNALS["SIGSEGV"], 14
FREE = (0x6000_0000, 0xA000_0000)  # below all mappings that chance places, above heaps


def follow(faults: FaultsScenario, *scripts: LazyScript, files: tuple[File, ...] = ()) -> list[Ran]:
    """Runs each script as a process, one after the other, and compares."""
    programs = Programs(faults)
    faults.disk = lazy_disk(*scripts, files=files)
    ran = [script.run(programs) for script in scripts]
    faults.boot()
    for script, one in zip(scripts, ran):
        script.follow(one)
    return ran


def new_file(faults: FaultsScenario, pages: int, name: str = "data.bin") -> File:
    """A file of random bytes whose last page is not full."""
    return File(name, faults.random.randbytes(pages * PAGE - faults.random.randrange(1, PAGE)))


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
    others = [script.map_file(file, number, chance.randrange(4, file.pages - first), first_page=first, shared=shared) for shared in (False, True)]
    for other in others:
        touch_some(script, faults, other, 4, writes=False)
    script.look("twice-more")
    script.refused(f"store {others[1].name} 1 1", "a write to a file that is mapped to be read")
    touch_some(script, faults, private, 6)
    script.write(private, last, chance.randrange(256))
    script.look("end")
    [ran] = follow(faults, script, files=(file,))
    view = ran.view("end")
    frames = {index: {frames_of(block, view)[index - block.first_page] for block in script.blocks if block.state.get(index - block.first_page) == OBJECT}
              for index in range(file.pages)}
    twice = [index for index, seen in frames.items() if len(seen) > 1]
    expect(not twice, "all who read a page of a file see one frame", f"page {twice[0]} lies in {len(frames[twice[0]])} frames" if twice else "")
    assert faults.run and faults.run.disk
    expect(read_file(faults.run.disk, file.name) == file.data, "what a process writes to a private mapping does not reach the file", "the file has changed")


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
    blocks = [script.zeros(chance.randrange(8, 40)), script.heap(chance.randrange(4, 20)), script.map_file(file, number, file.pages, rights=RW),
              script.map_file(file, number, file.pages), script.map_file(file, number, file.pages, shared=True)]
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
        expect((mine[page] == other[page]) == both, f"page {page} of the file lies in {'one frame' if both else 'a frame for each'} of two processes",
               f"frames {mine[page]:#x} and {other[page]:#x}", operation=ran_second.op.number)


# -- stacks ------------------------------------------------------------------------------------------------------------------


@dataclass
class Act:
    """Something that grader/programs/stack does so far below its base, and what it writes from its stack pointer on."""

    name: str
    offset: int
    first: int  # bytes of the first and the last byte that are touched, counted from the stack pointer
    last: int

    @property
    def word(self) -> str:
        return f"{self.name}-{self.offset}"


def stack_acts(faults: FaultsScenario) -> list[Act]:
    """All of them in any order, each deeper than the one before."""
    chance, depth, acts = faults.random, 5, []
    names = ["push", "pusha", "at32", "at33", "at4096", "local", "read", "push", "at32"]
    chance.shuffle(names)
    for name in names:
        depth += chance.randrange(2, 6)
        border = depth * PAGE
        if name == "push":
            acts.append(Act(name, border, -4, -1))
        elif name == "pusha":
            acts.append(Act(name, border - 4 * chance.randrange(8), -32, -1))
        elif name == "at32":
            acts.append(Act(name, border - chance.randrange(32), -32, -32))
        elif name == "at33":
            acts.append(Act(name, border - chance.randrange(33), -33, -33))
        elif name == "at4096":
            acts.append(Act(name, border - chance.randrange(512, 4000), -4096, -4096))
        elif name == "local":
            depth += 15
            acts.append(Act(name, depth * PAGE + 4 * chance.randrange(PAGE // 4), 0, 0))
            depth += 1
        else:
            depth += 2
            acts.append(Act(name, depth * PAGE - 4 * chance.randrange(PAGE // 4), 0, PAGE - 1))
    return acts


def test_program_stack(faults: FaultsScenario) -> None:
    """A stack grows on push, on pusha, by variables of 64 KiB, inside a system call; not for what lies more than 32 bytes below."""
    acts = stack_acts(faults)
    programs = Programs(faults)
    acts = [act for index, act in enumerate(acts) if act.word not in {other.word for other in acts[:index]}]
    ran = programs.run("stack", *(act.word for act in acts), checkpoints=["start", *(act.word for act in acts)])
    faults.boot()
    printed = {words[0]: [int(word, 16) for word in words[1:]] for words in map(str.split, ran.lines)}
    before = ran.view("start")
    end = stack_of(before).end
    present = {page.virtual for page in before.pages_of(stack_of(before))}
    begin = stack_of(before).begin
    for act in acts:
        expect(act.word in printed, f"the process goes on to {act.word}", f"{ran.ending}; it printed {ran.text!r}", operation=ran.op.number)
        pointer, signal, reason, address = printed[act.word]
        first = pointer + act.first
        what = f"{act.name} with the stack pointer at {pointer:#x}, where the stack begins at {begin:#x}"
        refused = first < begin and first + 32 < pointer
        if refused:
            why = REASONS.index("GuardPage" if begin - PAGE <= first else "NotMapped")
            expect((signal, reason, address) == (SIGSEGV, why, first), f"{what}, is refused with SIGSEGV, {REASONS[why]}, at {first:#x}",
                   told(signal, reason, address), "32 bytes below the stack pointer, and not one more.", operation=ran.op.number)
            touched = handler_pages(pointer)
        else:
            expect(signal == 0, f"{what}, is resolved", told(signal, reason, address), operation=ran.op.number)
            if act.name == "read":
                expect(address == PAGE, f"{what}, reads {PAGE} bytes", f"the call returned {address:#x}", operation=ran.op.number)
            touched = range(first // PAGE, (pointer + act.last) // PAGE + 1)
        present.update(page * PAGE for page in touched)
        begin = min(begin, touched.start * PAGE)
        view = ran.view(act.word)
        programs.three_views_agree(view, where=f"at checkpoint {act.word}", operation=ran.op.number)
        stack = stack_of(view)
        expect((stack.begin, stack.end) == (begin, end), f"after {what}, the stack is {begin:#x} to {end:#x}", f"{stack.begin:#x} to {stack.end:#x}",
               "It grows down to the page of the address.", operation=ran.op.number)
        seen = {page.virtual for page in view.pages_of(stack)}
        different = min((seen ^ present) - {address for address in seen | present if address >= end - 5 * PAGE}, default=None)
        expect(different is None, f"after {what}, those pages of the stack are present that were touched",
               f"{different or 0:#x} is {'present' if different in seen else 'absent'}", operation=ran.op.number)
        for page in view.pages_of(stack):
            expect(page.writable, f"the page {page.virtual:#x} of the stack, which was written, is writable", page.rights, operation=ran.op.number)


def test_program_stack_ends(faults: FaultsScenario) -> None:
    """A recursion without end: the process dies at the limit of its stack, and a page before a mapping that lies in the way."""
    chance = faults.random
    limit = chance.randrange(20, 120)
    programs = Programs(faults)
    programs.run("wrong", "die", "r0", note="so that everything that is made once is there")
    before = programs.frames()
    deep = programs.run("stack", "deep", chance.randrange(64, 3000), limit * PAGE + chance.randrange(PAGE), checkpoints=["deep"])
    stopped = programs.run("stack", "blocked", chance.randrange(20, 40) * PAGE, chance.randrange(64, 3000), checkpoints=["blocked"])
    after = programs.frames()
    faults.boot()
    end = stack_of(deep.view("deep")).end
    check_death(deep, "SIGSEGV", "StackLimit", range(end - (limit + 1) * PAGE, end - limit * PAGE), f"a stack of at most {limit} pages that would need one more")
    view = stopped.view("blocked")
    in_the_way = max((area for area in view.areas if area.kind == KINDS.index("mapping")), key=lambda area: area.begin)
    check_death(stopped, "SIGSEGV", "GuardPage", range(in_the_way.end, in_the_way.end + PAGE), f"a stack that would grow to the page above the mapping {in_the_way}")
    expect(after.value == before.value, "two processes have died of their stacks: as many frames are in use as before", f"{after.value - before.value:+} frames",
           operation=after.number)


def handler_pages(pointer: int) -> range:
    """The pages that a handler's frame and the handler's own variables take, below a stack pointer (kernel/proc/signals.cpp)."""
    frame = (pointer - 60) // 16 * 16 - 4
    return range((frame - 32) // PAGE, (frame + 63) // PAGE + 1)


def stack_of(view: ProcessView) -> Area:
    """The only stack that a process has."""
    stacks = [area for area in view.areas if area.kind == KINDS.index("stack")]
    if len(stacks) != 1:
        fail("a process has one stack", f"{len(stacks)} areas of that kind: {', '.join(map(str, stacks))}")
    return stacks[0]


def told(signal: int, reason: int, address: int) -> str:
    """What a handler was told, in words."""
    if signal == 0:
        return "the access was possible"
    return f"signal {signal}, {REASONS[reason] if reason < len(REASONS) else f'reason {reason}'}, at {address:#x}"


def check_death(ran: Ran, signal: str, reason: str, addresses: range, why: str) -> None:
    """The process was ended by the right signal, and the message says the reason and an address in a range."""
    found = re.search(r"killed by (\w+): (.+) at 0x([0-9a-f]{8}), eip", ran.text)
    seen = f"{ran.ending}: {ran.lines[-1] if ran.lines else 'nothing printed'}"
    expect(ran.signal == signal and found is not None, f"{why}: the process ends by {signal}", seen, operation=ran.op.number)
    assert found
    expect(found[2] == REASON_TEXTS[reason] and int(found[3], 16) in addresses,
           f"{why}: {REASON_TEXTS[reason]!r} at {addresses.start:#x}{f' to {addresses.stop - 1:#x}' if len(addresses) > 1 else ''}", seen, operation=ran.op.number)


# -- what is wrong -----------------------------------------------------------------------------------------------------------


def wrong_accesses(faults: FaultsScenario) -> list[tuple[str, str, str]]:
    """Accesses in any order: as grader/programs/wrong takes them, with signal and reason."""
    chance = faults.random

    def somewhere(begin: int, end: int) -> str:
        return str(chance.randrange(begin, end))

    accesses = [
        (f"r{somewhere(0, PAGE)}", "SIGSEGV", "NullPointer"),
        (f"w{somewhere(0, PAGE)}", "SIGSEGV", "NullPointer"),
        (f"x{somewhere(0, PAGE)}", "SIGSEGV", "NullPointer"),
        (f"r{somewhere(0x10_0000, 0x20_0000)}", "SIGSEGV", "KernelAddress"),
        (f"w{somewhere(0x10_0000, 0x20_0000)}", "SIGSEGV", "KernelAddress"),
        (f"x{somewhere(0x10_0000, 0x20_0000)}", "SIGSEGV", "KernelAddress"),
        (f"r{somewhere(0xC000_0000, 0xFFFF_FFFF)}", "SIGSEGV", "KernelAddress"),
        (f"w{somewhere(0xC000_0000, 0xFFFF_FFFF)}", "SIGSEGV", "KernelAddress"),
        (f"r{somewhere(*FREE)}", "SIGSEGV", "NotMapped"),
        (f"w{somewhere(*FREE)}", "SIGSEGV", "NotMapped"),
        (f"wcode+{somewhere(0, 16)}", "SIGSEGV", "NotWritable"),
        (f"wreadonly+{somewhere(0, PAGE)}", "SIGSEGV", "NotWritable"),
        (f"rnone+{somewhere(0, PAGE)}", "SIGSEGV", "NotReadable"),
        (f"wnone+{somewhere(0, PAGE)}", "SIGSEGV", "NotReadable"),
        (f"rguard+{somewhere(0, PAGE)}", "SIGSEGV", "GuardPage"),
        (f"wguard+{somewhere(0, PAGE)}", "SIGSEGV", "GuardPage"),
        (f"xbeside+{somewhere(0, PAGE)}", "SIGSEGV", "NotExecutable"),
        (f"xdata+{somewhere(0, 16)}", "SIGSEGV", "NotExecutable"),
        (f"rpast+{somewhere(0, PAGE)}", "SIGBUS", "PastEnd"),
        (f"rreadonly+{somewhere(0, PAGE)}", "", "None"),
        (f"wwritable+{somewhere(0, PAGE)}", "", "None"),
    ]
    chance.shuffle(accesses)
    return accesses


def test_program_wrong(faults: FaultsScenario) -> None:
    """Every wrong access brings the right signal, with reason and address; what is right between them works."""
    accesses = wrong_accesses(faults)
    programs = Programs(faults)
    runs = [programs.run("wrong", *(word for word, _, _ in accesses[i:i + 7]), checkpoints=[]) for i in range(0, len(accesses), 7)]
    faults.boot()
    lines = {words[0]: [int(word, 16) for word in words[1:]] for ran in runs for words in map(str.split, ran.lines)}
    for index, (word, signal, reason) in enumerate(accesses):
        ran = runs[index // 7]
        expect(word in lines, f"the process goes on to {word}", f"{ran.ending}; it printed {ran.text!r}", operation=ran.op.number)
        address, *seen = lines[word]
        wanted = [SIGNALS[signal], REASONS.index(reason), address] if signal else [0, 0, 0]
        expect(seen == wanted, f"{ACCESSES[word[0]]} {address:#x} ({word[1:]}): {told(*wanted)}", told(*seen), operation=ran.op.number)


def test_program_deaths(faults: FaultsScenario) -> None:
    """Processes that do something wrong die, each by its signal; the kernel and a process beside them live on, and all frames come back."""
    chance = faults.random
    accesses = [access for access in wrong_accesses(faults) if access[1] and not access[0].startswith("xdata")][:8]
    programs = Programs(faults)
    programs.run("wrong", "die", "r0", note="so that everything that is made once is there")
    bystander = programs.start("isolate", "victim", chance.getrandbits(31))
    programs.let_run(4)
    before, at_first = programs.frames(), programs.look(bystander, "before", read_pages)
    deaths = [programs.run("wrong", "die", word) for word, _, _ in accesses]
    after, at_last = programs.frames(), programs.look(bystander, "after", read_pages)
    programs.kill(bystander, "SIGTERM")
    lived = programs.wait(bystander)
    faults.boot()
    for (word, signal, reason), ran in zip(accesses, deaths):
        address = int(ran.lines[0], 16)
        check_death(ran, signal, reason, range(address, address + 1), f"{ACCESSES[word[0]]} {address:#x} ({word[1:]})")
    check_bystander(at_first, at_last, lived)
    expect(after.value == before.value, f"{len(deaths)} processes have died: as many frames are in use as before", f"{after.value - before.value:+} frames",
           operation=after.number)


def check_bystander(at_first: Look, at_last: Look, lived: Ran) -> None:
    """A process that slept while others died has what it had."""
    expect(at_last.view.pages == at_first.view.pages and at_last.found == at_first.found, "a process that only sleeps keeps its pages and what is in them",
           "they have changed", operation=lived.op.number)
    expect(lived.exit_status == 0, "a process that slept while others died goes on, and finds its memory as it was", lived.ending, operation=lived.op.number)


def test_program_pointers(faults: FaultsScenario) -> None:
    """System calls with bad pointers return -EFAULT; what lies before a bad page is used, what nobody has touched appears."""
    script, chance = LazyScript(), faults.random
    script.counts_signals = False  # the kernel may look before it copies
    file = new_file(faults, 4)
    number = script.open(file)
    block = script.zeros(chance.randrange(4, 12))
    readonly = script.zeros(2, READ)
    none = script.zeros(2, 0)
    script.look("start")
    bad = [chance.randrange(PAGE), chance.randrange(0x10_0000, 0x20_0000), chance.randrange(0xC000_0000, 0xFFFF_0000), chance.randrange(*FREE),
           f"{none.name}+{chance.randrange(PAGE)}", f"{block.name}+{block.pages * PAGE + chance.randrange(PAGE)}"]
    for address in bad:
        for line in (f"Read {number} {address} 100", f"Open {address} 0", f"GetLimit 9 {address}", f"MemoryInfo {address}"):
            script.returns(line, -EFAULT)
    script.returns(f"Read {number} {readonly.name}+{chance.randrange(PAGE)} 100", -EFAULT)
    script.returns(f"MemoryInfo code+{chance.randrange(8)}", -EFAULT)
    script.look("nothing-has-changed")
    end = block.pages * PAGE
    script.returns(f"GetLimit 9 {block.name}+{end - chance.randrange(1, 4)}", -EFAULT)
    script.returns(f"MemoryInfo {block.name}+{end - chance.randrange(1, 16)}", -EFAULT)  # some bytes may have been written
    before_end = chance.randrange(16, 400)
    script.read_into(block, end - before_end, number, file, before_end + chance.randrange(1, 400), most=before_end)
    script.look("as-far-as-it-goes")
    border = chance.randrange(1, block.pages - 1) * PAGE
    script.read_into(block, border - chance.randrange(1, 300), number, file, chance.randrange(400, 2000))
    script.look("across-two-untouched-pages")
    follow(faults, script, files=(file,))


def test_program_pager(faults: FaultsScenario) -> None:
    """A handler of SIGSEGV that makes the page accessible and returns: one signal for each page, and memory as the handler filled it."""
    chance = faults.random
    programs = Programs(faults)
    runs = []
    for kind in ("none", "unmapped", "readonly"):
        pages, touches, seed = chance.randrange(20, 60), chance.randrange(8, 24), chance.getrandbits(31)
        runs.append((kind, pages, touches, seed, programs.run("pager", kind, pages, touches, seed, checkpoints=[kind], reader=read_pages)))
    faults.boot()
    for kind, pages, touches, seed, ran in runs:
        expect(ran.exit_status == 0, f"a process that pages its own memory ends well ({kind})", f"{ran.ending}; it printed {ran.text!r}", operation=ran.op.number)
        begin, signals, strange, wrong = (int(word, 16 if i == 0 else 10) for i, word in enumerate(ran.text.split()))
        touched = pager_touches(pages, touches, seed)
        expect((signals, strange, wrong) == (len(touched), 0, 0), f"{touches} touches of {len(touched)} pages ({kind}) bring {len(touched)} signals, each for the address "
               "that was touched, and the page is there when the handler returns", f"{signals} signals, {strange} for another address, {wrong} other words", operation=ran.op.number)
        look = ran.looks[kind]
        programs.three_views_agree(look.view, operation=ran.op.number)
        present = {(address - begin) // PAGE: data for address, data in look.found.items() if begin <= address < begin + pages * PAGE}
        expect(set(present) == touched, f"the pages that were touched are present, and no others ({kind})", f"{sorted(set(present) ^ touched)}", operation=ran.op.number)
        for page, data in present.items():
            expect(data == struct.pack("<I", (seed + page) * 0x9E37_79B9 & 0xFFFF_FFFF) * (PAGE // 4), f"page {page} holds what the handler wrote ({kind})",
                   data[:16].hex(), operation=ran.op.number)


def pager_touches(pages: int, touches: int, seed: int) -> set[int]:
    """The pages that grader/programs/pager touches."""
    state, touched = seed, set()
    for _ in range(touches):
        state = (state * 1664525 + 1013904223) & 0xFFFF_FFFF
        touched.add((state >> 8) % pages)
        state = (state * 1664525 + 1013904223) & 0xFFFF_FFFF
    return touched


# -- programs ----------------------------------------------------------------------------------------------------------------


IMAGE_PAGES = {"c": 40, "r": 12, "w": 12, "z": 10, "y": 10}  # grader/programs/bigimg.cpp: pages of each kind
WORDS = PAGE // 4


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


@dataclass
class Image:
    """A process that runs bigimg, at its checkpoint."""

    file: File
    ran: Ran
    name: str
    uses: list[str]

    def __post_init__(self) -> None:
        self.view, self.memory = self.ran.view(self.name), self.ran.looks[self.name].found
        printed = dict(words for words in map(str.split, self.ran.lines) if len(words) == 2)
        for name in ("text", "variables", "zeros", *self.uses):
            expect(name in printed, f"a program of many pages prints a line about {name}", f"it printed {self.ran.text!r}", operation=self.ran.op.number)
        self.printed = {name: int(number, 16) for name, number in printed.items()}
        self.called = {int(use[1:]) for use in self.uses if use[0] == "c"}

    def area(self, place: str) -> Area:
        area = self.view.area_at(self.printed[place])
        expect(area is not None, f"the program's {place} lie in an area", f"there is none at {self.printed[place]:#x}", operation=self.ran.op.number)
        assert area
        return area

    def check_results(self) -> None:
        """What the program found in its pages."""
        for use in self.uses:
            page = int(use[1:])
            wanted = page * 3 if use[0] == "c" else (page * WORDS + 1) * 0x9E37_79B9 & 0xFFFF_FFFF if use[0] in "rw" else 0
            expect(self.printed[use] == wanted, f"page {page} of the program's {'text' if use[0] == 'c' else 'variables' if use[0] in 'rw' else 'zeros'} "
                   f"gives {wanted:#x}", f"{self.printed[use]:#x}", operation=self.ran.op.number)

    def check_bytes(self) -> None:
        """Text, and variables that were only read, are what the file holds; behind the end of what it holds there are zeros."""
        text, data = self.area("text"), self.area("variables")
        written = {int(use[1:]) for use in self.uses if use[0] == "w"}
        for area in (text, data):
            for page in self.view.pages_of(area):
                index, number = area.first_page + (page.virtual - area.begin) // PAGE, (page.virtual - self.printed["variables"]) // PAGE
                wanted = self.file.page(index)
                if area is data and number in written:
                    wanted = wanted[:4] + struct.pack("<I", number + 1) + wanted[8:]
                elif area is data and number == IMAGE_PAGES["r"]:
                    wanted = wanted[:31 * 4].ljust(PAGE, b"\0")
                elif area is data and not 0 <= number < IMAGE_PAGES["r"]:
                    continue  # relocated, or the library's
                where = f"the program's page {page.virtual:#010x}, page {index} of its file"
                expect(self.memory[page.virtual] == wanted, f"{where}, holds what the file says", f"other bytes, the first are {self.memory[page.virtual][:8].hex()}",
                       operation=self.ran.op.number)
                expect(area is data or not page.writable, f"{where}, is read-only", page.rights, operation=self.ran.op.number)

    def check_present(self, others: set[int]) -> None:
        """Which of the text's pages are present: those that were called, and as their neighbours what somebody else has called before."""
        first = self.printed["text"]
        present = {page for page in range(IMAGE_PAGES["c"]) if self.view.table_set.translate(first + page * PAGE)}
        block = {page: (first // PAGE + page) // NEIGHBOURHOOD for page in range(IMAGE_PAGES["c"])}
        with_neighbours = {page for page in others if block[page] in {block[called] for called in self.called}}
        missing, too_many = (self.called | with_neighbours) - present, present - self.called - others
        expect(not missing, f"pages {sorted(self.called)} of the program's text were executed, so they are present, with neighbours that are in memory",
               f"absent: {sorted(missing)}", operation=self.ran.op.number)
        expect(not too_many, f"of the program's text nobody has executed pages {sorted(too_many)}, so they are absent", "they are present", operation=self.ran.op.number)

    def check_variables(self) -> None:
        """Where nobody has run the program before, variables are present as they were used."""
        data = self.area("variables")
        block = Block("variables", IMAGE_PAGES["r"], self.file, data.first_page + (self.printed["variables"] - data.begin) // PAGE, begin=self.printed["variables"])
        self._replay(block, "rw")
        self.check_zeros()

    def check_zeros(self) -> None:
        self._replay(Block("zeros", IMAGE_PAGES["z"], begin=self.printed["zeros"]), "zy")

    def _replay(self, block: Block, kinds: str) -> None:
        for use in self.uses:
            page = int(use[1:])
            if use[0] in kinds and page < block.pages:
                block.touch(page, write=use[0] == kinds[1])
                if use[0] == kinds[1]:
                    block.written[page] = dict(enumerate(struct.pack("<I", page + 1), 4))
        check_block(block, self.view, self.memory, self.name, self.ran.op.number)

    def text_frames(self) -> dict[int, int]:
        """The frames of its text, by page of the file."""
        area = self.area("text")
        return {area.first_page + (page.virtual - area.begin) // PAGE: page.frame for page in self.view.pages_of(area)}


# -- memory runs out ---------------------------------------------------------------------------------------------------------


def test_program_memory(faults: FaultsScenario) -> None:
    """No frame is left for a fault: that process dies, nobody else, and all frames come back."""
    chance = faults.random
    scripts = []
    file = new_file(faults, 12)
    for left in sorted(chance.sample(range(12), 4)):
        script = LazyScript(f"calls{left}.txt")
        block, view = script.zeros(40), script.map_file(file, script.open(file), file.pages, rights=RW)
        script.do(f"Debug {FAIL_AFTER} {left}")
        for page in chance.sample(range(file.pages), 10):
            touched = chance.choice((block, view))
            script.do(f"store {touched.name}+{page * PAGE + chance.randrange(PAGE)} 1 1" if chance.random() < 0.7 else f"show {touched.name}+{page * PAGE} 1")
            script.do(f"store {block.name}+{(12 + page) * PAGE} 1 1")
        scripts.append(script)
    asking = LazyScript("asking.txt")
    number, block = asking.open(file), asking.zeros(8)
    asking.do("Yield")
    asking.do(f"Debug {FAIL_AFTER} 0")
    asked = asking.do(f"Read {number} {block.name} 100")
    asking.do(f"Debug {FAIL_NEVER}")
    asking.read_into(block, chance.randrange(8) * PAGE, number, file, 100)
    programs = Programs(faults)
    programs.run("calls", f"/{scripts[-1].name}", note="so that everything that is made once is there")
    programs.scenario.op("frames.limit", "none")
    bystander = programs.start("isolate", "victim", chance.getrandbits(31))
    programs.let_run(4)
    before, at_first = programs.frames(), programs.look(bystander, "before", read_pages)
    starved = []
    for script in scripts:
        starved.append(programs.run("calls", f"/{script.name}"))
        programs.scenario.op("frames.limit", "none")
    goes_on = asking.run(programs)
    hog = programs.run("hog", chance.randrange(17, 60))
    after, at_last = programs.frames(), programs.look(bystander, "after", read_pages)
    programs.kill(bystander, "SIGTERM")
    lived = programs.wait(bystander)
    faults.disk = lazy_disk(*scripts, asking, files=(file,), others=("isolate", "hog"))
    faults.boot()
    for ran in [*starved, hog]:
        expect(ran.signal == "SIGKILL" and "out of memory" in ran.text, "a process for whose fault there is no memory is ended by SIGKILL, out of memory", str(ran),
               "OutOfMemory, not a signal: the access was right.", operation=ran.op.number)
    following = asking.follow(goes_on)
    expect(following.result(asked, "read()") < 0, "read() returns an error when there is no frame for its buffer", str(following.result(asked, "read()")),
           operation=goes_on.op.number)
    check_bystander(at_first, at_last, lived)
    expect(after.value == before.value, "processes have died for want of memory: as many frames are in use as before", f"{after.value - before.value:+} frames",
           "Whoever cannot show a frame gives it back; what is not shown holds no reference.", operation=after.number)
