"""The FAT16 volume, in a running kernel: compared with a model of it, and afterwards read and checked from outside."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from emulator.disk import build_program_disk
from emulator.volume import check_file_system, list_files, mtools_drive, read_file
from profiles import built
from scripted import Boots, Run, Script, boots
from test_monitor import PROMPT, Console
from volume_model import File, Folder, Refused, Volume, checksum, pattern

MIB = 1 << 20


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("volume"))


@pytest.fixture
def image(tmp_path) -> Path:
    return tmp_path / "disk.img"


@dataclass
class Session:
    """A script of operations on the volume, with what the model expects of each. `free`: clusters that the image has."""

    model: Volume
    script: Script = field(default_factory=Script)
    expected: list[tuple[int, str, str, tuple[int, ...]]] = field(default_factory=list)

    def do(self, verb: str, *arguments: object) -> tuple[int, ...]:
        """Adds an operation; returns the model's values, none for an error."""
        line = " ".join(["volume." + verb, *map(str, arguments)])
        try:
            error, values = "", getattr(self.model, verb)(*arguments)
        except Refused as refusal:
            error, values = str(refusal), ()
        self.expected.append((self.script.add(line), line, error, values))
        return values

    def compare(self, run: Run) -> None:
        records = run.records()
        for number, line, error, values in self.expected:
            record = records[number]
            seen = record.values[-1:] if line == "volume.statistics" else record.values[: len(values)]
            assert (record.error, seen) == (error, values), f"operation {number}: {line}"


def session_on(image: Path, megabytes: int, files: Mapping[str, bytes] | None = None) -> Session:
    """A new image with nothing, or files in the root, on it."""
    build_program_disk(image, files or {}, megabytes=megabytes)
    cluster_bytes = 512 << max(0, megabytes.bit_length() - 3)
    free = free_clusters(image, cluster_bytes)
    session = Session(Volume(cluster_bytes, free))
    for name, data in sorted((files or {}).items()):
        session.model.root.slots.append(name)
        session.model.root.entries[name] = File(bytearray(data))
    session.do("statistics")
    return session


def geometry(image: Path) -> dict[str, int]:
    boot = image.read_bytes()[MIB : MIB + 512]
    number = lambda offset, length: int.from_bytes(boot[offset : offset + length], "little")  # noqa: E731
    reserved, tables, table, root = number(14, 2), boot[16], number(22, 2), number(17, 2) // 16
    sectors = number(19, 2) or number(32, 4)
    data = reserved + tables * table + root
    return {"table": MIB + reserved * 512, "table_bytes": table * 512, "root": MIB + (reserved + tables * table) * 512,
            "data": MIB + data * 512, "cluster": boot[13] * 512, "clusters": (sectors - data) // boot[13]}


def free_clusters(image: Path, cluster_bytes: int) -> int:
    figures = geometry(image)
    assert figures["cluster"] == cluster_bytes
    contents = image.read_bytes()
    return sum(contents[at : at + 2] == b"\0\0" for at in range(figures["table"] + 4, figures["table"] + 4 + 2 * figures["clusters"], 2))


def agree(image: Path, model: Volume) -> None:
    """The image holds what the model says, byte by byte, and is sound."""
    check_file_system(image)
    files = model.files()
    assert list_files(image) == {name: len(data) for name, data in files.items()}
    for name, data in files.items():
        assert read_file(image, name) == data, name
    assert free_clusters(image, model.cluster_bytes) == model.free


def run_to_end(boot: Boots, session: Session, image: Path, **options) -> Run:
    run = boot(session.script, disk=image, **options)
    run.to_end()
    session.compare(run)
    return run


class Chaos:
    """Random operations."""

    NAMES = ["a", "b.txt", "longname.ext", "C.D", "x-1.~", "bin/ls", "bin/b.txt", "BIN/cat", "home/me", "home/you.c", "/d.0", "//e"]
    WRONG = ["no/where", "bin/sub/deep", "a.b.c", "waytoolongname", "x.long", ".", "..", "bin/..", "a*", "+", "\u007f", "bin", "/"]

    def __init__(self, session: Session, seed: int, largest: int) -> None:
        self.session = session
        self.random = random.Random(seed)
        self.largest = largest

    def path(self) -> str:
        return self.random.choice(self.NAMES if self.random.random() < 0.9 else self.WRONG)

    def handle(self) -> int | None:
        opened = [i for i, entry in enumerate(self.session.model.handles) if entry]
        return self.random.choice(opened) if opened else None

    def step(self) -> None:
        draw = self.random.random
        handle = self.handle()
        opened = sum(entry is not None for entry in self.session.model.handles)
        if handle is None or (opened < 8 and draw() < 0.2):
            self.session.do("create" if draw() < 0.6 else "open", self.path())
        elif draw() < 0.15:
            self.session.do("close", handle)
        elif draw() < 0.15:
            self.session.do("remove", self.path())
        elif draw() < 0.05:
            self.session.do("mkdir", self.random.choice(["bin", "home", "tmp", self.path()]))
        elif draw() < 0.1:
            self.session.do("entry", self.random.choice(["/", "bin", "home/", "a", "nobody"]), self.random.randrange(8))
        else:
            self.transfer(handle)

    def transfer(self, handle: int) -> None:
        entry = self.session.model._file(handle)
        size = 0 if isinstance(entry, Folder) else len(entry.data)
        cluster = self.session.model.cluster_bytes
        position = self.random.choice([0, size, size // 2, self.random.randrange(size + 1), size + self.random.randrange(2 * cluster)])
        length = self.random.choice([0, 1, 511, 512, 513, cluster, self.random.randrange(self.largest)])
        kind = self.random.random()
        if kind < 0.5:
            self.session.do("write", handle, position, length, self.random.randrange(256))
        elif kind < 0.85:
            self.session.do("read", handle, position, length)
        else:
            self.session.do("truncate", handle, position)


@pytest.mark.parametrize(("seed", "megabytes"), [(1, 3), (2, 3), (3, 20)])
def test_random_operations_do_what_the_model_does_and_leave_a_sound_image(boot, image, seed, megabytes):
    session = session_on(image, megabytes)
    for folder in ("bin", "home"):
        session.do("mkdir", folder)
    chaos = Chaos(session, seed, 6000)
    for _ in range(1200):
        chaos.step()
    session.do("statistics")
    run_to_end(boot, session, image, megabytes=32)
    agree(image, session.model)


def test_a_full_volume_says_so_and_loses_nothing(boot, image):
    session = session_on(image, 3)
    model, do = session.model, session.do
    do("mkdir", "bin")
    do("create", "keep")
    do("write", 0, 0, 5000, 7)
    do("create", "big")
    for position in range(0, 2_900_000, 100_000):
        do("write", 1, position, 100_000, 3)
    assert model.free > 0
    do("write", 1, 2_900_000, 900_000, 5)  # as much as fits
    assert model.free == 0
    do("write", 1, len(model._plain(1).data), 1, 1)
    do("write", 0, 5000, 100, 9)  # what is left in the last cluster
    do("write", 0, 5100, 100, 9)
    do("truncate", 0, 6000)
    do("create", "bin/none")  # needs no cluster
    do("write", 2, 0, 1, 1)
    do("mkdir", "more")
    for i in range(13):
        do("create", f"bin/f{i}")
    do("create", "bin/over")  # the folder would need one
    do("read", 0, 0, 6000)
    do("statistics")
    do("truncate", 1, 1000)
    do("write", 0, 5120, 70_000, 1)
    do("mkdir", "more")
    do("statistics")
    run_to_end(boot, session, image, megabytes=32)
    agree(image, model)


def test_a_full_root_folder_says_so_and_a_folder_grows(boot, image):
    session = session_on(image, 3)
    session.do("mkdir", "bin")
    for i in range(600):
        session.do("create", f"f{i}")
        if not session.expected[-1][2]:
            session.do("close", 0)
    assert session.expected[-1][2] == "NoSpace"
    session.do("mkdir", "x")
    for i in range(100):
        session.do("create", f"bin/f{i}.x")
        session.do("close", 0)
    session.do("remove", "f17")
    session.do("create", "last")
    session.do("create", "more")
    session.do("entry", "bin", 99)
    session.do("entry", "bin", 100)
    session.do("entry", "/", 510)
    session.do("statistics")
    run_to_end(boot, session, image)
    agree(image, session.model)


def test_files_of_mtools_are_read_long_names_are_passed_over_and_go_with_their_files(boot, image):
    text = bytes(range(256)) * 40
    build_program_disk(image, {"plain.txt": b"plain", "bin/prog": text, "A long name.text": b"long", "another long name": text})
    script = Script()
    opened = [script.add(f"volume.open {path}") for path in ("PLAIN.TXT", "/bin/prog", "alongn~1.tex", "a", "bin/PROG")]
    reads = [script.add(f"volume.read ${number} 0 20000") for number in opened[:3]]
    streams = [script.add(f"volume.stream ${opened[1]} {step}") for step in (1, 512, 700, 20000)]
    paths = [script.add(f"volume.path ${number}") for number in opened[:3]]
    script.add(f"volume.close ${opened[2]}")
    removed = [script.add(f"volume.remove {path}") for path in ("alongn~1.tex", "bin/prog", "another~1", "anothe~1")]
    listed = [script.add(f"volume.entry / {i}") for i in range(4)]
    run = boot(script, disk=image)
    run.to_end()
    assert [run.error(number) for number in opened] == ["", "", "", "NotFound", ""]
    assert [run.values(number)[1:3] for number in (*opened[:3], opened[4])] == [(5, 0), (len(text), 0), (4, 0), (len(text), 0)]
    assert run.values(opened[4])[3] == 2, "one node for one file"
    assert [run.values(number) for number in reads] == [(len(data), checksum(data)) for data in (b"plain", text, b"long")]
    assert {run.values(number)[:2] for number in streams} == {(len(text), checksum(text))}
    assert [run.value(number) for number in paths] == [checksum(name) for name in (b"/plain.txt", b"/bin/prog", b"/alongn~1.tex")]
    assert [run.error(number) for number in removed] == ["", "Busy", "NotFound", ""]
    assert [run.error(number) for number in listed] == ["", "", "NotFound", "NotFound"]
    check_file_system(image)
    assert list_files(image) == {"plain.txt": 5, "bin/prog": len(text)}
    assert read_file(image, "bin/prog") == text


def test_a_read_only_file_is_neither_written_nor_cut_nor_removed(boot, image):
    build_program_disk(image, {"fixed": b"as it is"}, megabytes=3)
    subprocess.run(["mattrib", "-i", mtools_drive(image), "+r", "::fixed"], check=True)
    script = Script()
    opened = script.add("volume.open fixed")
    refused = [script.add(f"volume.{line}") for line in (f"write ${opened} 0 1 1", f"truncate ${opened} 0", "create fixed", "remove fixed")]
    read = script.add(f"volume.read ${opened} 0 100")
    run = boot(script, disk=image)
    run.to_end()
    assert [run.error(number) for number in refused] == ["AccessDenied"] * 4
    assert run.values(read) == (8, checksum(b"as it is")) and read_file(image, "fixed") == b"as it is"


def test_one_memory_object_for_all_who_map_a_file(boot, image):
    session = session_on(image, 3)
    script = session.script
    script.add("volume.create f")
    file = len(script.lines)
    script.add(f"volume.write ${file} 0 5000 1")
    empty = script.add("volume.create empty")
    root = script.add("volume.open /")
    refused = [script.add(f"volume.object ${number}") for number in (empty, root)]
    first, second = script.add(f"volume.object ${file}"), script.add(f"volume.object ${file}")
    script.add(f"volume.write ${file} 10 1 1")
    third = script.add(f"volume.object ${file}")
    script.add(f"volume.close ${file}")
    busy = script.add("volume.remove f")
    for number in (second, first):
        script.add(f"volume.drop ${number}")
    still_busy = script.add("volume.remove f")
    script.add(f"volume.drop ${third}")
    removed = script.add("volume.remove f")
    run = boot(script, disk=image)
    run.to_end()
    assert [run.error(number) for number in refused] == ["InvalidArgument", "WrongKind"]
    address = run.value(first)
    assert run.values(first) == (address, 2, 1, 2) and run.values(second) == (address, 2, 2, 2)
    assert run.value(third) != address and run.values(third)[1:] == (2, 1, 3), "after a write there is a new object"
    assert [run.error(number) for number in (busy, still_busy, removed)] == ["Busy", "Busy", ""]


# Devices that fail.


@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_failing_disk_ends_the_call_and_costs_no_other_file(boot, image, kind):
    """Whichever request of whichever operation fails: an error comes back, and the rest of the volume is as before."""
    build_program_disk(image, {"keep": bytes(3000), "bin/keep": b"there"}, megabytes=3)
    script = Script()
    script.add("volume.unmount")
    script.add("volume.mount 0")
    operations = []
    for after in range(14):
        script.add(f"volume.create f{after}")
        file = len(script.lines)
        script.add(f"volume.write ${file} 0 1500 5")
        script.add(f"volume.fail {kind} {after} 1")
        operations.append(script.add([f"volume.write ${file} 1500 3000 6", f"volume.create bin/g{after}", f"volume.truncate ${file} 600",
                                      f"volume.mkdir d{after}"][after % 4]))
        script.add("volume.traffic")  # no more failures
        script.add(f"volume.write ${file} 0 700 8")
        check = script.add(f"volume.read ${file} 0 600")
        script.add(f"volume.close ${file}")
    script.add("volume.open keep")
    kept = script.add(f"volume.read ${len(script.lines)} 0 4000")
    script.add("volume.open bin/keep")
    other = script.add(f"volume.read ${len(script.lines)} 0 4000")
    run = boot(script, disk=image)
    run.to_end()
    errors = {run.error(number) for number in operations}
    assert errors == {"DeviceError", ""}, "some of the failures hit"
    assert run.values(check) == (600, checksum(pattern(8, 0, 600)))
    assert run.values(kept) == (3000, checksum(bytes(3000))) and run.values(other) == (5, checksum(b"there"))
    assert read_file(image, "keep") == bytes(3000)


# Damaged and hostile volumes.


def put(image: Path, offset: int, data: bytes) -> None:
    with image.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def boot_field(offset: int, data: bytes) -> Callable[[Path], None]:
    return lambda image: put(image, MIB + offset, data)


def partition_field(offset: int, data: bytes) -> Callable[[Path], None]:
    return lambda image: put(image, 446 + offset, data)


DAMAGED_BOOT_SECTORS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no signature": (boot_field(510, b"\0\0"), "BadFormat"),
    "sectors of 4096 bytes": (boot_field(11, b"\x00\x10"), "BadFormat"),
    "sectors of 0 bytes": (boot_field(11, b"\0\0"), "BadFormat"),
    "clusters of 0 sectors": (boot_field(13, b"\0"), "BadFormat"),
    "clusters of 3 sectors": (boot_field(13, b"\3"), "BadFormat"),
    "clusters of 128 sectors": (boot_field(13, b"\x80"), "BadFormat"),
    "no reserved sector": (boot_field(14, b"\0\0"), "BadFormat"),
    "65535 reserved sectors": (boot_field(14, b"\xff\xff"), "BadFormat"),
    "no table": (boot_field(16, b"\0"), "BadFormat"),
    "255 tables": (boot_field(16, b"\xff"), "BadFormat"),
    "no root folder": (boot_field(17, b"\0\0"), "BadFormat"),
    "a root folder of 65535 entries": (boot_field(17, b"\xff\xff"), "BadFormat"),
    "a root folder over everything": (boot_field(17, b"\xf0\xff"), "BadFormat"),
    "more sectors than the partition": (boot_field(19, b"\xff\xff"), "BadFormat"),
    "4 G sectors": (boot_field(19, b"\0" * 2 + b"\xf8"), "BadFormat"),
    "no sectors": (boot_field(19, b"\1\0"), "BadFormat"),
    "a table of 0 sectors": (boot_field(22, b"\0\0"), "BadFormat"),
    "a table too short": (boot_field(22, b"\1\0"), "BadFormat"),
    "one table, too short": (lambda image: (boot_field(16, b"\1")(image), boot_field(22, b"\1\0")(image)), "BadFormat"),
    "a table over everything": (boot_field(22, b"\xff\xff"), "BadFormat"),
    "a partition past the disk": (partition_field(12, b"\xff\xff\xff\xff"), "BadFormat"),
    "a partition that begins past the disk": (partition_field(8, b"\xff\xff\xff\x7f"), "BadFormat"),
    "a partition that begins at 0": (partition_field(8, b"\0\0\0\0"), "BadFormat"),
    "a partition of another kind": (partition_field(4, b"\x83"), "NotFound"),
    "no partition table": (partition_field(64, b"\0\0"), "NotFound"),
}


@pytest.mark.parametrize("damage", DAMAGED_BOOT_SECTORS)
def test_a_boot_sector_that_cannot_be_is_refused(boot, image, damage):
    spoil, error = DAMAGED_BOOT_SECTORS[damage]
    build_program_disk(image, {"f": b"1"}, megabytes=3)
    spoil(image)
    script = Script()
    mounted, opened = script.add("volume.mount 0"), script.add("volume.open f")
    run = boot(script, disk=image)
    run.to_end()
    assert f"ata0: no FAT16 volume: {error}\n" in run.text()
    assert (run.error(mounted), run.error(opened)) == (error, "NotFound")


def spoilt_tree(image: Path) -> dict[str, str]:
    """Files and folders of which each has something else that cannot be; what opening each must say."""
    names = ["loop", "leaves", "short", "long", "free", "bad", "huge", "nothing", "low", "first"]
    build_program_disk(image, {**{name: bytes(2000) for name in names}, "fold1/in": b"x", "good": bytes(2000),
                               **{f"fold{which}/f{i}": b"x" for which in (2, 3) for i in range(20)}}, megabytes=3)
    figures, contents = geometry(image), image.read_bytes()

    def entry(name: str) -> int:
        return contents.index(name.upper().encode().ljust(11), figures["root"])

    def first(name: str) -> int:
        return int.from_bytes(contents[entry(name) + 26 : entry(name) + 28], "little")

    def table(cluster: int, value: int) -> None:
        for copy in (0, 1):
            put(image, figures["table"] + copy * figures["table_bytes"] + 2 * cluster, value.to_bytes(2, "little"))

    table(first("loop") + 1, first("loop"))
    table(first("leaves") + 1, 0xF000)
    table(first("short") + 1, 0xFFFF)
    put(image, entry("long") + 28, (600).to_bytes(4, "little"))
    table(first("free") + 1, 0)
    table(first("bad") + 1, 0xFFF7)
    put(image, entry("huge") + 28, b"\xff\xff\xff\xff")
    put(image, entry("nothing") + 26, b"\0\0")
    put(image, entry("low") + 26, b"\1\0")
    put(image, entry("first") + 26, b"\xfe\xff")
    put(image, entry("fold1") + 26, b"\0\0")
    table(first("fold2"), first("fold2"))
    table(first("fold3"), 0xF000)
    return {**{name: "BadFormat" for name in names}, "fold1/in": "BadFormat", "fold2/f0": "BadFormat", "fold2/none": "BadFormat", "fold3/f0": "BadFormat",
            "fold3/none": "BadFormat", "good": ""}


def test_damaged_chains_and_entries_are_refused_and_the_rest_is_served(boot, image):
    expected = spoilt_tree(image)
    script = Script()
    opened = {name: script.add(f"volume.open {name}") for name in expected}
    files = [name for name in expected if "/" not in name and name != "good"]
    created = {name: script.add(f"volume.create {name}") for name in files}
    removed = {name: script.add(f"volume.remove {name}") for name in files}
    folders = [script.add(f"volume.create {path}") for path in ("fold1/new", "fold2/new", "fold3/new")]
    listed = [script.add(f"volume.entry {folder} 40") for folder in ("fold1", "fold2", "fold3", "/")]
    grown = script.add("volume.create new")
    script.add(f"volume.write ${grown} 0 3000 1")
    read = script.add(f"volume.read ${opened['good']} 0 3000")
    run = boot(script, disk=image)
    run.to_end()
    assert {name: run.error(number) for name, number in opened.items()} == expected
    assert {run.error(number) for number in [*created.values(), *removed.values(), *folders]} == {"BadFormat"}
    assert [run.error(number) for number in listed] == ["BadFormat", "BadFormat", "BadFormat", "NotFound"]
    assert run.error(grown) == "" and run.values(read) == (2000, checksum(bytes(2000)))


def test_copies_of_the_table_that_differ_are_refused(boot, image):
    build_program_disk(image, {"f": b"1"}, megabytes=3)
    figures = geometry(image)
    put(image, figures["table"] + figures["table_bytes"] + 100, b"\1")
    script = Script()
    mounted = script.add("volume.mount 0")
    run = boot(script, disk=image)
    run.to_end()
    assert run.error(mounted) == "BadFormat"


def test_a_volume_is_mounted_once_and_unmounted_when_nobody_uses_it(boot, image):
    build_program_disk(image, {"f": b"1"}, megabytes=3)
    script = Script()
    lines = ["volume.mount 0", "volume.open f", "volume.unmount", "volume.close $2", "volume.unmount", "volume.unmount", "volume.open f",
             "volume.entry / 0", "volume.create g", "volume.remove f", "volume.mkdir d", "volume.statistics", "volume.mount 0", "volume.open f"]
    numbers = [script.add(line) for line in lines]
    run = boot(script, disk=image)
    run.to_end()
    assert [run.error(number) for number in numbers] == ["Busy", "", "Busy", "", "", *["NotFound"] * 7, "", ""]


# The monitor's commands.


def test_a_person_lists_reads_makes_and_removes_files(image):
    build_program_disk(image, {"notes.txt": b"first\nsecond\x01", "bin/prog": bytes(700)}, megabytes=4)
    console = Console(built("default"), "monitor", ["-drive", f"file={image},format=raw,if=ide,index=0"])
    try:
        console.until(PROMPT)
        free = int(re.search(r"; (\d+) clusters free", console.run("disks"))[1])
        assert console.run("ls") == "  bin          folder\n  notes.txt            13 bytes\n"
        assert console.run("ls bin") == "  prog                700 bytes\n"
        assert console.run("cat NOTES.TXT") == "first\nsecond.\n"
        assert console.run("put bin/a.b some words") == console.run("mkdir empty") == console.run("rm notes.txt") == ""
        assert console.run("ls empty") == "" and console.run("ls none") == "ls: NotFound\n"
        assert console.run("cat bin/a.b") == "some words\n\n"
        for line, error in {"rm bin": "WrongKind", "cat bin": "WrongKind", "mkdir bin": "Exists", "put toolonganame": "InvalidArgument",
                            "cat nothing": "NotFound", "mkdir bin/deeper": "InvalidArgument"}.items():
            assert console.run(line).startswith(f"{line.split()[0]}: {error}\n"), line
        assert f"; {free - 2 + 1} clusters free" in console.run("disks")
    finally:
        console.close()
    check_file_system(image)
    assert list_files(image, folders=True) == {"bin/": 0, "empty/": 0, "bin/prog": 700, "bin/a.b": 11}
    assert read_file(image, "bin/a.b") == b"some words\n"
