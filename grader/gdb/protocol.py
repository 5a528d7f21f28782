"""Packets of GDB's remote serial protocol (GDB manual, appendix E.1): `$data#checksum`, and the Ctrl-C byte outside them."""

import os

INTERRUPT = b"\x03"
_ESCAPE = 0x7D  # the next byte follows, XORed with 0x20


class ConnectionClosed(Exception):
    """GDB has gone."""


class Connection:
    """Both directions of one connection. `receive` waits for one packet, `poll_interrupt` takes what came while running."""

    def __init__(self, source: int, sink: int, log: "object | None" = None) -> None:
        self.source = source
        self._sink = sink
        self._log = log
        self._pending = bytearray()
        self.acknowledge = True  # until GDB asks for QStartNoAckMode

    def receive(self) -> bytes:
        """The next packet's data. A Ctrl-C on the way counts for nothing: the machine stands already."""
        while True:
            packet = self._take_packet()
            if packet is not None:
                self._note(b"<- " + packet)
                return packet
            self._read()

    def interrupted(self) -> bool:
        """Called when the source can be read while the machine runs: was it a Ctrl-C?"""
        self._read()
        return self.interrupt_waits()

    def interrupt_waits(self) -> bool:
        """Has a Ctrl-C come already, right behind the packet that set the machine going?"""
        found = INTERRUPT in self._pending[:1]
        if found:
            del self._pending[:1]
        return found

    def send(self, data: bytes) -> None:
        """One packet, escaped as the protocol wants it."""
        self._note(b"-> " + data)
        data = data.replace(b"}", b"}]").replace(b"#", b"}\x03").replace(b"$", b"}\x04").replace(b"*", b"}\x0a")
        self._write(b"$%b#%02x" % (data, sum(data) & 0xFF))

    def send_text(self, text: str) -> None:
        """An `O` packet: text for GDB's console. Allowed while GDB waits for a stop or for a monitor command's end."""
        self.send(b"O" + text.encode("utf-8", "replace").hex().encode())

    def _take_packet(self) -> "bytes | None":
        """One whole packet from what was read; acknowledgements and Ctrl-C bytes before it are dropped."""
        start = self._pending.find(b"$")
        if start < 0:
            self._pending.clear()
            return None
        end = self._pending.find(b"#", start)
        if end < 0 or len(self._pending) < end + 3:
            return None
        data = bytes(self._pending[start + 1 : end])
        checksum = bytes(self._pending[end + 1 : end + 3])
        del self._pending[: end + 3]
        if self.acknowledge:
            if checksum != b"%02x" % (sum(data) & 0xFF):
                self._write(b"-")
                return None
            self._write(b"+")
        return _unescape(data) if _ESCAPE in data else data

    def _read(self) -> None:
        data = os.read(self.source, 1 << 16)
        if not data:
            raise ConnectionClosed
        self._pending += data

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._sink, data) :]
        except OSError as error:
            raise ConnectionClosed from error

    def _note(self, line: bytes) -> None:
        if self._log is not None:
            self._log.write(line[:400] + b"\n")


def _unescape(data: bytes) -> bytes:
    result = bytearray()
    values = iter(data)
    for value in values:
        result.append(next(values, 0) ^ 0x20 if value == _ESCAPE else value)
    return bytes(result)
