"""What correct heaps have in common, in plain Python: blocks that do not overlap, the list of objects in use, findings.

Nothing here knows a data structure of the piece. What the tests compare comes from three sides: what the piece returned to the
guest, what it says about itself (objects, figures, findings), and what lies in the machine's memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

PAGE_SIZE = 4096
ALIGNMENT = 8  # kHeapAlignment
RED_ZONE = 8  # kRedZone
FREED_BYTE = 0x6B  # kFreedByte
MAX_OBJECT = 4096  # kMaxObjectSize

KMALLOC = 0x100  # in place of a cache's slot: grader/guest/heap_books.h
STRANGER = 0xFFFF_FFFF
BLOCK = struct.Struct("<5I")


class Kind(IntEnum):
    """FindingKind."""

    OVERFLOW = 1
    UNDERFLOW = 2
    USE_AFTER_FREE = 3
    DOUBLE_FREE = 4
    FOREIGN_FREE = 5

    @property
    def title(self) -> str:
        return "".join(word.title() for word in self.name.split("_"))


@dataclass(frozen=True, order=True)
class Block:
    """A piece of memory in somebody's hands: one that the guest holds, or one that for_each_object() showed."""

    address: int
    size: int
    cache: int  # the cache's slot, KMALLOC, or STRANGER
    site: int  # 0: not known; else the number of the call site, from 1
    owner: int = 0  # 0: none; else the cache's slot, from 1: Object::owner

    @property
    def end(self) -> int:
        return self.address + self.size

    @property
    def pages(self) -> range:
        """The numbers of the pages that its bytes lie in."""
        return range(self.address // PAGE_SIZE, -(-self.end // PAGE_SIZE))


def read_blocks(data: bytes, *, site_offset: int = 0) -> list[Block]:
    """The guest's records. It keeps indexes of call sites for its own blocks, and numbers from 1 for those that it was shown. The last
    word is the mark of its own blocks, and the owner of the others."""
    return [Block(address, size, cache, site + site_offset, 0 if site_offset else last)
            for address, size, cache, site, last in BLOCK.iter_unpack(data)]


def overlaps(blocks: Iterable[Block]) -> list[tuple[Block, Block]]:
    """Pairs of blocks that share bytes."""
    found, last = [], None
    for block in sorted(blocks):
        if last is not None and block.address < last.end:
            found.append((last, block))
        if last is None or block.end > last.end:
            last = block
    return found


def _number(value: int) -> str:
    return "of a stranger" if value == STRANGER else str(value)


def differences(held: Sequence[Block], shown: Sequence[Block]) -> list[str]:
    """What for_each_object() got wrong about the blocks that are held: missing, shown twice, not in use, or wrong in a field."""
    found: list[str] = []
    owners = {block.address: block for block in held}
    seen: dict[int, Block] = {}
    for block in shown:
        want = owners.get(block.address)
        if want is None:
            found.append(f"an object at {block.address:#x} (size {block.size}) is shown that is not in use")
        elif block.address in seen:
            found.append(f"the object at {block.address:#x} is shown twice")
        else:
            found += [f"the object at {block.address:#x} is shown with {word} {_number(getattr(block, name))}, not {_number(getattr(want, name))}"
                      for name, word in (("size", "size"), ("cache", "cache number"), ("site", "call site number"), ("owner", "owner number"))
                      if getattr(block, name) != getattr(want, name)]
        seen[block.address] = block
    missing = [block for block in held if block.address not in seen]
    found += [f"the object at {block.address:#x} (size {block.size}) is in use and not shown" for block in missing]
    return found


@dataclass(frozen=True)
class Finding:
    """One finding, as the piece reported it. Sites are numbers from 1, 0 for not known."""

    kind: int
    object: int
    size: int
    damage: int
    allocated: int
    freed: int
    found: int
    cache: int


@dataclass(frozen=True)
class Expected:
    """What a finding must say. None: the test does not care."""

    kind: Kind
    object: int
    size: int | None = None
    damage: int | None = None
    allocated: int | None = None
    freed: int | None = None
    found: int | None = None
    cache: int | None = None

    def mistakes(self, seen: Finding) -> list[str]:
        """The fields that are not right, by name."""
        names = ("kind", "object", "size", "damage", "allocated", "freed", "found", "cache")
        return [name for name in names if getattr(self, name) is not None and getattr(self, name) != getattr(seen, name)]


def match(expected: Sequence[Expected], seen: Sequence[Finding]) -> tuple[list[tuple[Expected, Finding | None]], list[Finding]]:
    """Pairs each expectation with the finding that fits it best (about the same object, the same kind if there is one), and says which
    findings nobody expected. The order does not matter."""
    rest = list(seen)
    pairs: list[tuple[Expected, Finding | None]] = []
    for want in expected:
        near = [finding for finding in rest if finding.object == want.object]
        best = min(near, key=lambda finding: (finding.kind != want.kind, len(want.mistakes(finding))), default=None)
        if best is not None:
            rest.remove(best)
        pairs.append((want, best))
    return pairs, rest
