"""The decoder against a running kernel: QEMU's own walk of the kernel's page tables must say the same, page by page."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest

from paging.runs import PageRun, coalesce, compare
from paging.tables import LARGE_PAGE, PAGE, TableSet, read_tables

ROOT = Path(__file__).resolve().parents[2]
MEGABYTES = 64


def ask(monitor: subprocess.Popen, command: str) -> str:
    """One command to QEMU's monitor; the answer without the echo."""
    monitor.stdin.write(f"{command}\n")
    monitor.stdin.flush()
    return until_prompt(monitor)


def until_prompt(monitor: subprocess.Popen) -> str:
    answer = ""
    while not answer.endswith("(qemu) "):
        answer += monitor.stdout.read(1) or pytest.fail(f"QEMU ended: {answer}")
    return answer.partition("\n")[2].removesuffix("(qemu) ")


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> tuple[TableSet, list[PageRun]]:
    """Boots the default kernel in QEMU: what we decode from its memory, and QEMU's list of its pages."""
    elf = ROOT / "build/default/kernel.elf"
    if not elf.exists():
        subprocess.run(["make", "kernel"], cwd=ROOT, check=True, capture_output=True)
    folder = tmp_path_factory.mktemp("qemu")
    serial, dump = folder / "serial", folder / "memory"
    command = ["qemu-system-i386", "-m", str(MEGABYTES), "-cpu", "pentium3", "-display", "none", "-serial", f"file:{serial}",
               "-kernel", str(elf), "-monitor", "stdio"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as monitor:
        try:
            for _ in range(200):
                if serial.exists() and "kernel map" in serial.read_text("ascii", "replace"):
                    break
                time.sleep(0.1)
            else:
                pytest.fail("the kernel did not boot in QEMU")
            until_prompt(monitor)
            ask(monitor, "stop")
            registers = dict(re.findall(r"\b(CR[034])=([0-9a-f]+)", ask(monitor, "info registers")))
            pages = ask(monitor, "info tlb")
            ask(monitor, f'pmemsave 0 {MEGABYTES << 20:#x} "{dump}"')
        finally:
            monitor.kill()
    memory = dump.read_bytes()
    tables = read_tables(lambda address, length: memory[address:address + length], int(registers["CR3"], 16),
                         int(registers["CR4"], 16), memory_end=len(memory))
    return tables, list(map(qemu_page, re.findall(r"([0-9a-f]{16}): ([0-9a-f]{16}) (\S+)", pages)))


def qemu_page(line: tuple[str, str, str]) -> PageRun:
    """A line of `info tlb`: X G P D A C T U W, P for a large page."""
    virtual, physical, flags = int(line[0], 16), int(line[1], 16), line[2]
    large = flags[2] == "P"
    return PageRun(virtual, physical, LARGE_PAGE if large else PAGE, flags[8] == "W", flags[7] == "U", flags[1] == "G", large)


def test_qemu_and_the_decoder_agree_on_every_page(running):
    tables, pages = running
    assert len(pages) > 500
    assert compare(coalesce(pages, sizes=True), tables.pages(), sizes=True) == []


def option(name: str) -> bool:
    """Whether the default kernel was built with an option: whoever ran `make menuconfig` has a right to other tables."""
    return f"CONFIG_{name} 1" in (ROOT / "build/default/generated/config.h").read_text()


def test_the_kernel_map_is_as_promised(running):
    tables, _ = running
    assert tables.findings(MEGABYTES << 20) == []
    assert (tables.translate(0) is None) == option("MEMORY_PROTECTION"), "page 0 is absent"
    assert (tables.translate(0xF0400000) is None) == option("MEMORY_PROTECTION"), "the stack has a guard page"
    text = tables.translate(0x100000)
    assert (text.physical, text.writable, text.user, text.global_) == (0x100000, not option("MEMORY_PROTECTION"), False, True)
    assert tables.translate(0x2000000).large == option("LARGE_PAGES")
