"""Findings of the heap as people read them: planted at boot, and at the monitor's prompt."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from heap_reports import paragraph, unreachable
from profiles import ROOT, built
from test_monitor import PROMPT, Console

PLANTS = ROOT / "kernel/monitor/plants.cpp"


# --- findings in words --------------------------------------------------------------------------------------------------------


@pytest.fixture
def planted_at_boot():
    """What the kernel says at boot with `plant=NAME`; more options may follow."""
    def run(options: str, until: str = PROMPT) -> str:
        console = Console(built("default"), options)
        try:
            return console.until(until)
        finally:
            console.close()
    return run


def at(function: str, text: str, after: str = "") -> str:
    """The place in plants.cpp: the first line with `text` behind the beginning of the function."""
    lines = PLANTS.read_text().splitlines()
    begin = next(number for number, line in enumerate(lines) if f" {function}(" in line or f"*{function}(" in line)
    numbers = [number for number, line in enumerate(lines, 1) if number > begin and text in line]
    return f"{function}() at {PLANTS.relative_to(ROOT)}:{numbers[1 if after else 0]}"


def dump(said: str) -> dict[int, int]:
    """The bytes that a paragraph shows, by address."""
    rows = re.findall(r"^      0x([0-9a-f]{8}):(.*)$", said, re.MULTILINE)
    cells = {int(address, 16) + i // 3: row[i : i + 3].strip() for address, row in rows for i in range(0, len(row), 3)}
    return {address: int(cell, 16) for address, cell in cells.items() if cell}


def test_an_overflow_in_words(planted_at_boot):
    said = paragraph(planted_at_boot("plant=overflow"), "overflow")
    address = int(re.search(r"object 0x([0-9a-f]{8}), 30 bytes, cache \"kmalloc 32\"", said)[1], 16)
    assert "  byte 30 is damaged: 1 behind the object's last\n" in said
    assert f"  allocated in {at('plant_overflow', 'must_allocate')}\n" in said
    assert f"  found in {at('plant_overflow', 'kfree')}\n" in said
    dumped = dump(said)
    assert dumped[address + 30] == 0x41 and dumped[address + 29] == 0x41 and dumped[address + 31] not in (0x41, 0x6B)
    assert "freed in" not in said


def test_an_underflow_in_words(planted_at_boot):
    said = paragraph(planted_at_boot("plant=underflow"), "underflow")
    address = int(re.search(r"object 0x([0-9a-f]{8})", said)[1], 16)
    assert "  byte -1 is damaged: 1 before the object's first\n" in said and dump(said)[address - 1] == 0x41
    assert f"  allocated in {at('plant_underflow', 'must_allocate')}\n" in said


def test_a_use_after_free_in_words(planted_at_boot):
    said = paragraph(planted_at_boot("plant=use-after-free"), "use after free")
    assert "64 bytes, cache \"kmalloc 64\"\n  byte 4 of it was written after it was freed\n" in said
    assert f"  allocated in {at('plant_use_after_free', 'must_allocate')}\n" in said
    assert f"  freed in {at('plant_use_after_free', 'kfree')}\n" in said
    assert "found in" not in said, "a sweep found it"


def test_a_double_free_in_words(planted_at_boot):
    said = paragraph(planted_at_boot("plant=double-free"), "double free")
    assert f"  allocated in {at('plant_double_free', 'must_allocate')}\n" in said
    assert f"  freed in {at('plant_double_free', 'kfree')}\n" in said
    assert f"  found in {at('plant_double_free', 'kfree', 'the first')}\n" in said


def test_a_foreign_free_in_words(planted_at_boot):
    said = paragraph(planted_at_boot("plant=foreign-free"), "foreign free")
    assert "it lies in cache \"kmalloc 64\"\n" in said
    assert f"  allocated in {at('plant_foreign_free', 'must_allocate')}\n" in said
    assert f"  found in {at('plant_foreign_free', 'kfree')}\n" in said


def test_a_planted_leak_is_named_by_function_and_line(planted_at_boot):
    said = planted_at_boot("plant=leak")
    assert f"    1200 bytes in    12 objects  {at('plant_leak', 'must_allocate')}" in said.splitlines()


def test_a_finding_stops_the_kernel_if_that_is_wished(planted_at_boot):
    said = planted_at_boot("panic_on_finding plant=overflow", "*** the kernel has stopped\n")
    assert "*** kernel panic: the heap has a finding, and the command line says panic_on_finding" in said
    assert paragraph(said, "overflow")
    assert "plant_overflow" in said.partition("backtrace")[2], "the backtrace leads to the culprit"


# --- the monitor --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    console = Console(built("default"))
    try:
        console.until(PROMPT)
        yield console
    finally:
        console.close()


def test_the_monitor_allocates_resizes_and_frees(console):
    first = re.match(r"(0x[0-9a-f]{8}), 100 bytes\n$", console.run("kmalloc 100"))[1]
    assert re.search(r"kmalloc 112 +112 +1 ", console.run("slabinfo"))
    second = re.match(r"(0x[0-9a-f]{8}), 100000 bytes\n$", console.run(f"krealloc {first} 100000"))[1]
    assert re.search(r"kmalloc large +0 +1 ", console.run("slabinfo"))
    assert console.run(f"kfree {second}") == ""
    assert "heap: double free: object" in (said := console.run(f"kfree {first}")) and said.endswith("kfree: NotAllocated\n")
    assert console.run("kmalloc 0").startswith("kmalloc: InvalidArgument\nusage: kmalloc BYTES [ALIGNMENT]\n")
    assert int(re.match(r"(0x[0-9a-f]{8})", console.run("kmalloc 10 4096"))[1], 16) % 4096 == 0
    assert re.search(r"heap: 1 objects in \d+ KiB of frames, \d+ caches; 1 findings\n", console.run("meminfo"))


def test_the_monitor_spoils_and_finds(console):
    address = re.match(r"(0x[0-9a-f]{8})", console.run("kmalloc 20"))[1]
    assert console.run("heap check").startswith("0 findings")
    console.run(f"heap spoil {address} -1")
    console.run(f"heap spoil {address} 20")
    said = console.run("heap check")
    assert paragraph(said, "underflow") and paragraph(said, "overflow") and "2 findings" in said
    assert console.run("heap check").startswith("0 findings"), "the same damage is found once"
    assert "  allocated in allocate() at kernel/monitor/heap_commands.cpp:" in said


def test_the_monitor_plants_a_leak_and_collects_it(console):
    console.run("leaks remember")
    assert "plant leak" in console.run("plant") and "plant overflow" in console.run("plant nothing")
    assert "1200 bytes in    12 objects  plant_leak()" in console.run("plant leak")
    assert len([line for line in unreachable(console.run("leaks unreachable")) if line.place.startswith("plant_leak()")]) == 12
    console.run("leaks collect")
    assert "plant_leak" not in console.run("leaks")
    assert re.search(r"\d+ frames given back\n", console.run("heap shrink"))
