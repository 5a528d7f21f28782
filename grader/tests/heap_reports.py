"""What the kernel says of its heap, read by tests: findings in words, and the objects that nothing leads to."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Unreachable:
    """One line of the report."""

    address: int
    bytes: int
    cache: str
    place: str


def unreachable(text: str) -> list[Unreachable]:
    found = re.findall(r"^unreachable: 0x([0-9a-f]{8}), (\d+) bytes, cache \"(.*)\", allocated in (.*)$", text, re.MULTILINE)
    return [Unreachable(int(address, 16), int(size), cache, place) for address, size, cache, place in found]


def paragraph(text: str, kind: str) -> str:
    """The finding and its indented lines."""
    found = re.findall(rf"^heap: {kind}: .*\n(?:  .*\n)*", text, re.MULTILINE)
    assert len(found) == 1, text
    return found[0]
