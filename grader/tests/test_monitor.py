"""The kernel's monitor, typed at like a person would, over QEMU's serial line."""

from __future__ import annotations

import re
import selectors
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ELF = ROOT / "build/default/kernel.elf"
PROMPT = "faultline> "
SECONDS = 20


class Console:
    """The terminal: `type` sends keys as they are, `run` sends a line and returns what it answers."""

    def __init__(self, elf: Path = ELF, options: str = "", machine: Sequence[str] = ()) -> None:
        command = ["qemu-system-i386", "-m", "16", "-display", "none", "-monitor", "none", "-serial", "stdio", "-kernel", str(elf),
                   "-append", options, *machine]
        self._qemu = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
        self._unread = ""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._qemu.stdout, selectors.EVENT_READ)

    def close(self) -> None:
        self._qemu.kill()
        self._qemu.wait()
        self._selector.close()
        self._qemu.stdin.close()
        self._qemu.stdout.close()

    def until(self, text: str) -> str:
        """What came up to and including `text`. What a program says behind a prompt is the next answer's."""
        deadline = time.monotonic() + SECONDS
        while text not in self._unread:
            if not self._selector.select(deadline - time.monotonic()):
                pytest.fail(f"no {text!r} after {SECONDS} s; seen: {self._unread}")
            data = self._qemu.stdout.read(4096)
            assert data, f"QEMU ended; seen: {self._unread}"
            self._unread += data.decode("ascii", "replace").replace("\r", "")
        before, found, self._unread = self._unread.partition(text)
        return before + found

    def type(self, keys: str) -> None:
        self._qemu.stdin.write(keys.encode())

    def run(self, line: str) -> str:
        self.type(line + "\r")
        return self.until(PROMPT).partition("\n")[2].removesuffix(PROMPT)


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    if not ELF.exists():
        subprocess.run(["make", "kernel"], cwd=ROOT, check=True, capture_output=True)
    console = Console()
    try:
        console.until(PROMPT)
        yield console
    finally:
        console.close()


def free_frames(console: Console) -> int:
    return sum(int(line.split()[2]) for line in console.run("zones").splitlines()[1:])


def test_help_lists_every_command(console):
    text = console.run("help")
    for command in ("memmap", "zones", "frames", "pagetables", "translate", "map", "unmap", "frame alloc", "crash", "options", "halt"):
        assert re.search(rf"^  {command} ", text, re.MULTILINE), command


def test_help_shows_the_commands_that_begin_with_a_word(console):
    text = console.run("help frame")
    assert re.findall(r"^  (frame\S*(?: [a-z-]+)?) ", text, re.MULTILINE) == ["frames", "frame alloc", "frame free", "frame zero-fill", "frame drain"]


def test_an_unknown_command_points_to_help(console):
    assert console.run("bogus words") == '"bogus words" is no command; help lists them all\n'
    assert "is no command" in console.run("frame")
    assert "is no command" in console.run("helpless")


def test_an_empty_line_says_nothing(console):
    assert console.run("") == "" and console.run("   ") == ""


def test_the_line_can_be_edited(console):
    assert console.run("tranx\x7fslate  0x100000").startswith("0x00100000 -> 0x00100000")
    assert "free" in console.run("nonsense\x15zones")
    console.type("nonsense\x03")
    console.until(PROMPT)
    assert "free" in console.run("zones")


def test_a_line_that_is_too_long_is_cut(console):
    answer = console.run("x" * 300)
    assert "is no command" in answer and len(answer) < 200


def test_a_page_is_mapped_written_seen_in_its_frame_and_unmapped(console):
    before = free_frames(console)
    frame, address = re.search(r"frame (0x[0-9a-f]+) at (0x[0-9a-f]+)", console.run("frame alloc")).groups()
    assert "writable, user, frame at" in console.run(f"map 0x10000000 {frame} rw")
    console.run("write 0x10000123 0xcafe")
    assert console.run(f"read {int(address, 16) + 0x123:#x}").endswith(": 0x0000cafe\n")
    assert re.match(rf"0x10000123 -> 0x{int(address, 16) + 0x123:08x}  page of 4 KiB, writable, user", console.run("translate 0x10000123"))
    assert "PTE" not in console.run("unmap 0x10000000")
    assert console.run("translate 0x10000000") == "translate: NotMapped\n"
    console.run(f"frame free {frame}")
    assert free_frames(console) == before


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("map", "map: InvalidArgument\nusage: map ADDRESS FRAME [rw|ro]\n"),
        ("map 5 5", "map: Misaligned\n"),
        ("map 0x10000000 1 sideways", "map: InvalidArgument\nusage: map ADDRESS FRAME [rw|ro]\n"),
        ("map 0x100000 1", "map: OutOfRange\n"),
        ("translate 0x123456789", "translate: OutOfRange\n"),
        ("translate 0", "translate: NotMapped\n"),
        ("read 0", "read: NotMapped\n"),
        ("frame free 0", "frame free: NotAllocated\n"),
        ("frame alloc moon", "frame alloc: InvalidArgument\nusage: frame alloc [dma|normal|high]\n"),
    ],
)
def test_what_cannot_be_done_is_named(console, line, answer):
    assert console.run(line) == answer


def test_an_area_of_vmalloc_is_listed_used_freed_and_purged(console):
    before = free_frames(console)
    address, size = re.match(r"(0x[0-9a-f]{8}), (\d+) bytes\n", console.run("vmalloc 10000")).groups()
    assert size == "12288"
    console.run(f"write {int(address, 16) + 0x2ffc:#x} 0xcafe")
    assert console.run(f"read {int(address, 16) + 0x2ffc:#x}").endswith(": 0x0000cafe\n")
    listed = rf"  {address}      3 pages      12288 bytes  "
    assert re.search(listed + "in use", console.run("vmallocinfo"))
    assert console.run(f"vfree {int(address, 16) + 4096:#x}") == "vfree: NotAllocated\n"
    assert console.run(f"vfree {address}") == ""
    assert re.search(listed + "freed", console.run("vmallocinfo"))
    assert console.run("vmalloc purge") == "3 frames given back\n"
    assert "vmalloc: 0 areas, 0 KiB in use; freed, but not yet unmapped: 0 areas, 0 KiB\n" in console.run("meminfo")
    assert console.run(f"read {address}") == "read: NotMapped\n"
    assert free_frames(console) == before - 1, "only the page table of these addresses stays"


def test_device_memory_is_mapped_seen_and_unmapped(console):
    address = console.run("ioremap 0xb8002 100 write-through").strip()
    assert re.search(r": 0x07[0-9a-f]{2}07[0-9a-f]{2}\n$", console.run(f"read {address}")), "two characters, light grey on black"
    assert re.search(rf"  {address}      1 pages       4096 bytes  device memory at 0x000b8002, write-through\n", console.run("vmallocinfo"))
    assert console.run(f"iounmap {address}") == "" and console.run(f"iounmap {address}") == "iounmap: NotMapped\n"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("vmalloc", "vmalloc: InvalidArgument\nusage: vmalloc BYTES\n"),
        ("vmalloc 0", "vmalloc: InvalidArgument\nusage: vmalloc BYTES\n"),
        ("vmalloc 0x80000000", "vmalloc: OutOfMemory\n"),
        ("vfree 0xc0000000", "vfree: NotAllocated\n"),
        ("ioremap 0x100000 4096", "ioremap: InvalidArgument\nusage: ioremap PHYS BYTES [CACHING]\n"),
        ("ioremap 0xb8000 1 sideways", "ioremap: InvalidArgument\nusage: ioremap PHYS BYTES [CACHING]\n"),
        ("ioremap 0xffffffff 2", "ioremap: OutOfRange\n"),
    ],
)
def test_what_cannot_be_allocated_or_mapped_is_named(console, line, answer):
    assert console.run(line) == answer


def test_reports(console):
    assert "usable memory\n" in console.run("memmap")
    assert "allocated" in console.run("frames") or "free" in console.run("frames")
    assert "4 MiB" in console.run("pagetables")
    assert "PDE    0" in console.run("pagetables 0x1000")
    options = console.run("options")
    assert "memory protection    on" in options and "demand paging        on" in options


def test_swap_entries_are_told_from_pages_and_from_nothing(console):
    """Written by hand into a page table, as swapping does; unmap() empties them, and the table goes with the last."""
    table = int(re.search(r"table at 0x([0-9a-f]{8})", console.run("map 0x40000000 0x300 rw"))[1], 16)
    for page, slot in ((1, 12), (2, 13), (5, 0xFFFFFF)):
        console.run(f"write {table + 4 * page:#x} {slot << 8 | 2:#x}")
    walk = console.run("pagetables 0x40001234").splitlines()
    assert walk[-1] == f"  PTE    1 at 0x{table + 4:08x} = 0x00000c02: not present, swapped to slot 12"
    assert console.run("pagetables 0x40003000").splitlines()[-1].endswith("= 0x00000000: not present")
    pages = console.run("pagetables")
    assert "  0x40001000-0x40002fff swapped               8 KiB  to slots 12 to 13\n" in pages
    assert "  0x40005000-0x40005fff swapped               4 KiB  to slot 16777215\n" in pages
    assert console.run("translate 0x40001000") == "translate: NotMapped\n" and console.run("read 0x40001000") == "read: NotMapped\n"
    for page, table_stays in ((0, True), (1, True), (2, True), (5, False)):
        walk = console.run(f"unmap {0x40000000 + page * 4096:#x}")
        assert ("PTE" in walk) == table_stays and walk.endswith(": not present\n"), walk


def test_time_goes_by(console):
    def interrupts() -> int:
        return int(re.search(r"(\d+) timer interrupts", console.run("uptime"))[1])

    first = interrupts()
    time.sleep(0.2)
    assert interrupts() > first


def test_a_crash_test_that_does_not_exist_lists_those_that_do(console):
    assert "crash null" in console.run("crash nothing")


def test_a_crash_ends_in_a_panic_and_reboot_begins_anew(console):
    console.type("reboot\r")
    assert "Faultline:" in console.until(PROMPT)
    console.type("crash null\r")
    assert "null pointer dereference" in console.until("*** the kernel has stopped\n")
