"""Every argument of a system call that is an address, with every kind of address that user code cannot use itself: -EFAULT, and the kernel
goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from system_calls import (
    ABI, ANONYMOUS, BUFFER, CODE, FIXED, MISSING, O_RDONLY, O_RDWR, PAGE, PRIVATE, READ, STORY, USER_BEGIN, USER_END, WRITE, Calls, CallScript,
    Name, Value, expect_errors, memory, runner,
)

BYTES = 64  # of the calls' buffers: more than any structure that is written, less than a page


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> Iterator[Calls]:
    with runner(tmp_path_factory.mktemp("pointers")) as run:
        yield run


def _file(script: CallScript) -> Name:
    """Opened once in a script: a process has sixteen files."""
    if script.file is None:
        script.file = script("Open", "/story", O_RDWR)
    return script.file


# What makes the call with an address in the place of the argument; whether the kernel writes there; how many bytes of it are looked at.
Maker = Callable[[CallScript, Value], Name]
WRITTEN: dict[str, Maker] = {
    "Wait": lambda s, at: s("Wait", -1, at),
    "Read": lambda s, at: s("Read", _file(s), at, BYTES),
    "ListFolder": lambda s, at: s("ListFolder", "/", 0, at),
    "Resident": lambda s, at: s("Resident", s("MapMemory", 0, 8 * PAGE, READ, PRIVATE | ANONYMOUS, -1, 0), 8 * PAGE, at),
    "GetLimit": lambda s, at: s("GetLimit", ABI["RLIMIT_AS"], at),
    "MemoryInfo": lambda s, at: s("MemoryInfo", at),
    "Maps": lambda s, at: s("Maps", s("GetPid"), at, BYTES),
    "Counters": lambda s, at: s("Counters", at),
    "Processes": lambda s, at: s("Processes", 0, at),
}
READ_ONLY: dict[str, Maker] = {
    "Write": lambda s, at: s("Write", _file(s), at, BYTES),
}
TEXTS: dict[str, Maker] = {
    "Open": lambda s, at: s("Open", at, O_RDONLY),
    "Remove": lambda s, at: s("Remove", at),
    "MakeFolder": lambda s, at: s("MakeFolder", at),
    "ListFolder of": lambda s, at: s("ListFolder", at, 0, BUFFER),
    "Exec": lambda s, at: s("Exec", at, BUFFER),
    "Exec with": lambda s, at: s("Exec", "/bin/true", at),
}
NEVER = {"kernel": 0x10_0000, "kernel's last": USER_BEGIN - 1, "missing": MISSING, "end": USER_END, "vmalloc": 0xC000_1000, "stack": 0xF040_2000,
         "last": 0xFFFF_FFFF, "wraps": 0xFFFF_FFF8, "sign": 0x8000_0000 + 5}


def bad_addresses(script: CallScript, *, written: bool) -> dict[str, Value]:
    """Addresses by what is wrong with them. The last page of an area of two is there, what follows is not."""
    pages = memory(script, 3)
    script("UnmapMemory", pages + 2 * PAGE, PAGE)
    closed = memory(script, 1, protection=0)
    bad: dict[str, Value] = {**NEVER, "null": 0, "no rights": closed, "straddles": pages + (2 * PAGE - 1), "behind": pages + 2 * PAGE,
                             "over the end": USER_END - 1}
    if written:
        bad |= {"code": CODE, "read-only": memory(script, 1, protection=READ)}
        closing = memory(script, 2)
        script("Protect", closing + PAGE, PAGE, READ)
        bad["into read-only"] = closing + (PAGE - 1)
    return bad


@pytest.mark.parametrize("call", [*WRITTEN, *READ_ONLY])
def test_buffers(calls: Calls, call: str) -> None:
    script = CallScript()
    maker = {**WRITTEN, **READ_ONLY}[call]
    refused: dict[Name, str] = {}
    partial: list[Name] = []
    for what, address in bad_addresses(script, written=call in WRITTEN).items():
        if call == "Wait":
            if what == "null":
                continue  # means "no status"
            with script.child():
                script("GetPid")
        name = maker(script, address)
        if call in ("Read", "Write") and what in ("straddles", "into read-only"):
            partial.append(name)  # the one byte that fits has gone
        elif not (call == "Resident" and what in ("over the end",)):
            refused[name] = "EFAULT"
        if call == "Wait":
            script("Wait", -1, 0)
    good = maker(script, BUFFER) if call != "Wait" else script("GetPid")
    run = calls(script)
    expect_errors(run, refused)
    assert [run[name] for name in partial] == [1] * len(partial)
    assert run.error(good) == ""


@pytest.mark.parametrize("call", TEXTS)
def test_texts(calls: Calls, call: str) -> None:
    script = CallScript()
    bad = bad_addresses(script, written=False)
    script.store(bad["straddles"] - 40, ord("a"), 41)  # a text without an end
    refused = {TEXTS[call](script, address): "EFAULT" for address in bad.values()}
    expect_errors(calls(script), refused)


def test_a_text_may_end_right_before_nothing(calls: Calls) -> None:
    script = CallScript()
    page = memory(script, 1)
    path = page + (PAGE - len("/story") - 1)
    for offset, letter in enumerate("/story"):
        script.store(path + offset, ord(letter))
    opened = script("Open", path, O_RDONLY)
    read = script("Read", opened, page, PAGE)
    shown = script.show(page, 16)
    run = calls(script)
    assert run[read] == PAGE and run.bytes(shown) == STORY[:16]


def test_a_buffer_that_is_good_at_first_is_used_so_far(calls: Calls) -> None:
    """What fits is moved, and the position with it; the error comes when nothing fits."""
    script = CallScript()
    pages = memory(script, 3)
    script("UnmapMemory", pages + 2 * PAGE, PAGE)
    source = _file(script)
    first = script("Read", source, pages + (2 * PAGE - 3000), 9000)
    position = script("Seek", source, 0, 1)
    again = script("Read", source, pages + 2 * PAGE, 100)
    still = script("Seek", source, 0, 1)
    shown = script.show(pages + (2 * PAGE - 8), 8)
    copy = script("Open", "/copy", O_RDWR | ABI["O_CREAT"])
    written = script("Write", copy, pages + (2 * PAGE - 3000), 9000)
    size = script("FileSize", copy)
    run = calls(script)
    assert (run[first], run[position], run[still], run[written], run[size]) == (3000, 3000, 3000, 3000, 3000)
    assert run.error(again) == "EFAULT" and run.bytes(shown) == STORY[2992:3000]


def test_a_fixed_mapping_in_the_kernel_is_refused(calls: Calls) -> None:
    script = CallScript()
    wanted = {address: script("MapMemory", address, PAGE, READ | WRITE, PRIVATE | ANONYMOUS | FIXED, -1, 0)
              for address in (0, 0x1000, 0x10_0000, USER_BEGIN - PAGE, USER_END, 0xF040_0000, 0xFFFF_F000)}
    expect_errors(calls(script), dict.fromkeys(wanted.values(), "EINVAL"))
