"""GDB as the grader's hand inside the machine: one GDB process, many boots.

    with GdbSession() as session:
        with session.boot(elf, rom, Machine(16), directory, tick_budget=5_000_000) as target:
            target.breakpoint("harness_finished")
            stop = target.resume()
            print(stop.kind, stop.ticks, target.registers()["cr3"])

All goes through GDB and the bridge's remote protocol; `probe.py` runs inside GDB and answers one JSON line to each request.
What the guest does (a triple fault, a hang, an endless loop) comes back as a Stop. What goes wrong with the emulator or with
GDB raises EmulatorError: the grader's own fault, and never the submission's.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import selectors
import shlex
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from emulator.bochs_dialogue import INSTRUCTIONS_PER_SECOND, EmulatorError
from emulator.machine import Machine

__all__ = ["EmulatorError", "GdbSession", "ProbeError", "Stop", "Target", "TlbEntry", "symbol_addresses"]

_FOLDER = Path(__file__).resolve().parent
_GDB = "/usr/bin/gdb"
_GDB_ARGUMENTS = ["-nx", "-nh", "-q", "-batch", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off"]
_GRACE_SECONDS = 10.0  # over the bridge's own limit, before GDB itself counts as stuck
_REQUEST_SECONDS = 30.0  # for a request that does not let the machine run


class ProbeError(Exception):
    """GDB refused a request, for instance because an address is not mapped; the message is GDB's."""


@dataclass(frozen=True)
class Stop:
    """Why and when the machine stopped.

    kind: "breakpoint", "budget", "halted" (hlt with interrupts off), "triple_fault", "dead", "watchpoint", "interrupted", "step"
    symbol: for a breakpoint the name that was given for it
    ticks: since power on, exact
    detail: in words, where there is more to say
    """

    kind: str
    symbol: str
    eip: int
    ticks: int
    detail: str = ""
    address: int = 0


@dataclass(frozen=True)
class TlbEntry:
    """What the TLB holds for one page. `writable`: a write has gone through; a page only read so far has it not."""

    frame_address: int
    large: bool
    writable: bool
    user: bool
    global_: bool
    code: bool = False


class GdbSession:
    """A GDB process that serves one boot after the other; started when first needed, and anew when it had to be ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._requests = -1
        self._replies = -1
        self._buffer = b""
        self._errors: Any = None
        self.target: Target | None = None

    def __enter__(self) -> GdbSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def boot(
        self,
        elf: Path,
        rom: Path | None,
        machine: Machine,
        directory: Path,
        tick_budget: int,
        wall_seconds: float = 30,
        *,
        disk: Path | None = None,
        swap: Path | None = None,
        ips: int = INSTRUCTIONS_PER_SECOND,
    ) -> Target:
        """Switches a machine on and stops it before its first instruction. The one booted before is switched off.

        `directory` is for this boot alone: configuration, log and serial output are written into it. `wall_seconds` limits
        each `resume`; `tick_budget` counts from power on, 0 for none. The machine
        writes to the images `disk` (first channel) and `swap` (second channel) themselves.
        """
        if self.target is not None:
            self.target.close()
        (directory / "complaint").unlink(missing_ok=True)
        if self._process is None:
            self._start()
        arguments = ["--memory", str(machine.megabytes), "--directory", str(directory), "--ips", str(ips)]
        for name, path in (("--rom", rom), ("--disk", disk), ("--swap", swap)):
            if path is not None:
                if not path.is_file():
                    raise EmulatorError(f"there is no file {path} to boot from")
                arguments += [name, str(path)]
        if tick_budget:
            arguments += ["--budget", str(tick_budget)]
        arguments += ["--wall", str(wall_seconds), "--owner", str(os.getpid())]
        bridge = shlex.join([str(_FOLDER / "bridge"), *arguments])
        try:
            status = self.request(_REQUEST_SECONDS, do="boot", elf=str(elf), bridge=bridge)
        except ProbeError as error:
            raise EmulatorError(f"the machine does not start: {_complaint(directory) or error}") from None
        self.target = Target(self, elf, directory, wall_seconds, status)
        return self.target

    def close(self) -> None:
        """Ends GDB, and with it the bridge and the machine; waits for it."""
        if self._process is None:
            return
        os.close(self._requests)
        os.close(self._replies)
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()  # the bridge sees its pipes closed and ends Bochs
            self._process.wait()
        self._errors.close()
        self._process, self.target, self._buffer = None, None, b""

    def request(self, seconds: float, **request: Any) -> Any:
        """One request to probe.py and its reply's value."""
        if self._process is None:
            raise EmulatorError("GDB does not run")
        try:
            os.write(self._requests, json.dumps(request).encode() + b"\n")
            reply = json.loads(self._read_line(time.monotonic() + seconds))
        except (BrokenPipeError, EOFError):
            words = self._complaints()
            self._abandon()
            raise EmulatorError(f"GDB ended unexpectedly{words}") from None
        except TimeoutError:
            self._abandon()
            raise EmulatorError(f"GDB gave no answer to `{request['do']}` within {seconds:g} s") from None
        except KeyboardInterrupt:
            self._abandon()  # the reply is still to come, and would be taken for the next one's
            raise
        if "error" in reply:
            raise ProbeError(reply["error"])
        return reply["value"]

    def interrupt(self) -> None:
        """Stops a running machine, from another thread: `resume` returns "interrupted"."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGINT)

    def _start(self) -> None:
        requests, self._requests = os.pipe()
        self._replies, replies = os.pipe()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GDB"))}
        environment |= {"FAULTLINE_REQUESTS": str(requests), "FAULTLINE_REPLIES": str(replies), "LC_ALL": "C"}
        self._errors = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                [_GDB, *_GDB_ARGUMENTS, "-x", str(_FOLDER / "probe.py")],
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                env=environment,
                pass_fds=(requests, replies),
                start_new_session=True,  # a Ctrl-C at the terminal is for the grader, which then closes all in order
            )
        except OSError as error:
            os.close(self._requests)
            os.close(self._replies)
            raise EmulatorError(f"cannot start {_GDB}: {error.strerror}") from error
        finally:
            os.close(requests)
            os.close(replies)

    def _read_line(self, deadline: float) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(self._replies, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not selector.select(remaining):
                    raise TimeoutError
                data = os.read(self._replies, 1 << 20)
                if not data:
                    raise EOFError
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _complaints(self) -> str:
        """The last line that GDB or the bridge printed."""
        descriptor = self._errors.fileno()  # no seek: GDB writes at the same file position
        data = os.pread(descriptor, 4000, max(0, os.fstat(descriptor).st_size - 4000))
        lines = data.decode("utf-8", "replace").strip().splitlines()
        lines = [line for line in lines if line.startswith("bridge: ")] or lines
        return f" ({lines[-1].removeprefix('bridge: ')})" if lines else ""

    def _abandon(self) -> None:
        """After a failure in the middle of a request: GDB is ended at once, and the next boot starts another."""
        if self._process is not None:
            self._process.kill()
            self.close()


class Target:
    """A booted machine, stopped."""

    def __init__(self, session: GdbSession, elf: Path, directory: Path, wall_seconds: float, status: dict[str, Any]) -> None:
        self._session = session
        self._elf = elf
        self._directory = directory
        self._wall_seconds = wall_seconds
        self._names: dict[int, str] = {}
        self._counted: dict[int, str] = {}
        self._registers: dict[str, int] | None = None
        self.last_stop = self._stop(status)

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Switches the machine off; GDB stays for the next boot."""
        if self._session.target is not self:
            return
        self._session.target = None
        if self.last_stop.kind == "dead":
            self._session.close()  # a program that vanished while GDB 13 stepped over a breakpoint leaves it unfit for the next
            return
        try:
            self._ask("close")
        except (EmulatorError, ProbeError):
            self._session._abandon()

    # --- running -----------------------------------------------------------------------------------------------------------

    def breakpoint(self, symbol: str) -> None:
        """Stops before the first instruction of a function."""
        address = self.symbol(symbol)
        if address not in self._names:
            self._ask("breakpoint", address=address)
            self._names[address] = symbol

    def watchpoint(self, address: int, kind: str = "watch", length: int = 4) -> None:
        """Stops behind an access to a linear address: kind "watch" (its value changed), "rwatch" or "awatch"."""
        self._ask("breakpoint", address=address, kind=kind, length=length)

    def count_hits(self, symbols: Sequence[str]) -> HitCounter:
        """Counts from now on how often each function is entered, without stopping there. A breakpoint slot each, of 16."""
        return self.count_hits_at({symbol: self.symbol(symbol) for symbol in symbols})

    def count_hits_at(self, addresses: dict[str, int]) -> HitCounter:
        """The same for functions whose addresses are known."""
        refusal = self.monitor("count " + " ".join(hex(address) for address in addresses.values())).strip()
        if refusal:
            raise EmulatorError(refusal)
        return HitCounter(self, addresses)

    def resume(self) -> Stop:
        """Runs until the machine stops, whyever."""
        return self._run(step=False)

    def step(self) -> Stop:
        """Runs one instruction."""
        return self._run(step=True)

    def _run(self, step: bool) -> Stop:
        self._registers = None
        try:
            status = self._ask("resume", seconds=self._wall_seconds + _GRACE_SECONDS, step=step)
        except ProbeError as error:
            raise EmulatorError(f"the machine does not run: {error}{self._session._complaints()}") from None
        if status["kind"] == "timeout":
            self.close()
            tick = status["ticks"]
            raise EmulatorError(f"the machine was stopped after {self._wall_seconds:g} s of wall clock, at tick {tick}")
        if status["kind"] == "dead":
            status["ticks"], status["eip"] = self.last_stop.ticks, self.last_stop.eip
        self.last_stop = self._stop(status)
        return self.last_stop

    def _stop(self, status: dict[str, Any]) -> Stop:
        symbol = self._names.get(status["eip"], "") if status["kind"] == "breakpoint" else ""
        return Stop(status["kind"], symbol, status["eip"], status["ticks"], status["detail"], status.get("address", 0))

    # --- looking -----------------------------------------------------------------------------------------------------------

    def registers(self) -> dict[str, int]:
        """eax ... edi, eip, eflags, the segment registers, cr0, cr2, cr3 and cr4."""
        if self._registers is None:
            self._registers = self._ask("registers")
        return self._registers

    def physical(self, address: int, length: int) -> bytes:
        """Bytes of physical memory; beyond its end they read 0xff."""
        return self.physical_ranges([(address, length)])[0]

    def physical_ranges(self, ranges: Iterable[tuple[int, int]]) -> list[bytes]:
        """Several (address, length) pieces of physical memory for the price of one request."""
        return self._pieces(list(ranges), physical=True)

    def physical_digest(self, address: int, length: int) -> str:
        """BLAKE2b (16 bytes) of physical memory: to compare much of it without carrying it here."""
        return self.monitor(f"digest {address:#x} {length:#x}").strip()

    def linear(self, address: int, length: int) -> bytes:
        """Bytes as the page tables in memory show them; ProbeError when a page is not mapped."""
        return self._pieces([(address, length)], physical=False)[0]

    def _pieces(self, ranges: list[tuple[int, int]], physical: bool) -> list[bytes]:
        data = bytes.fromhex(self._ask("memory", ranges=ranges, physical=physical))
        ends = list(itertools.accumulate(length for _, length in ranges))
        return [data[end - length : end] for end, (_, length) in zip(ends, ranges)]

    def write(self, address: int, data: bytes) -> None:
        """Writes to linear addresses; code that has run already must not be changed so."""
        self._ask("write", address=address, data=data.hex())

    def word(self, address: int) -> int:
        """A 32-bit word at a linear address."""
        return int.from_bytes(self.linear(address, 4), "little")

    def argument(self, index: int) -> int:
        """Argument 0, 1, ... of the function at whose entry the machine stands (cdecl: above the return address)."""
        return self.word(self.registers()["esp"] + 4 + 4 * index)

    def string(self, address: int, limit: int = 200) -> str:
        """The zero-terminated text at a linear address, cut after `limit` bytes or where memory ends."""
        data = b""
        while len(data) < limit and b"\0" not in data:
            count = min(limit - len(data), 64 - (address + len(data)) % 64)  # never across a page that may not be there
            try:
                data += self.linear(address + len(data), count)
            except ProbeError:
                break
        return data.partition(b"\0")[0].decode("utf-8", "replace")

    def tlb(self, addresses: Sequence[int]) -> dict[int, TlbEntry | None]:
        """What the TLB holds for the pages of `addresses`: the entry for data, or else the one for code."""
        return {address: entries[0] if entries else None for address, entries in self.tlb_entries(addresses).items()}

    def tlb_entries(self, addresses: Sequence[int]) -> dict[int, list[TlbEntry]]:
        """All that the TLB holds for the pages of `addresses`: for data, for code, both or none."""
        found: dict[int, list[TlbEntry]] = {address: [] for address in addresses}
        lines: list[str] = []
        for index in range(0, len(addresses), 64):
            words = " ".join(hex(address) for address in addresses[index : index + 64])
            lines += self.monitor(f"tlb {words}").splitlines()
        by_value = {address & 0xFFFFFFFF: entries for address, entries in found.items()}
        for line in lines:
            words = line.split()
            if words[1] == "none":
                continue
            fields = dict(word.split("=") for word in words[2:])
            flags = [fields[name] == "1" for name in ("write", "user", "global")]
            entry = TlbEntry(int(fields["frame"], 16), fields["size"] == "4M", *flags, code=words[1] == "code")
            by_value[int(words[0], 16)].insert(0 if words[1] == "data" else 1, entry)
        return found

    def ticks(self) -> int:
        """Since power on, at this stop."""
        return self.last_stop.ticks

    def serial(self) -> bytes:
        """What the machine has sent over its first serial port so far."""
        with contextlib.suppress(FileNotFoundError):
            return (self._directory / "serial").read_bytes()
        return b""

    def monitor(self, command: str) -> str:
        """A monitor command of the bridge, or one of Bochs's debugger."""
        return self._ask("monitor", command=command)

    # --- names -------------------------------------------------------------------------------------------------------------

    def symbol(self, name: str) -> int:
        """The address of a C name, a mangled one, or a C++ one as GDB takes it: `mm::tlb::flush(VirtAddr)`."""
        if name in self._symbols:
            return self._symbols[name]
        try:
            return self._ask("symbol", name=name)
        except ProbeError:
            raise KeyError(f"the kernel has no symbol {name}") from None

    def line_of(self, address: int) -> str:
        """`map() at page_table.cpp:41`; less of it, where less is known."""
        return self._ask("line", address=address)

    @cached_property
    def _symbols(self) -> dict[str, int]:
        status = self._elf.stat()
        return symbol_addresses(self._elf, (status.st_mtime_ns, status.st_size, status.st_ino))

    def _ask(self, what: str, seconds: float = _REQUEST_SECONDS, **arguments: Any) -> Any:
        return self._session.request(seconds, do=what, **arguments)


def _complaint(directory: Path) -> str:
    """What a bridge left behind that could not start."""
    try:
        return (directory / "complaint").read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True)
class HitCounter:
    """Counts since `count_hits`."""

    target: Target
    addresses: dict[str, int]

    def read(self) -> dict[str, int]:
        """How often each function has been entered."""
        lines = [line.split() for line in self.target.monitor("counts").splitlines()]
        counts = {int(address, 16): int(count) for address, count in lines}
        return {symbol: counts[address] for symbol, address in self.addresses.items()}


_ELF_HEADER = struct.Struct("<16sHHIIIIIHHHHHH")
_SECTION = struct.Struct("<IIIIIIIIII")
_SYMBOL = struct.Struct("<IIIBBH")
_SYMBOL_TABLE = 2


@lru_cache(maxsize=4)
def symbol_addresses(elf: Path, state: object = None) -> dict[str, int]:
    """The symbol table of an ELF file, by the linker's names. (GDB would read all debug information for one of them.)

    state  what tells this file from another that had its name before: it is read once, for all boots"""
    contents = elf.read_bytes()
    header = _ELF_HEADER.unpack_from(contents)
    section_offset, section_size, section_count = header[6], header[11], header[12]
    sections = [_SECTION.unpack_from(contents, section_offset + index * section_size) for index in range(section_count)]
    addresses: dict[str, int] = {}
    for section in sections:
        if section[1] != _SYMBOL_TABLE:
            continue
        strings = sections[section[6]][4]
        for name, value, _size, _info, _other, index in _SYMBOL.iter_unpack(contents[section[4] : section[4] + section[5]]):
            if name and index:
                start = strings + name
                addresses[contents[start : contents.index(b"\0", start)].decode("ascii", "replace")] = value
    return addresses
