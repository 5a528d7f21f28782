"""A person at the shell: `make run`'s machine, with the keys of a script and a patient reader.

    with ShellSession() as shell:
        shell.run("ls /bin")      # what the command printed
        shell.type("ab\\x7f\\r")    # keys as they are
        shell.answer()            # what came until the next prompt
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "grader/emulator/run.py"
KERNEL = ROOT / "build/default/kernel.elf"
SHIPPED = ROOT / "build/user/shipped"
ALL_PROGRAMS = ROOT / "build/user/bin"
PROMPT = "faultline$ "
SECONDS = 60
BURST, QUIET_SECONDS = 8, 0.03  # a serial port keeps 16 characters while the kernel is busy, and nobody types faster


def build_what_is_missing() -> None:
    """Kernel and programs, when there are none."""
    if not KERNEL.exists() or not SHIPPED.exists():
        subprocess.run(["make", "kernel"], cwd=ROOT, check=True, capture_output=True)


def take_terminal() -> None:
    """Makes standard input the terminal of a new session, as a terminal window does."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class ShellSession:
    """One machine. With `terminal` run.py has a terminal of its own, as when a person starts it; Ctrl-C leaves then, and cannot be typed."""

    def __init__(self, *, emulator: str = "bochs", append: str = "", memory: int = 64, programs: Path = SHIPPED, terminal: bool = False,
                 kernel: Path = KERNEL) -> None:  # fmt: skip
        if n := os.environ.get("FAULTLINE_TORTURE"):  # emulator/torture.py; run.py's machines have a swap disk
            append = f"{append} torture={n}".strip()
        command = [str(RUN), "--elf", str(kernel), "--emulator", emulator, "--memory", str(memory), "--append", append, "--programs", str(programs)]
        self.seen = ""  # all of it
        self._unread = ""
        self._held = ""  # a carriage return at the end of what has come: a line feed may follow
        self._other_end = -1
        if terminal:
            self._keys, self._other_end = pty.openpty()
            attributes = termios.tcgetattr(self._other_end)
            attributes[1] &= ~termios.OPOST  # what comes is what the machine sent
            attributes[3] &= ~termios.ECHO  # of what is typed before run.py takes the terminal over
            termios.tcsetattr(self._other_end, termios.TCSANOW, attributes)
            self._said = self._keys
            self._run = subprocess.Popen(command, stdin=self._other_end, stdout=self._other_end, stderr=self._other_end, start_new_session=True,
                                         preexec_fn=take_terminal)  # fmt: skip
        else:
            self._run = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
            self._keys, self._said = self._run.stdin.fileno(), self._run.stdout.fileno()

    def __enter__(self) -> ShellSession:
        try:
            self.greeting = self.until(PROMPT)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._run.poll() is None:
            self._run.send_signal(signal.SIGTERM)
        self._run.wait(SECONDS)
        if self._other_end >= 0:
            os.close(self._other_end)
            os.close(self._keys)
            self._other_end = -1
        elif self._run.stdin:
            self._run.stdin.close()
            self._run.stdout.close()

    def type(self, keys: str) -> None:
        """Keys as they are; a burst at a time, when the machine has answered the one before."""
        data = keys.encode()
        for begin in range(0, len(data), BURST):
            if begin:
                while select.select([self._said], [], [], QUIET_SECONDS)[0] and self._hear():
                    pass
            os.write(self._keys, data[begin : begin + BURST])

    def _hear(self) -> bool:
        """Reads what has come. False at the end."""
        try:
            data = os.read(self._said, 4096)
        except OSError:  # the terminal's other end has gone
            data = b""
        text = self._held + data.decode("ascii", "replace")
        self._held = "\r" if data and text.endswith("\r") else ""
        text = text.removesuffix(self._held).replace("\r\n", "\n")
        self.seen += text
        self._unread += text
        return bool(data)

    def until(self, text: str) -> str:
        """What the machine says up to and including `text`."""
        deadline = time.monotonic() + SECONDS
        while text not in self._unread:
            if not select.select([self._said], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise AssertionError(f"no {text!r} after {SECONDS} s; the machine said: ...{self.seen[-2000:]}")
            assert self._hear(), f"the machine has stopped without {text!r}; it said: ...{self.seen[-2000:]}"
        before, found, self._unread = self._unread.partition(text)
        return before + found

    def answer(self) -> str:
        """What comes up to the next prompt, the rest of the line that was typed first. (A line that is drawn anew shows a prompt, too.)"""
        return self.until("\n" + PROMPT)

    def run(self, line: str) -> str:
        """Types a line; what its command printed, without the prompt that follows."""
        self.type(line + "\r")
        return self.answer().partition("\n")[2].removesuffix(PROMPT)

    def wait_for_end(self) -> str:
        """What comes until the machine has stopped."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if not select.select([self._said], [], [], 0.2)[0]:
                if self._run.poll() is not None:
                    break
                continue
            if not self._hear():
                break
        self._run.wait(SECONDS)
        rest, self._unread = self._unread, ""
        return rest
