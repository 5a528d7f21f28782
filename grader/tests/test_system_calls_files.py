"""System calls about files: numbers, positions, names, every error that abi/system_calls.h names. What was written is read back from the disk
image, on the host."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from emulator.volume import list_files, read_file
from system_calls import (
    ABI, BUFFER, FILES, MISSING, O_APPEND, O_CREAT, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, PAGE, SEEK_CUR, SEEK_END, SEEK_SET, STORY, Calls,
    CallScript, Name, expect_errors, runner,
)

BAD_NUMBERS = (3, 15, 16, 17, 99, -1, 0x7FFF_FFFF, 0x8000_0000)  # nothing is open but the console


@pytest.fixture(scope="module")
def calls(tmp_path_factory) -> Iterator[Calls]:
    with runner(tmp_path_factory.mktemp("files")) as run:
        yield run


def test_the_lowest_free_number_is_taken(calls: Calls) -> None:
    script = CallScript()
    opened = [script("Open", "/story", O_RDONLY) for _ in range(13)]
    full = script("Open", "/story", O_RDONLY)
    script("Close", 7)
    script("Close", 5)
    again = [script("Open", "/text", O_RDONLY) for _ in range(2)]
    script("Close", 0)
    first = script("Open", "/text", O_RDONLY)
    run = calls(script)
    assert [run[name] for name in [*opened, *again, first]] == [*range(3, 16), 5, 7, 0]
    assert run.error(full) == "EMFILE"


def test_a_limit_makes_it_fewer_and_no_file_is_made_in_vain(calls: Calls) -> None:
    script = CallScript()
    script("SetLimit", ABI["RLIMIT_NOFILE"], 4)
    opened = script("Open", "/story", O_RDONLY)
    refused = script("Open", "/new", O_RDWR | O_CREAT)
    run = calls(script)
    assert run[opened] == 3 and run.error(refused) == "EMFILE"
    assert "new" not in list_files(run.disk)


def test_numbers_that_name_no_file(calls: Calls) -> None:
    script = CallScript()
    refused: dict[Name, str] = {}
    for number in BAD_NUMBERS:
        for name in (script("Read", number, BUFFER, 1), script("Write", number, BUFFER, 1), script("Close", number),
                     script("Seek", number, 0, SEEK_SET), script("FileSize", number), script("Read", number, MISSING, 0)):
            refused[name] = "EBADF"
    reading, writing = script("Open", "/story", O_RDONLY), script("Open", "/text", O_WRONLY)
    refused |= {script("Write", reading, BUFFER, 1): "EBADF", script("Read", writing, BUFFER, 1): "EBADF"}
    closed = script("Close", reading)
    refused |= {script("Close", reading): "EBADF", script("Read", reading, BUFFER, 1): "EBADF"}
    run = calls(script)
    expect_errors(run, refused)
    assert run[closed] == 0


@pytest.mark.parametrize(("path", "flags", "error"), [
    ("/none", O_RDONLY, "ENOENT"), ("/none/file", O_RDWR | O_CREAT, "ENOENT"), ("/text/file", O_RDONLY, "ENOENT"),
    ("/a-path-that-is-longer-than-any-may-be", O_RDONLY, "ENOENT"),
    ("/folder", O_WRONLY, "EISDIR"), ("/folder", O_RDWR, "EISDIR"), ("/folder", O_RDONLY | O_CREAT, "EISDIR"),
    ("/story", 3, "EINVAL"), ("/story", O_RDONLY | O_TRUNC, "EINVAL"), ("/story", 0x8000_0000, "EINVAL"), ("/story", 0x100, "EINVAL"),
    ("/toolonganame", O_RDWR | O_CREAT, "EINVAL"), ("/a.long", O_RDWR | O_CREAT, "EINVAL"), ("/a*b", O_RDWR | O_CREAT, "EINVAL"),
])
def test_open_refuses(calls: Calls, path: str, flags: int, error: str) -> None:
    script = CallScript()
    refused = script("Open", path, flags)
    next_one = script("Open", "/story", O_RDONLY)
    run = calls(script)
    assert run.error(refused) == error, run.says(refused)
    assert run[next_one] == 3, "no number is lost"
    assert run.script.texts and set(list_files(run.disk)) >= set(FILES)


def test_reading_from_anywhere_to_the_end(calls: Calls) -> None:
    chance = random.Random(5)
    script = CallScript()
    file = script("Open", "/story", O_RDONLY)
    size = script("FileSize", file)
    reads = []
    for _ in range(12):
        position, length = chance.randrange(len(STORY) + 100), chance.choice([1, 100, 511, 512, 513, 4096, 5000, 20_000])
        script("Seek", file, position, SEEK_SET)
        reads.append((position, length, script("Read", file, BUFFER + 123, length), script.show(BUFFER + 123, 100), script("Seek", file, 0, SEEK_CUR)))
    run = calls(script)
    assert run[size] == len(STORY)
    for position, length, count, shown, after in reads:
        expected = STORY[position:position + length]
        assert run[count] == len(expected), run.says(count)
        assert run.bytes(shown)[:len(expected)] == expected[:100]
        assert run[after] == position + len(expected)


def test_seek_finds_places_and_refuses_others(calls: Calls) -> None:
    script = CallScript()
    file = script("Open", "/story", O_RDONLY)
    moves = {script("Seek", file, offset, whence): result for offset, whence, result in
             [(100, SEEK_SET, 100), (-1, SEEK_CUR, 99), (20_000, SEEK_CUR, 20_099), (-10_000, SEEK_END, 0), (5, SEEK_END, 10_005),
              (0x7FFF_FFFF, SEEK_SET, 0x7FFF_FFFF), (0, SEEK_CUR, 0x7FFF_FFFF)]}
    refused = {script("Seek", file, offset, whence): "EINVAL" for offset, whence in
               [(-1, SEEK_SET), (1, SEEK_CUR), (-10_001, SEEK_END), (0x8000_0000, SEEK_SET), (0, 3), (0, -1)]}
    refused |= {script("Seek", number, 0, SEEK_SET): "ESPIPE" for number in (0, 1, 2)}
    folder = script("Open", "/folder", O_RDONLY)
    refused |= {script("Seek", folder, 0, SEEK_SET): "ESPIPE", script("Read", folder, BUFFER, 1): "EISDIR"}
    run = calls(script)
    assert {name: run[name] for name in moves} == moves
    expect_errors(run, refused)


def test_what_is_written_is_on_the_disk(calls: Calls) -> None:
    script = CallScript()
    source = script("Open", "/story", O_RDONLY)
    script("Read", source, BUFFER, 10_000)
    new = script("Open", "/folder/new.bin", O_RDWR | O_CREAT)
    counts = {script("Write", new, BUFFER, 3000): 3000, script("Write", new, BUFFER + 5000, 5000): 5000, script("Write", new, BUFFER, 0): 0}
    script("Seek", new, 9000, SEEK_SET)
    counts[script("Write", new, BUFFER, 10)] = 10
    counts[script("FileSize", new)] = 9010
    note = script("Open", "/folder/note.txt", O_WRONLY | O_APPEND)
    script("Seek", note, 0, SEEK_SET)
    counts |= {script("Write", note, BUFFER, 4): 4, script("Write", note, BUFFER + 4, 4): 4}
    cut = script("Open", "/text", O_RDWR | O_TRUNC)
    counts |= {script("FileSize", cut): 0, script("Read", cut, BUFFER, 10): 0}
    run = calls(script)
    assert {name: run[name] for name in counts} == counts
    assert read_file(run.disk, "folder/new.bin") == STORY[:3000] + STORY[5000:10_000] + bytes(1000) + STORY[:10]
    assert read_file(run.disk, "folder/note.txt") == b"a note" + STORY[:8]
    assert read_file(run.disk, "text") == b""


def test_a_full_volume_takes_what_fits(calls: Calls) -> None:
    script = CallScript()
    file = script("Open", "/full", O_RDWR | O_CREAT)
    writes = [script("Write", file, BUFFER, 65_536) for _ in range(140)]
    size = script("FileSize", file)
    refused = {script("Write", script("Open", "/more", O_RDWR | O_CREAT), BUFFER, 100): "ENOSPC", script("MakeFolder", "/sub"): "ENOSPC"}
    script("Close", file)
    removed = script("Remove", "/full")
    last = script("MakeFolder", "/sub")
    run = calls(script)
    written = [run.signed(name) for name in writes]
    full = written.index(next(count for count in written if count != 65_536))
    assert 0 < full and written[full + 1:] == [-28] * (len(written) - full - 1), "ENOSPC from then on"
    assert run[size] == full * 65_536 + max(written[full], 0)
    expect_errors(run, refused)
    assert run[removed] == run[last] == 0


def test_removing_and_making(calls: Calls) -> None:
    script = CallScript()
    refused = {script("Remove", "/none"): "ENOENT", script("Remove", "/folder"): "EISDIR", script("Remove", "/none/none"): "ENOENT"}
    held = script("Open", "/story", O_RDONLY)
    refused[script("Remove", "/story")] = "EBUSY"
    script("Close", held)
    done = [script("Remove", "/story"), script("MakeFolder", "/made")]
    refused |= {script("Open", "/story", O_RDONLY): "ENOENT", script("MakeFolder", "/made"): "EEXIST", script("MakeFolder", "/text"): "EEXIST",
                script("MakeFolder", "/toolonganame"): "EINVAL", script("MakeFolder", "/a-path-that-is-longer-than-any-may-be"): "EINVAL"}
    made = script("Open", "/made/file", O_RDWR | O_CREAT)
    run = calls(script)
    assert [run[name] for name in done] == [0, 0] and run[made] == 3
    expect_errors(run, refused)
    files = list_files(run.disk, folders=True)
    assert "story" not in files and "made/" in files and files["made/file"] == 0


def test_what_is_mapped_is_busy(calls: Calls) -> None:
    script = CallScript()
    file = script("Open", "/story", O_RDONLY)
    page = script("MapMemory", 0, PAGE, 1, ABI["MAP_PRIVATE"], file, 0)
    script("Close", file)
    busy = script("Remove", "/story")
    script("UnmapMemory", page, PAGE)
    done = script("Remove", "/story")
    run = calls(script)
    assert run.error(busy) == "EBUSY" and run[done] == 0


def test_a_folder_is_listed(calls: Calls) -> None:
    script = CallScript()
    lines = []
    for index in range(6):
        lines.append((script("ListFolder", "/folder" if index > 3 else "/", index % 4, BUFFER), script.show(BUFFER, 24)))
    refused = {script("ListFolder", path, index, BUFFER): "ENOENT" for path, index in
               [("/", 100), ("/", 0xFFFF_FFFF), ("/folder", 1), ("/none", 0), ("/text", 0)]}
    run = calls(script)
    expect_errors(run, refused)
    seen = {}
    for done, shown in lines[:5]:
        data = run.bytes(shown)
        assert run[done] == 0
        seen[data[:16].partition(b"\0")[0].decode()] = (int.from_bytes(data[16:20], "little"), int.from_bytes(data[20:24], "little"))
    assert seen["note.txt"] == (6, 0)
    there = list_files(run.disk, folders=True)
    for name, (size, is_folder) in seen.items():
        assert name == "note.txt" or there[f"{name}/" if is_folder else name] == (0 if is_folder else size)


def test_parent_and_child_share_positions_not_numbers(calls: Calls) -> None:
    script = CallScript()
    file = script("Open", "/story", O_RDONLY)
    script("Read", file, BUFFER, 1000)
    with script.child() as child:
        script("Read", file, BUFFER, 500)
        script("Close", file)
    script("Wait", child, 0)
    position = script("Seek", file, 0, SEEK_CUR)
    closed = script("Close", file)
    run = calls(script)
    assert run[position] == 1500 and run[closed] == 0


def test_the_console_takes_any_bytes(calls: Calls) -> None:
    script = CallScript()
    written = script("Write", 1, "one two", 7)
    none = script("Write", 2, MISSING, 0)
    run = calls(script)
    assert run[written] == 7 and run[none] == 0 and run.output.startswith("one two")
