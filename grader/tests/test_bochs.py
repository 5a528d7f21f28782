"""The driver of Bochs by itself: disks, large reads, and an emulator that does not start or does not react."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from bridge_machines import MACHINE, address_of, build_guest, make_rom, processes_with
from emulator.bochs import BochsDebugger
from emulator.bochs_dialogue import EmulatorDied, EmulatorError
from gdb import stub
from gdb.protocol import Connection

WINDOW = 0x400000


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_guest(tmp_path_factory.mktemp("bridge-guest"))


def test_a_disk_boots(tmp_path: Path) -> None:
    """A boot sector that stores a word, and halts."""
    code = bytes.fromhex("31c08ed8 66c706007e78563412 faf4".replace(" ", ""))
    disk = tmp_path / "disk.img"
    disk.write_bytes((code.ljust(510, b"\0") + b"\x55\xaa").ljust(16 * 63 * 512 * 2, b"\0"))
    with BochsDebugger(None, disk, MACHINE, tmp_path / "run") as debugger:
        debugger.set_budget(100_000_000)
        stop = debugger.resume(wall_seconds=30)
        assert stop.kind == "halted"
        assert debugger.memory.read_physical(0x7E00, 4) == (0x12345678).to_bytes(4, "little")
    assert processes_with(str(tmp_path)) == []


@pytest.mark.parametrize(
    ("address", "length", "mapped"),
    [
        (0x100003, 0x2345, 0x2345),
        (0x3FF001, 0x3005, 0x1FFF),  # from the identity mapping into the window
        (WINDOW, 0x1000, 0x1000),
        (0xFFE123, 0x2000, 0),  # over the end of memory, not mapped
        (0xFFFFF000, 0x1000, 0),  # the boot ROM
    ],
)
def test_large_reads_are_what_small_reads_are(guest: Path, tmp_path: Path, address: int, length: int, mapped: int) -> None:
    """Large ones take another way through Bochs, which must not matter where linear and physical addresses differ."""
    with BochsDebugger(make_rom(guest, "calls"), None, MACHINE, tmp_path / "run") as debugger:
        debugger.command(f"lb {address_of(guest, 'ready'):#x}")
        assert debugger.resume().kind == "breakpoint"
        for place in range(0x400000, 0x402000, 4):
            debugger.memory.write_physical(place, place.to_bytes(4, "little"))
        pieces = range(address, address + length, 256)
        small = b"".join(debugger.memory.read_physical(at, min(256, address + length - at)) for at in pieces)
        assert debugger.memory.read_physical(address, length) == small
        linear = debugger.memory.read_linear(address, length)
        assert len(linear) == mapped
        for at in range(0, mapped, 256):
            assert linear[at : at + 256] == debugger.memory.read_linear(address + at, min(256, mapped - at))


class _Waiting:
    """Whoever waits for an answer of the bridge: a process that holds the other end of the connection, or owns the run."""

    def __init__(self) -> None:
        self.source, held = os.pipe()
        os.write(held, b"$%b#00" % b"qfaultline.read:p,1000,f00000")
        self.process = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, pass_fds=[held])
        self.held = held
        self.sink = os.open(os.devnull, os.O_WRONLY)

    def go(self, leaves: str) -> None:
        """The client closes its end; the owner ends, though somebody else keeps the connection open."""
        if leaves == "client":
            os.close(self.held)
            self.held = -1
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        for descriptor in (self.source, self.sink, self.held):
            if descriptor >= 0:
                os.close(descriptor)
        self.process.kill()
        self.process.wait()


@pytest.mark.parametrize("leaves", ["client", "owner"])
@pytest.mark.parametrize("after", [1, 3])
def test_a_large_read_ends_when_nobody_waits_for_it(guest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves: str, after: int) -> None:
    """15 MiB, most of them not mapped, are hundreds of commands for Bochs; of these none is given after the one in which they go."""
    waiting, given = _Waiting(), []
    send = BochsDebugger._send

    def counting(debugger: BochsDebugger, text: str) -> None:
        send(debugger, text)
        given.append(text)
        if len(given) == after:
            waiting.go(leaves)

    owner = os.pidfd_open(waiting.process.pid)
    try:
        with BochsDebugger(make_rom(guest, "calls"), None, MACHINE, tmp_path / "run") as debugger:
            connection = Connection(waiting.source, waiting.sink)
            connection.acknowledge = False
            monkeypatch.setattr(BochsDebugger, "_send", counting)
            stub.run(debugger, connection, 0.0, owner if leaves == "owner" else -1)
    finally:
        os.close(owner)
        waiting.close()
    assert len(given) == after


def test_an_emulator_that_does_not_react_is_ended(guest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emulator.bochs._REACTION_SECONDS", 0.5)
    with BochsDebugger(make_rom(guest, "loop"), None, MACHINE, tmp_path / "run") as debugger:
        os.kill(debugger.process, signal.SIGSTOP)
        stop = debugger.resume(wall_seconds=0.1)
        assert stop.kind == "dead" and "signal 9" in stop.detail
        with pytest.raises(EmulatorDied, match="signal 9"):
            debugger.command("r")


def test_an_emulator_that_cannot_start(guest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emulator.bochs_dialogue.PROGRAM", "/nonexistent/bochs-bin")
    with pytest.raises(EmulatorError, match="exit status 127.*/nonexistent/bochs-bin"):
        BochsDebugger(make_rom(guest, "loop"), None, MACHINE, tmp_path / "run").start()
