"""The kernel's own symbol table: what it holds, and that making it moves no code."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "kernel/tools"))

import symbols  # noqa: E402

ELF = ROOT / "build/default/kernel.elf"


@pytest.fixture(scope="module")
def kernel() -> Path:
    if not ELF.exists():
        subprocess.run(["make", "kernel"], cwd=ROOT, check=True, capture_output=True)
    return ELF


def code_addresses(elf: Path) -> dict[str, int]:
    lines = subprocess.run(["i686-linux-gnu-nm", str(elf)], capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split() for line in lines]
    return {name: int(address, 16) for address, kind, name in rows if kind in "tTW"}


def read_table(data: bytes) -> dict[int, str]:
    """The section as the kernel reads it."""
    count = int.from_bytes(data[:4], "little")
    found = {}
    for i in range(count):
        address, name = (int.from_bytes(data[4 + 8 * i + k :][:4], "little") for k in (0, 4))
        found[address] = data[name : data.index(b"\0", name)].decode()
    return found


def test_the_examples_in_its_comments_hold():
    assert doctest.testmod(symbols).failed == 0


def test_functions_have_the_names_of_the_source(kernel):
    by_name = {function.name: function.address for function in symbols.read_functions(kernel)}
    addresses = code_addresses(kernel)
    assert by_name["kernel_main"] == addresses["kernel_main"]
    assert by_name["mm::page_table::map"] == addresses[next(name for name in addresses if name.startswith("_ZN2mm10page_table3map"))]
    assert by_name["panic"] == addresses["_Z5panicPKcS0_i"]
    assert not any(letter in name for name in by_name for letter in "()<> ") or "operator" in "".join(by_name)


def test_a_table_survives_the_way_there_and_back():
    functions = [symbols.Function(0x100000, "first"), symbols.Function(0x100010, "mm::second"), symbols.Function(0x100020, "first")]
    assert read_table(symbols.symbol_table(functions)) == {0x100000: "first", 0x100010: "mm::second", 0x100020: "first"}


def test_the_second_link_moves_no_code(kernel):
    first = kernel.with_name("kernel.first.elf")
    assert code_addresses(first) == code_addresses(kernel)


def test_the_kernel_holds_the_table_of_its_own_code(kernel, tmp_path):
    section = tmp_path / "section"
    subprocess.run(["i686-linux-gnu-objcopy", "-O", "binary", "--only-section=.symbols", str(kernel), str(section)], check=True)
    expected = {function.address: function.name for function in symbols.read_functions(kernel)}
    assert read_table(section.read_bytes()) == expected


def test_a_file_that_is_no_kernel_is_refused_in_words(tmp_path, capsys):
    text = tmp_path / "kernel.elf"
    text.write_text("not an ELF file")
    assert symbols.main([str(text), str(tmp_path / "symbols.o")]) == 2
    assert "not a 32-bit little-endian ELF file" in capsys.readouterr().err
    assert symbols.main([str(text)]) == 3
