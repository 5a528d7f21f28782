"""What user code does wrong, and the signals that it gets for it: each mistake ends its process with words that say what it was, or goes
to a handler; no mistake of a handler, and no lie about registers, harms the kernel."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from judge.scenario import Scenario
from labs.programs import Programs, Ran
from program_boots import booter

Machines = Callable[..., Scenario]

KERNEL = "address of the kernel at {}"
PROTECTION = "general protection fault"
OUTSIDE = "execution outside the program's code at {}"
ADDRESS = r"0x[0-9a-f]{8}"

# grader/programs/faults.cpp: what each mistake is called. {} stands for any address.
MISTAKES = {
    "null": ("SIGSEGV", "null pointer at 0x00000010"),
    "callnull": ("SIGSEGV", "null pointer at 0x00000000"),
    "kread": ("SIGSEGV", "address of the kernel at 0x00100000"),
    "kwrite": ("SIGSEGV", "address of the kernel at 0x00100000"),
    "kcall": ("SIGSEGV", "address of the kernel at 0x00100000"),
    "shared": ("SIGSEGV", "address of the kernel at 0xf0401000"),
    "top": ("SIGSEGV", "address of the kernel at 0xfffffffc"),
    "unmapped": ("SIGSEGV", "nothing is mapped there at 0xa0000000"),
    "text": ("SIGSEGV", "write to read-only memory at {}"),
    "constant": ("SIGSEGV", "write to read-only memory at {}"),
    "data": ("SIGSEGV", OUTSIDE),
    "stackx": ("SIGSEGV", OUTSIDE),
    "readonly": ("SIGSEGV", "write to read-only memory at {}"),
    "none": ("SIGSEGV", "access to memory without rights at {}"),
    "below": ("SIGSEGV", "guard page below a stack or mapping at {}"),
    "overflow": ("SIGSEGV", "guard page below a stack or mapping at {}"),
    "file": ("SIGBUS", "past the end of the mapped file at {}"),
    "zero": ("SIGFPE", "division by zero or overflow"),
    "minimum": ("SIGFPE", "division by zero or overflow"),
    "invalid": ("SIGILL", "invalid instruction"),
    "int3": ("SIGTRAP", "breakpoint"),
    "into": ("SIGSEGV", "overflow"),
    "bound": ("SIGSEGV", "bound range exceeded"),
    "step": ("SIGTRAP", "debug exception"),
    **{name: ("SIGSEGV", PROTECTION) for name in ("hlt", "cli", "port", "cr3", "wrcr3", "lidt", "irq", "pf", "ds", "far", "nullss")},
    "gone": ("SIGSEGV", OUTSIDE),
    "runoff": ("SIGSEGV", OUTSIDE),
    "fpu": ("SIGILL", "no floating point unit"),
    "esp": ("SIGSEGV", "address of the kernel at 0x001ffffc"),
    "top_esp": ("SIGSEGV", "address of the kernel at 0xfffffffc"),
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator[Machines]:
    with booter(tmp_path_factory.mktemp("signals")) as machines:
        yield machines


@pytest.fixture(scope="module")
def stories(machine: Machines) -> dict[str, Ran]:
    """Every story of grader/programs/sigs.cpp, told in one boot."""
    names = ("repair registers privileges kernel_eip data_eip kernel_esp nested no_stack kernel_stack shared_stack low_stack lost_frame forged "
             "kernel_handler low_handler data_handler numbers own_signal sleeper waker inherit nested_task_flag trap_flag").split()
    scenario = machine()
    programs = Programs(scenario)
    ran = {name: programs.run("sigs", name) for name in names}
    programs.run("sigs", "plain")
    before = programs.frames()
    for name in ("nested", "no_stack", "lost_frame", "sleeper", "inherit"):
        programs.run("sigs", name)
    after = programs.frames()
    scenario.boot()
    assert after.value == before.value, "frames are lost"
    return ran


def death(ran: Ran) -> str:
    """The words of the message, without the program's name and number."""
    found = re.fullmatch(rf"\w+\[{ran.pid}\] killed by (.*)", ran.lines[-1])
    assert found, ran
    return found[1]


# --- mistakes ----------------------------------------------------------------------------------------------------------------


def test_every_mistake_ends_its_process_and_is_called_by_its_name(machine: Machines) -> None:
    scenario = machine()
    programs = Programs(scenario)
    for _ in range(2):
        programs.run("faults", "null")
    before = programs.frames()
    ran = {name: programs.run("faults", name) for name in MISTAKES}
    after = programs.frames()
    good = programs.run("echo", "alive")
    scenario.boot()
    for name, (signal, words) in MISTAKES.items():
        pattern = re.escape(f"{signal}: {words}").replace(r"\{\}", ADDRESS) + f", eip {ADDRESS}"
        assert ran[name].signal == signal, f"{name}: {ran[name]}"
        assert re.fullmatch(pattern, death(ran[name])), f"{name}: {ran[name]}"
    assert after.value == before.value, "frames are lost"
    assert good.text == "alive\n"


def test_the_message_names_the_instruction(machine: Machines) -> None:
    scenario = machine()
    programs = Programs(scenario)
    called, stored, ran_off = programs.run("faults", "kcall"), programs.run("faults", "data"), programs.run("faults", "runoff")
    scenario.boot()
    assert called.lines[-1].endswith("eip 0x00100000"), "the fetch fails at the address that was called"
    target, eip = re.findall(ADDRESS, stored.lines[-1])
    assert int(target, 16) >= 0x2000_0000 > int(eip, 16), "the call fails where it stands, on its way to a variable"
    end = ran_off.lines[0]
    assert ran_off.lines[1].endswith(f"at 0x{end}, eip 0x{end}"), "what follows the last page of code is named"


# --- handlers ----------------------------------------------------------------------------------------------------------------


def test_a_handler_repairs_what_was_wrong_and_the_instruction_runs_again(stories: dict[str, Ran]) -> None:
    target = stories["repair"].lines[0].split()[1]
    not_writable = 6  # mm::fault::Reason
    assert stories["repair"].lines[1:] == [f"SIGSEGV, frame ok, address {target}, reason {not_writable}, flags 200, aligned yes", "repaired 1234, seen 1"]


def test_registers_and_flags_come_through_a_handler(stories: dict[str, Ran]) -> None:
    lines = stories["registers"].lines
    assert "flags 200, aligned yes" in lines[0], "inside a handler the direction flag is down"
    assert lines[1] == "a1 b2 c3 d4 51 d1 flags 415", "carry and direction are set again"


def test_a_handler_changes_registers_but_not_privileges(stories: dict[str, Ran]) -> None:
    assert stories["privileges"].lines == ["eax 77, interrupts on, privilege 0, nested 0, virtual 0"]


@pytest.mark.parametrize("story, words", [
    ("kernel_eip", "SIGSEGV: a handler returned to outside the program's code"),
    ("data_eip", "SIGSEGV: a handler returned to outside the program's code"),
    ("lost_frame", "SIGSEGV: a handler returned without its frame"),
    ("no_stack", "SIGILL: its handler has no stack"),
    ("kernel_stack", "SIGILL: its handler has no stack"),
    ("shared_stack", "SIGILL: its handler has no stack"),
    ("low_stack", "SIGILL: its handler has no stack"),
    ("kernel_handler", "SIGILL: its handler is not in the program's code"),
    ("low_handler", "SIGILL: its handler is not in the program's code"),
    ("data_handler", "SIGILL: its handler is not in the program's code"),
])
def test_lies_about_handlers_kill(stories: dict[str, Ran], story: str, words: str) -> None:
    assert death(stories[story]) == words
    assert stories[story].signal == words.partition(":")[0]


def test_a_stack_pointer_of_the_kernels_harms_only_its_process(stories: dict[str, Ran]) -> None:
    assert death(stories["kernel_esp"]).startswith("SIGSEGV: address of the kernel at 0x001ffffc, eip 0x1")


def test_a_fault_inside_a_handler_kills(stories: dict[str, Ran]) -> None:
    ran = stories["nested"]
    assert ran.lines[0].startswith("SIGSEGV, frame ok, address 14, ")
    assert death(ran).startswith("SIGSEGV: null pointer at 0x00000010")


def test_the_return_from_a_handler_needs_a_handler(stories: dict[str, Ran]) -> None:
    assert stories["forged"].lines == ["without a handler -22"]


def test_numbers_that_are_no_signals(stories: dict[str, Ran]) -> None:
    assert stories["numbers"].lines == ["-22 -22 -22 -22 0", "-22 -3"]


# --- signals from processes --------------------------------------------------------------------------------------------------


def test_a_signal_waits_until_the_handler_of_the_one_before_is_done(stories: dict[str, Ran]) -> None:
    line = "SIGTERM, frame ok, address 0, reason 0, flags 200, aligned yes"
    assert stories["own_signal"].lines == [line, "handler ends"] * 2 + ["seen 2"]


def test_a_signal_ends_a_sleeper(stories: dict[str, Ran]) -> None:
    assert re.fullmatch(r"sigs\[\d+\] killed by SIGTERM", stories["sleeper"].lines[0])
    assert stories["sleeper"].lines[1:] == ["child signal 15 status 0"]


def test_a_signal_with_a_handler_wakes_a_sleeper(stories: dict[str, Ran]) -> None:
    assert stories["waker"].lines[1:] == ["slept -4", "child signal 0 status 5"]


def test_a_child_inherits_handlers_and_a_new_program_does_not(stories: dict[str, Ran]) -> None:
    lines = stories["inherit"].lines
    assert lines[1] == "child has seen 1"
    assert re.fullmatch(rf"sigs\[\d+\] killed by SIGILL: invalid instruction, eip {ADDRESS}", lines[2])
    assert lines[3] == "child signal 4"


@pytest.mark.parametrize("story", ["nested_task_flag", "trap_flag"])
def test_flags_that_sysenter_leaves_as_they_are(stories: dict[str, Ran], story: str) -> None:
    assert stories[story].lines[0] == "pid ok"
    assert stories[story].exit_status == 0
