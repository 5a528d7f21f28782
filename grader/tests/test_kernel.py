"""The kernel itself, read from outside: its own map, its protections, the machines it boots on, its options."""

import shutil
from pathlib import Path

import pytest

from emulator.machine import MIB, Machine, MemoryEntry
from emulator.rom import Module, build_rom
from gdb.client import GdbSession
from paging.runs import PageRun, coalesce, compare
from paging.tables import read_tables
from profiles import ROOT, built, make

CR0_PAGING, CR0_WRITE_PROTECT = 1 << 31, 1 << 16
KERNEL_WINDOWS = 0xC000_0000  # above it: temporary mappings and kernel stacks, which have a test of their own
KMAP_SLOTS, STACK_GUARD, STACK_BEGIN, STACK_END = 0xF000_0000, 0xF040_0000, 0xF040_1000, 0xF040_5000


@pytest.fixture(scope="module")
def session():
    with GdbSession() as gdb:
        yield gdb


class Guest:
    """A kernel that has run a script of the grader's guest to its end, and stands still."""

    def __init__(self, target):
        self.target = target
        self.registers = target.registers()
        self.tables = read_tables(target.physical, self.registers["cr3"], self.registers["cr4"])
        self.records = [line.split() for line in target.serial().decode().splitlines() if line.startswith("=")]

    def image(self, name: str) -> int:
        return self.target.symbol(name)


@pytest.fixture
def boot(session, tmp_path):
    """boot(profile or ELF file, machine, *script lines) -> Guest"""
    opened = []

    def boot(kernel: str | Path, machine: Machine, *script: str) -> Guest:
        elf = kernel if isinstance(kernel, Path) else built(kernel)
        rom = tmp_path / "rom.bin"
        text = "\n".join([*script, "say done"]) + "\n"
        rom.write_bytes(build_rom(elf, machine=machine, command_line="harness", modules=[Module("script", text.encode())]))
        target = session.boot(elf, rom, machine, tmp_path, tick_budget=400_000_000)
        opened.append(target)
        for symbol in ("harness_finished", "panic_stop"):
            target.breakpoint(symbol)
        stop = target.resume()
        assert stop.symbol == "harness_finished", target.serial().decode()
        return Guest(target)

    yield boot
    for target in opened:
        target.close()


def expected_low_map(guest: Guest, memory_end: int) -> list[PageRun]:
    """The identity map that kernel_map.h promises: page 0 absent, text and constants read-only, the rest writable."""
    text, constants_end = guest.image("text_begin"), guest.image("rodata_end")
    return coalesce([
        PageRun(0x1000, 0x1000, text - 0x1000, writable=True, global_=True),
        PageRun(text, text, constants_end - text, global_=True),
        PageRun(constants_end, constants_end, memory_end - constants_end, writable=True, global_=True),
    ])




@pytest.mark.parametrize("megabytes", [8, 16, 64, 300])
def test_the_kernel_map_is_what_its_header_promises(boot, megabytes):
    guest = boot("grading", Machine(megabytes))
    low = min(megabytes, 256) * MIB
    assert compare(expected_low_map(guest, low), guest.tables.pages(0, KERNEL_WINDOWS), 0, KERNEL_WINDOWS) == []
    assert guest.tables.findings(megabytes * MIB) == []


def test_supervisor_writes_obey_read_only_pages(boot):
    guest = boot("grading", Machine(16))
    assert guest.registers["cr0"] & CR0_PAGING and guest.registers["cr0"] & CR0_WRITE_PROTECT


def test_large_pages_are_used_where_rights_allow(boot):
    guest = boot("grading", Machine(64))
    large = [run for run in guest.tables.pages(0, KERNEL_WINDOWS) if run.large]
    assert coalesce(large, sizes=True) == [PageRun(4 * MIB, 4 * MIB, 60 * MIB, writable=True, global_=True, large=True)]


def test_the_kernel_stack_lies_between_pages_that_are_absent(boot):
    guest = boot("grading", Machine(16))
    assert STACK_BEGIN < guest.registers["esp"] < STACK_END
    assert guest.tables.translate(STACK_GUARD) is None and guest.tables.translate(STACK_END) is None
    assert all(guest.tables.translate(page) is not None for page in range(STACK_BEGIN, STACK_END, 0x1000))


def test_temporary_mappings_are_gone_after_use(boot):
    guest = boot("grading", Machine(300), "frames.allocate 0 high zeroed", "paging.poke $1 0x10 0xabcd", "paging.peek $1 0x10")
    assert int(guest.records[0][2], 16) * 4096 >= 256 * MIB
    assert guest.records[2][1:3] == ["ok", "0xabcd"]
    assert guest.tables.pages(KMAP_SLOTS, STACK_GUARD) == []


def test_two_gigabytes_boot_and_all_of_it_is_counted(boot):
    guest = boot("grading", Machine(2048), *(f"frames.free_count {zone}" for zone in ("dma", "normal", "high")))
    dma, normal, high = (int(record[2], 16) for record in guest.records[:3])
    in_use = (2048 - 256) * MIB // 4096 - high
    assert 0 <= in_use <= 16 and in_use % 2 == 0, "all but the kernel stacks that are kept ready, of two pages each"
    assert 0 < dma <= 16 * MIB // 4096 and 0 < normal <= 240 * MIB // 4096
    reserved = guest.target.word(guest.image("mm::boot_memory::reserved_count"))
    assert 5 <= reserved <= 32


def test_a_hostile_memory_map_boots(boot):
    hostile = (
        MemoryEntry(4 * MIB, 12 * MIB),             # out of order
        MemoryEntry(0, 0x9F800),                    # ends within a page
        MemoryEntry(0x8F000, 0x20000, 2),           # overlaps usable memory
        MemoryEntry(1 * MIB, 5 * MIB),              # overlaps another usable entry
        MemoryEntry(9 * MIB + 1, 3, 2),             # three bytes in the middle
        MemoryEntry(12 * MIB, 0, 2),                # says nothing
        MemoryEntry(2**64 - 0x1000, 0x2000, 2),     # wraps
        MemoryEntry(5 * 2**30, 2**30),              # above 4 GiB
    )
    guest = boot("grading", Machine(16, hostile), "frames.free_count dma")
    whole = (0x8F000 - 0x1000 + 15 * MIB - 0x1000) // 4096
    free = int(guest.records[0][2], 16)
    assert whole - 600 < free < whole


def test_without_large_pages_everything_is_small_and_large_ones_are_refused(boot):
    guest = boot("no-large-pages", Machine(16), "paging.create", "paging.map $1 0x40000000 0x800 1 large rw-user")
    assert not any(run.large for run in guest.tables.pages())
    assert guest.records[1][1:3] == ["error", "Unsupported"]
    assert compare(expected_low_map(guest, 16 * MIB), guest.tables.pages(0, KERNEL_WINDOWS), 0, KERNEL_WINDOWS) == []


def test_without_protection_the_kernel_may_write_anywhere(boot):
    guest = boot("no-memory-protection", Machine(16))
    assert guest.registers["cr0"] & CR0_WRITE_PROTECT, "what the kernel writes into a process's memory obeys the process's rights"
    assert guest.tables.translate(0) is not None
    assert guest.tables.translate(guest.image("text_begin")).writable


@pytest.mark.parametrize("profile, differing", [("grading", 0), ("no-memory-debugging", 1020)])
def test_freed_frames_are_poisoned_only_when_debugging(boot, profile, differing):
    guest = boot(profile, Machine(16), "frames.allocate 0 normal zeroed", "frames.free $1 0", "frames.compare $1 0xF4EEDF4E 16")
    assert int(guest.records[2][2], 16) == differing


@pytest.fixture
def mixed(tmp_path):
    """mixed(pieces, submission folder) -> the kernel with these pieces from there, and the others from the reference."""

    def mixed(pieces: str, submission: Path) -> Path:
        built("grading")
        folder = tmp_path / "build"
        shutil.copytree(ROOT / "build/grading", folder, ignore=shutil.ignore_patterns("runs", "*.elf", ".lock"))
        done = make("PROFILE=grading", f"OUT={folder}", f"PIECES={pieces}", f"SUBMISSION={submission}", f"{folder}/kernel.elf")
        assert done.returncode == 0, done.stdout + done.stderr
        return folder / "kernel.elf"

    return mixed


@pytest.mark.parametrize("pieces, own", [("frames", ["frames-bitmap"]), ("02-paging", ["paging-recursive-slot"]), ("frames paging", ["frames-bitmap", "paging-recursive-slot"])])
def test_any_mix_of_own_and_reference_pieces_boots(boot, mixed, tmp_path, pieces, own):
    submission = tmp_path / "submission"
    for name in own:
        shutil.copytree(ROOT / "grader/corpus/alt" / name, submission, dirs_exist_ok=True)
    elf = mixed(pieces, submission)
    guest = boot(elf, Machine(16), "frames.allocate 0 normal zeroed", "paging.create", "paging.map $2 0x40000000 $1 1 small rw-user", "paging.translate $2 0x40000123")
    assert int(guest.records[3][2], 16) == int(guest.records[0][2], 16) * 0x1000 + 0x123
