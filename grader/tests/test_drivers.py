"""Keyboard and screen, with QEMU's monitor as fingers and eyes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ELF = ROOT / "build/default/kernel.elf"
COLUMNS, LINES, SCREEN = 80, 25, 0xB8000
SECONDS = 20


class Machine:
    """A PC with keyboard and screen; the serial line goes into a file."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder = folder
        self._serial = folder / "serial"
        command = ["qemu-system-i386", "-m", "16", "-display", "none", "-serial", f"file:{self._serial}", "-kernel", str(ELF), *arguments]
        self._qemu = subprocess.Popen([*command, "-monitor", "stdio"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)

    def close(self) -> None:
        self._qemu.kill()
        self._qemu.wait()
        self._qemu.stdin.close()

    def _tell(self, command: str) -> None:
        self._qemu.stdin.write(f"{command}\n")
        self._qemu.stdin.flush()

    def press(self, *keys: str) -> None:
        for key in keys:
            self._tell(f"sendkey {key} 20")
            time.sleep(0.06)  # QEMU holds a key for 20 ms, and drops what is pressed meanwhile

    def wait_for(self, text: str) -> str:
        """The serial output up to now, once `text` is in it."""
        deadline = time.monotonic() + SECONDS
        seen = ""
        while time.monotonic() < deadline:
            seen = self._serial.read_text("ascii", "replace").replace("\r", "") if self._serial.exists() else ""
            if text in seen:
                return seen
            time.sleep(0.05)
        return pytest.fail(f"no {text!r} on the serial line: {seen}")

    def screen(self) -> list[str]:
        """The lines of the text screen."""
        dump = self._folder / "screen"
        dump.unlink(missing_ok=True)
        size = COLUMNS * LINES * 2
        self._tell(f'pmemsave {SCREEN:#x} {size} "{dump}"')
        deadline = time.monotonic() + SECONDS
        while not dump.exists() or dump.stat().st_size < size:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        letters = dump.read_bytes()[::2].decode("latin-1")
        return [letters[begin : begin + COLUMNS].rstrip() for begin in range(0, len(letters), COLUMNS)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Iterator[Machine]:
    if not ELF.exists():
        subprocess.run(["make", "kernel"], cwd=ROOT, check=True, capture_output=True)
    machine = Machine(tmp_path_factory.mktemp("machine"))
    try:
        machine.wait_for("faultline> ")
        yield machine
    finally:
        machine.close()


def test_what_is_typed_on_the_keyboard_reaches_the_monitor(machine):
    machine.press("z", "o", "n", "e", "s", "ret")
    assert "faultline> zones\nzone      frames of memory" in machine.wait_for("zone      frames of memory")


def test_shift_ctrl_and_backspace(machine):
    machine.press("shift-a", "shift-1", "b", "ctrl-u", "shift-h", "shift-minus", "x", "backspace", "shift-dot", "ret")
    assert '"H_>" is no command' in machine.wait_for("is no command")


def test_keys_without_a_character_type_nothing(machine):
    machine.press("up", "f5", "left", "home", "q", "delete", "pgdn", "7", "ret")
    assert '"q7" is no command' in machine.wait_for('"q7')


def test_the_keypads_enter_ends_a_line(machine):
    machine.press("k", "kp_enter")
    assert '"k" is no command' in machine.wait_for('"k"')


def test_the_screen_shows_the_last_lines_of_the_serial_console(machine):
    machine.press("h", "e", "l", "p", "ret")
    serial = machine.wait_for("Ctrl-U edit.\nfaultline> ")
    lines = serial[serial.rindex("faultline> help") :].splitlines()
    expected = [line[begin : begin + COLUMNS].rstrip() for line in lines for begin in range(0, len(line) + 1, COLUMNS)]
    expected = expected[-LINES:]
    assert len(expected) > 10
    shown: list[str] = []
    for _ in range(50):  # the serial line is ahead of the screen by a moment
        shown = machine.screen()
        if shown[-len(expected) :] == expected:
            break
        time.sleep(0.05)
    assert shown[-len(expected) :] == expected
