"""A machine in Bochs that runs, and why it has stopped. The dialogue with Bochs itself is in bochs_dialogue.py.

What Bochs does by itself, and what is added here:

    breakpoint, watchpoint, time breakpoint    Bochs stops and says so
    triple fault                               Bochs stops; the processor is left shut down, with all registers as they were
    `hlt` with interrupts off                  Bochs idles for ever, and only its log says so: the log is watched
    an idle processor that nothing wakes       a look inside every 0.3 s: time has passed the budget, or nothing is wrong
    the emulator's death                       end of file, exit status and the log's last words

The bridge imports this at every boot, so only modules that the interpreter has loaded anyway are imported here.
"""

import os
import select
import signal
import time

from emulator.bochs_dialogue import BochsDialogue, EmulatorDied, EmulatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BREAKPOINT_SLOTS = 16
WATCHPOINT_SLOTS = 16  # of each kind, reading and writing

_LOG_INTERVAL = 0.02  # seconds of wall clock between looks at the log while the machine runs
_LOOK_INTERVAL = 0.3  # between looks at the processor's state
_SIGNAL_INTERVAL = 0.05  # Bochs loses a SIGINT that comes right behind `c`
_REACTION_SECONDS = 8.0  # to a SIGINT; after that Bochs is ended
_LARGEST_LOG = 64 * 1024 * 1024
_HALTED_WORDS = b"HLT instruction with IF=0"
_INTERRUPT_FLAG = 0x200
_SHUT_DOWN = 2


class Stop:
    """Why the machine stopped, and when.

    kind: "breakpoint", "watchpoint", "step", "budget", "interrupted", "halted", "triple_fault", "dead" or "timeout"
    ticks: since power on; for "halted" those of the `hlt` (time goes on while the processor halts)
    address: linear for a breakpoint, physical for a watchpoint
    """

    __slots__ = ("kind", "ticks", "eip", "address", "write", "detail")

    def __init__(self, kind: str, ticks: int, eip: int, address: int = 0, write: bool = False, detail: str = "") -> None:
        self.kind = kind
        self.ticks = ticks
        self.eip = eip
        self.address = address
        self.write = write
        self.detail = detail


class BochsDebugger(BochsDialogue):
    """A machine that runs, and says why it has stopped."""

    budget = 0
    _log_offset = 0
    _log_tail = b""
    _shut_down = ""  # in words, once a triple fault has ended all
    _hlt_ticks: "int | None" = None

    def run_and_print(self, deadline: float) -> str:
        """Runs until the next breakpoint and returns all that the debugger printed meanwhile: after `trace on`, every instruction."""
        self._send("c")
        text = self._read_to_prompt(deadline)
        if text is None:
            raise EmulatorError("the machine met no breakpoint in time")
        self._note_position(text)
        return text

    def set_budget(self, ticks: int) -> None:
        """The machine stops for good when `ticks` have passed since power on; 0 takes the limit away."""
        self.budget = ticks
        if ticks > self.ticks:
            self.command(f"sba {ticks}")

    def resume(
        self,
        *,
        step: bool = False,
        wall_seconds: float = 0.0,
        wake: "dict[int, Callable[[], bool]] | None" = None,
    ) -> Stop:
        """Runs until something stops the machine (one instruction if `step`).

        `wake` holds descriptors and what to call when they can be read; a True from there interrupts the machine.
        0 wall seconds mean no limit; past the limit the machine is stopped with kind "timeout".
        """
        if self._shut_down:
            return self._stop("triple_fault", detail=self._shut_down)
        if self.budget and self.ticks >= self.budget:
            return self._stop("budget")
        wake = wake or {}
        for descriptor in wake:
            self._poll.register(descriptor, select.POLLIN)
        try:
            return self._run("s" if step else "c", wall_seconds, wake)
        except EmulatorDied as death:
            return Stop("dead", self.ticks, self.eip, detail=str(death))
        finally:
            for descriptor in wake:
                self._poll.unregister(descriptor)

    def _run(self, verb: str, wall_seconds: float, wake: "dict[int, Callable[[], bool]]") -> Stop:
        deadline = time.monotonic() + wall_seconds if wall_seconds else float("inf")
        while True:
            reason, text = self._run_once(verb, deadline, wake)
            stop = self._explain(text, reason, verb)
            if stop:
                return stop

    def _run_once(self, verb: str, deadline: float, wake: "dict[int, Callable[[], bool]]") -> "tuple[str, str]":
        """One `c` or `s`: why SIGINT was sent ("" if it was not), and what the debugger printed."""
        self._send(verb)
        started = time.monotonic()
        reason, next_signal, give_up = "", 0.0, float("inf")
        while True:
            text = self._take_answer()
            if text is not None:
                return reason, text
            if any([wake[descriptor]() for descriptor in self._read_some(_LOG_INTERVAL)]):
                reason = "interrupted"
            now = time.monotonic()
            if not reason and now > deadline:
                reason = "timeout"
            if not reason and self._log_says_halted():
                reason = "halted"
            if not reason and now - started > _LOOK_INTERVAL:
                reason = "look"
            if reason and now >= next_signal:  # again and again, as one may be lost
                give_up = min(give_up, now + _REACTION_SECONDS)
                os.kill(self.process, signal.SIGKILL if now > give_up else signal.SIGINT)
                next_signal = now + _SIGNAL_INTERVAL

    def _log_says_halted(self) -> bool:
        """Reads what is new in Bochs's log; its lines begin with eleven digits of ticks."""
        if self._log < 0:
            try:
                self._log = os.open(os.path.join(self.directory, "log"), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
        size = os.fstat(self._log).st_size
        if size > _LARGEST_LOG:
            self._death = f"the emulator was ended: its log has grown over {_LARGEST_LOG >> 20} MiB"
            self.close()
            raise EmulatorDied(self._death)
        if size == self._log_offset:
            return self._hlt_ticks is not None
        data = self._log_tail + os.read(self._log, size - self._log_offset)
        self._log_offset = size
        lines = data.split(b"\n")
        self._log_tail = lines.pop()
        for line in lines:
            if _HALTED_WORDS in line and line[:11].isdigit():
                self._hlt_ticks = int(line[:11])
        return self._hlt_ticks is not None

    def _explain(self, text: str, reason: str, verb: str) -> "Stop | None":
        """Makes a Stop of what the debugger printed; None when the machine is to go on."""
        self._note_position(text)
        if "Caught time breakpoint" in text:
            return self._stop("budget") if self.budget and self.ticks >= self.budget else None
        if ") Breakpoint " in text:
            return self._stop("breakpoint", address=self.eip)
        for word, write in (("write", True), ("read", False)):
            marker = f"Caught {word} watch point at "
            if marker in text:
                return self._stop("watchpoint", address=int(text.partition(marker)[2].split()[0], 16), write=write)
        activity, interrupts = self._activity()
        if activity == _SHUT_DOWN:
            self._shut_down = self._describe_triple_fault()
            return self._stop("triple_fault", detail=self._shut_down)
        if activity and not interrupts:
            self._log_says_halted()
            ticks, self._hlt_ticks = self._hlt_ticks, None
            return self._stop("halted", ticks=self.ticks if ticks is None else ticks, detail="hlt with interrupts off")
        self._hlt_ticks = None
        if self.budget and self.ticks >= self.budget:  # asleep, and woken by nothing before the budget ended
            return self._stop("budget", ticks=self.budget, detail="the processor was halted")
        if reason in ("interrupted", "timeout"):
            return self._stop(reason)
        return self._stop("step") if verb == "s" and not reason else None

    def _stop(self, kind: str, *, ticks: "int | None" = None, address: int = 0, write: bool = False, detail: str = "") -> Stop:
        return Stop(kind, self.ticks if ticks is None else ticks, self.eip, address, write, detail)

    def _activity(self) -> "tuple[int, bool]":
        """The processor's activity state (0 runs, 1 halted, 2 shut down) and whether interrupts are on."""
        text = self.command('show "activity_state";r')
        activity = int(text.partition("activity_state = ")[2].split()[0], 16)
        flags = int(text.partition("eflags ")[2].partition(":")[0], 16)
        return activity, bool(flags & _INTERRUPT_FLAG)

    def _describe_triple_fault(self) -> str:
        try:
            with open(os.path.join(self.directory, "log"), "rb") as log:
                lines = log.read()[-20000:].decode("ascii", "replace").splitlines()
        except OSError:
            lines = []
        panics = [line.partition("3rd (")[2].partition(")")[0] for line in lines if ">>PANIC<<" in line and "3rd (" in line]
        return f"the third exception in a row had vector {panics[-1]}" if panics else "the processor has shut down"
