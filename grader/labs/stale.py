"""What the CPU remembers of a page, beside what its page tables say now: the check that labs about page tables have in common."""

from __future__ import annotations

from typing import Any

from paging.tables import Walk

PAGE = 4096
WHO_TELLS_THE_CPU = "Who changes an entry of the active directory makes the CPU forget the old one: tlb.h."


def contradiction(entry: Any, walk: Walk | None) -> str:
    """What a TLB entry gets wrong; "" if nothing. One that allows less than the tables is harmless: the CPU walks again."""
    if walk is None:
        return "nothing is mapped there any more"
    if entry.frame_address // PAGE != walk.physical // PAGE:
        return f"the tables lead to frame {walk.physical // PAGE:#x}"
    if entry.writable and not walk.writable:
        return "the tables make it read-only"
    if entry.user and not walk.user:
        return "the tables keep users out"
    return ""


def remembered(address: int, entry: Any) -> str:
    rights = " ".join(word for word, held in (("writable", entry.writable), ("user", entry.user)) if held)
    return f"for {address:#010x} the CPU still remembers frame {entry.frame_address // PAGE:#x}{f' ({rights})' if rights else ''}"
