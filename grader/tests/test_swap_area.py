"""The swap area: what is found and checked at boot, damaged headers by name, pages between slots and frames, and disks that fail."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.disk import build_program_disk
from emulator.swap_disk import BAD_COUNT, BAD_PAGES, LAST_PAGE, MAGIC, MAX_BAD, PAGE_BYTES, SWAP_TYPE, VERSION, SwapDisk
from emulator.swap_disk import read_header, read_slot, write_slot
from emulator.volume import PARTITION_START, PARTITION_TABLE, SECTOR_BYTES
from judge.image import KernelImage
from profiles import built
from program_boots import booter
from scripted import Boots, Run, Script, boots
from test_monitor import PROMPT, Console
from volume_model import checksum, pattern

HIGH_MEGABYTES = 272  # 16 MiB of them in the High zone
FIRST_HIGH_FRAME = 0x10000
FLUSH = 1  # commands of the driver behind every write


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("swap-area"))


@pytest.fixture
def image(tmp_path) -> Path:
    return tmp_path / "swap.img"


class Area(Script):
    """A script of grader/guest/swap_area_verbs.cpp."""

    def about(self) -> int:
        return self.add("swaparea.about")

    def write(self, first: int, count: int, seed: int, zone: str = "normal") -> int:
        return self.add(f"swaparea.write {first} {count} {seed} {zone}")

    def read(self, first: int, count: int, zone: str = "normal") -> int:
        return self.add(f"swaparea.read {first} {count} {zone}")

    def statistics(self) -> int:
        """Commands that read and wrote, pages read and written, errors of both, ticks."""
        return self.add("swaparea.statistics")


def word(text: str) -> int:
    return int.from_bytes(text.encode()[:4], "little")


def pages_of(seed: int, count: int) -> list[bytes]:
    return [pattern(seed, page * PAGE_BYTES, PAGE_BYTES) for page in range(count)]


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def said(run: Run) -> list[str]:
    """What the boot said of swapping."""
    return [line for line in run.text().splitlines() if line.startswith("swap")]


# What is found at boot.


def test_without_a_disk_there_is_no_area_and_no_word_of_it(boot):
    script = Area()
    about, write, read = script.about(), script.write(1, 1, 1), script.read(1, 1)
    run = boot(script)
    run.to_end()
    assert run.values(about) == (0, 0, 0, 0) and said(run) == []
    assert run.error(write) == run.error(read) == "OutOfRange"


@pytest.mark.parametrize("more_bytes, slots", [(0, 64), (1 * SECTOR_BYTES, 64), (7 * SECTOR_BYTES, 64), (8 * SECTOR_BYTES, 65)])
def test_a_disk_of_any_size_has_its_whole_pages(boot, image, more_bytes, slots):
    SwapDisk(kib=256, more_bytes=more_bytes).write(image)
    script = Area()
    about = script.about()
    last, past, over = script.write(slots - 1, 1, 9), script.write(slots, 1, 9), script.write(slots - 1, 2, 9)
    header, far = script.write(0, 1, 9), script.write(0xFFFFFFFF, 2, 9)
    nothing = script.write(1, 0, 9)
    run = boot(script, swap=image)
    run.to_end()
    assert run.values(about) == (slots, 0, 1, word("ata0")) and said(run) == [f"swap: ata0, {slots * 4} KiB"]
    assert "FAT16" not in run.text(), "a disk that is meant for swapping needs no volume"
    assert {run.error(number) for number in (past, over, header, far)} == {"OutOfRange"}
    assert not run.error(last) and not run.error(nothing)
    assert read_slot(image, slots - 1) == pages_of(9, 1)[0]
    assert read_header(image).last_page == slots - 1 and image.stat().st_size == 256 * 1024 + more_bytes


def test_beside_a_volume_the_area_is_on_the_second_disk(boot, image, tmp_path):
    disk = tmp_path / "disk.img"
    build_program_disk(disk, {"f": b"a file"}, megabytes=3)
    before = disk.read_bytes()
    SwapDisk(kib=256).write(image)
    script = Area()
    about, write, opened = script.about(), script.write(1, 8, 5), script.add("volume.open f")
    run = boot(script, disk=disk, swap=image)
    run.to_end()
    assert run.values(about) == (64, 0, 1, word("ata1")) and said(run) == ["swap: ata1, 256 KiB"]
    assert not run.error(opened) and not run.error(write)
    assert disk.read_bytes() == before and read_slot(image, 8) == pages_of(5, 8)[7]


def test_a_partition_for_swapping_is_used_inside_its_bounds_only(boot, image):
    SwapDisk(kib=64, partition=True).write(image)
    with image.open("ab") as file:
        file.write(b"behind" * 1000 + bytes(144))  # to a whole sector
    before = image.read_bytes()
    script = Area()
    about = script.about()
    first, last, past, over = script.write(1, 1, 3), script.write(8, 8, 4), script.write(16, 1, 5), script.write(9, 8, 5)
    run = boot(script, swap=image)
    run.to_end()
    assert run.values(about)[:3] == (16, 0, 1) and said(run) == ["swap: ata0p1, 64 KiB"]
    assert (run.error(first), run.error(last), run.error(past), run.error(over)) == ("", "", "OutOfRange", "OutOfRange")
    area = bytearray(before)
    area[PARTITION_START + PAGE_BYTES:PARTITION_START + 2 * PAGE_BYTES] = pages_of(3, 1)[0]
    area[PARTITION_START + 8 * PAGE_BYTES:PARTITION_START + 16 * PAGE_BYTES] = b"".join(pages_of(4, 8))
    assert image.read_bytes() == area


def add_partition(image: Path, entry: int, first: int, sectors: int) -> None:
    """An entry for swapping in a partition table that is there already."""
    with image.open("r+b") as file:
        file.seek(PARTITION_TABLE + 16 * entry)
        file.write(struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", SWAP_TYPE, b"\xfe\xff\xff", first, sectors))


def test_volume_and_swap_partition_share_a_disk(boot, image, tmp_path):
    """And a partition for swapping comes before a whole disk."""
    disk, alone = tmp_path / "disk.img", tmp_path / "area.img"
    build_program_disk(disk, {"f": b"a file"}, megabytes=3)
    SwapDisk(kib=128).write(alone)
    end = disk.stat().st_size
    with disk.open("ab") as file:
        file.write(alone.read_bytes())
    add_partition(disk, 2, end // SECTOR_BYTES, 128 * 1024 // SECTOR_BYTES)
    SwapDisk(kib=256).write(image)
    script = Area()
    about, write, opened = script.about(), script.write(31, 1, 5), script.add("volume.open f")
    run = boot(script, disk=disk, swap=image)
    run.to_end()
    assert run.values(about)[:3] == (32, 0, 1) and said(run) == ["swap: ata0p3, 128 KiB"]
    assert not run.error(opened) and not run.error(write)
    assert disk.read_bytes()[end + 31 * PAGE_BYTES:] == pages_of(5, 1)[0]


def test_a_disk_with_a_volume_is_never_taken_as_a_whole(boot, tmp_path):
    disk = tmp_path / "disk.img"
    build_program_disk(disk, {"f": b"a file"}, megabytes=3)
    SwapDisk(kib=3 << 10).write(tmp_path / "area.img")
    header = (tmp_path / "area.img").read_bytes()[VERSION:PAGE_BYTES]
    with disk.open("r+b") as file:  # as if mkswap had been given the wrong name: nothing of the volume is in its way
        file.seek(VERSION)
        file.write(header)
    script = Area()
    about, opened = script.about(), script.add("volume.open f")
    run = boot(script, disk=disk)
    run.to_end()
    assert run.values(about) == (0, 0, 0, 0) and said(run) == [] and not run.error(opened)


def test_a_partition_past_the_disks_end_is_not_used(boot, image):
    SwapDisk(kib=64, partition=True).write(image)
    add_partition(image, 0, PARTITION_START // SECTOR_BYTES, 129)
    script = Area()
    about = script.about()
    run = boot(script, swap=image)
    run.to_end()
    assert run.values(about)[2] == 0 and said(run)[0] == "swap: ata0: a partition for swapping past the disk's end"


def test_swap_off_leaves_every_disk_alone(boot, image):
    SwapDisk(kib=256).write(image)
    script = Area()
    about = script.about()
    run = boot(script, swap=image, options="swap=off")
    run.to_end()
    assert run.values(about) == (0, 0, 0, 0) and said(run) == []


# Headers, of which nothing is believed.

CORRUPT = "header corrupt: "
LAST = 63  # the last slot of 256 KiB
HEADERS = {
    "nothing at all": ("no swap header", (MAGIC, bytes(10)), (VERSION, bytes(64))),
    "another magic": ("no swap header", (MAGIC, b"SWAPSPACE1")),
    "version 0, of old": (CORRUPT + "its version is not 1", (MAGIC, b"SWAP-SPACE")),
    "version 2": (CORRUPT + "its version is not 1", (VERSION, words(2))),
    "another byte order": (CORRUPT + "its version is not 1", (VERSION, b"\0\0\0\1")),
    "nine pages": (CORRUPT + "fewer than 10 pages", (LAST_PAGE, words(8))),
    "no page": (CORRUPT + "fewer than 10 pages", (LAST_PAGE, words(0))),
    "one page too many": (CORRUPT + "more pages than the device has", (LAST_PAGE, words(LAST + 1))),
    "all the pages there are": (CORRUPT + "more pages than the device has", (LAST_PAGE, words(0xFFFFFFFF))),
    "too many bad pages": (CORRUPT + "its list of bad pages is damaged", (BAD_COUNT, words(MAX_BAD + 1)), (BAD_PAGES, words(*range(1, MAX_BAD + 1)))),
    "bad pages without number": (CORRUPT + "its list of bad pages is damaged", (BAD_COUNT, words(0xFFFFFFFF))),
    "a bad header": (CORRUPT + "its list of bad pages is damaged", (BAD_COUNT, words(2)), (BAD_PAGES, words(5, 0))),
    "a bad page past the end": (CORRUPT + "its list of bad pages is damaged", (BAD_COUNT, words(2)), (BAD_PAGES, words(5, LAST + 1))),
    "a page that is bad twice": (CORRUPT + "its list of bad pages is damaged", (BAD_COUNT, words(3)), (BAD_PAGES, words(9, 5, 9))),
    "nothing but bad pages": (CORRUPT + "its list of bad pages is damaged", (BAD_COUNT, words(LAST)), (BAD_PAGES, words(*range(1, LAST + 1)))),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_damaged_header_is_named_and_the_disk_left_alone(boot, image, case):
    sentence, *patches = HEADERS[case]
    SwapDisk(kib=256, patches=tuple(patches)).write(image)
    before = image.read_bytes()
    script = Area()
    about, bad, write, read = script.about(), script.add("swaparea.is_bad 5"), script.write(1, 1, 1), script.read(1, 1)
    run = boot(script, swap=image)
    run.to_end()
    assert said(run) == [f"swap: ata0: {sentence}"]
    assert run.values(about) == (0, 0, 0, 0) and run.value(bad) == 0
    assert run.error(write) == run.error(read) == "OutOfRange" and image.read_bytes() == before


def test_a_header_that_cannot_be_read_is_named_too(boot, image):
    SwapDisk(kib=256).write(image)
    script = Area()
    about = script.about()
    run = boot(script, swap=image, options="swap_fault=slot:0")
    run.to_end()
    assert said(run) == ["swap: ata0: the device cannot be read"] and run.values(about) == (0, 0, 0, 0)


def test_a_disk_that_is_too_short_for_a_header_is_none(boot, image):
    image.write_bytes(bytes(7 * SECTOR_BYTES))
    script = Area()
    about = script.about()
    run = boot(script, swap=image)
    run.to_end()
    assert said(run) == ["swap: ata0: no swap header"] and run.values(about)[2] == 0


def test_an_area_may_be_smaller_than_its_disk(boot, image):
    SwapDisk(kib=256, patches=((LAST_PAGE, words(9)),)).write(image)
    script = Area()
    about, last, past = script.about(), script.write(9, 1, 1), script.write(10, 1, 1)
    run = boot(script, swap=image)
    run.to_end()
    assert run.values(about)[0] == 10 and said(run) == ["swap: ata0, 40 KiB"]
    assert (run.error(last), run.error(past)) == ("", "OutOfRange")


@pytest.mark.parametrize("bad", [(LAST,), (40, 3, 17, 1, LAST, 2), "as many as there may be"], ids=["the last", "in no order", "637"])
def test_bad_pages_are_known_whatever_their_order(boot, image, bad):
    kib = 256
    if isinstance(bad, str):
        kib, bad = 4096, tuple(random.Random(7).sample(range(1, 1024), MAX_BAD))
    SwapDisk(kib=kib, bad=bad).write(image)
    asked = range(64) if kib == 256 else [*range(0, 1024, 5), 1023]
    script = Area()
    about = script.about()
    answers = {slot: script.add(f"swaparea.is_bad {slot}") for slot in asked}
    run = boot(script, swap=image)
    run.to_end()
    records = run.records()
    assert {slot for slot, number in answers.items() if records[number].values[0]} == set(bad) & set(asked)
    assert run.values(about)[:2] == (kib // 4, len(bad)) and said(run) == [f"swap: ata0, {kib} KiB, {len(bad)} bad pages"]


def test_one_area_at_a_time_and_another_after_it(boot, image, tmp_path):
    second = tmp_path / "second.img"
    SwapDisk(kib=256).write(image)
    SwapDisk(kib=64).write(second)
    script = Area()
    busy = script.add("swaparea.open 1")
    kept = script.about()
    script.add("swaparea.close")
    closed, opened, other = script.about(), script.add("swaparea.open 1"), script.about()
    run = boot(script, disk=image, swap=second)
    run.to_end()
    errors = {name: number for number, name in enumerate(("None", "OutOfMemory", "Unsupported", "InvalidArgument", "Misaligned", "OutOfRange",
                                                          "NotAllocated", "NotMapped", "Busy"))}
    assert run.values(busy) == (0, errors["Busy"]) and run.values(opened) == (0, 0)
    assert [run.values(number)[0] for number in (kept, closed, other)] == [64, 0, 16]


# Pages.


@pytest.mark.parametrize("zone", ["dma", "normal", "high"])
def test_what_the_kernel_writes_the_host_reads_and_the_other_way_round(boot, image, zone):
    SwapDisk(kib=512).write(image)
    contents = [random.Random(slot).randbytes(PAGE_BYTES) for slot in range(1, 101)]
    for slot, page in enumerate(contents, 1):
        write_slot(image, slot, page)
    requests = [(1, 1), (2, 7), (9, 8), (17, 9), (60, 16), (76, 25)]
    script = Area()
    reads = [script.read(first, count, zone) for first, count in requests]
    writes = [script.write(first, count, 11 + first, zone) for first, count in requests]
    script.checkpoint("written")
    again = [script.read(first, count, zone) for first, count in requests]
    run = boot(script, swap=image, megabytes=HIGH_MEGABYTES if zone == "high" else 32)
    run.to_checkpoint("written")  # the machine is stopped: all is in the file already
    for (first, count), number in zip(requests, reads):
        assert run.values(number)[1:] == tuple(checksum(page) for page in contents[first - 1:first - 1 + count]), (first, count)
        contents[first - 1:first - 1 + count] = pages_of(11 + first, count)
    assert [read_slot(image, slot) for slot in range(1, 101)] == contents
    assert read_header(image).last_page == 127
    highest = [run.value(number) for number in reads + writes]
    assert all((frame >= FIRST_HIGH_FRAME) == (zone == "high") and (frame < 4096) == (zone == "dma") for frame in highest), highest
    run.to_end()
    for (first, count), number in zip(requests, again):
        assert run.values(number)[1:] == tuple(map(checksum, pages_of(11 + first, count)))


def driver_commands(run: Run):
    """Counts the commands that the ATA driver gives."""
    symbols = KernelImage(built("grading")).symbols
    (address,) = [value for name, value in symbols.items() if name.startswith("(anonymous namespace)::give_command(")]
    return run.target.count_hits_at({"commands": address})


@pytest.mark.parametrize("partition, zone", [(False, "normal"), (True, "high")])
def test_pages_go_eight_to_a_command(boot, image, partition, zone):
    SwapDisk(kib=512, partition=partition).write(image)
    sizes = [1, 2, 7, 8, 9, 16, 17]
    script, numbers = Area(), []
    script.checkpoint("before")
    for index, count in enumerate(sizes):
        numbers.append((count, script.write(20, count, index, zone), script.statistics(), script.read(20, count, zone), script.statistics()))
        script.checkpoint(f"after-{index}")
    run = boot(script, swap=image, megabytes=HIGH_MEGABYTES if zone == "high" else 32)
    run.to_checkpoint("before")  # the boot has given commands of its own
    counter, total = driver_commands(run), 0
    commands = pages = ticks = 0
    for index, (count, write, written, read, done) in enumerate(numbers):
        run.to_checkpoint(f"after-{index}")
        commands, pages, before = commands + -(-count // 8), pages + count, commands
        assert run.values(written)[:6] == (before, commands, pages - count, pages, 0, 0)
        assert run.values(done)[:6] == (commands, commands, pages, pages, 0, 0)
        total += (2 + FLUSH) * -(-count // 8)
        assert counter.read() == {"commands": total}, "what the statistics say is what the driver did"
        records = run.records()
        for operation, figures in ((write, written), (read, done)):
            device = run.values(figures)[6] - ticks
            ticks += device
            assert count * 2048 < device < records[operation].ticks, "a word is moved in a tick; not all ticks are the device's"
    run.to_end()


def test_each_boot_of_a_scenario_has_a_fresh_disk_that_probe_and_test_can_read(tmp_path):
    with booter(tmp_path) as machine:
        first = machine()
        first.swap = SwapDisk(kib=64)
        first.op("swaparea.write", 1, 2, 5, "normal")
        seen = first.checkpoint("written", lambda probe: read_slot(probe.swap_image, 2), tables=False)
        first.op("swaparea.write", 2, 1, 6, "normal")
        second = first.second_machine()
        untouched = second.op("swaparea.read", 1, 2, "normal")
        run, other = first.boot(), second.boot()
        assert seen.probe == pages_of(5, 2)[1]
        assert [read_slot(run.swap_image, slot) for slot in (1, 2)] == [pages_of(5, 1)[0], pages_of(6, 1)[0]]
        assert untouched.values[1:] == [checksum(bytes(PAGE_BYTES))] * 2 and not any(read_slot(other.swap_image, 2))
        plain = machine()
        assert plain.boot().swap_image is None


# Disks that fail.


def test_the_nth_page_fails_and_the_others_do_not(boot, image):
    SwapDisk(kib=256).write(image)
    script = Area()
    writes = [script.write(slot, 1, slot) for slot in range(1, 7)]
    reads = [script.read(slot, 1) for slot in range(1, 7)]
    statistics = script.statistics()
    run = boot(script, swap=image, options="swap_fault=write:3,read:2,read:5")
    run.to_end()
    assert [run.error(number) for number in writes] == ["", "", "DeviceError", "", "", ""]
    assert [run.error(number) for number in reads] == ["", "DeviceError", "", "", "DeviceError", ""]
    assert read_slot(image, 3) == bytes(PAGE_BYTES) and read_slot(image, 4) == pages_of(4, 1)[0]
    assert run.value(reads[2]) and run.values(reads[2])[1] == checksum(bytes(PAGE_BYTES))
    assert run.values(statistics)[:6] == (6, 6, 4, 5, 2, 1)


def test_from_the_nth_page_on_all_fail_and_a_slot_fails_always(boot, image):
    SwapDisk(kib=256).write(image)
    script = Area()
    writes = [script.write(slot, 1, slot) for slot in (1, 7, 2, 3, 4, 5, 6)]
    reads = [script.read(slot, 1) for slot in (1, 7, 2, 7)]
    run = boot(script, swap=image, options="swap_fault=slot:7,write:5+")
    run.to_end()
    assert [run.error(number) for number in writes] == ["", "DeviceError", "", "", "DeviceError", "DeviceError", "DeviceError"]
    assert [run.error(number) for number in reads] == ["", "DeviceError", "", "DeviceError"]


def test_a_command_with_a_page_that_fails_fails_as_a_whole_and_ends_the_request(boot, image):
    SwapDisk(kib=512).write(image)
    script = Area()
    inside = script.write(1, 4, 1)  # pages 1 to 4 of those that are written
    second = script.write(10, 20, 2)  # 5 to 12, 13 to 20; the rest never begins
    after = script.write(40, 8, 3)
    slot = script.read(40, 8)
    run = boot(script, swap=image, options="swap_fault=write:4,write:13,slot:47")
    run.to_end()
    assert [run.error(number) for number in (inside, second, after, slot)] == ["DeviceError", "DeviceError", "DeviceError", "DeviceError"]
    written = {number: read_slot(image, number) for number in range(1, 60)}
    assert {number for number, page in written.items() if any(page)} == set(range(10, 18)), "the second request's first command alone"
    assert [written[number] for number in range(10, 18)] == pages_of(2, 8)


def test_rules_can_be_changed_while_the_machine_runs(boot, image):
    SwapDisk(kib=256).write(image)
    script = Area()
    before = script.write(1, 3, 1)
    script.add("swaparea.faults write:2")
    first, second, third = (script.write(5, 1, 2) for _ in range(3))
    script.add("swaparea.faults slot:9")
    wrong = script.add("swaparea.faults slot:10,")
    slots = [script.write(slot, 1, 3) for slot in (9, 10)]
    script.add("swaparea.faults write:1+")
    script.add("swaparea.faults -")
    cleared = script.write(9, 2, 4)
    run = boot(script, swap=image)
    run.to_end()
    assert [run.error(number) for number in (before, first, second, third)] == ["", "", "DeviceError", ""]
    assert run.error(wrong) == "InvalidArgument" and [run.error(number) for number in slots] == ["", ""], "no rule is left then"
    assert not run.error(cleared)


WRONG_RULES = ["wirte:3", "write", "write:", "write:0", "write:x", "write:4294967296", "slot:3+", "write:1;read:1", ",", "read:1,,read:2", "slot:1,"]


def test_a_wrong_rule_is_said_at_boot_and_none_is_in_force(boot, image):
    SwapDisk(kib=256).write(image)
    script = Area()
    write = script.write(1, 8, 1)
    wrong = [script.add(f"swaparea.faults {rules}") for rules in WRONG_RULES]
    many = script.add("swaparea.faults " + ",".join(f"slot:{slot}" for slot in range(1, 10)))
    still = script.write(1, 8, 1)
    run = boot(script, swap=image, options="swap_fault=slot:1,read:two")
    run.to_end()
    assert said(run) == ["swap_fault: InvalidArgument: write with commas between: read:N, read:N+, write:N, write:N+, slot:N", "swap: ata0, 256 KiB"]
    assert not run.error(write) and not run.error(still)
    assert {run.error(number) for number in wrong} == {"InvalidArgument"} and run.error(many) == "NoSpace"


def test_eight_rules_are_not_too_many(boot, image):
    SwapDisk(kib=256).write(image)
    script = Area()
    writes = [script.write(slot, 1, 1) for slot in range(1, 10)]
    run = boot(script, swap=image, options="swap_fault=" + ",".join(f"slot:{slot}" for slot in range(1, 9)))
    run.to_end()
    assert [run.error(number) for number in writes] == ["DeviceError"] * 8 + [""]


# QEMU, whose disks may end in the middle of a sector.


def test_qemu_has_the_same_area(image):
    SwapDisk(kib=256, more_bytes=100).write(image)
    console = Console(built("default"), "monitor", ["-drive", f"file={image},format=raw,if=ide,index=2"])
    try:
        boot = console.until(PROMPT)
        assert "swap: ata0, 256 KiB\n" in boot and "FAT16" not in boot
    finally:
        console.close()
