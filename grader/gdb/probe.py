"""Runs inside GDB (`gdb -batch -x probe.py`): carries out the requests of client.py, one JSON line each.

Requests come and replies go over two private descriptors, so that nothing that GDB or a machine prints can be taken for a
reply. A reply is {"value": ...} or {"error": "..."}; memory travels as hexadecimal digits.

Addresses, not names, go to GDB wherever possible: then it need not read the kernel's debug information, which costs more
than the rest of a boot. `symbols` loads it when somebody asks for a line or a C++ name.
"""

import json
import os
import re
import zlib

import gdb

_SETTINGS = """\
set pagination off
set confirm off
set width 0
set height 0
set breakpoint always-inserted on
set breakpoint pending off
set print frame-info short-location
set print thread-events off
set print inferior-events off
set remotetimeout 60
set style enabled off
set backtrace limit 32
set non-stop off
set architecture i386
"""
_REGISTERS = "eax ecx edx ebx esp ebp esi edi eip eflags cs ss ds es fs gs cr0 cr2 cr3 cr4".split()


class Probe:
    """The machine of this moment and what is asked of it."""

    def __init__(self):
        for line in _SETTINGS.splitlines():
            gdb.execute(line, to_string=True)
        gdb.events.exited.connect(self._note_exit)
        self._exited = False
        self._elf = ""
        self._symbols_loaded = False

    def boot(self, elf, bridge):
        """Connects with a new machine, which stands before its first instruction."""
        self.close()
        if self._symbols_loaded:
            gdb.execute("symbol-file", to_string=True)
        self._elf, self._symbols_loaded, self._exited = elf, False, False
        gdb.execute("target remote | exec " + bridge, to_string=True)
        return self._status()

    def close(self):
        """Ends the machine, if there is one."""
        if gdb.breakpoints():
            gdb.execute("delete", to_string=True)
        if self._connection() is not None:
            gdb.execute("kill", to_string=True)
        return True

    def breakpoint(self, address, kind="breakpoint", length=4):
        """A silent breakpoint, or a watchpoint ("watch", "rwatch", "awatch") on `length` bytes."""
        if kind == "breakpoint":
            gdb.Breakpoint("*%d" % address).silent = True
        else:
            type_name = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int"}[length]
            access = {"watch": gdb.WP_WRITE, "rwatch": gdb.WP_READ, "awatch": gdb.WP_ACCESS}[kind]
            expression = "*(%s*)%d" % (type_name, address)
            gdb.Breakpoint(expression, type=gdb.BP_WATCHPOINT, wp_class=access).silent = True
        return True

    def resume(self, step=False):
        """Runs until the machine stops."""
        if self._connection() is None:
            return {"kind": "dead", "ticks": 0, "eip": 0, "detail": "there is no machine"}
        text = gdb.execute("stepi" if step else "continue", to_string=True)
        if self._exited or self._connection() is None:
            lines = [line[8:] for line in text.splitlines() if line.startswith("bridge: ")]
            return {"kind": "dead", "ticks": 0, "eip": 0, "detail": " ".join(lines) or text.strip()}
        return self._status()

    def registers(self):
        frame = gdb.newest_frame()
        return {name: int(frame.read_register(name)) & 0xFFFFFFFF for name in _REGISTERS}

    def memory(self, ranges, physical=False):
        """Several (address, length) pieces at once, one behind the other; a packet of the bridge's own (see stub.py)."""
        kind = "p" if physical else "l"
        pieces = ";".join("%s,%x,%x" % (kind, address, length) for address, length in ranges)
        reply = self._connection().send_packet("qfaultline.read:" + pieces)
        if not reply or reply[:1] != b"z":
            raise gdb.error(reply[2:].decode() if reply else "the machine has ended")
        return zlib.decompress(_unescape(reply[1:])).hex()

    def write(self, address, data):
        gdb.selected_inferior().write_memory(address, bytes.fromhex(data))
        return True

    def monitor(self, command):
        return gdb.execute("monitor " + command, to_string=True)

    def symbol(self, name):
        """The address of a name as C++ spells it."""
        self._symbols()
        return int(gdb.parse_and_eval("&'%s'" % name).cast(gdb.lookup_type("unsigned int")))

    def line(self, address):
        """`map() at page_table.cpp:41`, with as much of it as is known."""
        self._symbols()
        function = self._function(address)
        position = gdb.find_pc_line(address)
        if position.symtab is None or not position.line:
            return function
        return "%s at %s:%d" % (function, os.path.basename(position.symtab.filename), position.line)

    def _function(self, address):
        try:
            block = gdb.block_for_pc(address)
        except RuntimeError:
            block = None
        while block is not None and block.function is None:
            block = block.superblock
        if block is not None:
            return block.function.print_name.replace("(anonymous namespace)::", "").partition("(")[0] + "()"
        text = gdb.execute("info symbol %d" % address, to_string=True).strip()
        return text.partition(" in section")[0] if " in section" in text else "%#010x" % address

    def _symbols(self):
        if not self._symbols_loaded:
            gdb.execute('symbol-file "%s"' % self._elf.replace("\\", "\\\\").replace('"', '\\"'), to_string=True)
            self._symbols_loaded = True

    def _status(self):
        """Asks the bridge; GDB's own words for a stop are poorer."""
        fields = dict(line.split(" ", 1) for line in self.monitor("status").splitlines() if " " in line)
        return {
            "kind": fields["kind"],
            "ticks": int(fields["ticks"]),
            "eip": int(fields["eip"], 16),
            "address": int(fields.get("address", "0"), 16),
            "detail": fields.get("detail", ""),
        }

    def _connection(self):
        return gdb.selected_inferior().connection

    def _note_exit(self, _event):
        self._exited = True


def _unescape(data):
    """Undoes the escapes of binary data (GDB manual, "Overview" of the remote protocol); GDB leaves that to us."""
    return re.sub(rb"}(.)", lambda match: bytes((match.group(1)[0] ^ 0x20,)), data, flags=re.DOTALL)


def serve(requests, replies):
    """Until client.py closes its end."""
    probe = Probe()
    for line in requests:
        request = json.loads(line)
        try:
            reply = {"value": getattr(probe, request.pop("do"))(**request)}
        except KeyboardInterrupt:
            reply = {"error": "interrupted"}
        except Exception as error:  # whatever it is, the client must hear of it
            reply = {"error": str(error)}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
    probe.close()


serve(os.fdopen(int(os.environ["FAULTLINE_REQUESTS"])), os.fdopen(int(os.environ["FAULTLINE_REPLIES"]), "w"))
