"""A process of Debian's Bochs 2.7, and the dialogue with its internal debugger over pipes.

Bochs prints `<bochs:N> ` when its debugger waits; N counts the lines that it has read, so the prompt that ends an answer is
known beforehand. `c` runs the machine until something stops it; everything else answers at once.

The bridge imports this at every boot, so only modules that the interpreter has loaded anyway are imported here.
"""

import os
import select
import signal
import time

from emulator.bochs_memory import BochsMemory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

    from emulator.machine import Machine

PROGRAM = "/usr/bin/bochs-bin"
_GUARDIAN = "/usr/bin/setpriv"  # of util-linux: Bochs dies with the process that started it, however that one ends
_VIDEO_BIOS = "/usr/share/bochs/VGABIOS-lgpl-latest"
_BIOS = "/usr/share/bochs/BIOS-bochs-legacy"
_ENVIRONMENT = {
    "TERM": "dumb",
    "INPUTRC": "/dev/null",
    "LC_ALL": "C",
    "TZ": "UTC",
    "PATH": "/usr/bin:/bin",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # fewer page faults while Bochs sets its caches up: an eighth of its start
}

INSTRUCTIONS_PER_SECOND = 4_000_000  # of emulated time: a serial character then costs 347 ticks

_LONGEST_LINE = 500  # the debugger's input buffer holds 512 characters
_START_SECONDS = 20.0
_ANSWER_SECONDS = 20.0


class EmulatorError(Exception):
    """The emulator could not be started or does not answer: never the fault of the kernel inside it."""


class EmulatorDied(EmulatorError):
    """The emulator's process has ended; the message says how, with the log's last words."""


def _nothing() -> None:
    pass


def configuration(megabytes: int, *, rom: bool, disk: bool, swap: bool = False, ips: int = INSTRUCTIONS_PER_SECOND) -> str:
    """The bochsrc of a graded machine. All its files have fixed names in the run's own folder."""
    lines = [
        f"memory: guest={megabytes}, host={min(megabytes, 2048)}",  # Bochs keeps what is over 2048 in a file
        f"cpu: model=p3_katmai, ips={ips}, reset_on_triple_fault=0",
        "romimage: file=rom" if rom else f"romimage: file={_BIOS}",
        f"vgaromimage: file={_VIDEO_BIOS}",
        "com1: enabled=1, mode=file, dev=serial",
        "display_library: term",
        "clock: sync=none, time0=946681200",
        "plugin_ctrl: iodebug=0, unmapped=0, speaker=0, gameport=0, parallel=0, usb_uhci=0",  # the first two are side doors
        "panic: action=fatal, cpu0=report",  # a triple fault is a panic of cpu0; reported, it leaves the processor shut down
        "error: action=ignore, cpu0=report",
        "info: action=ignore, cpu0=report",
        "log: log",
    ]
    if disk:
        lines += [
            "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14",
            "ata0-master: type=disk, path=disk, mode=flat",
            "boot: disk",
        ]
    else:
        lines += ["ata0: enabled=0"] if swap else ["ata0: enabled=0", "ata1: enabled=0"]
    if swap:
        lines += [
            "ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15",
            "ata1-master: type=disk, path=swap, mode=flat",
        ]
    return "\n".join(lines) + "\n"


class BochsDialogue:
    """One machine. `start` switches it on; it then waits at its first instruction. Also a context manager.

    `directory` is the run's own folder: bochsrc and log are written into it, and ROM, disk and serial file are linked from it,
    so that no path of the outside reaches Bochs's configuration file (its syntax has no escapes). `disk` is the first channel's
    master, `swap` the second channel's.
    """

    def __init__(
        self,
        rom: "Path | str | None",
        disk: "Path | str | None",
        machine: "Machine",
        directory: "Path | str",
        serial: "Path | str | None" = None,
        ips: int = INSTRUCTIONS_PER_SECOND,
        swap: "Path | str | None" = None,
    ) -> None:
        self.directory = os.path.abspath(directory)
        self.rom = rom and os.path.abspath(rom)
        self.disk = disk and os.path.abspath(disk)
        self.swap = swap and os.path.abspath(swap)
        self.serial = os.path.abspath(serial) if serial else os.path.join(self.directory, "serial")
        self.megabytes = machine.megabytes
        self.ips = ips
        self.process = 0
        self.ticks = 0
        self.eip = 0
        self.between: "Callable[[], None]" = _nothing  # called before each command and while its answer comes; may raise to give it up
        self._line = 1  # the number in the next prompt
        self._buffer = bytearray()
        self._errors = bytearray()
        self._death = ""  # in words, once Bochs has ended by itself
        self._to_bochs = self._from_bochs = self._error_pipe = self._terminal = self._log = -1
        self._poll = select.poll()
        self.memory = BochsMemory(self.command, self.directory)

    # --- start and end -----------------------------------------------------------------------------------------------------

    def launch(self) -> None:
        """Starts the process and returns while it still loads; `start` waits for its first prompt."""
        self._prepare_directory()
        to_bochs, self._to_bochs = os.pipe()
        self._from_bochs, from_bochs = os.pipe()
        self._error_pipe, error_pipe = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.setpgid(0, 0)  # a Ctrl-C typed at a terminal is for us to handle
                os.chdir(self.directory)
                for number, descriptor in enumerate((to_bochs, from_bochs, error_pipe)):
                    os.dup2(descriptor, number)
                command = [_GUARDIAN, "--pdeathsig", "KILL", PROGRAM, "-q", "-f", "bochsrc"]
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)
                os.execve(command[0], command, _ENVIRONMENT)
            except OSError as error:
                os.write(2, f"{_GUARDIAN}: {error.strerror}\n".encode())
            finally:
                os._exit(127)
        self.process = child
        for descriptor in (to_bochs, from_bochs, error_pipe):
            os.close(descriptor)
        for descriptor in (self._from_bochs, self._error_pipe):
            os.set_blocking(descriptor, False)
            self._poll.register(descriptor, select.POLLIN)

    def start(self) -> None:
        """Waits until the machine is switched on and stopped before its first instruction."""
        if not self.process:
            self.launch()
        answer = self._read_to_prompt(time.monotonic() + _START_SECONDS)
        if answer is None:
            self.close()
            raise EmulatorError(f"Bochs shows no prompt within {_START_SECONDS:.0f} s")
        self._note_position(answer)

    def _prepare_directory(self) -> None:
        links = {"rom": self.rom, "disk": self.disk, "swap": self.swap, "serial": self.serial}
        os.makedirs(self.directory, exist_ok=True)
        for name in ("rom", "disk", "disk.lock", "swap", "swap.lock", "log", "serial", "dump"):
            path = os.path.join(self.directory, name)
            if links.get(name) != path and os.path.lexists(path):
                os.unlink(path)
        for name, target in links.items():
            path = os.path.join(self.directory, name)
            if target and target != path:
                os.symlink(target, path)
        with open(self.serial, "wb"):
            pass  # Bochs makes the file with the first character only
        text = configuration(self.megabytes, rom=bool(self.rom), disk=bool(self.disk), swap=bool(self.swap), ips=self.ips)
        with open(os.path.join(self.directory, "bochsrc"), "w", encoding="ascii") as file:
            file.write(text)

    def close(self) -> None:
        """Ends Bochs and waits for it; harmless when called again."""
        if self.process:
            try:
                os.kill(self.process, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._reap()
        for descriptor in (self._to_bochs, self._from_bochs, self._error_pipe, self._terminal, self._log):
            if descriptor >= 0:
                os.close(descriptor)
        self._to_bochs = self._from_bochs = self._error_pipe = self._terminal = self._log = -1

    def _reap(self) -> int:
        try:
            status = os.waitpid(self.process, 0)[1]
        except ChildProcessError:
            status = 0
        self.process = 0
        return status

    def __enter__(self) -> "Self":
        if not self.process:
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the dialogue ------------------------------------------------------------------------------------------------------

    def command(self, text: str) -> str:
        """Gives one line (`;` separates commands) to the debugger and returns what it answers."""
        self.between()
        self._send(text)
        answer = self._read_to_prompt(time.monotonic() + _ANSWER_SECONDS)
        if answer is None:
            raise EmulatorError(f"Bochs does not answer to `{text}` within {_ANSWER_SECONDS:.0f} s")
        return answer

    def _send(self, text: str) -> None:
        line = text.strip().encode("ascii", "replace")
        if not line or len(line) > _LONGEST_LINE or b"\n" in line:
            raise ValueError("a debugger line has 1 to 500 characters")
        if not self.process:
            raise EmulatorDied(self._death or "the emulator does not run")
        self._line += 1
        try:
            os.write(self._to_bochs, line + b"\n")
        except BrokenPipeError:
            self._died()

    def _read_to_prompt(self, deadline: float) -> "str | None":
        """Everything up to the awaited prompt, without the echoed command; None when the time is over before."""
        while True:
            answer = self._take_answer()
            if answer is not None:
                return answer
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            self._read_some(remaining)
            self.between()

    def _take_answer(self) -> "str | None":
        prompt = b"<bochs:%d> " % self._line
        if not self._buffer.endswith(prompt):
            return None
        text = self._buffer[: -len(prompt)].decode("ascii", "replace")
        self._buffer.clear()
        return text.partition("\n")[2]

    def _read_some(self, seconds: float) -> "list[int]":
        """Waits for output and takes it; returns the ready descriptors that are not the emulator's own."""
        others = []
        for descriptor, _ in self._poll.poll(seconds * 1000):
            if descriptor == self._from_bochs:
                data = os.read(descriptor, 1 << 16)
                if not data:
                    self._died()
                self._buffer += data
            elif descriptor == self._error_pipe:
                self._take_error_text()
            elif descriptor == self._terminal:
                self._drain_terminal()
            else:
                others.append(descriptor)
        return others

    def _take_error_text(self) -> None:
        data = os.read(self._error_pipe, 1 << 12)
        if not data:
            self._poll.unregister(self._error_pipe)
        self._errors += data
        del self._errors[:-4096]
        if self._terminal < 0 and b'connected to screen "' in self._errors:
            name, quote, _ = bytes(self._errors.partition(b'connected to screen "')[2]).partition(b'"')
            if quote:
                self._open_terminal(name)

    def _open_terminal(self, name: bytes) -> None:
        """The guest's text screen: Bochs blocks for good once nobody takes what it draws."""
        import termios

        self._terminal = os.open(name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        mode = termios.tcgetattr(self._terminal)
        mode[0] = mode[1] = mode[3] = 0  # raw: nothing is changed and nothing echoed back
        termios.tcsetattr(self._terminal, termios.TCSANOW, mode)
        self._poll.register(self._terminal, select.POLLIN)

    def _drain_terminal(self) -> None:
        try:
            gone = not os.read(self._terminal, 1 << 16)
        except BlockingIOError:
            return
        except OSError:  # EIO: the other side is closed
            gone = True
        if gone:
            self._poll.unregister(self._terminal)

    def _died(self) -> None:
        """Raises EmulatorDied with all that is known of the end."""
        try:
            self._take_error_text()
        except (OSError, KeyError):  # nothing is left there
            pass
        status = self._reap() if self.process else 0
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            how = f"it was ended by signal {number} ({signal.strsignal(number)})"
        else:
            how = f"it ended with exit status {os.waitstatus_to_exitcode(status)}"
        self._death = f"the emulator died: {how}{self._last_words()}"
        raise EmulatorDied(self._death)

    def _last_words(self) -> str:
        """The panic in the log, or what stands on stderr."""
        try:
            with open(os.path.join(self.directory, "log"), "rb") as log:
                lines = log.read()[-20000:].decode("ascii", "replace").splitlines()
        except OSError:
            lines = []
        lines += self._errors.decode("ascii", "replace").splitlines()
        panics = [line.partition(">>PANIC<<")[2].strip() for line in lines if ">>PANIC<<" in line]
        if panics:
            return f"; Bochs says: {panics[-1]}"
        errors = [line for line in lines if line and not line[:11].isdigit() and "connected to screen" not in line]
        return f"; its last words: {errors[-1]}" if errors else ""

    def _note_position(self, text: str) -> None:
        """Takes ticks and EIP from `Next at t=N` and the disassembled line below it."""
        before, found, after = text.rpartition("Next at t=")
        if not found:
            return
        number, _, rest = after.partition("\n")
        self.ticks = int(number)
        place = rest.partition("] ")[2].partition(" ")[0].partition(":")[2]
        if place:
            self.eip = int(place, 16)
