"""What the program libtest (grader/programs) prints, judged: by the C library of this computer, by Python's texts, by a model of a heap."""

from __future__ import annotations

import ctypes
import re
from bisect import bisect_left, insort

LIBC = ctypes.CDLL(None)


def records(text: str, kind: str) -> list[list[str]]:
    """The records of one kind, without their first word."""
    return [line.split("|")[1:] for line in text.splitlines() if line.startswith(kind + "|")]


def formatted(format_text: str, *arguments: object) -> str:
    buffer = ctypes.create_string_buffer(256)
    LIBC.snprintf(buffer, ctypes.c_size_t(256), format_text.encode(), *arguments)
    return buffer.value.decode()


def expected_text(kind: str, format_text: str, value: int, word_bits: int) -> str:
    if "c" in re.findall(r"%[^a-zA-Z%]*([a-zA-Z])", format_text)[:1]:
        return formatted(format_text, ctypes.c_int(value))
    if kind == "p":
        return formatted(format_text, ctypes.c_void_p(value))
    if kind == "long":
        return formatted(format_text, ctypes.c_uint64(value))
    if kind == "int":
        return formatted(format_text, ctypes.c_uint32(value & 0xFFFFFFFF))
    if kind == "word" and word_bits == 64:
        return formatted(format_text, ctypes.c_uint64(value))
    if kind == "word":
        return formatted(re.sub(r"[lzt](?=[a-zA-Z]%%)", "", format_text), ctypes.c_uint32(value & 0xFFFFFFFF))
    raise AssertionError(f"unknown kind {kind!r}")


def check_formats(text: str, word_bits: int) -> int:
    """Every snprintf() of `libtest format` did what this computer's does; returns how many there were."""
    found = records(text, "format")
    for kind, room, format_text, words, result, length, kept in found:
        high, low = map(int, words.split(":"))
        case = f"snprintf(_, {room}, {format_text!r}, {kind} {high << 32 | low:#x})"
        if format_text.endswith("s") and kind not in ("c", "p", "int", "long", "word"):
            expected = formatted(format_text, ctypes.c_char_p(kind.encode()))
        elif format_text.endswith("s"):
            raise AssertionError(f"{case}: a text that looks like a kind")
        else:
            expected = expected_text(kind, format_text, high << 32 | low, word_bits)
        assert int(length) == len(expected), f"{case} returned {length}; {expected!r} has {len(expected)}"
        assert result == expected[: max(int(room) - 1, 0)], f"{case} wrote {result!r} instead of {expected!r}"
        assert kept == "1", f"{case} wrote behind its room"
    return len(found)


def _sign(a: bytes, b: bytes) -> int:
    return (a > b) - (a < b)


def _number(text: str) -> str:
    good = re.fullmatch(r"0[xX][0-9a-fA-F]+|[0-9]+", text)
    value = int(text, 16 if text[:2] in ("0x", "0X") else 10) if good else 1 << 32
    return f"1:{value}" if value < 1 << 32 else "0:77"


def check_texts(text: str) -> int:
    """Every call of `libtest text` did what Python's texts say."""
    found = records(text, "text")
    for a, b, most_text, c, *results in found:
        most = int(most_text)
        padded_a, padded_b = a.encode().ljust(64, b"\0"), b.encode().ljust(64, b"\0")
        joined = "ab" + a
        all_joined = 2 + len(a) if most >= 2 else most + len(a)
        moved = bytearray(padded_a)
        begin, to, size = map(int, results[12].split(","))
        moved[to : to + size] = moved[begin : begin + size]
        expected = [
            len(a), min(len(a), most), _sign(a.encode(), b.encode()), _sign(a.encode()[:most], b.encode()[:most]),
            _sign(padded_a[:most], padded_b[:most]), a.find(c), a.rfind(c), a.find(b),
            len(a), a[: max(most - 1, 0)], all_joined, joined[: max(most - 1, 2)] if most > 2 else "ab",
            results[12], bytes(moved[:40]).replace(b"\0", b".").decode(), _number(b),
        ]  # fmt: skip
        assert results == list(map(str, expected)), f"a = {a!r}, b = {b!r}, most = {most}, c = {c!r}"
    return len(found)


def check_heap(text: str) -> int:
    """No two blocks of `libtest heap` overlap, all are aligned, and all kept what was written into them."""
    begins: list[int] = []
    sizes: dict[int, int] = {}
    found = records(text, "heap")
    for number, (what, address_text, size_text, good) in enumerate(found):
        address, size = int(address_text, 16), int(size_text)
        case = f"record {number}: block {address:#x} of {size} bytes"
        assert good == "1", f"{case} has lost what was in it"
        assert address != 0, f"{case}: no memory"
        if what == "old":
            assert sizes.pop(address) == size
            begins.remove(address)
            continue
        assert address % 16 == 0, f"{case} is not aligned"
        at = bisect_left(begins, address)
        assert at == 0 or begins[at - 1] + max(sizes[begins[at - 1]], 1) <= address, f"{case} begins in {begins[at - 1]:#x}"
        assert at == len(begins) or address + max(size, 1) <= begins[at], f"{case} reaches into {begins[at]:#x}"
        insort(begins, address)
        sizes[address] = size
    assert not sizes, "libtest frees all at its end"
    return len(found)
