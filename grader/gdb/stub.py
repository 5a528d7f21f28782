"""The remote side of GDB's protocol: what GDB asks, answered by Bochs's debugger.

The machine is one processor without threads. It is either stopped, and then GDB asks and we answer, or running, and then GDB
waits for our stop packet. Registers are fetched once per stop; breakpoints reach Bochs when the machine is set going.
"""

import select

from emulator.bochs import BREAKPOINT_SLOTS, BochsDebugger, Stop
from emulator.bochs_dialogue import EmulatorDied, EmulatorError
from gdb import registers, tlb, watch
from gdb.protocol import Connection, ConnectionClosed

_SUPPORTED = b"PacketSize=20000;qXfer:features:read+;QStartNoAckMode+;swbreak+;hwbreak+;vContSupported+;Qqemu.PhyMemMode+"
_LARGEST_READ = 0xFF00  # bytes in one `m` packet: half of PacketSize

# GDB's own signal numbers (gdb/signals.def), chosen so that GDB's words come near to what happened.
_SIGNALS = {
    "step": 5,  # SIGTRAP
    "breakpoint": 5,
    "watchpoint": 5,
    "interrupted": 2,  # SIGINT
    "triple_fault": 6,  # SIGABRT
    "halted": 17,  # SIGSTOP
    "budget": 24,  # SIGXCPU, "CPU time limit exceeded"
    "timeout": 2,  # (SIGALRM would come nearest, but GDB passes it on without stopping)
}
_DEAD_SIGNAL = 9
_ERROR_NO_MEMORY, _ERROR_REFUSED, _ERROR_FULL, _ERROR_SYNTAX = b"E14", b"E01", b"E1c", b"E16"

HELP = """\
Commands of the bridge (everything else goes to Bochs's debugger; `monitor bochs help` is its own help):
  monitor help                this text
  monitor ticks               instructions since power on
  monitor status              why the machine stopped last
  monitor budget N            stop after N more ticks; 0: no limit
  monitor tlb ADDR...         what the TLB holds for the pages of these addresses
  monitor count ADDR...       count how often execution comes here, without stopping
  monitor counts              the counts
  monitor digest ADDR LENGTH  BLAKE2b of physical memory
  monitor bochs COMMAND       COMMAND for Bochs, though the bridge knows one of that name
Of Bochs's, useful are: info tab, page ADDR, creg, sreg, info gdt, info idt, info tss, print-stack, doit 1.
"""
_RESUMING = ("c", "cont", "continue", "s", "step", "stepi", "n", "next", "p", "q", "quit", "exit", "restore", "reset")


class Stub:
    """Serves one GDB until it goes, kills the machine or detaches from it."""

    def __init__(self, debugger: BochsDebugger, connection: Connection, wall_seconds: float = 0.0, owner: int = -1) -> None:
        self._debugger = debugger
        self._connection = connection
        self._wall_seconds = wall_seconds
        self._wake = {connection.source: connection.interrupted}
        if owner >= 0:  # a pidfd: it can be read when that process has ended
            self._wake[owner] = _owner_ended
        self._ends = select.poll()
        self._ends.register(connection.source, select.POLLRDHUP)  # and POLLHUP, of which poll always tells
        if owner >= 0:
            self._ends.register(owner, select.POLLIN)
        debugger.between = self._look_who_waits
        self._stop = Stop("step", 0, debugger.eip, detail="switched on")
        self._registers: "dict[str, int] | None" = None
        self._physical = False
        self._breakpoints: "dict[int, str]" = {}  # address -> stop reason's name, as GDB wants it
        self._counts: "dict[int, int]" = {}
        self._numbers: "dict[int, int]" = {}  # address -> Bochs's number of its breakpoint
        self._watcher = watch.Watcher(debugger)
        self._done = False

    def _look_who_waits(self) -> None:
        """Large reads are many commands, or much text: they end when nobody waits for them any more."""
        if self._ends.poll(0):
            raise ConnectionClosed

    # --- packets -----------------------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """The whole conversation."""
        while not self._done:
            packet = self._connection.receive()
            try:
                answer = self._answer(packet)
            except EmulatorDied as death:  # noticed while GDB believes the machine stopped; `continue` then says so too
                self._complain(str(death))
                answer = _ERROR_REFUSED
            except (ValueError, EmulatorError) as error:
                self._complain(str(error))
                answer = _ERROR_SYNTAX
            if answer is not None:
                self._connection.send(answer)
            if packet == b"QStartNoAckMode":
                self._connection.acknowledge = False

    def _answer(self, packet: bytes) -> "bytes | None":
        text = packet.decode("latin-1")
        handler = _HANDLERS.get(text[:1])
        return handler(self, text[1:]) if handler else b""

    def _query(self, text: str) -> "bytes | None":
        if text.startswith("Rcmd,"):
            return self._monitor(bytes.fromhex(text[5:]).decode("utf-8", "replace").strip())
        if text.startswith("Supported"):
            return _SUPPORTED
        if text.startswith("Xfer:features:read:target.xml:"):
            return _slice(registers.description(), text.rpartition(":")[2])
        if text.startswith("faultline.read:"):
            return self._read_compressed(text.partition(":")[2])
        return {"Attached": b"1"}.get(text, b"")

    def _read_compressed(self, text: str) -> bytes:
        """`KIND,ADDRESS,LENGTH;...` with kind `p` or `l` (physical, linear): all of it in one packet, compressed.

        Our own, for probe.py: GDB takes half a microsecond for each character of a packet, and `m` needs two for a byte.
        """
        import zlib

        data = b""
        for piece in text.split(";"):
            kind, address, length = piece.split(",")
            start, count = int(address, 16), int(length, 16)
            part = self._debugger.memory.read_physical(start, count) if kind == "p" else self._debugger.memory.read_linear(start, count)
            if len(part) < count:
                return b"E.Cannot access memory at address 0x%x" % (start + len(part))
            data += part
        return b"z" + zlib.compress(data, 1)

    def _set(self, text: str) -> bytes:
        if text == "StartNoAckMode":
            return b"OK"
        if text in ("qemu.PhyMemMode:1", "qemu.PhyMemMode:0"):
            self._physical = text.endswith("1")
            return b"OK"
        return b""

    def _verbose(self, text: str) -> "bytes | None":
        if text == "Cont?":
            return b"vCont;c;C;s;S"
        if text.startswith("Cont;"):
            return self._run(step=text[5:6] in ("s", "S"))
        if text.startswith("Kill"):
            self._done = True
            return b"OK"
        return b""

    def _reason(self, _: str) -> bytes:
        return self._stop_packet()

    def _detach(self, _: str) -> bytes:
        """Bochs cannot run on without its debugger's pipes, so a detached machine is switched off."""
        self._done = True
        return b"OK"

    def _kill(self, _: str) -> None:
        self._done = True

    def _select_thread(self, _: str) -> bytes:
        return b"OK"

    # --- registers and memory ----------------------------------------------------------------------------------------------

    def _values(self) -> "dict[str, int]":
        if self._registers is None:
            self._registers = registers.parse(self._debugger.command(registers.DEBUGGER_COMMAND))
        return self._registers

    def _read_registers(self, _: str) -> bytes:
        return registers.all_to_hex(self._values())

    def _read_register(self, text: str) -> bytes:
        return registers.one_to_hex(self._values(), int(text, 16))

    def _write_register(self, text: str) -> bytes:
        number, _, digits = text.partition("=")
        name = registers.name_of(int(number, 16))
        value = int.from_bytes(bytes.fromhex(digits), "little")
        if name not in registers.WRITABLE:
            if name in self._values() and self._values()[name] == value:
                return b"OK"
            self._complain(f"Bochs's debugger cannot set {name}; it sets {', '.join(registers.WRITABLE)}")
            return _ERROR_REFUSED
        self._debugger.command(f"set {name} = {value:#x}")
        self._registers = None
        if name == "eip":
            self._debugger.eip = value
        return b"OK"

    def _read_memory(self, text: str) -> bytes:
        address, length = (int(part, 16) for part in text.split(","))
        length = min(length, _LARGEST_READ)
        if length == 0:
            return b""
        if self._physical:
            data = self._debugger.memory.read_physical(address, length)
        else:
            data = self._debugger.memory.read_linear(address, length)
        return data.hex().encode() or _ERROR_NO_MEMORY

    def _write_memory(self, text: str) -> bytes:
        place, _, digits = text.partition(":")
        address = int(place.partition(",")[0], 16)
        data = bytes.fromhex(digits)
        for start, chunk in _by_page(address, data):
            physical = start if self._physical else self._debugger.memory.translate(start)
            if physical is None:
                return _ERROR_NO_MEMORY
            if physical + len(chunk) > self._debugger.megabytes << 20:
                self._complain(f"{physical:#x} is not memory: Bochs's debugger writes to RAM only")
                return _ERROR_NO_MEMORY
            self._debugger.memory.write_physical(physical, chunk)
        return b"OK"

    # --- breakpoints and watchpoints ---------------------------------------------------------------------------------------

    def _insert(self, text: str) -> bytes:
        kind, address, length = _point(text)
        if kind in ("0", "1"):
            if address not in self._used_slots() and len(self._used_slots()) >= BREAKPOINT_SLOTS:
                self._complain(f"Bochs has {BREAKPOINT_SLOTS} breakpoints, and all are in use")
                return _ERROR_FULL
            self._breakpoints[address] = "swbreak" if kind == "0" else "hwbreak"
            return b"OK"
        if kind not in _WATCH_KINDS:
            return b""
        try:
            self._watcher.add(_WATCH_KINDS[kind], address, length)
        except watch.Refused as refusal:
            self._complain(f"no {_WATCH_KINDS[kind]}point at {address:#x}: {refusal}")
            return _ERROR_FULL
        return b"OK"

    def _remove(self, text: str) -> bytes:
        kind, address, length = _point(text)
        if kind in ("0", "1"):
            self._breakpoints.pop(address, None)
        elif kind in _WATCH_KINDS:
            self._watcher.remove(_WATCH_KINDS[kind], address, length)
        else:
            return b""
        return b"OK"

    def _used_slots(self) -> "set[int]":
        return {*self._breakpoints, *self._counts}

    def _sync_breakpoints(self) -> None:
        """Plants in Bochs what is new and takes out what is gone; GDB removes and inserts all at every stop."""
        wanted = self._used_slots()
        if wanted == self._numbers.keys():
            return
        gone = [address for address in self._numbers if address not in wanted]
        commands = [f"d {self._numbers.pop(address)}" for address in gone]
        commands += [f"lb {address:#x}" for address in wanted if address not in self._numbers]
        for index in range(0, len(commands), 20):
            self._debugger.command(";".join(commands[index : index + 20]))
        self._numbers = _planted(self._debugger.command("blist"))

    # --- running -----------------------------------------------------------------------------------------------------------

    def _continue(self, _: str) -> bytes:
        return self._run(step=False)

    def _step(self, _: str) -> bytes:
        return self._run(step=True)

    def _run(self, step: bool) -> bytes:
        """Runs until there is something to tell GDB; the answer is the stop packet."""
        self._registers = None
        self._physical = False
        try:
            stop = self._run_until_told(step)
        except EmulatorDied as death:
            stop = Stop("dead", self._stop.ticks, self._stop.eip, detail=str(death))
        self._stop = stop
        if stop.kind == "dead":
            self._connection.send_text(f"bridge: {stop.detail}\n")
            self._done = True
            return b"X%02x" % _DEAD_SIGNAL
        self._tell(stop)
        return self._stop_packet()

    def _run_until_told(self, step: bool) -> Stop:
        self._sync_breakpoints()
        while True:
            self._watcher.sync()
            if self._connection.interrupt_waits():
                return Stop("interrupted", self._debugger.ticks, self._debugger.eip)
            stop = self._debugger.resume(
                step=step,
                wall_seconds=self._wall_seconds,
                wake=self._wake,
            )
            if not self._pass_over(stop, step):
                return stop

    def _pass_over(self, stop: Stop, step: bool) -> bool:
        """True for a stop that GDB need not know of: a counted place, or a page table entry on the way to a watched byte."""
        if stop.kind in ("breakpoint", "step") and stop.eip in self._counts:
            self._counts[stop.eip] += 1
            return not step and stop.eip not in self._breakpoints
        if stop.kind == "watchpoint":
            return not step and self._watcher.explain(stop.address, stop.write) is None
        return False

    def _tell(self, stop: Stop) -> None:
        """An `O` packet in words, where GDB's name of a signal would not be enough."""
        words = {
            "triple_fault": "triple fault: the processor has shut down; registers and memory are as they were",
            "halted": "the processor has halted with interrupts off, and nothing can wake it",
            "budget": "the budget of ticks is used up",
            "timeout": "the wall clock's limit is used up",
        }.get(stop.kind)
        if words:
            detail = f" ({stop.detail})" if stop.detail else ""
            self._connection.send_text(f"bridge: {words}{detail}; eip {stop.eip:#010x}, tick {stop.ticks}\n")

    def _stop_packet(self) -> bytes:
        stop = self._stop
        packet = b"T%02x" % _SIGNALS.get(stop.kind, 5)
        if stop.kind == "breakpoint":
            packet += self._breakpoints.get(stop.eip, "hwbreak").encode() + b":;"
        elif stop.kind == "watchpoint":
            watchpoint = self._watcher.explain(stop.address, stop.write)
            if watchpoint:
                packet += b"%s:%x;" % (watchpoint.kind.encode(), watchpoint.address)
        return packet

    # --- monitor commands --------------------------------------------------------------------------------------------------

    def _monitor(self, line: str) -> bytes:
        verb, _, rest = line.partition(" ")
        own = _MONITOR.get(verb)
        if own:
            text = own(self, rest.split())
        else:
            command = rest if verb == "bochs" else line
            text = self._pass_through(command.strip())
        if text:
            self._connection.send_text(text if text.endswith("\n") else text + "\n")
        return b"OK"

    def _pass_through(self, command: str) -> str:
        verbs = [part.split()[0] for part in command.split(";") if part.split()]
        if not verbs:
            return HELP
        if any(verb in _RESUMING for verb in verbs):
            return f"`{command}` would let the machine run behind GDB's back: use GDB's continue, stepi or kill"
        self._registers = None
        return self._debugger.command(command)

    def _monitor_status(self, _: "list[str]") -> str:
        stop = self._stop
        lines = [f"kind {stop.kind}", f"ticks {stop.ticks}", f"eip {stop.eip:#010x}"]
        if stop.kind == "watchpoint":
            watchpoint = self._watcher.explain(stop.address, stop.write)
            lines.append(f"address {watchpoint.address if watchpoint else stop.address:#010x}")
        return "\n".join([*lines, f"detail {stop.detail}"])

    def _monitor_ticks(self, _: "list[str]") -> str:
        return str(self._stop.ticks if self._stop.kind == "halted" else self._debugger.ticks)

    def _monitor_budget(self, words: "list[str]") -> str:
        if len(words) != 1 or not words[0].isdigit():
            return "usage: monitor budget TICKS"
        ticks = int(words[0])
        self._debugger.set_budget(self._debugger.ticks + ticks if ticks else 0)
        return f"stops at tick {self._debugger.budget}" if ticks else "no limit"

    def _monitor_tlb(self, words: "list[str]") -> str:
        if not words:
            return "usage: monitor tlb ADDR..."
        lines = []
        for address in _numbers(words):
            found = tlb.read(self._debugger.command(f"tlb {address:#x}"), address)
            lines += [f"{address:#010x} {line}" for line in found] or [f"{address:#010x} none"]
        return "\n".join(lines)

    def _monitor_digest(self, words: "list[str]") -> str:
        if len(words) != 2:
            return "usage: monitor digest ADDR LENGTH"
        from _blake2 import blake2b  # hashlib itself takes longer to import than this takes to run

        return blake2b(self._debugger.memory.read_physical(*_numbers(words)), digest_size=16).hexdigest()

    def _monitor_count(self, words: "list[str]") -> str:
        for address in _numbers(words):
            if len({*self._used_slots(), address}) > BREAKPOINT_SLOTS:
                return f"Bochs has {BREAKPOINT_SLOTS} breakpoints, and all are in use"
            self._counts.setdefault(address, 0)
        return ""

    def _monitor_counts(self, _: "list[str]") -> str:
        return "\n".join(f"{address:#010x} {count}" for address, count in self._counts.items())

    def _monitor_help(self, _: "list[str]") -> str:
        return HELP

    def _complain(self, words: str) -> None:
        """On stderr, which GDB shows: an error packet carries a number only."""
        import sys

        print(f"bridge: {words}", file=sys.stderr, flush=True)


_WATCH_KINDS = {"2": watch.WRITE, "3": watch.READ, "4": watch.ACCESS}

_HANDLERS = {
    "?": Stub._reason,
    "c": Stub._continue,
    "C": Stub._continue,
    "s": Stub._step,
    "S": Stub._step,
    "D": Stub._detach,
    "g": Stub._read_registers,
    "H": Stub._select_thread,
    "k": Stub._kill,
    "m": Stub._read_memory,
    "M": Stub._write_memory,
    "p": Stub._read_register,
    "P": Stub._write_register,
    "q": Stub._query,
    "Q": Stub._set,
    "v": Stub._verbose,
    "z": Stub._remove,
    "Z": Stub._insert,
}

_MONITOR = {
    "help": Stub._monitor_help,
    "status": Stub._monitor_status,
    "ticks": Stub._monitor_ticks,
    "budget": Stub._monitor_budget,
    "tlb": Stub._monitor_tlb,
    "digest": Stub._monitor_digest,
    "count": Stub._monitor_count,
    "counts": Stub._monitor_counts,
}


def _slice(data: bytes, window: str) -> bytes:
    """A part of a qXfer object: `m` when more follows, `l` for the last."""
    offset, length = (int(part, 16) for part in window.split(","))
    return (b"m" if offset + length < len(data) else b"l") + data[offset : offset + length]


def _point(text: str) -> "tuple[str, int, int]":
    kind, address, length = text.partition(";")[0].split(",")
    return kind, int(address, 16), int(length, 16)


def _planted(blist: str) -> "dict[int, int]":
    """Address -> number, from the table that `blist` prints."""
    rows = [line.split() for line in blist.splitlines() if "breakpoint" in line]
    return {int(row[-1], 16): int(row[0]) for row in rows if len(row) >= 5}


def _by_page(address: int, data: bytes) -> "list[tuple[int, bytes]]":
    parts = []
    while data:
        count = 4096 - address % 4096
        parts.append((address, data[:count]))
        address, data = (address + count) & 0xFFFFFFFF, data[count:]
    return parts


def _numbers(words: "list[str]") -> "list[int]":
    return [int(word, 0) & 0xFFFFFFFF for word in words]


def _owner_ended() -> bool:
    raise ConnectionClosed


def run(debugger: BochsDebugger, connection: Connection, wall_seconds: float, owner: int = -1) -> None:
    """Serves GDB; returns when it has gone, the machine has ended, or the owner has."""
    try:
        Stub(debugger, connection, wall_seconds, owner).serve()
    except ConnectionClosed:
        pass
