"""The FAT16 file system inside a disk image: made, filled, read and checked from outside, without root rights, by dosfstools and mtools.

Every image here has its one partition at PARTITION_START. The same contents give the same bytes: volume number and times are fixed.

    make_file_system(image, megabytes=8)
    add_files(image, {"bin/hello": Path("build/user/bin/hello"), "notes.txt": b"text"})
    read_file(image, "notes.txt")        # b"text"
    list_files(image)                    # {"bin/hello": 12345, "notes.txt": 4}
    check_file_system(image)             # BootImageError with fsck.fat's words, if it finds anything
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from emulator.elf import BootImageError
from emulator.machine import KIB, MIB

SECTOR_BYTES = 512
PARTITION_START = 1 * MIB
HEADS, SECTORS_PER_TRACK = 16, 63
PARTITION_TABLE = 446  # in the first sector
ACTIVE = 0x80

_PARTITION_ENTRY = struct.Struct("<B3sB3sII")
FAT16_LBA = 0x0E  # the type of a partition
_NO_CYLINDER = b"\xfe\xff\xff"  # "beyond what cylinder, head and sector can say: use the sector number"
_LINE = re.compile(r".{12}\s+(<DIR>|\d+)\s+\d{4}-\d\d-\d\d ")  # of mdir: eight and three characters, size, date
_FIXED_TIME = "946684800"  # 2000-01-01, as SOURCE_DATE_EPOCH: the kernel's date for new files, too


def write_partition_table(image: Path, partition_bytes: int, *, code: bytes = b"", status: int = 0, kind: int = FAT16_LBA) -> None:
    """Makes an image of one empty partition, with `code` in front of its table. Most of the file is a hole."""
    entry = _PARTITION_ENTRY.pack(status, _NO_CYLINDER, kind, _NO_CYLINDER, PARTITION_START // SECTOR_BYTES, partition_bytes // SECTOR_BYTES)
    with image.open("wb") as file:
        file.write(code.ljust(PARTITION_TABLE, b"\0") + entry + bytes(3 * _PARTITION_ENTRY.size) + b"\x55\xaa")
        file.truncate(PARTITION_START + partition_bytes)


def make_file_system(image: Path, *options: str) -> None:
    """FAT16 in the image's partition. `options` go to mkfs.fat."""
    geometry = f"{HEADS}/{SECTORS_PER_TRACK}"
    start = PARTITION_START // SECTOR_BYTES
    kilobytes = (image.stat().st_size - PARTITION_START) // KIB
    command = ["/usr/sbin/mkfs.fat", "-F", "16", "-n", "FAULTLINE", "-i", "FA017111", "-g", geometry, "-h", str(start), "--invariant", *options]
    run_tool([*command, "--offset", str(start), str(image), str(kilobytes)], "cannot make the file system")


def mtools_drive(image: Path) -> str:
    """The file system inside the image, as the mtools commands' -i option names it."""
    return f"{image}@@{PARTITION_START}"


def add_files(image: Path, files: Mapping[str, Path | bytes], failure: str = "cannot copy a file into the disk image") -> None:
    """Puts files into the root or, for names such as "bin/init", into folders, which are made if they are missing."""
    by_folder: dict[str, dict[str, Path | bytes]] = {}
    for name, source in sorted(files.items()):
        folder, _, last = name.strip("/").rpartition("/")
        by_folder.setdefault(folder, {})[last] = source
    there = list_files(image, folders=True) if set(by_folder) - {""} else {}
    with tempfile.TemporaryDirectory(prefix="faultline-disk-") as scratch:
        for folder, sources in by_folder.items():
            if folder and f"{folder}/" not in there:
                run_tool(["mmd", "-i", mtools_drive(image), f"::{folder}"], failure)
            staged = Path(scratch) / (folder or "_")
            staged.mkdir(parents=True)
            for name, source in sources.items():
                if isinstance(source, bytes):
                    (staged / name).write_bytes(source)
                else:
                    (staged / name).symlink_to(source.resolve())
            run_tool(["mcopy", "-i", mtools_drive(image), *(str(staged / name) for name in sources), f"::{folder}"], failure)


def read_file(image: Path, name: str) -> bytes:
    """The bytes of a file on the image."""
    return run_tool(["mcopy", "-i", mtools_drive(image), f"::{name.strip('/')}", "-"], f"cannot read {name} from the disk image")


def list_files(image: Path, *, folders: bool = False) -> dict[str, int]:
    """All files and their sizes, by their 8.3 names in lower case; with `folders` those as well, with a slash behind their names."""
    found: dict[str, int] = {}
    folder = ""
    try:
        listing = run_tool(["mdir", "-/", "-a", "-i", mtools_drive(image), "::"], "cannot read the disk image's folders")
    except BootImageError as error:
        if str(error).endswith('mdir: File "::" not found'):  # so it says that nothing is there
            return {}
        raise
    for line in listing.decode().splitlines():
        if line.startswith("Directory for ::/"):
            folder = line.removeprefix("Directory for ::/").strip("/").lower()
        elif (entry := _LINE.match(line)) and not line.startswith("."):
            last = ".".join(part for part in (line[0:8].rstrip(), line[9:12].rstrip()) if part).lower()
            name = f"{folder}/{last}" if folder else last
            if entry[1] != "<DIR>":
                found[name] = int(entry[1])
            elif folders:
                found[f"{name}/"] = 0
    return found


def check_file_system(image: Path) -> None:
    """Runs fsck.fat over the partition, and raises BootImageError with its findings if there are any."""
    with tempfile.TemporaryDirectory(prefix="faultline-disk-") as scratch:
        partition = Path(scratch) / "partition.img"
        copy_image(image, partition, PARTITION_START)
        run_tool(["/usr/sbin/fsck.fat", "-n", "-V", str(partition)], "fsck.fat finds the disk image damaged")


def copy_image(source: Path, target: Path, start: int = 0) -> None:
    """Copies an image from byte `start` on. Its holes stay holes: what is copied is what was written, a few hundred KiB."""
    with source.open("rb") as original, target.open("wb") as copy:
        end = os.fstat(original.fileno()).st_size
        copy.truncate(end - start)
        at = start
        while at < end:
            try:
                at = os.lseek(original.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but a hole to the end
                break
            stop = os.lseek(original.fileno(), at, os.SEEK_HOLE)
            original.seek(at)
            copy.seek(at - start)
            copy.flush()
            shutil.copyfileobj(_Part(original, stop - at), copy)
            at = stop


class _Part:
    """So many bytes of a file."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file, self._left = file, length

    def read(self, most: int) -> bytes:
        data = self._file.read(min(most, self._left))
        self._left -= len(data)
        return data


def run_tool(command: list[str], failure: str) -> bytes:
    """Runs one of the tools; returns what it prints. Raises BootImageError that begins with `failure`."""
    environment = {**os.environ, "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C", "TZ": "UTC", "SOURCE_DATE_EPOCH": _FIXED_TIME}
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, env=environment)
    except OSError as error:
        raise BootImageError(f"{failure}: {command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        words = (done.stderr.decode("utf-8", "replace").strip() or done.stdout.decode("utf-8", "replace").strip()).splitlines()[-1:] or [""]
        raise BootImageError(f"{failure}: {words[0]}")
    return done.stdout
