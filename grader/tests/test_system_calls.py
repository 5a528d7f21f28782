"""Every system call of abi/system_calls.h about processes, with every error that the header names. A program makes the calls of a script and
prints what they return; what is right is decided here. After each run every frame is back. Files: test_system_calls_files.py; memory:
test_system_calls_memory.py; bad addresses: test_system_calls_pointers.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from system_calls import (ABI, BUFFER, CALLS, CODE, MISSING, PAGE, READ, SIGKILL, SIGTERM, USER_END, WILLNEED, Calls, CallScript,
                          expect_errors, memory, runner)


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> Iterator[Calls]:
    with runner(tmp_path_factory.mktemp("calls")) as run:
        yield run


# --- numbers that are no calls -----------------------------------------------------------------------------------------------


def test_numbers_that_are_no_call_are_refused(calls: Calls) -> None:
    script = CallScript()
    refused = {script(number): "ENOSYS" for number in (CALLS, CALLS + 1, 255, 256, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)}
    refused |= {script(number, fast=True): "ENOSYS" for number in (CALLS, 0x8000_0000 | CALLS - 1, 0xFFFF_FFFF)}
    expect_errors(calls(script), refused)


def test_both_entries_do_the_same(calls: Calls) -> None:
    script = CallScript()
    pids = script("GetPid"), script("GetPid", fast=True)
    page = memory(script, 1)
    errors = {script("Protect", page + 1, PAGE, READ, fast=fast): "EINVAL" for fast in (False, True)}
    done = [script("Protect", page, PAGE, READ, fast=fast) for fast in (True, False)]
    run = calls(script)
    assert run[pids[0]] == run[pids[1]] > 0
    expect_errors(run, errors)
    assert [run[name] for name in done] == [0, 0]


# --- processes ---------------------------------------------------------------------------------------------------------------


def test_parent_and_child_know_each_other(calls: Calls) -> None:
    script = CallScript()
    own = script("GetPid")
    with script.child() as child:
        of_child, parent = script("GetPid"), script("GetParent")
    ended = script("Wait", child, BUFFER)
    run = calls(script)
    assert run[of_child] == run[child] == run[ended] != run[own]
    assert run[parent] == run[own]


@pytest.mark.parametrize("status", [0, 7, 255, 256 + 3, 0xFFFF_FFFF])
def test_the_parent_sees_eight_bits_of_the_status(calls: Calls, status: int) -> None:
    script = CallScript()
    with script.child() as child:
        script("Exit", status)
    ended = script("Wait", -1, BUFFER)
    shown = script.show(BUFFER, 4)
    run = calls(script)
    assert run[ended] == run[child] and run.word(shown) == (status & 0xFF) << 8


def test_the_parent_sees_the_signal(calls: Calls) -> None:
    script = CallScript()
    with script.child() as child:
        script("Sleep", 10_000)
    killed = script("Kill", child, SIGKILL)
    script("Wait", child, BUFFER)
    shown = script.show(BUFFER, 4)
    run = calls(script)
    assert run[killed] == 0 and run.word(shown) == SIGKILL


def test_wait_without_a_child(calls: Calls) -> None:
    script = CallScript()
    refused = {script("Wait", pid, 0): "ECHILD" for pid in (-1, 0, 1, 99, 0x7FFF_FFFF, -2)}
    with script.child() as child:
        refused[script("Wait", script("GetParent"), 0)] = "ECHILD"  # not one's own child
    script("Wait", child, 0)
    refused[script("Wait", child, 0)] = "ECHILD"  # forgotten
    expect_errors(calls(script), refused)


def test_a_bad_address_loses_no_child(calls: Calls) -> None:
    script = CallScript()
    with script.child() as child:
        script("Exit", 9)
    bad = {script("Wait", -1, address): "EFAULT" for address in (0x10_0000, MISSING, CODE, 0xFFFF_FFFE, USER_END - 2)}
    ended = script("Wait", -1, BUFFER)
    shown = script.show(BUFFER, 4)
    run = calls(script)
    expect_errors(run, bad)
    assert run[ended] == run[child] and run.word(shown) == 9 << 8


def test_a_signal_interrupts_waiting_and_sleeping(calls: Calls) -> None:
    script = CallScript()
    script.catch(SIGTERM)
    with script.child() as child:
        script("Kill", script("GetParent"), SIGTERM)
        script("Sleep", 50)
        script("Kill", script("GetParent"), SIGTERM)
    interrupted = {script("Wait", child, 0): "EINTR", script("Sleep", 100_000): "EINTR"}
    ended = script("Wait", child, 0)
    count = script.caught()
    run = calls(script)
    expect_errors(run, interrupted)
    assert run[ended] == run[child] and run[count] == 2


def test_kill_refuses(calls: Calls) -> None:
    script = CallScript()
    own = script("GetPid")
    refused = {script("Kill", 9999, SIGTERM): "ESRCH", script("Kill", -1, SIGTERM): "ESRCH"}
    refused |= {script("Kill", own, signal): "EINVAL" for signal in (32, 33, -1, 0x8000_0009)}
    expect_errors(calls(script), refused)


def test_a_signal_to_oneself_ends_the_process(calls: Calls) -> None:
    script = CallScript()
    script("Kill", script("GetPid"), SIGTERM)
    script.show(CODE, 1)
    assert "#3" not in calls(script, ends_with=SIGTERM).output


def test_signal_refuses_what_is_no_signal_or_cannot_be_handled(calls: Calls) -> None:
    script = CallScript()
    refused = {script("Signal", signal, 0, 0): "EINVAL" for signal in (0, 32, -1, SIGKILL)}
    refused[script("SignalReturn")] = "EINVAL"
    expect_errors(calls(script), refused)


def test_a_handler_runs_and_the_default_can_be_put_back(calls: Calls) -> None:
    script = CallScript()
    script.catch(SIGTERM)
    own = script("GetPid")
    sent = [script("Kill", own, SIGTERM) for _ in range(3)]
    count = script.caught()
    script("Signal", SIGTERM, 0, 0)
    script("Kill", own, SIGTERM)
    run = calls(script, ends_with=SIGTERM)
    assert [run[name] for name in sent] == [0, 0, 0] and run[count] == 3


def test_sleeping_takes_its_time(calls: Calls) -> None:
    script = CallScript()
    before = script("Uptime")
    slept = script("Sleep", 45)
    after = script("Uptime")
    none = script("Sleep", 0), script("Yield")
    run = calls(script)
    assert run[slept] == run[none[0]] == run[none[1]] == 0
    assert 40 <= run[after] - run[before] <= 200


def test_a_process_has_as_many_children_as_its_limit_allows(calls: Calls) -> None:
    script = CallScript()
    script("SetLimit", ABI["RLIMIT_NPROC"], 1)
    with script.child() as child:
        script("Sleep", 30)
    refused = script("Fork")
    script("Wait", child, 0)
    with script.child() as second:
        script("GetPid")
    script("Wait", second, 0)
    run = calls(script)
    assert run.error(refused) == "EAGAIN" and run[second] > 0


def test_without_memory_there_is_no_child_and_no_program(calls: Calls) -> None:
    script = CallScript()
    for pages in (1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1) * 2:
        script("Advise", memory(script, pages), pages * PAGE, WILLNEED)  # takes what it gets, and kills nobody
    refused = {script("Fork"): "ENOMEM", script("Exec", "/bin/echo", BUFFER): "ENOMEM"}  # BUFFER holds no arguments
    expect_errors(calls(script), refused)


def test_exec_refuses_and_the_old_program_goes_on(calls: Calls) -> None:
    script = CallScript()
    arguments = memory(script, 1)
    refused = {script("Exec", path, arguments): error for path, error in
               {"/bin/none": "ENOENT", "/none/echo": "ENOENT", "": "ENOEXEC", "/text": "ENOEXEC", "/bin": "ENOEXEC",
                "/this/path/is/longer/than/any/path/may/be": "ENOENT"}.items()}
    refused |= {script("Exec", address, arguments): "EFAULT" for address in (0, 0x10_0000, MISSING, USER_END, 0xFFFF_FFFF)}
    refused |= {script("Exec", "/bin/true", address): "EFAULT" for address in (0, 0x10_0000, MISSING, arguments + (PAGE - 2), 0xFFFF_FFFD)}
    script.store(arguments, 0x11, 4)  # 0x11111111 holds no text
    refused[script("Exec", "/bin/true", arguments)] = "EFAULT"
    on = script("GetPid")
    run = calls(script)
    expect_errors(run, refused)
    assert run[on] > 0


def test_exec_takes_sixteen_arguments_of_a_thousand_bytes(calls: Calls) -> None:
    script = CallScript()
    for index in range(17):
        script.word(BUFFER + 4 * index, "word")
    too_many = script("Exec", "/bin/echo", BUFFER)
    script.word(BUFFER + 0, "x" * 1023)
    script.word(BUFFER + 4, "y")
    script.word(BUFFER + 8, 0)
    too_long = script("Exec", "/bin/echo", BUFFER)
    run = calls(script)
    expect_errors(run, {too_many: "E2BIG", too_long: "E2BIG"})


def test_exec_passes_the_arguments_on(calls: Calls) -> None:
    script = CallScript()
    for index, word in enumerate(["echo", "one", "two", "three"]):
        script.word(BUFFER + 4 * index, word)
    script.word(BUFFER + 16, 0)
    script("Exec", "/bin/echo", BUFFER)
    assert calls(script).output.endswith("one two three\n")
