"""A process that runs a program of many pages, of which it uses few (grader/programs/bigimg.cpp): which are present, and what they hold."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from judge.scenario import expect
from labs.endings import numbers_in
from labs.lazy_calls import NEIGHBOURHOOD, Block, File, check_block
from labs.process_view import Area
from labs.programs import Ran
from paging.tables import PAGE

IMAGE_PAGES = {"c": 40, "r": 12, "w": 12, "z": 10, "y": 10}  # grader/programs/bigimg.cpp: pages of each kind
PARTS = {"c": "text", "r": "variables", "w": "variables", "z": "zeros", "y": "zeros"}
WORDS = PAGE // 4


@dataclass
class Image:
    """A process that runs bigimg, at its checkpoint."""

    file: File
    ran: Ran
    name: str
    uses: list[str]

    def __post_init__(self) -> None:
        self.view, self.memory = self.ran.view(self.name), self.ran.looks[self.name].found
        printed = numbers_in(self.ran, 1)
        for name in ("text", "variables", "zeros", *self.uses):
            expect(name in printed, f"a program of many pages prints a line about {name}", f"it printed {self.ran.text!r}",
                   operation=self.ran.op.number)
        self.printed = {name: number for name, [number] in printed.items()}
        self.called = {int(use[1:]) for use in self.uses if use[0] == "c"}

    def area(self, place: str) -> Area:
        area = self.view.area_at(self.printed[place])
        expect(area is not None, f"the program's {place} lie in an area", f"there is none at {self.printed[place]:#x}",
               operation=self.ran.op.number)
        assert area
        return area

    def check_results(self) -> None:
        """What the program found in its pages."""
        for use in self.uses:
            page = int(use[1:])
            wanted = page * 3 if use[0] == "c" else (page * WORDS + 1) * 0x9E37_79B9 & 0xFFFF_FFFF if use[0] in "rw" else 0
            expect(self.printed[use] == wanted,
                   f"page {page} of the program's {PARTS[use[0]]} gives {wanted:#x}",
                   f"{self.printed[use]:#x}", operation=self.ran.op.number)

    def check_bytes(self) -> None:
        """Text, and variables that were only read, are what the file holds; behind the end of what it holds there are zeros."""
        text, data = self.area("text"), self.area("variables")
        written = {int(use[1:]) for use in self.uses if use[0] == "w"}
        for area in (text, data):
            for page in self.view.pages_of(area):
                index, number = area.first_page + (page.virtual - area.begin) // PAGE, (page.virtual - self.printed["variables"]) // PAGE
                wanted = self.file.page(index)
                if area is data and number in written:
                    wanted = wanted[:4] + struct.pack("<I", number + 1) + wanted[8:]
                elif area is data and number == IMAGE_PAGES["r"]:
                    wanted = wanted[:31 * 4].ljust(PAGE, b"\0")
                elif area is data and not 0 <= number < IMAGE_PAGES["r"]:
                    continue  # relocated, or the library's
                where = f"the program's page {page.virtual:#010x}, page {index} of its file"
                expect(self.memory[page.virtual] == wanted, f"{where}, holds what the file says",
                       f"other bytes, the first are {self.memory[page.virtual][:8].hex()}", operation=self.ran.op.number)
                expect(area is data or not page.writable, f"{where}, is read-only", page.rights, operation=self.ran.op.number)

    def check_present(self, others: set[int]) -> None:
        """Which of the text's pages are present: those that were called, and as their neighbours what somebody else has called before."""
        first = self.printed["text"]
        present = {page for page in range(IMAGE_PAGES["c"]) if self.view.table_set.translate(first + page * PAGE)}
        block = {page: (first // PAGE + page) // NEIGHBOURHOOD for page in range(IMAGE_PAGES["c"])}
        with_neighbours = {page for page in others if block[page] in {block[called] for called in self.called}}
        missing, too_many = (self.called | with_neighbours) - present, present - self.called - others
        expect(not missing,
               f"pages {sorted(self.called)} of the program's text were executed, so they are present, with neighbours that are in memory",
               f"absent: {sorted(missing)}", operation=self.ran.op.number)
        expect(not too_many, f"of the program's text nobody has executed pages {sorted(too_many)}, so they are absent",
               "they are present", operation=self.ran.op.number)

    def check_variables(self) -> None:
        """Where nobody has run the program before, variables are present as they were used."""
        data = self.area("variables")
        begin = self.printed["variables"]
        block = Block("variables", IMAGE_PAGES["r"], self.file, data.first_page + (begin - data.begin) // PAGE, begin=begin)
        self._replay(block, "rw")
        self.check_zeros()

    def check_zeros(self) -> None:
        self._replay(Block("zeros", IMAGE_PAGES["z"], begin=self.printed["zeros"]), "zy")

    def _replay(self, block: Block, kinds: str) -> None:
        for use in self.uses:
            page = int(use[1:])
            if use[0] in kinds and page < block.pages:
                block.touch(page, write=use[0] == kinds[1])
                if use[0] == kinds[1]:
                    block.written[page] = dict(enumerate(struct.pack("<I", page + 1), 4))
        check_block(block, self.view, self.memory, self.name, self.ran.op.number)

    def text_frames(self) -> dict[int, int]:
        """The frames of its text, by page of the file."""
        area = self.area("text")
        return {area.first_page + (page.virtual - area.begin) // PAGE: page.frame for page in self.view.pages_of(area)}
