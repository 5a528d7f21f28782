"""The serial console: what a machine sends on COM1 appears in our terminal, and what is typed there arrives on COM1.

The emulator gets one end of a pseudo-terminal as its serial port; the console holds the other end.
"""

from __future__ import annotations

import os
import pty
import selectors
import stat
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable
from types import TracebackType

CTRL_C = b"\x03"
_QUIET_SECONDS = 0.3
_CHUNK = 4096
_LONGEST_INPUT_FILE = 1 << 20

Handler = Callable[[bytes], str | None]


class SerialPort:
    """A pseudo-terminal; `device` is the name that the emulator opens."""

    def __init__(self) -> None:
        self.descriptor, self._other_end = pty.openpty()
        tty.setraw(self._other_end)
        self.device = os.ttyname(self._other_end)

    def close(self) -> None:
        os.close(self.descriptor)
        os.close(self._other_end)


class Keyboard:
    """Our standard input: a key at a time while it is a terminal, which gets its old ways back at the end.

    Ctrl-C then arrives as a character, so that make does not die of it before the emulator has been put away.
    """

    def __init__(self) -> None:
        self.descriptor = sys.stdin.fileno()
        self.is_terminal = os.isatty(self.descriptor)
        # A job in the background (as below `timeout` in a shell) would be stopped for touching the terminal.
        self.is_ours = not self.is_terminal or os.tcgetpgrp(self.descriptor) == os.getpgrp()
        self._saved: list | None = None

    def __enter__(self) -> Keyboard:
        if self.is_terminal and self.is_ours:
            self._saved = termios.tcgetattr(self.descriptor)
            mode = termios.tcgetattr(self.descriptor)
            mode[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG)
            termios.tcsetattr(self.descriptor, termios.TCSADRAIN, mode)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._saved is not None:
            termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._saved)


class Console:
    """Carries characters both ways, and listens to whatever else the emulator says.

    Input that nobody types is held back until the machine has said something and then been quiet for a moment: a kernel that
    is still booting would lose it.
    """

    def __init__(self, port: SerialPort, keyboard: Keyboard) -> None:
        self._port = port
        self._selector = selectors.DefaultSelector()
        self._may_send = keyboard.is_terminal
        self._unsent = b""
        self._heard_at: float | None = None
        self.watch(port.descriptor, self._show)
        self._output = sys.stdout.fileno()
        if stat.S_ISFIFO(os.fstat(self._output).st_mode):
            self.watch(self._output, self._show)  # never readable: it only becomes ready when its reader has gone
        if keyboard.is_ours:
            try:
                self.watch(keyboard.descriptor, self._take_keys if keyboard.is_terminal else self._take_input)
            except PermissionError:  # what epoll says of a plain file, which is always ready
                self._take_input(sys.stdin.buffer.read(_LONGEST_INPUT_FILE))

    def watch(self, descriptor: int, handler: Handler) -> None:
        """Gives `handler` what arrives on `descriptor`. If it returns words, they say how the machine came to its end."""
        self._selector.register(descriptor, selectors.EVENT_READ, handler)

    def converse(self, process: subprocess.Popen[bytes]) -> str:
        """Runs until the machine's end, and returns it in words. Ctrl-C raises KeyboardInterrupt.

        When nobody reads our output any more, BrokenPipeError is raised.
        """
        ending: str | None = None
        while True:
            ready = [key for key, _ in self._selector.select(0.05)]
            if ending is not None and all(key.fd != self._port.descriptor for key in ready):
                return ending  # what the machine had said before it is all shown
            for key in ready:
                if key.fd == self._output:
                    raise BrokenPipeError
                data = _read(key.fd)
                if data:
                    ending = key.data(data) or ending
                else:
                    self._selector.unregister(key.fd)
            if ending is None and process.poll() is not None:
                ending = f"the emulator has ended with status {process.returncode}"
            self._send()

    def _show(self, data: bytes) -> None:
        self._heard_at = time.monotonic()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def _take_keys(self, data: bytes) -> None:
        if CTRL_C in data:
            raise KeyboardInterrupt
        self._unsent += data

    def _take_input(self, data: bytes) -> None:
        self._unsent += data

    def _send(self) -> None:
        if self._heard_at is not None and time.monotonic() - self._heard_at > _QUIET_SECONDS:
            self._may_send = True
        if self._unsent and self._may_send:
            self._unsent = self._unsent[os.write(self._port.descriptor, self._unsent[:_CHUNK]) :]


def _read(descriptor: int) -> bytes:
    """What is there, or nothing at the end. Linux calls it an error when a pseudo-terminal's other end has gone."""
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:
        return b""
