"""Swap disks: made by the host's own mkswap, damaged where a test wants that, and read from outside.

    swap = SwapDisk(kib=256, bad=(3, 17))
    swap.write(image)                      # the same SwapDisk gives the same bytes
    read_slot(image, 5)                    # what the kernel has written there: 4096 bytes
    read_header(image).bad                 # (3, 17)

The layout is Linux's (mkswap(8), include/linux/swap.h): slot 0 is the header, all numbers are little-endian, slots are pages.
"""

from __future__ import annotations

import functools
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from emulator.machine import KIB
from emulator.volume import PARTITION_START, PARTITION_TABLE, SECTOR_BYTES, run_tool, write_partition_table

PAGE_BYTES = 4096
SWAP_TYPE = 0x82  # of a partition
MAX_BAD = 637

# Places in the header.
VERSION, LAST_PAGE, BAD_COUNT, BAD_PAGES, MAGIC = 1024, 1028, 1032, 1536, 4086

_MKSWAP = "/sbin/mkswap"  # of util-linux, which every Debian has
_UUID = "fa017111-5a4b-4c5d-8e6f-000000000009"
_LABEL = "FAULTLINE"
_ENTRY = struct.Struct("<B3sB3sII")


@dataclass(frozen=True)
class SwapDisk:
    """A disk that is a swap area, or has one in its only partition."""

    kib: int = 4096  # of the area; mkswap rounds down to pages, and wants 40
    bad: tuple[int, ...] = ()  # slots that the header lists as bad
    partition: bool = False  # in a partition at 1 MiB
    more_bytes: int = 0  # behind the area's last KiB; Bochs takes disks of whole sectors only
    patches: tuple[tuple[int, bytes], ...] = ()  # what is written over the area afterwards: place and bytes

    @property
    def start(self) -> int:
        """Where on the disk the area begins, in bytes."""
        return PARTITION_START if self.partition else 0

    @property
    def area_bytes(self) -> int:
        return self.kib * KIB + self.more_bytes

    @property
    def slots(self) -> int:
        """Pages of the area, header and bad ones included, if no patch says otherwise."""
        return self.area_bytes // PAGE_BYTES

    def write(self, image: Path) -> None:
        """Writes the image; all but the header is a hole."""
        header = _made_by_mkswap(self.area_bytes)
        if self.bad:
            if len(self.bad) > MAX_BAD:
                raise ValueError(f"a swap header lists {MAX_BAD} bad pages at most")
            header = _patched(header, BAD_COUNT, struct.pack("<I", len(self.bad)))
            header = _patched(header, BAD_PAGES, struct.pack(f"<{len(self.bad)}I", *self.bad))
        if self.partition:
            write_partition_table(image, self.area_bytes // SECTOR_BYTES * SECTOR_BYTES, kind=SWAP_TYPE)
        else:
            image.write_bytes(b"")
        with image.open("r+b") as file:
            file.truncate(self.start + self.area_bytes)
            for place, data in ((0, header), *self.patches):
                file.seek(self.start + place)
                file.write(data)


@dataclass(frozen=True)
class Header:
    """What a swap area says of itself."""

    version: int
    last_page: int
    bad: tuple[int, ...]
    label: str


def area_start(image: Path) -> int:
    """Where on the image its swap area begins, in bytes: in its first partition of the type, or else the whole disk."""
    with image.open("rb") as file:
        sector = file.read(SECTOR_BYTES)
    if sector[510:512] == b"\x55\xaa":
        for _, _, kind, _, first, _ in _ENTRY.iter_unpack(sector[PARTITION_TABLE:PARTITION_TABLE + 4 * _ENTRY.size]):
            if kind == SWAP_TYPE:
                return first * SECTOR_BYTES
    return 0


def read_slot(image: Path, slot: int) -> bytes:
    """The 4096 bytes of a slot, even while a machine runs with this disk: Bochs writes through to the file."""
    with image.open("rb") as file:
        file.seek(area_start(image) + slot * PAGE_BYTES)
        data = file.read(PAGE_BYTES)
    if len(data) < PAGE_BYTES:
        raise ValueError(f"{image} has no slot {slot}")
    return data


def write_slot(image: Path, slot: int, data: bytes) -> None:
    """Puts a page into a slot from outside."""
    if len(data) != PAGE_BYTES:
        raise ValueError("a slot has 4096 bytes")
    with image.open("r+b") as file:
        file.seek(area_start(image) + slot * PAGE_BYTES)
        file.write(data)


def read_header(image: Path) -> Header:
    """The header; ValueError when there is none."""
    page = read_slot(image, 0)
    if page[MAGIC:] != b"SWAPSPACE2":
        raise ValueError(f"{image} is no swap area")
    version, last_page, bad_count = struct.unpack_from("<3I", page, VERSION)
    bad = struct.unpack_from(f"<{min(bad_count, MAX_BAD)}I", page, BAD_PAGES)
    label = page[BAD_COUNT + 20:BAD_COUNT + 36].rstrip(b"\0").decode("ascii", "replace")
    return Header(version, last_page, bad, label)


@functools.lru_cache(maxsize=64)
def _made_by_mkswap(area_bytes: int) -> bytes:
    """The header that mkswap writes for an area of this size."""
    with tempfile.TemporaryDirectory(prefix="faultline-swap-") as scratch:
        area = Path(scratch) / "area"
        area.touch(mode=0o600)
        with area.open("r+b") as file:
            file.truncate(area_bytes)
        run_tool([_MKSWAP, "--quiet", "--pagesize", str(PAGE_BYTES), "--uuid", _UUID, "--label", _LABEL, str(area)], "cannot make a swap area")
        with area.open("rb") as file:
            return file.read(PAGE_BYTES)


def _patched(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new):]
