"""What the kernel says when it dies: each mistake is made on purpose (`crash=NAME`) in Bochs, which enforces what the CPU enforces.

Each test boots once, stops at panic_stop() and reads the report from memory and the words from the serial line.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from emulator.machine import Machine
from emulator.rom import build_rom
from gdb.client import GdbSession

ROOT = Path(__file__).resolve().parents[2]
ELF = ROOT / "build/default/kernel.elf"
MACHINE = Machine(16)
TICK_BUDGET = 60_000_000

DOUBLE_FAULT, GENERAL_PROTECTION, PAGE_FAULT, NO_VECTOR = 8, 13, 14, 0xFFFFFFFF
_REPORT = struct.Struct("<15I160sI16I")
_MAGIC = 0x50414E43


@dataclass(frozen=True)
class Panic:
    """`panic_report` of kernel/arch/i386/panic_report.h, and what was printed."""

    vector: int
    error_code: int
    eip: int
    esp: int
    cr2: int
    cr3: int
    reason: str
    backtrace: tuple[int, ...]
    text: str

    def says(self, pattern: str) -> bool:
        return re.search(pattern, self.text) is not None

    def callers(self) -> list[str]:
        """The functions of the printed backtrace, innermost first."""
        block = self.text.partition("backtrace, innermost first\n")[2]
        return re.findall(r"^  0x[0-9a-f]{8}  (?:(.+?)\+0x[0-9a-f]+|\?).*$", block, re.MULTILINE)


@pytest.fixture(scope="module")
def session() -> Iterator[GdbSession]:
    if not ELF.exists():
        subprocess.run(["make", "kernel"], cwd=ROOT, check=True, capture_output=True)
    with GdbSession() as session:
        yield session


@pytest.fixture(scope="session")
def unprotected_elf() -> Path:
    """The kernel with MEMORY_PROTECTION off. Built by one test process, while others wait."""
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with (build / "no-memory-protection.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
        make = ["make", "-s", "PROFILE=no-memory-protection", "kernel-elf"]
        subprocess.run(make, cwd=ROOT, env=environment, check=True, capture_output=True)
    return build / "no-memory-protection/kernel.elf"


@pytest.fixture
def crash(session, tmp_path):
    """Boots with a crash test and returns what the kernel said about it."""

    def run(name: str, elf: Path = ELF) -> Panic:
        rom = tmp_path / "rom"
        rom.write_bytes(build_rom(elf, machine=MACHINE, command_line=f"crash={name}"))
        with session.boot(elf, rom, MACHINE, tmp_path, tick_budget=TICK_BUDGET) as target:
            target.breakpoint("panic_stop")
            stop = target.resume()
            text = target.serial().decode("ascii", "replace").replace("\r", "")
            assert (stop.kind, stop.symbol) == ("breakpoint", "panic_stop"), f"{stop}\n{text}"
            words = _REPORT.unpack(target.linear(target.symbol("panic_report"), _REPORT.size))
        assert words[0] == _MAGIC
        reason = words[15].partition(b"\0")[0].decode("ascii")
        assert f"*** kernel panic: {reason}\n" in text
        assert ("panic while reporting a panic" in text) == (name == "nested")
        return Panic(words[1], words[2], words[3], words[4], words[6], words[7], reason, words[17 : 17 + words[16]], text)

    return run


def test_a_write_through_a_null_pointer(crash):
    panic = crash("null")
    assert (panic.vector, panic.error_code, panic.cr2) == (PAGE_FAULT, 2, 12)
    assert panic.reason == "null pointer dereference: write to 0x0000000c"
    assert panic.says("error code 0x2: write to a missing page by the kernel")
    assert panic.callers() == ["write_null", "run_crash_test", "finish_boot"]


def test_the_walk_of_the_tables_ends_where_the_cpu_stopped(crash):
    panic = crash("null")
    assert panic.says(rf"page tables for 0x0000000c, directory at 0x{panic.cr3:08x}\n")
    assert panic.says(rf"  PDE    0 at 0x{panic.cr3:08x} = 0x[0-9a-f]{{8}}: writable, kernel only, .*table at 0x")
    assert panic.says(r"  PTE    0 at 0x[0-9a-f]{8} = 0x00000000: not present\n")


def test_a_call_through_a_null_pointer_names_the_caller(crash):
    panic = crash("call")
    assert (panic.vector, panic.eip, panic.cr2) == (PAGE_FAULT, 0, 0)
    assert panic.reason == "call through a null pointer: fetch from 0x00000000"
    assert panic.callers()[0] == "" and "run_crash_test" in panic.callers()


def test_a_read_where_nothing_is_mapped(crash):
    panic = crash("unmapped")
    assert (panic.vector, panic.error_code, panic.cr2) == (PAGE_FAULT, 0, 0xFE000000)
    assert panic.reason == "page fault: read of 0xfe000000, which is not mapped"
    assert panic.says(r"  PDE 1016 at 0x[0-9a-f]{8} = 0x00000000: not present\n\*\*\*")


@pytest.mark.parametrize(("name", "what"), [("text", "code"), ("constant", "constants")])
def test_a_write_to_what_is_read_only(crash, name, what):
    panic = crash(name)
    assert (panic.vector, panic.error_code) == (PAGE_FAULT, 3)
    assert panic.reason == f"the kernel's {what} {'is' if name == 'text' else 'are'} read-only: write to 0x{panic.cr2:08x}"
    assert panic.says("error code 0x3: write to a present page by the kernel")
    assert panic.says(rf"  PTE .*: read-only, kernel only, global, accessed, frame at 0x{panic.cr2 & ~0xFFF:08x}\n")


def test_data_is_not_executed(crash):
    panic = crash("exec")
    assert panic.vector == GENERAL_PROTECTION
    target = re.fullmatch(r"execution outside the kernel's code: jump to 0x([0-9a-f]{8})", panic.reason)
    assert target and int(target[1], 16) > panic.eip
    assert panic.callers() == ["run_data", "run_crash_test", "finish_boot"]


def test_a_stack_overflow_is_named_and_shows_who_began_it(crash):
    panic = crash("stack")
    assert panic.vector == DOUBLE_FAULT
    assert panic.reason == f"kernel stack overflow: esp is 0x{panic.esp:08x}, and nothing is mapped below it"
    assert panic.cr2 < panic.esp
    assert panic.callers() == ["recurse", "recurse", "run_crash_test", "finish_boot"]
    assert panic.says(r"recurse\+0x[0-9a-f]+  \(\d+ times\)\n")
    assert panic.says(rf"page tables for 0x{panic.cr2:08x}")


def test_a_lost_stack_is_a_double_fault_not_a_reset(crash):
    panic = crash("double")
    assert (panic.vector, panic.esp) == (DOUBLE_FAULT, 0xFE000000)
    assert panic.reason.startswith("kernel stack overflow, or a lost stack pointer: esp is 0xfe000000")
    assert panic.callers() == ["lose_stack"]


@pytest.mark.parametrize(
    ("name", "vector", "reason"), [("divide", 0, "division by zero or overflow"), ("invalid", 6, "invalid instruction")]
)
def test_other_exceptions_by_name(crash, name, vector, reason):
    panic = crash(name)
    assert (panic.vector, panic.reason) == (vector, reason)
    assert not panic.says("error code") and not panic.says("page tables for")


def test_an_assertion_says_what_should_be_true_and_where(crash):
    panic = crash("assert")
    assert panic.vector == NO_VECTOR
    assert re.fullmatch(r"assertion failed: one is two \(crash_test\.cpp:\d+\)", panic.reason)
    assert panic.callers() == ["fail_assertion", "run_crash_test", "finish_boot"]
    assert not panic.says("exception")


def test_a_destroyed_chain_of_frames_ends_the_backtrace_and_nothing_else(crash):
    panic = crash("chain")
    assert panic.reason.startswith("null pointer dereference")
    assert panic.callers() == ["break_chain", "run_crash_test"]
    assert panic.text.endswith("*** the kernel has stopped\n")


def test_a_kernel_without_a_symbol_table_still_shows_the_addresses(crash):
    panic = crash("null", ELF.with_name("kernel.first.elf"))
    assert panic.reason == "null pointer dereference: write to 0x0000000c"
    assert panic.callers() == ["", "", ""]
    assert panic.says(rf"  0x{panic.backtrace[1]:08x}  \?\n")


@pytest.mark.parametrize("name", ["null", "text", "constant", "exec"])
def test_without_memory_protection_nothing_notices(session, tmp_path, unprotected_elf, name):
    rom = tmp_path / "rom"
    rom.write_bytes(build_rom(unprotected_elf, machine=MACHINE, command_line=f"crash={name}"))
    with session.boot(unprotected_elf, rom, MACHINE, tmp_path, tick_budget=TICK_BUDGET) as target:
        target.breakpoint("panic_stop")
        target.breakpoint("run_monitor()")
        assert target.resume().symbol == "run_monitor()"
        assert b"crash test: nothing noticed it" in target.serial()


def test_a_panic_within_a_panic_ends_and_keeps_the_first_report(crash):
    panic = crash("nested")
    assert panic.reason == "null pointer dereference: write to 0x0000000c"
    assert panic.text.count("***") == 1
    assert panic.says(r"panic while reporting a panic: page fault at 0x[0-9a-f]{8}\n")
    assert len(panic.backtrace) >= 3
