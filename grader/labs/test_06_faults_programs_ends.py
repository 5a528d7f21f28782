"""Lab 06-faults, user programs on the piece: stacks that grow, and what is wrong ends the process that did it and nothing else."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from judge.scenario import expect, fail
from labs.endings import ACCESSES, REASONS, check_bystander, check_death, numbers_in, start_bystander, told
from labs.faults import FaultsScenario
from labs.lazy_calls import READ, RW, LazyScript, follow, lazy_disk, new_file, read_pages
from labs.process_view import KINDS, Area, ProcessView
from labs.programs import SIGNALS, Programs
from paging.tables import PAGE

FAIL_AFTER, FAIL_NEVER = 4, 5  # DebugCall
SIGSEGV, EFAULT = SIGNALS["SIGSEGV"], 14
FREE = (0x6000_0000, 0xA000_0000)  # below all mappings that chance places, above heaps


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
    printed = numbers_in(ran, 4)
    before = ran.view("start")
    end = stack_of(before).end
    present = {page.virtual for page in before.pages_of(stack_of(before))}
    begin = stack_of(before).begin
    for act in acts:
        expect(act.word in printed, f"the process goes on to {act.word}", f"{ran.ending}; it printed {ran.text!r}",
               operation=ran.op.number)
        pointer, signal, reason, address = printed[act.word]
        first = pointer + act.first
        what = f"{act.name} with the stack pointer at {pointer:#x}, where the stack begins at {begin:#x}"
        refused = first < begin and first + 32 < pointer
        if refused:
            why = REASONS.index("GuardPage" if begin - PAGE <= first else "NotMapped")
            expect((signal, reason, address) == (SIGSEGV, why, first),
                   f"{what}, is refused with SIGSEGV, {REASONS[why]}, at {first:#x}", told(signal, reason, address),
                   "32 bytes below the stack pointer, and not one more.", operation=ran.op.number)
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
        expect((stack.begin, stack.end) == (begin, end), f"after {what}, the stack is {begin:#x} to {end:#x}",
               f"{stack.begin:#x} to {stack.end:#x}", "It grows down to the page of the address.", operation=ran.op.number)
        seen = {page.virtual for page in view.pages_of(stack)}
        different = min((seen ^ present) - {address for address in seen | present if address >= end - 5 * PAGE}, default=None)
        expect(different is None, f"after {what}, those pages of the stack are present that were touched",
               f"{different or 0:#x} is {'present' if different in seen else 'absent'}", operation=ran.op.number)
        for page in view.pages_of(stack):
            expect(page.writable, f"the page {page.virtual:#x} of the stack, which was written, is writable", page.rights,
                   operation=ran.op.number)


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
    check_death(deep, "SIGSEGV", "StackLimit", range(end - (limit + 1) * PAGE, end - limit * PAGE),
                f"a stack of at most {limit} pages that would need one more")
    view = stopped.view("blocked")
    in_the_way = max((area for area in view.areas if area.kind == KINDS.index("mapping")), key=lambda area: area.begin)
    check_death(stopped, "SIGSEGV", "GuardPage", range(in_the_way.end, in_the_way.end + PAGE),
                f"a stack that would grow to the page above the mapping {in_the_way}")
    expect(after.value == before.value, "two processes have died of their stacks: as many frames are in use as before",
           f"{after.value - before.value:+} frames", operation=after.number)


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
    lines = {word: numbers for ran in runs for word, numbers in numbers_in(ran, 4).items()}
    for index, (word, signal, reason) in enumerate(accesses):
        ran = runs[index // 7]
        expect(word in lines, f"the process goes on to {word}", f"{ran.ending}; it printed {ran.text!r}", operation=ran.op.number)
        address, *seen = lines[word]
        wanted = [SIGNALS[signal], REASONS.index(reason), address] if signal else [0, 0, 0]
        expect(seen == wanted, f"{ACCESSES[word[0]]} {address:#x} ({word[1:]}): {told(*wanted)}", told(*seen),
               operation=ran.op.number)


def test_program_deaths(faults: FaultsScenario) -> None:
    """Processes that do something wrong die, each by its signal; the kernel and a process beside them live on, and all frames come back."""
    chance = faults.random
    accesses = [access for access in wrong_accesses(faults) if access[1] and not access[0].startswith("xdata")][:8]
    programs = Programs(faults)
    programs.run("wrong", "die", "r0", note="so that everything that is made once is there")
    bystander = start_bystander(programs, chance.getrandbits(31))
    before, at_first = programs.frames(), programs.look(bystander, "before", read_pages)
    deaths = [programs.run("wrong", "die", word) for word, _, _ in accesses]
    after, at_last = programs.frames(), programs.look(bystander, "after", read_pages)
    programs.kill(bystander, "SIGTERM")
    lived = programs.wait(bystander)
    faults.boot()
    for (word, signal, reason), ran in zip(accesses, deaths):
        [address] = numbers_in(ran, 1).get("at", [0])
        expect(address, f"a process starts, to make {ACCESSES[word[0]]} {word[1:]}", str(ran), operation=ran.op.number)
        check_death(ran, signal, reason, range(address, address + 1), f"{ACCESSES[word[0]]} {address:#x} ({word[1:]})")
    check_bystander(at_first, at_last, lived)
    expect(after.value == before.value, f"{len(deaths)} processes have died: as many frames are in use as before",
           f"{after.value - before.value:+} frames", operation=after.number)


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
    bad: list[int | str] = [chance.randrange(begin, end) for begin, end in ((0, PAGE), (0x10_0000, 0x20_0000), (0xC000_0000, 0xFFFF_0000), FREE)]
    bad += [f"{none.name}+{chance.randrange(PAGE)}", f"{block.name}+{block.pages * PAGE + chance.randrange(PAGE)}"]
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
        expect(ran.exit_status == 0, f"a process that pages its own memory ends well ({kind})",
               f"{ran.ending}; it printed {ran.text!r}", operation=ran.op.number)
        begin, signals, strange, wrong = numbers_in(ran, 4).get("begin", [0] * 4)
        expect(begin, f"a process that pages its own memory prints what came of it ({kind})", str(ran), operation=ran.op.number)
        touched = pager_touches(pages, touches, seed)
        expect((signals, strange, wrong) == (len(touched), 0, 0),
               f"{touches} touches of {len(touched)} pages ({kind}) bring {len(touched)} signals, each for the address "
               "that was touched, and the page is there when the handler returns",
               f"{signals} signals, {strange} for another address, {wrong} other words", operation=ran.op.number)
        look = ran.looks[kind]
        programs.three_views_agree(look.view, operation=ran.op.number)
        present = {(address - begin) // PAGE: data for address, data in look.found.items() if begin <= address < begin + pages * PAGE}
        expect(set(present) == touched, f"the pages that were touched are present, and no others ({kind})",
               f"{sorted(set(present) ^ touched)}", operation=ran.op.number)
        for page, data in present.items():
            expect(data == struct.pack("<I", (seed + page) * 0x9E37_79B9 & 0xFFFF_FFFF) * (PAGE // 4),
                   f"page {page} holds what the handler wrote ({kind})", data[:16].hex(), operation=ran.op.number)


def pager_touches(pages: int, touches: int, seed: int) -> set[int]:
    """The pages that grader/programs/pager touches."""
    state, touched = seed, set()
    for _ in range(touches):
        state = (state * 1664525 + 1013904223) & 0xFFFF_FFFF
        touched.add((state >> 8) % pages)
        state = (state * 1664525 + 1013904223) & 0xFFFF_FFFF
    return touched


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
            at = f"{touched.name}+{page * PAGE + chance.randrange(PAGE)}"
            script.do(f"store {at} 1 1" if chance.random() < 0.7 else f"show {at} 1")
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
    bystander = start_bystander(programs, chance.getrandbits(31))
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
        expect(ran.signal == "SIGKILL" and "out of memory" in ran.text,
               "a process for whose fault there is no memory is ended by SIGKILL, out of memory", str(ran),
               "OutOfMemory, not a signal: the access was right.", operation=ran.op.number)
    following = asking.follow(goes_on)
    expect(following.result(asked, "read()") < 0, "read() returns an error when there is no frame for its buffer",
           str(following.result(asked, "read()")), operation=goes_on.op.number)
    check_bystander(at_first, at_last, lived)
    expect(after.value == before.value, "processes have died for want of memory: as many frames are in use as before",
           f"{after.value - before.value:+} frames",
           "Whoever cannot show a frame gives it back; what is not shown holds no reference.", operation=after.number)
