"""All swap entries of a machine, by slot: which pages of which address spaces lie where in the swap area.

An audit of the swap area puts this beside what the kernel counts: a slot that is in use without a page is lost, one that a page names
and that is free will soon hold another page's contents.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from paging.runs import PAGE
from paging.snapshot import USER_BEGIN, USER_END
from paging.tables import SLOT_SHIFT, SWAPPED, TableSet, describe_pte


class SwappedPage(NamedTuple):
    """A page with a swap entry: its address in the address space of a directory, which goes by its name in the test."""

    directory: str
    address: int

    def __str__(self) -> str:
        return f"{self.address:#010x} of {self.directory}"


def pages_by_slot(directories: Mapping[str, TableSet]) -> dict[int, list[SwappedPage]]:
    """The pages of the user range that lie in each slot, sorted; slots that no page names are left out."""
    found: dict[int, list[SwappedPage]] = {}
    for name, tables in sorted(directories.items()):
        for run in tables.swapped(USER_BEGIN, USER_END):
            for number in range(run.pages):
                found.setdefault(run.frame + number, []).append(SwappedPage(name, run.virtual + number * PAGE))
    return dict(sorted(found.items()))


def wrong_entries(directories: Mapping[str, TableSet], slots: int, bad: Collection[int] = ()) -> list[str]:
    """Swap entries that no correct kernel writes, in sentences.

    `slots`: how many the swap area has, its header among them, which is slot 0 and never a page's; `bad`: those that the header excludes.
    """
    told = []
    for name, tables in sorted(directories.items()):
        for run in tables.swapped(USER_BEGIN, USER_END):
            for number in range(run.pages):
                page, slot = SwappedPage(name, run.virtual + number * PAGE), run.frame + number
                word = tables.entries(page.address)[1] or 0
                if word != slot << SLOT_SHIFT | SWAPPED:
                    told.append(f"page {page}: its entry is {describe_pte(word)}")
                elif slot == 0:
                    told.append(f"page {page} names slot 0, which is the header of the swap area")
                elif slot >= slots:
                    told.append(f"page {page} names slot {slot}, and the last one is {slots - 1}")
                elif slot in bad:
                    told.append(f"page {page} names slot {slot}, which the swap area's header calls bad")
    return told
