"""Builds the disk image that a PC's BIOS boots: a master boot record, one FAT16 partition, SYSLINUX, mboot.c32, the kernel.

No root rights are needed: mtools writes into the file system inside the image, and Debian's syslinux installs itself the same
way. The image looks so (in sectors of 512 bytes):

    0               master boot record: SYSLINUX's 440 bytes of code, and a table with one active partition
    2048            the partition: FAT16, with SYSLINUX's boot sector
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from emulator.elf import BootImageError, read_kernel
from emulator.machine import MIB
from emulator.rom import Module
from emulator.volume import ACTIVE, PARTITION_START, add_files, make_file_system, run_tool, write_partition_table

PARTITION_BYTES = 31 * MIB
DISK_BYTES = PARTITION_START + PARTITION_BYTES

_BOOT_CODE = Path("/usr/lib/syslinux/mbr/mbr.bin")
_MODULES = Path("/usr/lib/syslinux/modules/bios")
_SYSLINUX_FILES = ("mboot.c32", "libcom32.c32")
_BOOT_CODE_BYTES = 440
_CACHE = Path(__file__).resolve().parents[2] / "build" / "disks"
_KEPT_DISKS = 256  # some 100 KiB each
_FORMAT = 1  # to be raised when build_program_disk() puts other bytes on its disks
_LONGEST_COMMAND_LINE = 1000  # SYSLINUX's own limit for a line of its configuration is a little more


def build_disk(image: Path, elf: Path, *, command_line: str = "", modules: Sequence[Module] = (),
               files: Mapping[str, Path | bytes] | None = None) -> None:
    """Writes the image that boots `elf`; raises BootImageError when that cannot be done.

    `files` lie on it as well: {"bin/init": Path(...)}. The command line reaches the kernel with the kernel's file name as its
    first word, as boot loaders have it. Failure leaves no image behind.
    """
    read_kernel(elf)  # better refused here, in words, than by a boot loader on a screen that nobody sees
    configuration = _configuration(command_line, modules)
    partial = image.with_name(f"{image.name}.{os.getpid()}")
    try:
        _write_partition_table(partial)
        _make_file_system(partial)
        _copy_kernel(partial, elf, configuration, modules)
        add_files(partial, files or {})
        partial.replace(image)
    except OSError as error:
        raise BootImageError(f"cannot write the disk image {image}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


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
    try:
        code = _BOOT_CODE.read_bytes()[:_BOOT_CODE_BYTES]
    except OSError as error:
        raise BootImageError(f"{_BOOT_CODE}: {error.strerror} (package syslinux-common)") from error
    write_partition_table(image, PARTITION_BYTES, code=code, status=ACTIVE)


def _make_file_system(image: Path) -> None:
    make_file_system(image)
    run_tool(["syslinux", "--install", "--offset", str(PARTITION_START), str(image)], "cannot install SYSLINUX")


def _copy_kernel(image: Path, elf: Path, configuration: str, modules: Sequence[Module]) -> None:
    files: dict[str, Path | bytes] = {name: _MODULES / name for name in _SYSLINUX_FILES}
    files |= {_file_name(index): module.data for index, module in enumerate(modules)}
    files |= {"syslinux.cfg": configuration.encode(), "kernel.elf": elf}
    add_files(image, files, "cannot copy the kernel into the disk image")


def programs_in(folder: Path) -> dict[str, Path]:
    """The programs that a folder holds, as files of /bin. What stands beside them for GDB (NAME.debug) is none."""
    if not folder.is_dir():
        raise BootImageError(f"there is no folder of programs {folder}")
    return {f"bin/{path.name}": path for path in sorted(folder.iterdir()) if path.is_file() and not path.suffix}


def build_program_disk(image: Path, files: Mapping[str, Path | bytes], *, megabytes: int = 8) -> None:
    """Writes an image with one FAT16 partition of `megabytes` and no boot loader: for machines that start from the boot ROM, or from
    QEMU's own loader. The same files give the same bytes. Failure leaves no image behind."""
    partial = image.with_name(f"{image.name}.{os.getpid()}")
    try:
        write_partition_table(partial, megabytes * MIB)
        make_file_system(partial, "-s", str(1 << max(0, megabytes.bit_length() - 3)))  # some 4,000 to 16,000 clusters
        add_files(partial, files)
        partial.replace(image)
    except OSError as error:
        raise BootImageError(f"cannot write the disk image {image}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def program_disk(files: Mapping[str, Path | bytes], *, megabytes: int = 8) -> Path:
    """The same, kept under build/disks for whoever wants it again: not to be written to. See volume.copy_image()."""
    digest = hashlib.blake2b(f"{_FORMAT} {megabytes}".encode(), digest_size=12)
    for name, source in sorted(files.items()):
        data = source if isinstance(source, bytes) else source.read_bytes()
        digest.update(f"{name} {len(data)} ".encode() + data)
    image = _CACHE / f"{digest.hexdigest()}.img"
    if image.is_file():
        os.utime(image)
        return image
    _CACHE.mkdir(parents=True, exist_ok=True)
    build_program_disk(image, files, megabytes=megabytes)
    for old in sorted(_CACHE.glob("*.img"), key=_age)[_KEPT_DISKS:]:
        old.unlink(missing_ok=True)
    return image


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except FileNotFoundError:  # another run has just removed it
        return 0
