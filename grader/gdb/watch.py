"""Watchpoints on linear addresses, over a debugger that watches physical ones.

A watched range is translated through the page tables. The directory and table entries that the translation went through are
watched too: when the guest writes one of them, the translation is made anew and the physical watchpoint moves. So `watch x`
follows x when its page is mapped elsewhere, and waits while its page is not mapped. What is not seen at once is a load of
CR3: the translation is renewed at the next stop.
"""

from emulator.bochs import WATCHPOINT_SLOTS, BochsDebugger

WRITE, READ, ACCESS = "watch", "rwatch", "awatch"
_PAGE = 4096
_PRESENT, _LARGE = 1, 0x80
_CR0_PAGING, _CR4_LARGE_PAGES = 1 << 31, 1 << 4


class Refused(Exception):
    """The watchpoint cannot be set; the message says why."""


class Watchpoint:
    """What GDB asked for: `kind`, and a range of linear addresses inside one page."""

    __slots__ = ("kind", "address", "length")

    def __init__(self, kind: str, address: int, length: int) -> None:
        self.kind = kind
        self.address = address
        self.length = length

    def key(self) -> "tuple[str, int, int]":
        return (self.kind, self.address, self.length)


class Watcher:
    """Keeps Bochs's physical watchpoints equal to what GDB's linear ones mean just now."""

    def __init__(self, debugger: BochsDebugger) -> None:
        self._debugger = debugger
        self._wanted: "dict[tuple[str, int, int], Watchpoint]" = {}
        self._places: "dict[tuple[int, int, bool], list[Watchpoint]]" = {}  # physical, length, write -> whom it serves
        self._guards: "set[int]" = set()  # physical addresses of page directory and table entries
        self._planted: "dict[tuple[int, bool], int]" = {}  # physical, write -> length, as Bochs has them

    def add(self, kind: str, address: int, length: int) -> None:
        """Takes a watchpoint on, or raises Refused."""
        if address % _PAGE + length > _PAGE:
            raise Refused(f"the {length} bytes at {address:#x} lie in two pages, which may be mapped apart: watch each part")
        watchpoint = Watchpoint(kind, address, length)
        self._wanted[watchpoint.key()] = watchpoint
        places, guards = self._translate_all()
        for write in (True, False):
            if sum(1 for _, _, w in places if w == write) + (len(guards) if write else 0) > WATCHPOINT_SLOTS:
                del self._wanted[watchpoint.key()]
                raise Refused(f"Bochs has {WATCHPOINT_SLOTS} watchpoints of each kind, page table entries on the way included")

    def remove(self, kind: str, address: int, length: int) -> None:
        self._wanted.pop((kind, address, length), None)

    def sync(self) -> None:
        """Before the machine runs: translates anew and changes in Bochs what differs."""
        if not self._wanted and not self._planted:
            return
        self._places, self._guards = self._translate_all()
        planned: "dict[tuple[int, bool], int]" = {}
        for physical, length, write in self._places:
            planned[physical, write] = max(length, planned.get((physical, write), 0))
        for entry in self._guards:
            planned[entry, True] = max(4, planned.get((entry, True), 0))
        if planned == self._planted:
            return
        stale = {address for address, write in self._planted if planned.get((address, write)) != self._planted[address, write]}
        commands = [f"unwatch {address:#x}" for address in stale]  # takes reading and writing ones away together
        kept = {key: length for key, length in self._planted.items() if key[0] not in stale}
        for (address, write), length in planned.items():
            if (address, write) not in kept:
                commands.append(f"watch {'w' if write else 'r'} {address:#x} {length}")
        for index in range(0, len(commands), 10):
            self._debugger.command(";".join(commands[index : index + 10]))
        self._planted = planned

    def explain(self, physical: int, write: bool) -> "Watchpoint | None":
        """The watchpoint of GDB's that an access means; None for a page table entry, which only asks for a new `sync`."""
        for (start, length, for_write), watchpoints in self._places.items():
            if for_write == write and start < physical + 4 and physical < start + length:
                return watchpoints[0]
        return None

    def _translate_all(self) -> "tuple[dict[tuple[int, int, bool], list[Watchpoint]], set[int]]":
        places: "dict[tuple[int, int, bool], list[Watchpoint]]" = {}
        guards: "set[int]" = set()
        walk = _Walk(self._debugger)
        for watchpoint in self._wanted.values():
            physical = walk.translate(watchpoint.address, guards)
            if physical is None:
                continue
            for write in (True, False):
                if watchpoint.kind in (ACCESS, WRITE if write else READ):
                    places.setdefault((physical, watchpoint.length, write), []).append(watchpoint)
        return places, guards


class _Walk:
    """Page walks that note which entries they used."""

    def __init__(self, debugger: BochsDebugger) -> None:
        self._debugger = debugger
        text = debugger.command("creg")
        self._paging = bool(_value(text, "CR0=") & _CR0_PAGING)
        self._large_pages = bool(_value(text, "CR4=") & _CR4_LARGE_PAGES)
        self._directory = _value(text, "CR3=") & ~0xFFF

    def translate(self, address: int, used: "set[int]") -> "int | None":
        if not self._paging:
            return address
        entry_address = self._directory + (address >> 22) * 4
        entry = self._read(entry_address)
        used.add(entry_address)
        if not entry & _PRESENT:
            return None
        if entry & _LARGE and self._large_pages:
            return (entry & 0xFFC00000) + (address & 0x3FFFFF)
        entry_address = (entry & ~0xFFF) + (address >> 12 & 0x3FF) * 4
        entry = self._read(entry_address)
        used.add(entry_address)
        return (entry & ~0xFFF) + address % _PAGE if entry & _PRESENT else None

    def _read(self, address: int) -> int:
        return int.from_bytes(self._debugger.memory.read_physical(address, 4), "little")


def _value(text: str, marker: str) -> int:
    return int(text.partition(marker)[2].split()[0].rstrip(":"), 16)
