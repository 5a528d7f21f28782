"""Builds the boot ROM: a kernel, its modules and the Multiboot 1 information block, behind a few instructions of assembly.

A BIOS, a boot sector and a boot loader take half a second to reach the kernel; this ROM takes some hundredths, and it says of
the machine exactly what a test wants said. The image ends at 4 GiB, where the processor starts:

    +----------------------+ 4 GiB - size of the image
    | information block    |   copied to INFORMATION_ADDRESS
    | kernel segments      |   copied to their physical addresses, bss zeroed
    | modules              |   copied to page boundaries behind the kernel
    | records              |   source, destination, bytes to copy, bytes to zero: one for each of the above
    +----------------------+ 4 GiB - 512
    | rom.S                |   the reset vector, and the loop over the records
    +----------------------+ 4 GiB
"""

from __future__ import annotations

import functools
import hashlib
import os
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.elf import BootImageError, KernelImage, read_kernel
from emulator.machine import HIGH_MEMORY_START, KIB, LOW_MEMORY_END, MIB, Machine

ROM_END = 2**32
LARGEST_ROM_BYTES = 2 * MIB  # what Bochs 2.7 takes as romimage
ROM_GRANULARITY = 64 * KIB  # QEMU's -bios wants whole blocks of this
STUB_BYTES = 512  # rom.S
STUB_ADDRESS = ROM_END - STUB_BYTES

PAGE_BYTES = 4096
INFORMATION_ADDRESS = 0x1000
BOOT_LOADER_NAME = "Faultline boot ROM"

# Multiboot 1, section 3.3: the information block and its flags.
_INFORMATION = struct.Struct("<IIIIIIIIIIIIIIIIIIIIII")
_FLAG_MEMORY, _FLAG_COMMAND_LINE, _FLAG_MODULES, _FLAG_MEMORY_MAP, _FLAG_LOADER_NAME = 1 << 0, 1 << 2, 1 << 3, 1 << 6, 1 << 9
_MODULE = struct.Struct("<IIII")
_MAP_ENTRY = struct.Struct("<IQQI")

_RECORD = struct.Struct("<IIII")
_BOOT_TABLE = struct.Struct("<IIII")

_SOURCE = Path(__file__).with_name("rom.S")
_CACHE = Path(__file__).resolve().parents[2] / "build" / "rom"


@dataclass(frozen=True)
class Module:
    """A file for the kernel, found by its name (the Multiboot module string)."""

    name: str
    data: bytes


@dataclass(frozen=True)
class BootLayout:
    """Where everything lies in physical memory when the kernel starts. All ranges are half-open pairs of addresses."""

    kernel: tuple[int, int]
    information: tuple[int, int]  # block, memory map, module list, command line and names: all that the block points to
    memory_map: tuple[int, int]
    module_list: tuple[int, int]
    command_line: tuple[int, int]
    modules: tuple[tuple[int, int], ...]

    @property
    def reserved(self) -> list[tuple[int, int]]:
        """What the kernel must not give away at boot: itself, the information block and the modules."""
        return [self.kernel, self.information, *self.modules]


def build_rom(
    elf: Path,
    *,
    machine: Machine,
    command_line: str = "",
    modules: Sequence[Module] = (),
    module_address: int | None = None,
) -> bytes:
    """The ROM image that boots `elf` on `machine`; raises BootImageError when that cannot work."""
    kernel = read_kernel(elf)
    layout = _lay_out(kernel, machine, command_line, modules, module_address)
    pieces = [(INFORMATION_ADDRESS, _information_block(layout, machine, command_line, modules), 0)]
    pieces += [(s.address, s.data, s.size - len(s.data)) for s in kernel.segments]
    pieces += [(start, module.data, 0) for (start, _), module in zip(layout.modules, modules)]

    contents = b"".join(_padded(data, 4) for _, data, _ in pieces)
    used = len(contents) + len(pieces) * _RECORD.size + STUB_BYTES
    size = -(-used // ROM_GRANULARITY) * ROM_GRANULARITY
    if size > LARGEST_ROM_BYTES:
        raise BootImageError(
            f"{elf} with its modules needs a ROM of {size // KIB} KiB; {LARGEST_ROM_BYTES // KIB} KiB is the most that fits"
        )
    start = ROM_END - size
    records = []
    source = start
    for destination, data, zero_bytes in pieces:
        records.append(_RECORD.pack(source, destination, len(data), zero_bytes))
        source += len(_padded(data, 4))
    table = _BOOT_TABLE.pack(source, len(records), kernel.entry, INFORMATION_ADDRESS)
    body = contents + b"".join(records)
    return body + bytes(size - STUB_BYTES - len(body)) + table + _stub()[len(table) :]


def boot_layout(
    elf: Path,
    *,
    machine: Machine,
    command_line: str = "",
    modules: Sequence[Module] = (),
    module_address: int | None = None,
) -> BootLayout:
    """Where build_rom() with the same arguments puts things."""
    return _lay_out(read_kernel(elf), machine, command_line, modules, module_address)


def _lay_out(
    kernel: KernelImage, machine: Machine, command_line: str, modules: Sequence[Module], module_address: int | None
) -> BootLayout:
    """Places everything, and checks that nothing overlaps and all of it is memory."""
    kernel.check_fits(machine)
    map_start = INFORMATION_ADDRESS + _INFORMATION.size
    list_start = map_start + len(machine.entries) * _MAP_ENTRY.size
    line_start = list_start + len(modules) * _MODULE.size
    line_end = line_start + len(_string(command_line))
    information_end = line_end + len(_string(BOOT_LOADER_NAME)) + sum(len(_string(module.name)) for module in modules)

    module_ranges = []
    address = kernel.end if module_address is None else module_address
    for module in modules:
        address = -(-address // PAGE_BYTES) * PAGE_BYTES
        module_ranges.append((address, address + len(module.data)))
        address += len(module.data)

    layout = BootLayout(
        kernel=(kernel.start, kernel.end),
        information=(INFORMATION_ADDRESS, information_end),
        memory_map=(map_start, list_start),
        module_list=(list_start, line_start),
        command_line=(line_start, line_end),
        modules=tuple(module_ranges),
    )
    _check_places(layout, machine)
    return layout


def _check_places(layout: BootLayout, machine: Machine) -> None:
    if layout.information[1] > LOW_MEMORY_END:
        raise BootImageError(
            f"memory map, command line and module names take {layout.information[1] - INFORMATION_ADDRESS} bytes; "
            f"{LOW_MEMORY_END - INFORMATION_ADDRESS} is the most that fits below 640 KiB"
        )
    for start, end in layout.modules:
        if start < HIGH_MEMORY_START or end > machine.memory_bytes:
            raise BootImageError(f"a module would lie at {start:#x} to {end:#x}, outside 1 MiB to {machine.megabytes} MiB")
        if start < layout.kernel[1] and layout.kernel[0] < end:
            raise BootImageError(f"a module at {start:#x} would lie on the kernel, which ends at {layout.kernel[1]:#x}")


def _information_block(layout: BootLayout, machine: Machine, command_line: str, modules: Sequence[Module]) -> bytes:
    """The Multiboot information and all that it points to, as it lies at INFORMATION_ADDRESS."""
    loader_name = layout.command_line[1]
    module_name = loader_name + len(_string(BOOT_LOADER_NAME))
    flags = _FLAG_MEMORY | _FLAG_COMMAND_LINE | _FLAG_MODULES | _FLAG_MEMORY_MAP | _FLAG_LOADER_NAME
    words = [0] * 22
    words[0:3] = flags, machine.lower_kib, machine.upper_kib
    words[4:7] = layout.command_line[0], len(modules), layout.module_list[0]
    words[11:13] = layout.memory_map[1] - layout.memory_map[0], layout.memory_map[0]
    words[16] = loader_name

    block = [_INFORMATION.pack(*words)]
    block += [_MAP_ENTRY.pack(_MAP_ENTRY.size - 4, entry.base, entry.length, entry.kind) for entry in machine.entries]
    for module, (start, end) in zip(modules, layout.modules):
        block.append(_MODULE.pack(start, end, module_name, 0))
        module_name += len(_string(module.name))
    block += [_string(command_line), _string(BOOT_LOADER_NAME), *(_string(module.name) for module in modules)]
    return b"".join(block)


def _string(text: str) -> bytes:
    """As C wants it."""
    if "\0" in text:
        raise BootImageError(f"a command line or module name cannot hold a zero character: {text!r}")
    return text.encode() + b"\0"


def _padded(data: bytes, alignment: int) -> bytes:
    return data + bytes(-len(data) % alignment)


@functools.cache
def _stub() -> bytes:
    """rom.S as 512 bytes of machine code: assembled once, then taken from build/."""
    cached = _CACHE / f"boot-{hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]}.bin"
    if cached.is_file() and cached.stat().st_size == STUB_BYTES:
        return cached.read_bytes()
    with tempfile.TemporaryDirectory(prefix="faultline-rom-") as directory:
        code = _assemble(Path(directory))
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        temporary = cached.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(code)
        temporary.replace(cached)  # in one step: others may be reading
    except OSError:
        pass  # a read-only checkout works as well, only slower
    return code


def _assemble(directory: Path) -> bytes:
    object_file, binary = directory / "rom.o", directory / "rom.bin"
    commands = (
        ["i686-linux-gnu-g++", "-c", "-x", "assembler-with-cpp", "-o", str(object_file), str(_SOURCE)],
        ["i686-linux-gnu-ld", "-e", f"{ROM_END - 16:#x}", f"--section-start=.boot={STUB_ADDRESS:#x}"]
        + ["--oformat", "binary", "-o", str(binary), str(object_file)],
    )
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        except OSError as error:
            raise BootImageError(f"cannot assemble the boot ROM: {command[0]}: {error.strerror}") from error
        if done.returncode != 0:
            raise BootImageError(f"cannot assemble the boot ROM: {done.stderr.strip()}")
    code = binary.read_bytes()
    if len(code) != STUB_BYTES:
        raise BootImageError(f"the boot ROM's code has {len(code)} bytes, expected {STUB_BYTES}")
    return code
