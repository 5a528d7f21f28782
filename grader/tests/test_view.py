"""Drawings of page tables and frame maps: what is shown, that it is valid, and that nothing from the machine gets through raw."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from itertools import groupby
from types import SimpleNamespace

import pytest
from test_tables import Memory

from judge.table import Table
from paging import svg
from paging.draw import changed_slots, changes, directory_cells, draw_text, plain, range_rows, size_words
from paging.snapshot import NamedRange, Snapshot, take_snapshot
from paging.tables import PAGE, PageRun
from report.view import TestView, load_snapshots, render_page, view, views_of, write_page

FRAMES = 4096
TABLE = 0xC00000  # where the demonstration machine keeps its frame table


def machine() -> tuple[Memory, bytearray]:
    """A machine of 16 MiB: low memory, a hole, a kernel at 1 MiB, the rest free; its frame table lies in its own memory."""
    memory = Memory(16)
    memory.cr3 = 0x1F0000
    memory.next_frame = 0x1F1
    uses = bytearray([2]) * FRAMES
    uses[0] = 1
    uses[0xA0:0x100] = bytes(0x60)
    uses[0x100:0x180] = bytes([1]) * 0x80
    uses[0x1F0:0x200] = bytes([3]) * 0x10
    memory.pde(1, 0x00400183)
    for page in range(256, 300):
        memory.small(page << 12, page, 0x101)
    return memory, uses


def snapshot(memory: Memory, uses: bytearray, name: str = "start") -> Snapshot:
    memory.bytes[TABLE:TABLE + 16 * FRAMES] = b"".join(bytes([1, 0, 0, 0, use, 9, 0, 0]) + bytes(8) for use in uses)
    return take_snapshot(name, registers={"cr0": 0x80010011, "cr3": memory.cr3, "cr4": 0x90, "eip": 0x101234},
                         physical=memory.read, frame_table=TABLE, frame_count=FRAMES,
                         ranges=[NamedRange(0x100000, 0x150000, "kernel"), NamedRange(0x160000, 0x161000, "module")], ticks=1234)


@pytest.fixture
def pair() -> tuple[Snapshot, Snapshot]:
    """Two checkpoints: between them three pages are mapped, one is user read-only, and frames are taken."""
    memory, uses = machine()
    first = snapshot(memory, uses)
    memory.small(0x40000000, 0x300, 7)
    memory.small(0x40001000, 0x301, 7)
    memory.small(0x40002000, 0x555, 5)
    uses[0x300:0x302] = bytes([3, 3])
    return first, snapshot(memory, uses, "mapped")


def test_frame_map_joins_what_kernel_and_host_know(pair):
    assert [(run.begin, run.end, run.kind) for run in pair[0].frame_map] == [
        (0, 1, "reserved"), (1, 0xA0, "free"), (0xA0, 0x100, "hole"), (0x100, 0x150, "kernel"), (0x150, 0x160, "reserved"),
        (0x160, 0x161, "module"), (0x161, 0x180, "reserved"), (0x180, 0x1F0, "free"), (0x1F0, 0x1F1, "directory"),
        (0x1F1, 0x1F2, "table"), (0x1F2, 0x200, "allocated"), (0x200, FRAMES, "free")]
    assert pair[0].zone_counts()[0][1]["free"] == 0x9F + 0x70 + 0xE00


def test_a_page_table_in_a_free_frame_is_shown_as_a_conflict():
    memory, uses = machine()
    uses[0x1F1] = 2
    assert (0x1F1, 0x1F2, "conflict") in [(run.begin, run.end, run.kind) for run in snapshot(memory, uses).frame_map]


def test_frames_that_the_guest_holds_count_as_allocated():
    memory, uses = machine()
    snapshot(memory, uses)  # lays the frame table out
    bitmap = 0xD00000
    for frame in (0x200, 0x201, 0x207, 0x100):  # the last one is reserved, and stays that
        memory.bytes[bitmap + frame // 8] |= 1 << frame % 8
    held = take_snapshot("held", registers={"cr3": memory.cr3, "cr4": 0x90}, physical=memory.read, frame_table=TABLE,
                         frame_count=FRAMES, held=bitmap)
    kinds = {frame: run.kind for run in held.frame_map for frame in range(run.begin, run.end)}
    assert [kinds[frame] for frame in (0x1FF, 0x200, 0x201, 0x202, 0x207, 0x208, 0x100)] == [
        "allocated", "allocated", "allocated", "free", "allocated", "free", "reserved"]


def test_only_frames_that_are_memory_are_looked_up():
    memory, uses = machine()
    whole = snapshot(memory, uses)
    memory.reads.clear()
    some = take_snapshot("some", registers={"cr3": memory.cr3, "cr4": 0x90}, physical=memory.read, frame_table=TABLE, frame_count=FRAMES,
                         memory=[(0x100800, 0x180000), (0, 0x9F400), (0x17F000, 0x200001), (0xFFF000, 1 << 64)])
    read = sum(length for address, length in memory.reads if address >= TABLE)
    assert read == 16 * (0xA0 + 0x201 - 0x100 + 1)
    kinds = [[run.kind for run in taken.frame_map for _ in range(run.count)] for taken in (whole, some)]
    assert kinds[1][:0xA0] == kinds[0][:0xA0] and kinds[1][0x161:0x201] == kinds[0][0x161:0x201]
    assert set(kinds[1][0x201:0xFFF]) == {"hole"} and kinds[1][0xFFF] == "free"


def test_snapshot_comes_back_from_its_record(pair):
    assert Snapshot.from_json(json.loads(json.dumps(pair[1].to_json()))) == pair[1]


@pytest.mark.parametrize("damage", [{"uses": [[1 << 21, 1]]}, {"uses": [[1]]}, {"uses": 7}, {"ranges": [[0, 1, "evil"]]},
                                    {"registers": []}, {"tables": {}}, {"directories": [["A"]]}, {"uses": [[-1, 2]]}, {"ticks": "x"}])
def test_a_damaged_record_is_refused(pair, damage):
    with pytest.raises(ValueError):
        Snapshot.from_json(pair[1].to_json() | damage)


def test_cells_and_changed_slots(pair):
    cells = directory_cells(pair[1].tables)
    assert (cells[0].kind, cells[1].kind, cells[1].large, cells[256].kind, cells[257].kind) == (
        "kernel-ro", "kernel-rw", True, "mixed", "empty")
    assert changed_slots(pair[0].tables, pair[1].tables) == {256} and changed_slots(None, pair[1].tables) == set()


def test_accessed_bits_are_no_change():
    memory, uses = machine()
    first = snapshot(memory, uses)
    memory.small(256 << 12, 256, 0x161)
    assert changed_slots(first.tables, snapshot(memory, uses).tables) == set()


def test_changes_in_sentences(pair):
    assert changes(*pair) == [
        "0x40000000 to 0x40001fff (2 pages): was nothing mapped, now writable user 4 KiB pages -> frames 0x300 to 0x301",
        "0x40002000: was nothing mapped, now read-only user 4 KiB page -> frame 0x555",
        "frames of zone DMA: page table 1 to 2, allocated 14 to 15, free 3855 to 3853"]


def with_directories(pair) -> tuple[Snapshot, Snapshot]:
    """The first checkpoint again, with the second one's tables as a directory that is not active, and one that is."""
    other = replace(pair[1].tables, cr3=0x300000)
    return pair[0], replace(pair[0], name="later", directories=(("kernel", pair[0].tables), ("A", other)))


def test_other_directories_are_shown_with_their_user_range(pair):
    before, after = with_directories(pair)
    assert [(view.name, view.active) for view in after.views] == [("kernel", True), ("A", False)]
    text = plain(draw_text(after, before))
    assert "page directory 'kernel' at 0x001f0000, active" in text and "page directory 'A' at 0x00300000" in text
    assert text.count("\n  00400000-007fffff") == 1, "the kernel's ranges are told once"
    assert "directory A: new, with 3 pages in the user range" in text
    assert {run.kind for run in after.frame_map if run.begin <= 0x300 < run.end} == {"conflict"}, "a directory in a free frame"
    assert "Its kernel ranges are those of the active directory" in render_page("x", [TestView("t", "t", "pass", (before, after))])


def test_a_directory_with_other_kernel_pages_is_shown_whole(pair):
    memory, uses = machine()
    memory.pde(1, 0x00800183)
    other = snapshot(memory, uses).tables
    after = replace(pair[0], directories=(("A", replace(other, cr3=0x300000)),))
    assert plain(draw_text(after)).count("\n  00400000-007fffff") == 2
    gone = changes(after, pair[0])
    assert "directory A: gone" in gone


def test_text_has_directory_ranges_frames_and_changes(pair):
    text = plain(draw_text(pair[1], pair[0]))
    assert "  00000000  kK.............................." in text
    assert "  40000000  *..............................." in text
    assert "(7 lines where nothing is present)" in text
    assert "40000000-40001fff  8 KiB    00300000-00301fff  writable user" in text
    assert "1 large pages" in text and "since start:" in text and "\x1b" not in text
    again = plain(draw_text(replace(pair[1], name="again"), pair[1]))
    assert "nothing changed" in again and "page directory at 0x001f0000: as at mapped" in again and "40000000" not in again


@pytest.fixture
def swapping() -> tuple[Snapshot, Snapshot]:
    """Three pages of one table go to the swap area, two of them side by side; in another table nothing else is left."""
    memory, uses = machine()
    for page in range(4):
        memory.small(0x40000000 + page * PAGE, 0x300 + page, 7)
    memory.small(0x50000000, 0x310, 7)
    first = snapshot(memory, uses)
    for page, slot in ((0x40001, 12), (0x40002, 13), (0x50000, 700)):
        memory.swapped(page * PAGE, slot)
    return first, snapshot(memory, uses, "swapped")


def test_swapped_pages_in_text(swapping):
    text = plain(draw_text(swapping[1], swapping[0]))
    assert "40001000-40002fff  8 KiB    slots 12-13" in text and "50000000-50000fff  4 KiB    slot 700 " in text
    assert "\n  40000000  *..............................." in text and "\n  50000000  s..............................." in text
    assert "46 small pages, 3 swapped" in text and "s swapped: in the swap area" in text
    assert "0x50000000: was writable user 4 KiB page -> frame 0x310, now swapped page in slot 700" in changes(*swapping)
    assert "swapped" not in plain(draw_text(swapping[0]))


def test_swapped_pages_that_are_scattered_share_a_line():
    rows, rest = range_rows([PageRun(0x40000000 + i * PAGE, 3 * i * PAGE, PAGE, swapped=True) for i in range(5, 9)])
    assert (len(rows), rest, rows[0].physical, rows[0].rights, rows[0].kind) == (1, 0, "slot 15 and 3 more", "swapped", "swapped")


def test_swapped_pages_in_drawings(swapping):
    tables = swapping[1].tables
    directory, table = svg.draw_directory(tables, {256}), svg.draw_table(tables, 256, swapping[0].tables.tables[256])
    for drawing in (directory, table):
        ElementTree.fromstring(drawing)
    assert "0 pages: none; 1 swapped" in directory and "2 pages: user, writable; 2 swapped" in directory
    assert directory.count('class="swapped"') == 1 and table.count('class="swapped"') == 1 and table.count('class="changed"') == 2
    assert "0x40001000\n0x00000c02 (swapped, slot 12)\nand 1 more pages with the slots behind it" in table
    page = render_page("x", [TestView("t", "t", "pass", swapping)])
    assert ".swatch.swapped" in page and "svg.mm .swapped" in page and "swapped: in the swap area" in page


def test_scattered_pages_share_a_line():
    runs = [PageRun(0x40000000 + i * PAGE, (0x100 + 5 * i) * PAGE, PAGE, True, True) for i in range(100)]
    rows, rest = range_rows(runs)
    assert (len(rows), rest, rows[0].physical, rows[0].size) == (1, 0, "00100000 and 99 more", "400 KiB")
    rows, rest = range_rows([PageRun(i << 13, i << 12, PAGE) for i in range(100)], 40)
    assert (len(rows), rest) == (40, 60)


@pytest.mark.parametrize("count, words", [(4096, "4 KiB"), (2896 << 10, "2896 KiB"), (3 << 29, "1.5 GiB"), (5, "5 B"), (252 << 20, "252 MiB")])
def test_sizes_for_people(count, words):
    assert size_words(count) == words


def test_drawings_are_well_formed(pair):
    drawings = [svg.draw_directory(pair[1].tables, {256}), svg.draw_table(pair[1].tables, 256), svg.draw_frames(pair[1], pair[0]),
                svg.draw_svg(pair[1].tables)]
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    assert 'class="changed"' in drawings[0] and "PDE 256" in drawings[0]
    assert "0x40000000\npresent" not in drawings[1] and "and 1 more pages" in drawings[1]
    assert "was free, now allocated" in drawings[2]


def test_a_fragmented_gigabyte_is_drawn_in_bounds():
    uses = tuple((1, 2 + number % 2) for number in range(1 << 18))
    memory, _ = machine()
    big = Snapshot("big", {"cr3": memory.cr3}, memory.decode(), uses)
    assert len(svg.draw_frames(big)) < 4_000_000
    assert [zone for zone, _ in big.zone_counts()] == ["DMA", "Normal", "High"]
    assert max(map(len, plain(draw_text(big)).splitlines())) < 160


class Page(HTMLParser):
    """Collects what a page would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "data", "action") and not (value or "").startswith("#"):
                self.loads.append(f"{tag} {name}={value}")
            if name.startswith("on"):
                self.loads.append(f"{tag} {name}")


def test_the_page_is_one_file_that_fetches_and_runs_nothing(pair):
    evil = TestView("paging.map", "<script>alert(1)</script>", "fail", pair, expected="a <b>", seen="\"'><img src=http://x>")
    text = render_page("Lab <02>", [evil, TestView("paging.none", "never got there", "error", ())], [("seed", "<i>")])
    page = Page()
    page.feed(text)
    assert page.loads == [] and "script" not in page.tags and "img" not in page.tags and "i" not in page.tags
    assert page.tags.count("section") == 2 and "No checkpoint was reached" in text
    assert "url(http" not in text and "@import" not in text
    assert text.count("Since start") == 1


def test_no_style_of_the_page_touches_the_drawings(pair):
    """A rule for `.directory` once stretched the one frame of the page directory over half the map."""
    text = render_page("x", [TestView("t", "t", "pass", pair)])
    style = text[text.index("<style>"):text.index("</style>")]
    drawn = {name for names in re.findall(r'<(?:rect|circle|path|text|svg)\b[^>]*class="([^"]+)"', text) for name in names.split()}
    rules = set(re.findall(r"(?:^|[},])\s*\.([\w-]+)", style, re.MULTILINE))
    assert drawn & rules == set() and {"directory", "free"} <= drawn


def test_lines_without_memory_are_folded(pair):
    sparse = replace(pair[0], uses=((256, 2), (256 * 62, 0), (256, 3)))
    text = plain(draw_text(sparse))
    assert "(14 lines without memory)" in text
    assert max(map(len, text.splitlines())) < 160


def test_what_did_not_change_is_not_drawn_again(pair):
    text = render_page("x", [TestView("t", "t", "pass", (pair[1], replace(pair[1], name="again")))])
    assert text.count("as at mapped") == 2 and text.count('aria-label="page directory, 1024') == 1
    assert text.count('aria-label="frames of physical memory') == 1


def test_view_writes_text_without_escapes_and_a_page(pair, tmp_path):
    stream = io.StringIO()
    target = tmp_path / "view.html"
    view("Lab 02", [TestView("paging.map", "maps", "pass", pair)], html=target, stream=stream)
    assert "\x1b" not in stream.getvalue() and "checkpoint 2 of 2: mapped (tick 1234)" in stream.getvalue()
    assert "[pass]" in stream.getvalue()
    assert target.read_text().startswith("<!DOCTYPE html>") and [path.name for path in tmp_path.iterdir()] == ["view.html"]
    write_page(target, "again", [])
    assert "again" in target.read_text()


def test_figures_stand_beside_the_pictures(tmp_path):
    figures = Table.of("Ticks <b>", ["trace", "ticks"], [["<i>waves</i>", 12345]])
    record = SimpleNamespace(id="heap.speed", title="speed", status="pass", expected="", seen="", tables=[figures], plots=[])
    views = views_of([record], tmp_path)
    page = Page()
    page.feed(render_page("x", views))
    assert "table" in page.tags and "i" not in page.tags
    assert '<td class="number">12,345</td>' in render_page("x", views)
    stream = io.StringIO()
    view("Lab", views, stream=stream)
    assert "  <i>waves</i>  12,345" in stream.getvalue().splitlines()


def test_snapshots_of_a_run_are_loaded_in_order_and_a_broken_one_is_named(pair, tmp_path):
    folder = tmp_path / "paging.map"
    folder.mkdir()
    for number, snapshot_ in enumerate(pair, 1):
        (folder / f"{number:02}.json").write_text(json.dumps(snapshot_.to_json()))
    record = SimpleNamespace(id="paging.map", title="maps", status="fail", expected="x", seen="y", tables=[], plots=[])
    [loaded] = views_of([record], tmp_path)
    assert loaded == TestView("paging.map", "maps", "fail", pair, "x", "y")
    (folder / "03.json").write_text("{}")
    with pytest.raises(ValueError, match="03.json"):
        load_snapshots(folder)
    (folder / "03.json").write_text("{")
    with pytest.raises(ValueError, match="03.json"):
        load_snapshots(folder)


def test_run_lengths_are_short_in_the_record(pair):
    assert len(pair[0].uses) == len(list(groupby(pair[0].uses))) < 12
