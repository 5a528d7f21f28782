"""Kernels without the memory management hardware: each still boots, says what is missing, and does what can be done without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.machine import Machine
from emulator.rom import build_rom
from gdb.client import GdbSession
from paging.tables import PAGE
from profiles import built
from scripted import Boots, Run, Script
from shell_session import ShellSession

CR0_PAGING = 1 << 31
IDENTITY_END = 256 * 1024 * 1024


@pytest.fixture(scope="module")
def session() -> Iterator[GdbSession]:
    with GdbSession() as session:
        yield session


@pytest.fixture
def boot(session: GdbSession, tmp_path: Path) -> Boots:
    return Boots(session, tmp_path)


def boot_to_crash(session: GdbSession, folder: Path, profile: str, crash: str) -> str:
    """What a kernel says that boots as for a person, and dies on purpose."""
    rom = folder / "rom.bin"
    rom.write_bytes(build_rom(built(profile), machine=Machine(16), command_line=f"crash={crash}"))
    run = Run(session.boot(built(profile), rom, Machine(16), folder, tick_budget=200_000_000, wall_seconds=60))
    run.to_panic()
    return run.text()


def work() -> tuple[Script, dict[str, int]]:
    """Frames, a frame that only a temporary mapping reaches elsewhere, and the heap."""
    script = Script()
    ops = {"low": script.add("frames.allocate 0 normal zeroed"), "high": script.add("frames.allocate 0 high zeroed")}
    ops["poke"] = script.add(f"paging.poke ${ops['high']} 0x10 0xabcd")
    ops["peek"] = script.add(f"paging.peek ${ops['high']} 0x10")
    ops["vmalloc"] = script.add("vmalloc.allocate 8192")
    ops["free"] = script.add(f"frames.free ${ops['low']} 0")
    return script, ops


@pytest.mark.parametrize("profile", ["no-paging", "no-mmu"])
def test_memory_is_managed_without_paging(boot: Boots, profile: str) -> None:
    script, ops = work()
    run = boot(script, profile=profile, megabytes=300)
    run.to_end()
    assert not run.target.registers()["cr0"] & CR0_PAGING
    assert run.value(ops["high"]) * PAGE >= IDENTITY_END and run.value(ops["peek"]) == 0xABCD
    assert run.target.word(run.value(ops["high"]) * PAGE + 0x10) == 0xABCD, "its bytes lie where its number says"
    assert run.error(ops["vmalloc"]) == "OutOfMemory"
    assert run.error(ops["free"]) == ""


@pytest.mark.parametrize("profile, said, unsaid", [
    ("no-paging", ["no paging (CONFIG_PAGING)", "memory protection on"], ["CONFIG_MMU", "kernel map:"]),
    ("no-mmu", ["no paging (CONFIG_PAGING)", "no memory management hardware in use (CONFIG_MMU)", "memory protection off"], []),
    ("grading", ["large pages on, memory protection on", "demand paging on", "kernel map:"], ["CONFIG_PAGING", "CONFIG_MMU"]),
    ("no-demand-paging", ["demand paging off", "kernel map:"], ["CONFIG_PAGING", "CONFIG_MMU"]),
])
def test_the_boot_says_what_is_missing(session: GdbSession, tmp_path: Path, profile: str, said: list[str], unsaid: list[str]) -> None:
    text = boot_to_crash(session, tmp_path, profile, "assert")
    assert all(words in text for words in said) and not any(words in text for words in unsaid), text


def test_the_shell_works_without_demand_paging() -> None:
    """Programs are there from their first instruction on, and most of fork()'s pages are shared all the same."""
    with ShellSession(kernel=built("no-demand-paging")) as shell:
        assert "hello\n" in shell.run("echo hello")
        assert "demand" not in shell.run("ps")
        assert "killed by SIGSEGV" in shell.run("crash null")


def test_segments_protect_without_paging(session: GdbSession, tmp_path: Path) -> None:
    """The code segment's limit needs no page tables: data are still not run."""
    text = boot_to_crash(session, tmp_path, "no-paging", "exec")
    assert "execution outside the kernel's code" in text
