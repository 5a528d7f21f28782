"""The memory of a machine in Bochs, read and written through its debugger's commands.

Like emulator.bochs, which hands it out, this is imported at every boot, and imports nothing that costs time.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PAGE, _LARGE_PAGE = 4096, 4096 * 1024
_DUMP_FROM = 512  # bytes; fewer are read faster as text


class BochsMemory:
    """`command` carries a debugger's command out and returns what it prints; `directory` is where Bochs runs."""

    def __init__(self, command: "Callable[[str], str]", directory: str) -> None:
        self._command = command
        self._directory = directory

    def read_physical(self, address: int, length: int) -> bytes:
        """Bytes of physical memory; where there is none, Bochs gives 0xff."""
        if length < _DUMP_FROM:
            return self._examine("xp", address, length)
        data = b""
        for start, end, identical in self._identity_runs(address, address + length):
            part = self._dump(start, end - start) if identical else b""
            data += part + self._examine("xp", start + len(part), end - start - len(part))
        return data

    def read_linear(self, address: int, length: int) -> bytes:
        """Bytes through the page tables, as many of them as are mapped without a gap from `address` on."""
        result = self._dump(address, min(length, 2**32 - address)) if length >= _DUMP_FROM else b""
        address, length = (address + len(result)) & 0xFFFFFFFF, length - len(result)
        while length > 0:
            count = min(length, _PAGE - address % _PAGE)
            data = self._examine("x", address, count)
            result += data
            if len(data) < count:
                break
            address = (address + count) & 0xFFFFFFFF
            length -= count
        return result

    def _dump(self, address: int, length: int) -> bytes:
        """Linear memory by way of a file: thirty times as fast as text, but there is no such command for physical memory."""
        self._command(f'writemem "dump" {address:#x} {length}')
        try:
            with open(os.path.join(self._directory, "dump"), "rb") as file:
                return file.read()[:length]
        except FileNotFoundError:
            if not os.path.isdir(self._directory):
                raise  # whoever ran the machine has gone, and taken its folder along: nobody waits for these bytes
            return b""  # on a full disk

    def _identity_runs(self, start: int, end: int) -> "list[tuple[int, int, bool]]":
        """Cuts a range into parts whose linear addresses are, or are not, mapped to the physical ones of the same value."""
        runs: "list[tuple[int, int, bool]]" = []
        while start < end:
            pages = [start, *range(start - start % _PAGE + _PAGE, min(end, start + 16 * _PAGE), _PAGE)]
            for page, text in zip(pages, _page_answers(self._command(";".join(f"page {page:#x}" for page in pages)))):
                size = _PAGE if "PTE:" in text or "maps to" not in text else _LARGE_PAGE
                stop = min(end, page - page % size + size)
                identical = f"maps to physical page {page - page % _PAGE:#014x}" in text
                if runs and runs[-1][2] == identical:
                    runs[-1] = (runs[-1][0], stop, identical)
                else:
                    runs.append((page, stop, identical))
                start = stop
                if size == _LARGE_PAGE:
                    break
        return runs

    def _examine(self, verb: str, address: int, length: int) -> bytes:
        """`x` or `xp`, by words as far as they go."""
        words, rest = divmod(length, 4)
        data = b""
        if words:
            data = _parse_dump(self._command(f"{verb} /{words}wx {address:#x}"), 4)
        if rest and len(data) == words * 4:
            data += _parse_dump(self._command(f"{verb} /{rest}bx {(address + words * 4) & 0xFFFFFFFF:#x}"), 1)
        return data

    def write_physical(self, address: int, data: bytes) -> None:
        """Code that has run already may be kept by Bochs: patched, it goes on as it was."""
        commands = []
        while data:
            size = 4 if len(data) >= 4 and address % 4 == 0 else 1
            commands.append(f"setpmem {address:#x} {size} {int.from_bytes(data[:size], 'little'):#x}")
            address, data = address + size, data[size:]
        for index in range(0, len(commands), 10):
            self._command(";".join(commands[index : index + 10]))

    def translate(self, address: int) -> "int | None":
        """The physical address of a linear one by the page tables in memory, without any TLB; None if there is none."""
        text = self._command(f"page {address:#x}")
        marker = "maps to physical page "
        if marker not in text:
            return None
        return int(text.partition(marker)[2].split()[0], 16) + address % _PAGE


def _page_answers(text: str) -> "list[str]":
    """What several `page` commands print, apart; each ends with a line about the linear address."""
    answers = [""]
    for line in text.splitlines(keepends=True):
        answers[-1] += line
        if "for linear" in line or line.startswith("linear page"):
            answers.append("")
    return answers[:-1]


def _parse_dump(text: str, size: int) -> bytes:
    """The values that `x` and `xp` print: lines of `ADDRESS <NAME>:`, then a tab and a value, up to an error message."""
    digits = []
    for line in text.splitlines():
        if not line.startswith("0x"):
            continue
        digits += [value[2 : 2 + 2 * size] for value in line.split("\t")[1:]]
        if "not available" in line:
            break
    data = bytes.fromhex("".join(digits))
    if size == 1:
        return data
    from array import array

    words = array("I", data)
    words.byteswap()
    return words.tobytes()
