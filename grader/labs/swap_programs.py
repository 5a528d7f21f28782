"""Programs that work on more memory than there is: what they are told, and what each of their pages must hold at a checkpoint.

    work = SwapWork(scenario, "sweep", pages=128, more=2, frames=64)
    ran = work.run("filled", "worked")
    scenario.boot()
    audit = work.audit("filled")                                        # everything agrees, from outside; see labs/swap_audit.py
    work.holds(audit, ran.pid, {page: work.key for page in range(128)})

The lines are for grader/programs/swapwork, whose pages.h decides contents by the same formulas.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Mapping
from typing import Any

from emulator.swap_disk import SwapDisk
from judge.scenario import Checkpoint, Machine, Scenario, expect, fail
from labs.programs import Programs, Ran
from labs.swap_audit import SwapAudit, read_audit
from paging.tables import PAGE

MARKS, WORDS = 8, PAGE // 4
_WORD = 0xFFFF_FFFF
_ARENA = (0x3000_0000, 0xB000_0000)  # where pages lie: no program's own memory is there


def mix(value: int) -> int:
    """pages.h."""
    value = value * 0x9E37_79B1 & _WORD
    value ^= value >> 15
    value = value * 0x85EB_CA77 & _WORD
    return value ^ value >> 13


def page_contents(address: int, key: int) -> bytes:
    """What write_page() makes of a page of zeros."""
    page = bytearray(PAGE)
    for number in range(MARKS):
        place = number * (WORDS // MARKS) + mix(address + number) % (WORDS // MARKS)
        page[place * 4:place * 4 + 4] = mix(address + number + key * 16 & _WORD).to_bytes(4, "little")
    return bytes(page)


class SwapWork:
    """One run of swapwork on a machine of its own."""

    def __init__(self, scenario: Scenario, kind: str, pages: int, *, more: int = 1, frames: int | None = None, shuffled: bool = False,
                 machine: Machine | None = None, swap_pages: int | None = None) -> None:
        """`frames`: so many frames of user memory there may be; None: as many as the machine has. `swap_pages`: slots for pages."""
        self.scenario, self.kind, self.pages, self.more = scenario, kind, pages, more
        scenario.machine = machine or Machine(16)
        scenario.swap = SwapDisk(kib=4 * (1 + (swap_pages or 3 * pages + 128)))
        chance = scenario.random
        self.begin = chance.randrange(_ARENA[0], _ARENA[1] - 3 * pages * PAGE, PAGE)
        self.key = chance.randrange(1, 1 << 24)
        self.step, self.offset = _order(chance, pages) if shuffled else (1, 0)
        self.programs = Programs(scenario)
        if frames is not None:
            scenario.op("swap.limit", frames)
        self._ran: Ran | None = None
        self._end: Checkpoint | None = None

    @property
    def ran(self) -> Ran:
        """What came of it; run() comes before."""
        assert self._ran is not None
        return self._ran

    def address(self, page: int) -> int:
        return self.begin + page * PAGE

    def run(self, *checkpoints: str) -> Ran:
        """Adds the run to the script, and a look at the swap area after it; the program reaches these checkpoints."""
        self._ran = self.programs.run("swapwork", self.kind, self.begin, self.pages, self.step, self.offset, self.key, self.more,
                                      checkpoints=checkpoints, reader=lambda target, _: self._read(target))
        self._end = Checkpoint("end", self.scenario.op("swap.look", "end"), self._read, False)
        self.scenario.checkpoints.append(self._end)
        return self._ran

    def audit(self, name: str) -> SwapAudit:
        """The machine at a checkpoint, where page tables, disk and counts agree, or the test fails."""
        audit: SwapAudit = self.ran.looks[name].found
        self._expect_none(audit.wrong(), f"page tables, slots and counts agree at the checkpoint {name!r}",
                          "Each swap entry counts as one entry of its slot, and so does each page of a shared memory that is out.")
        return audit

    def ended_well(self) -> None:
        """The program has seen what it had written; no slot is in use after its end."""
        ran = self.ran
        expect(ran.exit_status == 0 and ran.lines[-1:] == ["wrong 0"], "every word that was written is there when it is looked at",
               f"{ran.ending}; it printed last {(ran.lines or ['nothing'])[-1]!r}",
               "What goes out must come back, to the same page.", operation=ran.op.number)
        self._expect_none(self.after.wrong(), "page tables, slots and counts agree after the end", "")
        self._expect_none(self.after.leaks(), "no slot is in use when nobody is left",
                          "With the last entry goes the copy's reference; the slot is free if nobody else shows the copy.")

    @property
    def after(self) -> SwapAudit:
        """The machine when the program has ended."""
        assert self._end is not None
        return self._end.probe

    def member(self, number: int) -> int:
        """The process number of a child: the program has printed it."""
        for line in self.ran.lines:
            words = line.split()
            if words[:2] == ["member", str(number)]:
                return int(words[2])
        fail(f"swapwork makes its child {number}", f"it printed {self.ran.text!r}, {self.ran.ending}", operation=self.ran.op.number)

    def holds(self, audit: SwapAudit, pid: int, keys: Mapping[int, int], where: str = "") -> None:
        """These pages, by their numbers, are in memory or on the disk with what was written with these keys."""
        for page, key in keys.items():
            address = self.address(page)
            seen = audit.contents(pid, address) if pid in audit.family.members else None
            if seen == page_contents(address, key):
                continue
            slot = audit.swapped.get(pid, {}).get(address)
            lies = f"slot {slot} on the disk" if slot else "its frame" if seen is not None else "neither memory nor swap area"
            fail(f"page {address:#010x} of process {pid} holds what was written to it{where}", f"{lies} has {_words(address, seen, key)}",
                 "The disk is read from outside: a page with a swap entry lies in that slot.", operation=self.ran.op.number)

    def uses_the_disk(self, audit: SwapAudit, least: int) -> None:
        """So many pages are out, as page tables say."""
        out = sum(map(len, audit.swapped.values())) + sum(map(len, audit.object_pages.values()))
        expect(out >= least, f"at least {least} pages are in the swap area: there are frames for no more than the others", f"{out} pages",
               operation=self.ran.op.number)

    # -- inside ------------------------------------------------------------------------------------------------------------------

    def _read(self, target: Any) -> SwapAudit:
        return read_audit(target, self.scenario.machine.memory_bytes)

    def _expect_none(self, sentences: list[str], expected: str, hint: str) -> None:
        if sentences:
            more = f" (and {len(sentences) - 3} more)" if len(sentences) > 3 else ""
            fail(expected, "; ".join(sentences[:3]) + more, hint, operation=self.ran.op.number)


# -- records (grader/programs/swapwork/together.cpp) ----------------------------------------------------------------------------

RECORD_BYTES = 256


def records_after(work: SwapWork, parts: int) -> list[bytes]:
    """The records of `swapwork sort`, each of so many parts in its order."""
    count = work.pages * PAGE // RECORD_BYTES
    orders = [(mix(work.key + i & 0xFFFF_FFFF), i) for i in range(count)]
    size = count // parts
    records: list[bytes] = []
    for part in range(parts):
        for first, second in sorted(orders[part * size:count if part == parts - 1 else (part + 1) * size]):
            words = (first, second, *[0] * (RECORD_BYTES // 4 - 3), mix(first + second & _WORD))
            records.append(struct.pack(f"<{len(words)}I", *words))
    return records


def wrong_records(work: SwapWork, audit: SwapAudit, first_page: int, records: list[bytes]) -> str:
    """Where the process's pages hold other records, in words; "" when they hold these."""
    wanted = b"".join(records)
    for page in range(work.pages):
        address = work.address(first_page + page)
        seen = audit.contents(work.ran.pid, address)
        if seen != wanted[page * PAGE:(page + 1) * PAGE]:
            return f"page {address:#010x} {'has other records' if seen else 'is neither in memory nor in the swap area'}"
    return ""


def _order(chance: random.Random, pages: int) -> tuple[int, int]:
    """A step without a common factor with the number of pages, which jumps over many."""
    return chance.choice([step for step in range(pages // 5, pages) if math.gcd(step, pages) == 1]), chance.randrange(pages)


def _words(address: int, seen: bytes | None, key: int) -> str:
    """How the contents of a page differ."""
    if seen is None:
        return "it"
    wanted = page_contents(address, key)
    place = next(i for i in range(0, PAGE, 4) if seen[i:i + 4] != wanted[i:i + 4])
    return (f"{int.from_bytes(seen[place:place + 4], 'little'):#010x} at byte {place}, "
            f"{int.from_bytes(wanted[place:place + 4], 'little'):#010x} was written")
