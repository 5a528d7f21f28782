"""The boot ROM, in a real Bochs: what the guest finds is what the test asked for."""

from __future__ import annotations

import random
import struct
import subprocess
from pathlib import Path

import pytest

from emulator.elf import BootImageError, read_kernel
from emulator.machine import ACPI_RECLAIMABLE, BAD, MIB, RESERVED, Machine, MemoryEntry
from emulator.rom import BOOT_LOADER_NAME, LARGEST_ROM_BYTES, Module, boot_layout, build_rom
from emulator.trial import boot_trial, build_trial_kernel

ODD_MAP = (
    MemoryEntry(0x100000, 0x700001),  # an odd end
    MemoryEntry(0x9FC00, 0x400, RESERVED),  # out of order
    MemoryEntry(0, 0x9FC00),
    MemoryEntry(0x300123, 0x2000, BAD),  # overlaps, unaligned
    MemoryEntry(0x500000, 0),  # empty
    MemoryEntry(2**64 - 0x1000, 0x2000),  # wraps
    MemoryEntry(0x1_0000_0000, 0x1_0000_0000, ACPI_RECLAIMABLE),  # above 4 GiB
    MemoryEntry(0x600000, 0x1000, 0xFFFFFFFF),  # of a kind that nobody knows
)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_trial_kernel(tmp_path_factory.mktemp("trial"))


def facts(lines: list[str], name: str) -> list[str]:
    """What stands behind `name` in each line that begins with it."""
    return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] == name]


def weighted_sum(data: bytes) -> int:
    return sum(byte * place for place, byte in enumerate(data, 1)) & 0xFFFFFFFF


def boot(tmp_path: Path, kernel: Path, machine: Machine, command_line: str = "", modules: list[Module] | None = None) -> list[str]:
    rom = tmp_path / "rom.bin"
    rom.write_bytes(build_rom(kernel, machine=machine, command_line=command_line, modules=modules or []))
    return boot_trial(rom, machine, tmp_path)


def test_the_kernel_finds_the_machine_as_multiboot_promises(tmp_path: Path, kernel: Path) -> None:
    lines = boot(tmp_path, kernel, Machine(16))
    assert facts(lines, "magic") == ["2badb002"]
    assert facts(lines, "cr0") == ["1"], "protected mode, no paging, caches on"
    assert facts(lines, "a20") == ["1"]
    assert facts(lines, "data") == ["12345678"]
    assert facts(lines, "bss") == ["0"]
    assert facts(lines, "lower") == [f"{640:x}"] and facts(lines, "upper") == [f"{15 * 1024:x}"]
    assert facts(lines, "loader") == [BOOT_LOADER_NAME]


def test_the_memory_map_arrives_exactly_as_given(tmp_path: Path, kernel: Path) -> None:
    lines = boot(tmp_path, kernel, Machine(8, ODD_MAP), "test=map")
    assert facts(lines, "map") == [f"{e.base:x} {e.length:x} {e.kind:x}" for e in ODD_MAP]
    assert facts(lines, "lower") == [f"{0x9FC00 // 1024:x}"] and facts(lines, "upper") == [f"{7 * 1024:x}"]


def test_an_empty_memory_map_and_a_long_one(tmp_path: Path, kernel: Path) -> None:
    assert facts(boot(tmp_path, kernel, Machine(8, ())), "map") == []
    many = tuple(MemoryEntry(i * 0x3000, 0x2000 + i, 1 + i % 5) for i in range(200))
    assert len(facts(boot(tmp_path, kernel, Machine(8, many)), "map")) == 200


def test_command_line_and_modules_arrive(tmp_path: Path, kernel: Path) -> None:
    chance = random.Random(1)
    modules = [Module("script", b"say hello\n"), Module("", b""), Module("blob two", chance.randbytes(100_003))]
    machine = Machine(16)
    lines = boot(tmp_path, kernel, machine, "harness  seed=0x1f2e ", modules)
    assert facts(lines, "line") == ["harness  seed=0x1f2e "]
    layout = boot_layout(kernel, machine=machine, command_line="harness  seed=0x1f2e ", modules=modules)
    assert facts(lines, "module") == [
        f"{start:x} {end:x} {weighted_sum(module.data):x} {module.name}"
        for (start, end), module in zip(layout.modules, modules, strict=True)
    ]


def test_the_layout_keeps_everything_apart(kernel: Path) -> None:
    modules = [Module("a", bytes(5000)), Module("b", bytes(1))]
    layout = boot_layout(kernel, machine=Machine(16), command_line="x" * 300, modules=modules)
    ranges = sorted(layout.reserved)
    assert len(ranges) == 4
    assert all(before[1] <= after[0] for before, after in zip(ranges, ranges[1:]))
    assert all(start % 4096 == 0 for start, _ in layout.modules)
    assert layout.kernel == (read_kernel(kernel).start, read_kernel(kernel).end)
    assert all(
        layout.information[0] <= start <= end <= layout.information[1]
        for start, end in (layout.memory_map, layout.module_list, layout.command_line)
    )


def test_modules_go_where_they_are_wanted(tmp_path: Path, kernel: Path) -> None:
    rom = tmp_path / "rom.bin"
    modules = [Module("far", b"abc")]
    rom.write_bytes(build_rom(kernel, machine=Machine(16), modules=modules, module_address=8 * MIB))
    assert facts(boot_trial(rom, Machine(16), tmp_path), "module") == [f"800000 800003 {weighted_sum(b'abc'):x} far"]


@pytest.mark.parametrize("megabytes", [8, 512, 3072])
def test_small_and_large_machines_boot(tmp_path: Path, kernel: Path, megabytes: int) -> None:
    lines = boot(tmp_path, kernel, Machine(megabytes))
    assert facts(lines, "upper") == [f"{(megabytes - 1) * 1024:x}"]


def test_the_same_request_gives_the_same_rom(kernel: Path) -> None:
    request = {"machine": Machine(16), "command_line": "x", "modules": [Module("m", b"1")]}
    rom = build_rom(kernel, **request)
    assert rom == build_rom(kernel, **request)
    assert len(rom) == 64 * 1024, "small: Bochs reads it at every start"


# What cannot work is refused in words, before any emulator starts.


def test_a_kernel_with_too_large_modules_is_refused(kernel: Path) -> None:
    with pytest.raises(BootImageError, match="2048 KiB is the most"):
        build_rom(kernel, machine=Machine(64), modules=[Module("big", bytes(LARGEST_ROM_BYTES))])


def test_a_machine_too_small_for_the_kernel_is_refused(kernel: Path) -> None:
    with pytest.raises(BootImageError, match="outside 1 MiB to 2 MiB"):
        build_rom(kernel, machine=Machine(2), modules=[Module("big", bytes(MIB))])


def test_a_module_on_the_kernel_is_refused(kernel: Path) -> None:
    with pytest.raises(BootImageError, match="would lie on the kernel"):
        build_rom(kernel, machine=Machine(16), modules=[Module("m", b"1")], module_address=read_kernel(kernel).start)


def test_a_command_line_too_long_for_low_memory_is_refused(kernel: Path) -> None:
    with pytest.raises(BootImageError, match="most that fits below 640 KiB"):
        build_rom(kernel, machine=Machine(16), command_line="x" * 700_000)


def test_a_zero_character_is_refused(kernel: Path) -> None:
    with pytest.raises(BootImageError, match="zero character"):
        build_rom(kernel, machine=Machine(16), command_line="a\0b")


def test_what_is_no_kernel_is_refused(tmp_path: Path, kernel: Path) -> None:
    contents = kernel.read_bytes()
    file = tmp_path / "kernel.elf"
    for broken, words in (
        (b"", "not a 32-bit little-endian ELF file"),
        (b"\x7fELF\x02\x01" + contents[6:], "not a 32-bit little-endian ELF file"),
        (contents[:16] + struct.pack("<H", 1) + contents[18:], "not a linked i386 program"),
        (contents.replace(struct.pack("<I", 0x1BADB002), bytes(4)), "no valid Multiboot header"),
        (contents.replace(struct.pack("<III", 0x1BADB002, 3, -0x1BADB005 & 0xFFFFFFFF),
                          struct.pack("<III", 0x1BADB002, 7, -0x1BADB009 & 0xFFFFFFFF)), r"flags 0x4"),
        (contents[:24] + struct.pack("<I", 0x500000) + contents[28:], "starts at 0x500000"),
        (contents[: 0x1000 + 200], "cut off"),
        (contents[:44] + struct.pack("<H", 0) + contents[46:], "nothing to load"),
    ):  # fmt: skip
        file.write_bytes(broken)
        with pytest.raises(BootImageError, match=words):
            build_rom(file, machine=Machine(16))
    with pytest.raises(BootImageError, match="No such file"):
        build_rom(tmp_path / "nothing.elf", machine=Machine(16))


def test_a_segment_below_one_mebibyte_is_refused(tmp_path: Path) -> None:
    source, elf = tmp_path / "low.s", tmp_path / "low.elf"
    source.write_text(".long 0x1BADB002, 0, -0x1BADB002\n.globl _start\n_start: jmp .\n")
    subprocess.run(["i686-linux-gnu-g++", "-nostdlib", "-static", "-Wl,-Ttext=0x8000", "-o", elf, source], check=True)
    with pytest.raises(BootImageError, match="below 1 MiB"):
        build_rom(elf, machine=Machine(16))


def test_machines_that_cannot_be_are_refused() -> None:
    for make in (lambda: Machine(1), lambda: Machine(4096), lambda: MemoryEntry(-1, 0), lambda: MemoryEntry(0, 2**64)):
        with pytest.raises(ValueError):
            make()
