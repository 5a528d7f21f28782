"""The fuzzer of system calls: a short run on the kernel as it is, and kernels with a mistake that it must find."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fuzz_syscalls import FAILED, INTERRUPTED, OK, PROCESSES, USAGE, Outcome, Settings, call_names, fuzz
from judge.link import prepare_programs
from profiles import ROOT, built

COMMAND = [str(ROOT / "grader/fuzz_syscalls.py")]
CALLS = 20_000
FOUND_WITHIN = 30_000  # calls


@pytest.fixture(scope="module", autouse=True)
def kernel() -> Path:
    prepare_programs()
    return built("grading")


def test_the_kernel_survives(kernel: Path) -> None:
    outcome = fuzz(Settings(20_261, CALLS, kernel=kernel))
    assert not outcome.trouble, str(outcome)
    assert outcome.calls == CALLS and outcome.rounds > 5 and outcome.exited > outcome.killed


def test_a_run_repeats_with_its_seed_and_only_with_it(kernel: Path) -> None:
    settings = Settings(77, 1500, kernel=kernel)
    first, second, other = fuzz(settings), fuzz(settings), fuzz(replace(settings, seed=78))
    assert first == second and len(first.last_calls) > 5
    assert [call.arguments for call in first.last_calls] != [call.arguments for call in other.last_calls]


def test_calls_have_the_names_of_the_header() -> None:
    names = call_names()
    assert names[0] == "Exit" and names[21] == "MapMemory" and names[-1] == "Debug" and len(names) == 39


# --- mistakes that it must find ----------------------------------------------------------------------------------------------


def planted(folder: Path, source: str, right: str, wrong: str) -> Path:
    """The grading kernel with one line of one file changed."""
    kernel = built("grading")
    text = (ROOT / source).read_text()
    assert text.count(right) == 1, f"{source} has no line like this any more: {right}"
    changed = folder / Path(source).name
    changed.write_text(text.replace(right, wrong))
    build = kernel.parent
    flags = (build / "flags.txt").read_text().split("\n")[:-1]
    pieces = (build / "pieces.txt").read_text().split()
    library = subprocess.run(["i686-linux-gnu-g++", "-m32", "-print-libgcc-file-name"], capture_output=True, text=True, check=True).stdout.strip()
    made, elf = folder / "changed.o", folder / "kernel.elf"
    # The first definition of a function is taken: the changed file's.
    for command in (["i686-linux-gnu-g++", *flags, "-Wno-unused", "-c", str(changed), "-o", str(made)],
                    ["i686-linux-gnu-ld", "-m", "elf_i386", "--allow-multiple-definition", "-T", "kernel/link.ld", str(made), str(build / "kernel.o"),
                     *pieces, library, "-o", str(elf)]):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return elf


MISTAKES = {
    "an address is used as it comes": (
        "kernel/proc/calls/info_calls.cpp", "TRY(mm::write_user(VirtAddr(arguments[0]), info));", "*pointer_to<abi::MemoryInfo>(VirtAddr(arguments[0])) = info;",
        "panicked"),
    "a child's files are not counted": (
        "kernel/proc/descriptors.cpp", "if (to[i] != nullptr) retain(*to[i]);", "", "panicked"),
    "an object is never released": (
        "kernel/proc/calls/memory_calls.cpp", "release(object); // the area has its own reference, if there is one", "", "panicked"),
    "pages that fork() shares are not counted": (
        "kernel/mm/space/fault_services.cpp", "size_t pages) { space->resident += pages; }", "size_t) { (void)space; }", "panicked"),
    "a number is not looked at": (
        "kernel/proc/descriptors.cpp", "if (number >= table.size() || table[number] == nullptr) return Error::BadHandle;", "", ""),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(tmp_path: Path, mistake: str) -> None:
    source, right, wrong, words = MISTAKES[mistake]
    settings = Settings(3, FOUND_WITHIN, kernel=planted(tmp_path, source, right, wrong))
    outcome: Outcome = fuzz(settings)
    assert outcome.trouble and words in outcome.trouble, str(outcome)
    assert outcome.last_calls and 0 < outcome.calls < FOUND_WITHIN
    assert "again: make fuzz-syscalls SEED=3" in str(outcome)
    assert fuzz(settings) == outcome, "and found again"


def test_the_last_call_is_the_one_that_broke_the_kernel(tmp_path: Path) -> None:
    source, right, wrong, _ = MISTAKES["an address is used as it comes"]
    outcome = fuzz(Settings(4, FOUND_WITHIN, kernel=planted(tmp_path, source, right, wrong)))
    assert "MemoryInfo(" in str(outcome.last_calls[-1]) and "kernel panic" in outcome.serial


# --- the command -------------------------------------------------------------------------------------------------------------


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=300)


def test_the_command_says_what_it_did(kernel: Path) -> None:
    done = run("--count", "1000", "--seed", "0x10")
    assert done.returncode == OK, done.stdout + done.stderr
    assert f"1000 system calls from {PROCESSES} processes at a time, seed 16" in done.stdout and "every frame is back" in done.stdout


def test_a_failure_has_its_own_status(tmp_path: Path) -> None:
    source, right, wrong, _ = MISTAKES["an address is used as it comes"]
    done = run("--count", str(FOUND_WITHIN), "--seed", "4", "--kernel", str(planted(tmp_path, source, right, wrong)))
    assert done.returncode == FAILED and "kernel panic" in done.stdout and "MemoryInfo(" in done.stdout


@pytest.mark.parametrize("arguments", [["--count", "none"], ["--count", "0"], ["--seed", "-1"], ["--seed", "0x100000000"], ["more"]])
def test_bad_arguments(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == USAGE and done.stderr and not done.stdout


def test_ctrl_c_ends_it_cleanly(kernel: Path) -> None:
    process = subprocess.Popen([*COMMAND, "--seed", "5"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "seed 5" in process.stdout.readline()
    try:
        process.communicate(timeout=1.5)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == INTERRUPTED and "again: make fuzz-syscalls SEED=5" in errors and "Traceback" not in errors
