"""The picture of shared frames: who shares what, before and after a write, in text and as a drawing."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
from rich.console import Console
from rich.text import Text
from test_tables import Memory

from paging.draw import plain
from paging.sharing import MOST_LINES, FrameNames, Sharing, sharing_of, sharing_text
from paging.sharing_svg import draw_sharing
from paging.snapshot import Snapshot, take_snapshot
from paging.tables import PAGE, TableSet
from report.view import TestView, render_page, view

FRAMES, TABLE, ZERO = 4096, 0xC00000, 0x90
PARENT, CHILD = 0x1F0000, 0x1F8000  # directories
BLOCK = 0x4000_0000
RO, RW = 5, 7


class Machine:
    """Two address spaces whose pages a test lays out; counts of references as a kernel would have them."""

    def __init__(self) -> None:
        self.memory = Memory(16)
        self.memory.next_frame = 0x1E0
        self.references = {ZERO: 1}
        self.entries: dict[tuple[int, int], tuple[int, int]] = {}

    def show(self, directory: int, page: int, frame: int, rights: int) -> None:
        old = self.entries.get((directory, page))
        if old:
            self.references[old[0]] -= 1
        self.entries[directory, page] = frame, rights
        self.references[frame] = self.references.get(frame, 0) + 1
        self.memory.cr3 = directory
        self.memory.small(BLOCK + page * PAGE, frame, rights)

    def swap_out(self, directory: int, page: int, slot: int) -> None:
        """The page lies in a slot of the swap area from now on; its frame is shown by one less."""
        self.references[self.entries.pop((directory, page))[0]] -= 1
        self.memory.cr3 = directory
        self.memory.swapped(BLOCK + page * PAGE, slot)

    def tables(self, directory: int) -> TableSet:
        self.memory.cr3 = directory
        return self.memory.decode()

    def look(self, name: str, active: int = PARENT) -> Snapshot:
        for frame, count in self.references.items():
            self.memory.word(TABLE + 16 * frame, count)
            self.memory.word(TABLE + 16 * frame + 4, 3)
        return take_snapshot(name, registers={"cr3": active, "cr4": 0x90}, physical=self.memory.read, frame_table=TABLE, frame_count=FRAMES,
                             directories={"parent": self.tables(PARENT), "child": self.tables(CHILD)}, zero_frame=ZERO, tables=self.tables(active))


@pytest.fixture
def story() -> list[Snapshot]:
    """Three pages and one of zeros are shared; the child writes to the second; the parent does, too."""
    machine = Machine()
    for directory in (PARENT, CHILD):
        for page in range(3):
            machine.show(directory, page, 0x300 + page, RO)
        machine.show(directory, 3, ZERO, RO)
    machine.show(PARENT, 4, 0x30A, RW)
    looks = [machine.look("shared")]
    machine.show(CHILD, 1, 0x400, RW)
    looks.append(machine.look("child wrote", CHILD))
    machine.show(PARENT, 1, 0x301, RW)
    looks.append(machine.look("parent wrote"))
    return looks


def picture(before: Snapshot | None, snapshot: Snapshot) -> Sharing:
    sharing = sharing_of(snapshot, before)
    assert sharing is not None
    return sharing


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.startswith("    ")]


def test_text_shows_letters_rights_and_counts_before_and_after_a_write(story):
    names, texts = FrameNames(), []
    for before, snapshot in zip((None, *story), story):
        texts.append(plain(sharing_text(picture(before, snapshot), names)))
    assert rows(texts[0]) == [["child", "A-2", "B-2", "C-2", "0-3", "."], ["parent", "A-2", "B-2", "C-2", "0-3", "Dw1"]]
    assert rows(texts[1]) == [["child", "A-2", "Ew1*", "C-2", "0-3", "."], ["parent", "A-2", "B-1", "C-2", "0-3", "Dw1"]]
    assert rows(texts[2]) == [["child", "A-2", "Ew1", "C-2", "0-3", "."], ["parent", "A-2", "Bw1*", "C-2", "0-3", "Dw1"]]
    assert "4 frames shown by several pages, 0 pages split" in texts[0]
    assert "3 frames shown by several pages, 1 page split" in texts[1]


def test_columns_stand_below_each_other(story):
    lines = plain(sharing_text(picture(story[0], story[1]), FrameNames())).splitlines()
    child, parent = (line for line in lines if line.startswith("    "))
    assert child.index("C-2") == parent.index("C-2") and child.index("0-3") == parent.index("0-3")


def test_colours_say_the_same_as_letters(story):
    """One style for one frame in both spaces; who is alone has none of these."""
    for before, snapshot in zip((None, *story), story):
        styles: dict[str, set[str]] = {}
        for line in sharing_text(picture(before, snapshot), FrameNames()):
            for text, style in line:
                if found := re.fullmatch(r"([A-Z]|0)[w-](\d+)\*?", text):
                    styles.setdefault(found[1], set()).add(style)
                    assert ("bold" in style and "underline" not in style) == (found[1] != "0" and int(found[2]) > 1)
        assert all(len(used) == 1 for used in styles.values())
        shared = [style for name, (style,) in ((name, tuple(used)) for name, used in styles.items()) if style and "underline" not in style]
        assert len(set(shared)) == len(shared), "neighbouring frames have colours of their own"


def test_colours_are_for_terminals_only(story):
    tests = [TestView("cow.write", "one write", "pass", tuple(story))]
    stream = io.StringIO()
    view("Lab 07", tests, stream=stream)
    assert "\x1b" not in stream.getvalue() and stream.getvalue().count("who shows which frame") == 3
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard")
    for line in sharing_text(picture(None, story[0]), FrameNames()):
        console.print(Text.assemble(*line))
    assert "\x1b[1;31m" in console.file.getvalue()


def test_drawing_has_one_colour_for_one_frame(story):
    drawings = [draw_sharing(picture(before, snapshot), names := FrameNames()) for before, snapshot in zip((None, *story), story)]
    assert names is not None
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    cells = [re.findall(r"<g><title>(0x[0-9a-f]{8}): frame (0x[0-9a-f]+).*?</title><rect class=\"([\w-]+)\"", drawing, re.DOTALL) for drawing in drawings]
    kinds = [sorted((address, kind) for address, _, kind in drawn) for drawn in cells]
    at = f"{BLOCK + PAGE:#010x}"
    assert [kind for address, kind in kinds[0] if address == at] == ["share-1", "share-1"]
    assert [kind for address, kind in kinds[1] if address == at] == ["split", "split"]
    assert [kind for address, kind in kinds[1] if address == f"{BLOCK + 3 * PAGE:#010x}"] == ["zeros", "zeros"]
    assert [kind for address, kind in kinds[1] if address == f"{BLOCK + 4 * PAGE:#010x}"] == ["alone"]
    assert [drawing.count('class="changed"') for drawing in drawings] == [0, 1, 1]
    assert [drawing.count('class="may-write"') for drawing in drawings] == [1, 2, 3]
    assert "shown by child 0x40000000, parent 0x40000000" in drawings[0] and "2 references" in drawings[0]


def test_page_has_the_pictures_and_a_legend(story):
    text = render_page("Lab 07", [TestView("cow.write", "one write", "pass", tuple(story))])
    assert text.count('aria-label="pages of each address space, coloured by frame"') == 3
    assert "the same frame: same colour, same letter" in text and text.count("Who shows which frame: ") == 3
    style = text[text.index("<style>"):text.index("</style>")]
    used = set(re.findall(r'class="(share-\d+|split|alone|zeros|absent-page|may-write)"', text))
    assert {"share-0", "split", "alone", "zeros", "absent-page", "may-write"} <= used and all(f"svg.mm .{name} " in style for name in used)


def test_one_space_alone_has_no_such_picture():
    machine = Machine()
    machine.show(PARENT, 0, 0x300, RW)
    assert sharing_of(machine.look("alone")) is None
    stream = io.StringIO()
    view("Lab", [TestView("t", "t", "pass", (machine.look("alone"),))], stream=stream)
    assert "who shows" not in stream.getvalue()


def test_counts_and_the_zero_frame_come_back_from_the_record(story):
    again = Snapshot.from_json(json.loads(json.dumps(story[1].to_json())))
    assert again == story[1] and again.references[ZERO] == 3 and again.zero_frame == ZERO and again.references[0x400] == 1
    assert 0x1F0 not in again.references, "page tables are no pages of user code"


def test_without_counts_there_are_letters_still():
    machine = Machine()
    machine.show(PARENT, 0, 0x300, RW)
    machine.show(CHILD, 0, 0x300, RO)
    snapshot = take_snapshot("x", registers={"cr3": PARENT, "cr4": 0x90}, physical=machine.memory.read, tables=machine.tables(PARENT),
                             directories={"parent": machine.tables(PARENT), "child": machine.tables(CHILD)})
    assert rows(plain(sharing_text(picture(None, snapshot), FrameNames()))) == [["child", "A-"], ["parent", "Aw"]]


def test_much_memory_is_drawn_in_bounds():
    machine = Machine()
    for page in range(0, 900, 2):
        machine.show(PARENT, page, 0x300 + page, RO)
        machine.show(CHILD, page, 0x300 + page, RO)
    before = machine.look("much")
    sharing = picture(None, before)
    text = plain(sharing_text(sharing, FrameNames()))
    assert len(text.splitlines()) <= MOST_LINES + 3 and sharing.left_out > 400 and f"{sharing.left_out} pages more not drawn" in text
    machine.show(CHILD, 898, 0x280, RW)
    after = picture(before, machine.look("after"))
    assert after.stretches[0].begin == BLOCK + 898 * PAGE and after.split_pages == 1, "what changed is drawn first"


def test_letters_go_on_after_z():
    names = FrameNames()
    words = [names.name(frame) for frame in range(1000, 1000 + 26 * 27 + 1)]
    assert (words[0], words[25], words[26], words[27], words[26 + 26 * 26 - 1], words[26 + 26 * 26]) == ("A", "Z", "AA", "AB", "ZZ", "AAA")
    assert len(set(words)) == len(words) and names.name(1000) == "A"


@pytest.fixture
def swapped() -> list[Snapshot]:
    """The first of two shared pages goes to the swap area, of both; then the parent's copy of it comes back to be written."""
    machine = Machine()
    for directory in (PARENT, CHILD):
        for page in range(2):
            machine.show(directory, page, 0x300 + page, RO)
    machine.show(PARENT, 2, 0x310, RW)
    for directory in (PARENT, CHILD):
        machine.swap_out(directory, 0, 12)
    machine.swap_out(PARENT, 2, 0x300)
    looks = [machine.look("swapped")]
    machine.show(PARENT, 0, 0x320, RW)
    looks.append(machine.look("back"))
    return looks


def test_a_shared_slot_in_text(swapped):
    names = FrameNames()
    first, second = (sharing_text(picture(before, snapshot), names) for before, snapshot in zip((None, *swapped), swapped))
    assert rows(plain(first)) == [["child", "s12", "A-2", "."], ["parent", "s12", "A-2", "s768"]]
    assert rows(plain(second)) == [["child", "s12", "A-2", "."], ["parent", "Bw1*", "A-2", "s768"]]
    styles = [dict(text for line in lines for text in line) for lines in (first, second)]
    assert (styles[0]["s12"], styles[0]["s768"], styles[1]["s12"]) == ("underline cyan", "cyan", "cyan")
    assert "1 frame shown by several pages, 0 pages split, 3 pages swapped" in plain(first)
    assert "1 frame shown by several pages, 1 page split, 2 pages swapped" in plain(second) and "in slot 12 of the swap area" in plain(second)


def test_a_shared_slot_in_the_drawing(swapped):
    names = FrameNames()
    drawings = [draw_sharing(picture(before, snapshot), names) for before, snapshot in zip((None, *swapped), swapped)]
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    assert [drawing.count('class="in-a-slot"') for drawing in drawings] == [3, 2]
    assert "0x40000000: swapped, slot 12\nnamed by child 0x40000000, parent 0x40000000</title>" in drawings[0]
    assert "0x40002000: swapped, slot 768\nnamed by parent 0x40002000</title>" in drawings[0], "the frame of that number is another place"
    assert "svg.mm .in-a-slot {" in render_page("x", [TestView("t", "t", "pass", tuple(swapped))])
