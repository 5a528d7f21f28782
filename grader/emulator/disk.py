"""Builds the disk image that a PC's BIOS boots: a master boot record, one FAT16 partition, SYSLINUX, mboot.c32, the kernel.

No root rights are needed: mtools writes into the file system inside the image, and Debian's syslinux installs itself the same
way. The image looks so (in sectors of 512 bytes):

    0               master boot record: SYSLINUX's 440 bytes of code, and a table with one active partition
    2048            the partition: FAT16, with SYSLINUX's boot sector
"""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from emulator.elf import BootImageError, read_kernel
from emulator.machine import KIB, MIB
from emulator.rom import Module

SECTOR_BYTES = 512
PARTITION_START = 1 * MIB
PARTITION_BYTES = 31 * MIB
DISK_BYTES = PARTITION_START + PARTITION_BYTES
HEADS, SECTORS_PER_TRACK = 16, 63

_BOOT_CODE = Path("/usr/lib/syslinux/mbr/mbr.bin")
_MODULES = Path("/usr/lib/syslinux/modules/bios")
_SYSLINUX_FILES = ("mboot.c32", "libcom32.c32")
_BOOT_CODE_BYTES = 440
_PARTITION_ENTRY = struct.Struct("<B3sB3sII")
_ACTIVE = 0x80
_FAT16_LBA = 0x0E
_NO_CYLINDER = b"\xfe\xff\xff"  # "beyond what cylinder, head and sector can say: use the sector number"
_LONGEST_COMMAND_LINE = 1000  # SYSLINUX's own limit for a line of its configuration is a little more


def build_disk(image: Path, elf: Path, *, command_line: str = "", modules: Sequence[Module] = ()) -> None:
    """Writes the image that boots `elf`; raises BootImageError when that cannot be done.

    The command line reaches the kernel with the kernel's file name as its first word, as boot loaders have it. Failure leaves
    no image behind.
    """
    read_kernel(elf)  # better refused here, in words, than by a boot loader on a screen that nobody sees
    configuration = _configuration(command_line, modules)
    partial = image.with_name(f"{image.name}.{os.getpid()}")
    try:
        with tempfile.TemporaryDirectory(prefix="faultline-disk-") as scratch:
            _write_partition_table(partial)
            _make_file_system(partial)
            _copy_files(partial, elf, configuration, modules, Path(scratch))
        partial.replace(image)
    except OSError as error:
        raise BootImageError(f"cannot write the disk image {image}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def mtools_drive(image: Path) -> str:
    """The file system inside the image, as the mtools commands' -i option names it."""
    return f"{image}@@{PARTITION_START}"


def check_disk(image: Path) -> None:
    """Runs fsck.fat over the partition, and raises BootImageError with its findings if there are any."""
    with tempfile.TemporaryDirectory(prefix="faultline-disk-") as scratch:
        partition = Path(scratch) / "partition.img"
        partition.write_bytes(image.read_bytes()[PARTITION_START:])
        _run(["/usr/sbin/fsck.fat", "-n", "-V", str(partition)], "fsck.fat finds the disk image damaged")


def _configuration(command_line: str, modules: Sequence[Module]) -> str:
    """The text of syslinux.cfg. mboot.c32 takes kernel and modules from one line, parted by `---`."""
    for text in (command_line, *(module.name for module in modules)):
        if not text.isprintable() or "---" in text.split():
            raise BootImageError(f"SYSLINUX cannot pass on this command line or module name: {text!r}")
    words = ["kernel.elf", command_line, *(f"--- {_file_name(i)} {module.name}" for i, module in enumerate(modules))]
    line = " ".join(word for word in words if word)
    if len(line) > _LONGEST_COMMAND_LINE:
        raise BootImageError(f"command line and modules make {len(line)} characters; SYSLINUX takes {_LONGEST_COMMAND_LINE}")
    return f"DEFAULT faultline\nPROMPT 0\nLABEL faultline\n  KERNEL mboot.c32\n  APPEND {line}\n"


def _file_name(module_index: int) -> str:
    return f"module{module_index:02}.bin"


def _write_partition_table(image: Path) -> None:
    start, count = PARTITION_START // SECTOR_BYTES, PARTITION_BYTES // SECTOR_BYTES
    entry = _PARTITION_ENTRY.pack(_ACTIVE, _NO_CYLINDER, _FAT16_LBA, _NO_CYLINDER, start, count)
    try:
        code = _BOOT_CODE.read_bytes()[:_BOOT_CODE_BYTES]
    except OSError as error:
        raise BootImageError(f"{_BOOT_CODE}: {error.strerror} (package syslinux-common)") from error
    sector = code.ljust(446, b"\0") + entry + bytes(3 * _PARTITION_ENTRY.size) + b"\x55\xaa"
    with image.open("wb") as file:
        file.write(sector)
        file.truncate(DISK_BYTES)


def _make_file_system(image: Path) -> None:
    geometry = f"{HEADS}/{SECTORS_PER_TRACK}"
    start = PARTITION_START // SECTOR_BYTES
    command = ["/usr/sbin/mkfs.fat", "-F", "16", "-n", "FAULTLINE", "-i", "FA017111", "-g", geometry, "-h", str(start)]
    _run([*command, "--offset", str(start), str(image), str(PARTITION_BYTES // KIB)], "cannot make the file system")
    _run(["syslinux", "--install", "--offset", str(PARTITION_START), str(image)], "cannot install SYSLINUX")


def _copy_files(image: Path, elf: Path, configuration: str, modules: Sequence[Module], scratch: Path) -> None:
    (scratch / "syslinux.cfg").write_text(configuration)
    (scratch / "kernel.elf").symlink_to(elf.resolve())
    for index, module in enumerate(modules):
        (scratch / _file_name(index)).write_bytes(module.data)
    files = [_MODULES / name for name in _SYSLINUX_FILES] + sorted(scratch.iterdir())
    _run(["mcopy", "-i", mtools_drive(image), *map(str, files), "::"], "cannot copy the kernel into the disk image")


def _run(command: list[str], failure: str) -> None:
    environment = {**os.environ, "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment)
    except OSError as error:
        raise BootImageError(f"{failure}: {command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()[-1:] or [done.stdout.strip()]
        raise BootImageError(f"{failure}: {words[0]}")
