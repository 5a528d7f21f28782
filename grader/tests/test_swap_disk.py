"""Swap disks as the host makes and reads them, and the options that ask for one. No machine is booted here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from emulator.elf import BootImageError
from emulator.machine import Machine
from emulator.qemu import qemu_command
from emulator.swap_disk import LAST_PAGE, PAGE_BYTES, SwapDisk, area_start, read_header, read_slot, write_slot
from emulator.volume import PARTITION_START

RUN = Path(__file__).resolve().parents[1] / "emulator" / "run.py"


@pytest.fixture
def image(tmp_path) -> Path:
    return tmp_path / "swap.img"


@pytest.mark.parametrize("disk, slots", [
    (SwapDisk(kib=40), 10),
    (SwapDisk(kib=4096), 1024),
    (SwapDisk(kib=43), 10),  # three quarters of a page are left over
    (SwapDisk(kib=64, more_bytes=PAGE_BYTES - 1), 16),
    (SwapDisk(kib=64, more_bytes=PAGE_BYTES), 17),
])
def test_the_header_is_mkswaps_and_says_the_whole_pages(image, disk, slots):
    disk.write(image)
    header = read_header(image)
    assert (header.version, header.last_page, header.bad, header.label) == (1, slots - 1, (), "FAULTLINE")
    assert disk.slots == slots and image.stat().st_size == disk.kib * 1024 + disk.more_bytes
    assert subprocess.run(["/usr/sbin/blkid", "-p", "-o", "value", "-s", "TYPE", image], capture_output=True).stdout == b"swap\n"


def test_the_same_call_makes_the_same_bytes(image, tmp_path):
    disk, other = SwapDisk(kib=100, bad=(7,)), tmp_path / "other.img"
    image.write_bytes(b"what was there before" * 100000)
    disk.write(image)
    disk.write(other)
    assert image.read_bytes() == other.read_bytes()
    assert image.read_bytes()[PAGE_BYTES:] == bytes(100 * 1024 - PAGE_BYTES)


def test_an_area_that_is_too_small_for_mkswap_is_refused_with_its_words(image):
    with pytest.raises(BootImageError, match="40 KiB"):
        SwapDisk(kib=36).write(image)


def test_slots_are_read_and_written_where_the_area_is(image):
    page = bytes(range(256)) * 16
    for disk in (SwapDisk(kib=64), SwapDisk(kib=64, partition=True)):
        disk.write(image)
        write_slot(image, 15, page)
        assert area_start(image) == disk.start == (PARTITION_START if disk.partition else 0)
        assert read_slot(image, 15) == page == image.read_bytes()[disk.start + 15 * PAGE_BYTES:]
        assert read_slot(image, 14) == bytes(PAGE_BYTES) and read_header(image).last_page == 15
        with pytest.raises(ValueError, match="no slot 16"):
            read_slot(image, 16)


def test_bad_pages_and_patches_are_in_the_header(image):
    SwapDisk(kib=64, bad=(9, 3), patches=((LAST_PAGE, b"\x0c\0\0\0"),)).write(image)
    header = read_header(image)
    assert header.bad == (9, 3) and header.last_page == 12
    with pytest.raises(ValueError, match="637"):
        SwapDisk(kib=4096, bad=tuple(range(1, 639))).write(image)


def test_qemu_gets_the_swap_disk_at_the_second_channel_whether_there_is_a_first_or_not():
    drives = [[word for word in qemu_command(Machine(16), "/dev/pts/1", kernel=Path("k"), disk=disk, swap=Path("s")) if "index=" in word]
              for disk in (None, Path("d"))]
    assert drives[0] == ["file=s,format=raw,if=ide,index=2,cache=unsafe"]
    assert drives[1] == ["file=d,format=raw,if=ide,index=0,cache=unsafe", *drives[0]]


@pytest.mark.parametrize("size", ["-1", "many", "65537", "1.5"])
def test_a_size_that_cannot_be_is_refused(size):
    done = subprocess.run([RUN, "--elf", "kernel.elf", f"--swap={size}"], capture_output=True, text=True)
    assert done.returncode == 2 and "a swap disk has 0 to 65536 MiB" in done.stderr
