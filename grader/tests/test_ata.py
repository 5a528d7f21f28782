"""The ATA driver: on Bochs's disk sector by sector, on QEMU's with several disks, and with disks that fail."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.disk import build_program_disk
from profiles import built
from scripted import Boots, Script, boots
from test_monitor import PROMPT, Console
from volume_model import checksum, pattern

SECTOR = 512


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("ata"))


@pytest.fixture
def image(tmp_path) -> Path:
    return tmp_path / "disk.img"


def word(text: str) -> int:
    return int.from_bytes(text.encode(), "little")


def test_a_machine_without_a_disk_has_none_and_looking_for_it_costs_next_to_nothing(boot):
    script = Script()
    count = script.add("disk.count")
    opened = script.add("volume.open f")
    run = boot(script)
    run.target.breakpoint("_Z14initialize_atav")
    run.target.breakpoint("_ZN2mm6spaces10initializeEv")
    begin, end = run.target.resume(), run.target.resume()
    assert begin.symbol == "_Z14initialize_atav" and end.symbol == "_ZN2mm6spaces10initializeEv"
    assert end.ticks - begin.ticks < 300, "some reads of ports"
    run.to_end()
    assert run.value(count) == 0 and run.error(opened) == "NotFound"
    assert "no FAT16 volume" not in run.text()


def test_the_disk_says_how_large_it_is(boot, image):
    image.write_bytes(bytes(4097 * SECTOR))
    script = Script()
    count, about = script.add("disk.count"), script.add("disk.about 0")
    run = boot(script, disk=image)
    run.to_end()
    assert run.value(count) == 1
    assert run.values(about) == (4097, word("ata0"))


def test_every_sector_is_read_whatever_the_requests_size(boot, image):
    sectors = 2500
    contents = random.Random(4).randbytes(sectors * SECTOR)
    image.write_bytes(contents)
    script = Script()
    requests = [(0, 1), (1, 255), (256, 256), (512, 257), (769, 700), (1469, 1031)]  # a command moves 256 at most
    assert sum(count for _, count in requests) == sectors
    reads = [script.add(f"disk.read 0 {first} {count}") for first, count in requests]
    run = boot(script, disk=image)
    run.to_end()
    for number, (first, count) in zip(reads, requests):
        assert run.value(number) == checksum(contents[first * SECTOR : (first + count) * SECTOR]), (first, count)
    assert image.read_bytes() == contents


def test_what_is_written_is_on_the_image_and_nowhere_else(boot, image):
    sectors = 1000
    contents = bytearray(random.Random(5).randbytes(sectors * SECTOR))
    image.write_bytes(contents)
    script = Script()
    writes = [(0, 1, 1), (999, 1, 2), (100, 300, 3), (7, 2, 4), (399, 256, 5)]
    for first, count, seed in writes:
        script.add(f"disk.write 0 {first} {count} {seed}")
        contents[first * SECTOR : (first + count) * SECTOR] = pattern(seed, 0, count * SECTOR)
    read = script.add("disk.read 0 0 1000")
    run = boot(script, disk=image)
    run.to_end()
    assert not any(record.error for record in run.records().values())
    assert image.read_bytes() == contents
    assert run.value(read) == checksum(contents)


def test_past_the_end_nothing_is_read_or_written(boot, image):
    contents = random.Random(6).randbytes(100 * SECTOR)
    image.write_bytes(contents)
    script = Script()
    outside = [(100, 1), (99, 2), (0, 101), (0xFFFFFFFF, 1), (0xFFFFFFFF, 2), (1 << 28, 1)]
    lines = [script.add(f"disk.{verb} 0 {first} {count}{' 1' if verb == 'write' else ''}") for verb in ("read", "write") for first, count in outside]
    nothing = script.add("disk.read 0 100 0")
    last = script.add("disk.read 0 99 1")
    run = boot(script, disk=image)
    run.to_end()
    assert {run.error(number) for number in lines} == {"OutOfRange"}
    assert run.error(nothing) == "" and run.value(last) == checksum(contents[99 * SECTOR :])
    assert image.read_bytes() == contents


# QEMU: disks at every place, and disks whose sectors cannot be read or written.


@pytest.fixture(scope="module")
def elf() -> Path:
    return built("default")


def drive(index: int, path: Path | str, *more: str) -> list[str]:
    return ["-drive", ",".join([f"file={path}", "format=raw", "if=ide", f"index={index}", *more])]


def test_all_four_places_are_looked_at_and_a_cd_is_no_disk(elf, tmp_path):
    images = [tmp_path / f"{index}.img" for index in range(3)]
    build_program_disk(images[0], {"first": b"I am the first"}, megabytes=3)
    for size, path in ((5000, images[1]), (6000, images[2])):
        path.write_bytes(bytes(size * SECTOR))
    cd = tmp_path / "cd.iso"
    cd.write_bytes(bytes(1 << 20))
    drives = [*drive(0, images[0]), *drive(1, images[1]), *drive(2, cd, "media=cdrom"), *drive(3, images[2])]
    console = Console(elf, "monitor", drives)
    try:
        console.until(PROMPT)
        answer = console.run("disks")
        assert re.findall(r"^(ata\d) +(\d+) sectors", answer, re.MULTILINE) == [("ata0", "8192"), ("ata1", "5000"), ("ata2", "6000")]
        assert console.run("cat first") == "I am the first\n"
    finally:
        console.close()


def test_a_disk_at_the_second_channel_alone_is_found(elf, tmp_path):
    image = tmp_path / "disk.img"
    build_program_disk(image, {"f": b"found"}, megabytes=3)
    console = Console(elf, "monitor", ["-nodefaults", *drive(3, image)])
    try:
        console.until(PROMPT)
        assert console.run("cat f") == "found\n"
    finally:
        console.close()


def test_an_error_of_the_disk_is_an_error_of_the_call_and_the_next_works(elf, tmp_path):
    """QEMU answers requests for two sectors as a broken disk does: with the error bit in the status register."""
    image, rules = tmp_path / "disk.img", tmp_path / "rules"
    build_program_disk(image, {"bad": b"unreadable" * 60, "good": b"readable"}, megabytes=3)
    sector = image.read_bytes().index(b"unreadable") // SECTOR
    rules.write_text(f'[inject-error]\nevent = "read_aio"\nerrno = "5"\nsector = "{sector}"\nonce = "off"\n')
    console = Console(elf, "monitor", drive(0, f"blkdebug:{rules}:{image}", "rerror=report", "werror=report"))
    try:
        console.until(PROMPT)
        assert console.run("cat bad") == "cat: DeviceError\n"
        assert console.run("cat good") == "readable\n"
        assert console.run("cat bad") == "cat: DeviceError\n"
        assert console.run("put new words") == "" and console.run("cat new") == "words\n\n"
    finally:
        console.close()
    assert subprocess.run(["grep", "-c", "words", image], capture_output=True).stdout.strip() == b"1"
