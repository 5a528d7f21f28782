"""System calls about memory: mappings, the break, shared memory, limits, and what the kernel says about itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from system_calls import (
    ABI, ANONYMOUS, BUFFER, CODE, EXEC, FIXED, MISSING, NO_REPLACE, O_RDONLY, O_RDWR, O_WRONLY, PAGE, PRIVATE, READ, SHARED, SIGKILL, STORY, USER_BEGIN,
    USER_END, WILLNEED, WRITE, Calls, CallScript, Name, expect_errors, memory, runner,
)

RIGHTS = READ | WRITE
WRAPS = 0xFFFF_F000
MORE_THAN_THERE_IS = 8192  # pages: 32 MiB, in a machine of 16


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> Iterator[Calls]:
    with runner(tmp_path_factory.mktemp("memory")) as run:
        yield run


# --- mappings ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [PRIVATE | ANONYMOUS, SHARED | ANONYMOUS])
def test_new_memory_is_zero_and_holds_what_is_written(calls: Calls, flags: int) -> None:
    script = CallScript()
    page = script("MapMemory", 0, 3 * PAGE - 5, RIGHTS, flags, -1, 0)
    zero = script.show(page + 2 * PAGE, 100)
    script.store(page + (3 * PAGE - 1), 0x5A)
    written = script.show(page + (3 * PAGE - 1), 1)
    gone = script("UnmapMemory", page, 3 * PAGE - 5)
    again = script("UnmapMemory", page, 3 * PAGE)  # what is not mapped is passed over
    run = calls(script)
    assert run[page] % PAGE == 0 and USER_BEGIN <= run[page] < USER_END
    assert run.bytes(zero) == bytes(100) and run.bytes(written) == b"\x5a" and run[gone] == run[again] == 0


def test_a_child_writes_to_shared_memory_only(calls: Calls) -> None:
    script = CallScript()
    private, shared = memory(script, 1), memory(script, 1, flags=SHARED | ANONYMOUS)
    with script.child() as child:
        script.store(private, 1)
        script.store(shared, 1)
    script("Wait", child, 0)
    shown = script.show(private, 1), script.show(shared, 1)
    run = calls(script)
    assert [run.bytes(name) for name in shown] == [b"\0", b"\1"]


@pytest.mark.parametrize(("address", "length", "protection", "flags"), [
    (0, 0, RIGHTS, PRIVATE | ANONYMOUS), (0, PAGE, 8, PRIVATE | ANONYMOUS), (0, PAGE, 0x8000_0001, PRIVATE | ANONYMOUS),
    (0, PAGE, RIGHTS, ANONYMOUS), (0, PAGE, RIGHTS, ANONYMOUS | PRIVATE | SHARED), (0, PAGE, RIGHTS, PRIVATE | ANONYMOUS | 0x100),
    (0, PAGE, RIGHTS, PRIVATE | ANONYMOUS | 0x8000_0000), (MISSING + 1, PAGE, RIGHTS, PRIVATE | ANONYMOUS | FIXED),
    (0, 0xFFFF_F001, RIGHTS, PRIVATE | ANONYMOUS), (0, 0xFFFF_FFFF, RIGHTS, PRIVATE | ANONYMOUS), (USER_END - PAGE, 2 * PAGE, RIGHTS, PRIVATE | ANONYMOUS | FIXED),
    (WRAPS, 2 * PAGE, RIGHTS, PRIVATE | ANONYMOUS | FIXED), (0, PAGE, READ | WRITE | EXEC, PRIVATE | ANONYMOUS), (0, PAGE, WRITE, PRIVATE | ANONYMOUS),
])
def test_map_memory_refuses_with_einval(calls: Calls, address: int, length: int, protection: int, flags: int) -> None:
    script = CallScript()
    refused = script("MapMemory", address, length, protection, flags, -1, 0)
    run = calls(script)
    assert run.error(refused) == "EINVAL", run.says(refused)


def test_more_than_there_is(calls: Calls) -> None:
    script = CallScript()
    refused = {script("MapMemory", 0, length, RIGHTS, PRIVATE | ANONYMOUS, -1, 0): "ENOMEM" for length in (0xB000_0000, 0xC000_0000, 0xFFFF_F000)}
    script("CreateShared", 0xFFFF_F000)  # may be promised: there are no addresses for it
    refused |= {script("AttachShared", 0, 0, RIGHTS): "ENOMEM"}
    script("CloseShared", 0)
    still = memory(script, 100)
    run = calls(script)
    expect_errors(run, refused)
    assert run.error(still) == ""


def test_what_was_promised_and_is_not_there_ends_who_touches_it(calls: Calls) -> None:
    script = CallScript()
    promised = {"private": memory(script, MORE_THAN_THERE_IS), "shared": memory(script, MORE_THAN_THERE_IS, flags=SHARED | ANONYMOUS)}
    short = [script("Advise", begin, MORE_THAN_THERE_IS * PAGE, WILLNEED) for begin in promised.values()]
    script("Advise", promised["private"], MORE_THAN_THERE_IS * PAGE, ABI["MADV_DONTNEED"])
    script("UnmapMemory", promised["shared"], MORE_THAN_THERE_IS * PAGE)
    with script.child() as child:
        script.store(promised["private"], 1, MORE_THAN_THERE_IS * PAGE)
    script("Wait", child, BUFFER)
    ended = script.show(BUFFER, 4)
    enough = memory(script, 1000)
    taken = script("Advise", enough, 1000 * PAGE, WILLNEED)
    run = calls(script)
    expect_errors(run, {call: "ENOMEM" for call in short})
    assert not any(run.error(name) for name in (*promised.values(), taken))
    assert run.word(ended) == SIGKILL, "its parent goes on"


def test_fixed_places(calls: Calls) -> None:
    script = CallScript()
    first = memory(script, 4, flags=PRIVATE | ANONYMOUS | FIXED, at=MISSING)
    script.store(MISSING + PAGE, 0x77, 8)
    taken = {memory(script, pages, flags=PRIVATE | ANONYMOUS | NO_REPLACE, at=MISSING + offset): "EEXIST"
             for offset, pages in [(0, 1), (3 * PAGE, 5), (-PAGE, 2), (0, 4)]}
    over = memory(script, 1, flags=PRIVATE | ANONYMOUS | FIXED, at=MISSING + PAGE)
    new = script.show(MISSING + PAGE, 8)
    free = memory(script, 1, flags=PRIVATE | ANONYMOUS | NO_REPLACE, at=MISSING + 4 * PAGE)
    wrong_arena = {memory(script, 1, at=CODE - 0, flags=PRIVATE | ANONYMOUS): "", script("MapMemory", MISSING + 9 * PAGE, PAGE, READ | EXEC,
                                                                                        PRIVATE | ANONYMOUS | FIXED, -1, 0): "EACCES"}
    run = calls(script)
    assert (run[first], run[over], run[free]) == (MISSING, MISSING + PAGE, MISSING + 4 * PAGE)
    assert run.bytes(new) == bytes(8)
    expect_errors(run, taken | wrong_arena)


def test_files_are_mapped(calls: Calls) -> None:
    script = CallScript()
    file = script("Open", "/story", O_RDONLY)
    shown = []
    for flags, protection in ((PRIVATE, READ), (SHARED, READ), (PRIVATE, RIGHTS)):
        page = script("MapMemory", 0, 2 * PAGE, protection, flags, file, PAGE)
        shown.append((script.show(page, 16), script.show(page + PAGE, 16), script.show(page + (len(STORY) - PAGE), 16)))
    script("Close", file)
    script.store(page, 0xEE, 16)
    changed = script.show(page, 16)
    other = script("Open", "/story", O_RDONLY)
    script("Seek", other, PAGE, 0)
    script("Read", other, BUFFER, 16)
    file_says = script.show(BUFFER, 16)
    run = calls(script)
    for first, second, behind in shown:
        assert run.bytes(first) == STORY[PAGE:PAGE + 16] and run.bytes(second) == STORY[2 * PAGE:2 * PAGE + 16]
        assert run.bytes(behind) == bytes(16), "zeros behind the end"
    assert run.bytes(changed) == b"\xee" * 16 and run.bytes(file_says) == STORY[PAGE:PAGE + 16], "a private mapping does not write to the file"


def test_file_mappings_are_refused(calls: Calls) -> None:
    script = CallScript()
    reading, writing, both, folder = (script("Open", path, flags) for path, flags in
                                      (("/story", O_RDONLY), ("/text", O_WRONLY), ("/story", O_RDWR), ("/folder", O_RDONLY)))

    def mapping(file: Name | int, *, protection: int = READ, flags: int = PRIVATE, offset: int = 0, length: int = PAGE) -> Name:
        return script("MapMemory", 0, length, protection, flags, file, offset)

    refused = {mapping(number): "EBADF" for number in (-1, 9, 16, 0x8000_0000)}
    refused |= {mapping(writing): "EACCES", mapping(folder): "EACCES", mapping(0): "EACCES"}
    refused |= {mapping(reading, flags=SHARED, protection=RIGHTS): "EACCES", mapping(both, flags=SHARED, protection=RIGHTS): "EINVAL"}
    refused |= {mapping(reading, offset=offset): "EINVAL" for offset in (1, 4095, 0xFFFF_FFFF)}
    refused |= {mapping(reading, offset=0xFFFF_F000, length=2 * PAGE): "EINVAL", mapping(reading, offset=0x8000_0000, length=0x8000_1000): "EINVAL"}
    shared = mapping(both, flags=SHARED)
    refused[script("Protect", shared, PAGE, RIGHTS)] = "EACCES"
    run = calls(script)
    expect_errors(run, refused)
    assert run.error(shared) == ""


def test_unmap_protect_and_advise_refuse(calls: Calls) -> None:
    script = CallScript()
    page = memory(script, 2)
    refused: dict[Name, str] = {}
    ranges = ((page + 1, PAGE), (page, 0), (WRAPS, 2 * PAGE), (page, 0xFFFF_FFFF), (page, 0xFFFF_F000), (0, PAGE), (USER_END, PAGE), (USER_BEGIN - PAGE, PAGE))
    for address, length in ranges:
        refused[script("UnmapMemory", address, length)] = "EINVAL"
        refused[script("Protect", address, length, READ)] = "EINVAL"
    refused |= {script("Protect", page, PAGE, bits): "EINVAL" for bits in (8, 0x8000_0000, READ | WRITE | EXEC, WRITE)}
    refused[script("Protect", page, PAGE, READ | EXEC)] = "EACCES"  # above the line up to which code may lie
    refused |= {script("Protect", page, 3 * PAGE, READ): "ENOMEM", script("Protect", MISSING, PAGE, READ): "ENOMEM"}
    refused |= {script("Advise", page, PAGE, advice): "EINVAL" for advice in (1, 2, 5, -1)}
    refused |= {script("Advise", page + 1, PAGE, 4): "EINVAL", script("Advise", page, 0, 4): "EINVAL", script("Advise", MISSING, PAGE, 4): "ENOMEM",
                script("Advise", page, 3 * PAGE, 0): "ENOMEM", script("Advise", page, 3 * PAGE, 3): "ENOMEM"}
    refused |= {script("Resident", page + 1, PAGE, BUFFER): "EINVAL", script("Resident", page, 0, BUFFER): "EINVAL",
                script("Resident", page, 3 * PAGE, BUFFER): "ENOMEM", script("Resident", MISSING, PAGE, BUFFER): "ENOMEM"}
    good = script("Protect", page, 2 * PAGE, READ)
    run = calls(script)
    expect_errors(run, refused)
    assert run[good] == 0


def test_protection_reaches_the_kernels_copies_and_comes_back(calls: Calls) -> None:
    script = CallScript()
    page = memory(script, 3)
    script.store(page, 0x41, 3 * PAGE)
    script("Protect", page + PAGE, PAGE, 0)
    closed = {script("MemoryInfo", page + PAGE): "EFAULT", script("Write", 1, page + PAGE, 1): "EFAULT"}
    script("Protect", page + PAGE, PAGE, READ)
    closed |= {script("MemoryInfo", page + PAGE): "EFAULT"}
    shown = script.show(page + PAGE, 4)
    script("Protect", page + PAGE, PAGE, RIGHTS)
    opened = script("MemoryInfo", page + PAGE)
    run = calls(script)
    expect_errors(run, closed)
    assert run.bytes(shown) == b"AAAA" and run[opened] == 0


def test_discarded_pages_are_zero_again(calls: Calls) -> None:
    script = CallScript()
    page = memory(script, 4)
    script.store(page, 0x42, 4 * PAGE)
    done = script("Advise", page + PAGE, 2 * PAGE, ABI["MADV_DONTNEED"])
    script("Resident", page, 4 * PAGE, BUFFER)
    before = script.show(BUFFER, 4)
    shown = [script.show(page + offset, 4) for offset in (0, PAGE, 2 * PAGE, 3 * PAGE)]
    script("Advise", page, 4 * PAGE, ABI["MADV_DONTNEED"])
    willing = script("Advise", page, 4 * PAGE, ABI["MADV_WILLNEED"]), script("Advise", page, 4 * PAGE, ABI["MADV_NORMAL"])
    script("Resident", page, 4 * PAGE, BUFFER)
    after = script.show(BUFFER, 4)
    run = calls(script)
    assert run[done] == run[willing[0]] == run[willing[1]] == 0
    assert run.bytes(before) == b"\1\0\0\1" and run.bytes(after) == b"\1\1\1\1"
    assert [run.bytes(name) for name in shown] == [b"BBBB", bytes(4), bytes(4), b"BBBB"]


def test_the_break_moves(calls: Calls) -> None:
    script = CallScript()
    begin = script("Break", 0)
    up = script("Break", begin + 10_000)
    script.store(begin, 0x11, 10_000)
    down = script("Break", begin + 1)
    kept = script.show(begin, 1)
    again = script("Break", begin + 2 * PAGE)
    zero = script.show(begin + PAGE, 4)
    refused = {script("Break", begin - 1): "EINVAL", script("Break", 1): "EINVAL", script("Break", 0xFFFF_FFFF): "ENOMEM", script("Break", USER_END): "ENOMEM"}
    asked = script("Break", 0)
    run = calls(script)
    assert run[up] == run[begin] + 10_000 and run[down] == run[begin] + 1 and run[again] == run[asked] == run[begin] + 2 * PAGE
    assert run.bytes(kept) == b"\x11" and run.bytes(zero) == bytes(4)
    for name in refused:
        assert run.error(name) in ("EINVAL", "ENOMEM"), run.says(name)


# --- shared memory -----------------------------------------------------------------------------------------------------------


def test_shared_memory_lives_as_long_as_somebody_leads_to_it(calls: Calls) -> None:
    script = CallScript()
    number = script("CreateShared", 5000)
    here, there = script("AttachShared", number, 0, RIGHTS), script("AttachShared", number, 0, READ)
    with script.child() as child:
        of_child = script("AttachShared", number, MISSING, RIGHTS)
        script.store(of_child + 4100, 0x33)
    script("Wait", child, 0)
    closed = script("CloseShared", number)
    gone = {script("CloseShared", number): "EBADF", script("AttachShared", number, 0, READ): "EBADF"}
    shown = script.show(there + 4100, 1)
    script("DetachShared", there)
    gone |= {script("Write", 1, there, 1): "EFAULT", script("DetachShared", there): "EINVAL"}
    still = script.show(here + 4100, 1)
    last = script("DetachShared", here)
    run = calls(script)
    assert run[number] == 0 and run[of_child] == MISSING and run[closed] == run[last] == 0
    assert run.bytes(shown) == run.bytes(still) == b"\x33"
    expect_errors(run, gone)


def test_shared_memory_refuses(calls: Calls) -> None:
    script = CallScript()
    numbers = [script("CreateShared", PAGE) for _ in range(8)]
    refused = {script("CreateShared", PAGE): "EMFILE"}
    script("CloseShared", 3)
    reused = script("CreateShared", PAGE)
    refused |= {script("AttachShared", number, 0, RIGHTS): "EBADF" for number in (8, 99, -1)}
    refused |= {script("CloseShared", number): "EBADF" for number in (8, -1, 0x8000_0000)}
    page = memory(script, 1)
    refused |= {script("AttachShared", 0, page, RIGHTS): "EINVAL", script("AttachShared", 0, page + 1, RIGHTS): "EINVAL",
                script("AttachShared", 0, 0, 8): "EINVAL", script("AttachShared", 0, USER_END, RIGHTS): "EINVAL", script("AttachShared", 0, 0, 7): "EINVAL"}
    attached = script("AttachShared", 0, 0, RIGHTS)
    refused |= {script("DetachShared", address): "EINVAL" for address in (0, page, attached + 1, attached + PAGE, CODE, 0xFFFF_FFFF)}
    script("CloseShared", 7)
    refused |= {script("CreateShared", size): "EINVAL" for size in (0, 0xFFFF_F001, 0xFFFF_FFFF)}
    run = calls(script)
    assert [run[name] for name in numbers] == list(range(8)) and run[reused] == 3
    expect_errors(run, refused)


# --- limits ------------------------------------------------------------------------------------------------------------------


def test_limits_only_go_down(calls: Calls) -> None:
    script = CallScript()
    resources = [ABI[f"RLIMIT_{name}"] for name in ("STACK", "RSS", "NPROC", "NOFILE", "AS")]
    checks = []
    for resource in resources:
        script("GetLimit", resource, BUFFER)
        before = script.show(BUFFER, 4)
        wanted = 5 if resource in (ABI["RLIMIT_NPROC"], ABI["RLIMIT_NOFILE"]) else 0x8000
        lowered = script("SetLimit", resource, wanted) if resource != ABI["RLIMIT_RSS"] else script("SetLimit", resource, wanted := 0x10_0000)
        script("GetLimit", resource, BUFFER)
        checks.append((before, lowered, script.show(BUFFER, 4), wanted, script("SetLimit", resource, wanted + PAGE)))
    refused = {script("GetLimit", resource, BUFFER): "EINVAL" for resource in (0, 1, 10, -1)}
    refused |= {script("SetLimit", resource, 1): "EINVAL" for resource in (0, 4, 0xFFFF_FFFF)}
    refused[script("SetLimit", ABI["RLIMIT_STACK"], 100)] = "EINVAL"
    run = calls(script)
    for before, lowered, after, wanted, raised in checks:
        assert run.word(before) > wanted or run.word(before) == 0xFFFF_FFFF
        assert run[lowered] == 0 and run.word(after) == wanted and run.error(raised) == "EPERM"
    expect_errors(run, refused)


def test_limits_of_memory_hold_and_are_inherited(calls: Calls) -> None:
    script = CallScript()
    script("SetLimit", ABI["RLIMIT_AS"], 1 << 20)
    refused = {memory(script, 300): "ENOMEM", script("Break", script("Break", 0) + (1 << 20)): "ENOMEM"}
    small = memory(script, 2)
    with script.child() as child:
        refused[memory(script, 300)] = "ENOMEM"
    script("Wait", child, 0)
    with script.child() as child:
        script("SetLimit", ABI["RLIMIT_RSS"], 0x1000)  # it has more already: these it keeps
        more = memory(script, 1)
        refused[script("Advise", more, PAGE, WILLNEED)] = "ENOMEM"
        script.store(more, 1)
    script("Wait", child, BUFFER)
    ended = script.show(BUFFER, 4)
    run = calls(script)
    expect_errors(run, refused)
    assert run.error(small) == run.error(more) == "", "resident pages are counted when somebody looks at them"
    assert run.word(ended) == SIGKILL


# --- what the kernel says ----------------------------------------------------------------------------------------------------


def test_maps_of_oneself_and_others(calls: Calls) -> None:
    script = CallScript()
    own = script("GetPid")
    whole = script("Maps", own, BUFFER, 65_536)
    shown = [script.show(BUFFER + offset, 100) for offset in range(0, 1500, 100)]
    cut = script("Maps", own, BUFFER, 33)
    none = script("Maps", own, MISSING, 0)
    with script.child() as child:
        of_parent = script("Maps", own, BUFFER, 65_536)
    script("Wait", child, 0)
    refused = {script("Maps", pid, BUFFER, 100): "ESRCH" for pid in (child, 0, 9999, -1)}
    run = calls(script)
    text = b"".join(run.bytes(name) for name in shown)[:run[whole]].decode()
    assert text.count("r-xp") == 1 and "rw-p" in text and "/bin/calls" in text
    assert run[cut] == 33 and run[none] == 0 and run[of_parent] == run[whole]
    expect_errors(run, refused)


def test_processes_are_shown_in_order(calls: Calls) -> None:
    script = CallScript()
    own = script("GetPid")
    with script.child() as child:
        script("Sleep", 200)
    script("Sleep", 20)
    infos = [(script("Processes", index, BUFFER), script.show(BUFFER, 52)) for index in range(6)]
    none = script("Processes", 0xFFFF_FFFF, BUFFER)
    script("Wait", child, 0)
    run = calls(script)
    seen = {}
    for done, shown in infos:
        if run.error(done):
            assert run.error(done) == "ENOENT"
            continue
        data = run.bytes(shown)
        seen[int.from_bytes(data[0:4], "little")] = (int.from_bytes(data[4:8], "little"), data[36:52].partition(b"\0")[0].decode())
    assert list(seen) == sorted(seen)
    assert seen[run[own]][1] == "calls" and seen[run[child]] == (run[own], "calls") and 0 in seen
    assert run.error(none) == "ENOENT"


def test_memory_info_counts_what_is_mapped(calls: Calls) -> None:
    script = CallScript()
    script("MemoryInfo", BUFFER)
    before = script.show(BUFFER, 36)
    promised = memory(script, 100)
    script("MemoryInfo", BUFFER)
    between = script.show(BUFFER, 36)
    script("Advise", promised, 100 * PAGE, WILLNEED)
    script("MemoryInfo", BUFFER)
    after = script.show(BUFFER, 36)
    run = calls(script)
    first, mapped, second = ([int.from_bytes(run.bytes(name)[i:i + 4], "little") for i in range(0, 36, 4)] for name in (before, between, after))
    total, _, in_use, _, _, _, processes, *_ = first
    assert 3900 < total <= 16 * 256
    assert mapped[2] - in_use <= 10, "nobody has looked at it"
    assert 100 <= second[2] - in_use <= 110
    assert processes == second[6] >= 2
