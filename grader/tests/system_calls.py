"""Scripts of system calls for the program `calls` (grader/programs/calls), and what the calls returned.

    script = CallScript()
    page = script("MapMemory", 0, PAGE, READ | WRITE, PRIVATE | ANONYMOUS, -1, 0)
    shown = script.show(page, 4)
    with script.child():
        script("Exit", 7)
    run = calls(script)                 # one boot; the fixture of test_system_calls.py
    assert run[page] >= 0x1000_0000 and run.bytes(shown) == bytes(4)

Arguments are numbers, the results of earlier calls (with an offset: `page + 8`), and texts, which stand for their addresses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from emulator.volume import check_file_system
from judge.scenario import Scenario
from labs.programs import Programs
from program_boots import booter

ROOT = Path(__file__).resolve().parents[2]
PAGE = 4096
_LINE = re.compile(r"(#{1,2})(\d+) (\S*)")
_ABI_NUMBER = re.compile(r"\b([A-Z][A-Z_0-9]*) = (0x[\d']+|\d[\d']*)")


def abi(*headers: str) -> dict[str, int]:
    """The named numbers of kernel/abi headers."""
    text = "".join((ROOT / "kernel/abi" / f"{name}.h").read_text() for name in headers)
    return {name: int(value.replace("'", ""), 0) for name, value in _ABI_NUMBER.findall(text)}


ERRORS = abi("errors")
_ERROR_NAMES = {number: name for name, number in ERRORS.items()}


@dataclass(frozen=True)
class Name:
    """Something in the script's memory, or an earlier result, perhaps with an offset."""

    word: str
    line: int = 0
    offset: int = 0

    def __add__(self, offset: int) -> Name:
        return Name(self.word, self.line, self.offset + offset)

    def __sub__(self, offset: int) -> Name:
        return self + -offset

    def __str__(self) -> str:
        return f"{self.word}{self.offset:+#x}" if self.offset else self.word


ABI = abi("files", "memory", "signals")
O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND = (ABI[f"O_{name}"] for name in "RDONLY WRONLY RDWR CREAT TRUNC APPEND".split())
READ, WRITE, EXEC = ABI["PROT_READ"], ABI["PROT_WRITE"], ABI["PROT_EXEC"]
SHARED, PRIVATE, FIXED, ANONYMOUS = ABI["MAP_SHARED"], ABI["MAP_PRIVATE"], ABI["MAP_FIXED"], ABI["MAP_ANONYMOUS"]
NO_REPLACE = ABI["MAP_FIXED_NOREPLACE"]
WILLNEED = ABI["MADV_WILLNEED"]
SIGTERM, SIGKILL, SIGSEGV = ABI["SIGTERM"], ABI["SIGKILL"], ABI["SIGSEGV"]
SEEK_SET, SEEK_CUR, SEEK_END = range(3)
USER_BEGIN, USER_END = 0x1000_0000, 0xC000_0000
CALLS = len(re.findall(r"^    [A-Z]\w+,? .*///<", (ROOT / "kernel/abi/system_calls.h").read_text(), re.MULTILINE)) - 1  # SystemCall::Count
MISSING = 0x3000_0000  # nothing is ever mapped here by itself: heap and mappings lie elsewhere
BUFFER = Name("buffer")  # 64 KiB, writable, at a page's begin
CODE = Name("code")  # in the program's text: readable, not writable

Value = int | str | Name


@dataclass
class CallScript:
    """Lines for `calls`."""

    lines: list[str] = field(default_factory=list)
    texts: dict[str, Name] = field(default_factory=dict)
    file: Name | None = None  # whatever the test's lines read and write

    def __call__(self, call: str | int, *arguments: Value, fast: bool = False) -> Name:
        """A system call. What it returned stands for it in later lines (of the same process)."""
        words = [self._word(argument) for argument in arguments]
        return self._keep(" ".join([*(["fast"] if fast else []), str(call), *words]))

    def show(self, address: Value, count: int) -> Name:
        return self._keep(f"show {self._word(address)} {count}", keep=False)

    def word(self, address: Value, value: Value) -> None:
        self._add(f"word {self._word(address)} {self._word(value)}")

    def store(self, address: Value, byte: int, count: int = 1) -> None:
        self._add(f"store {self._word(address)} {byte} {count}")

    def catch(self, signal: int) -> Name:
        return self._keep(f"catch {signal}", keep=False)

    def caught(self) -> Name:
        return self._keep("caught", keep=False)

    @contextmanager
    def child(self) -> Iterator[Name]:
        """The lines inside are a child's. The name is its process number, for its parent."""
        line = self._add("child")
        pid = Name(f"r{line}", line)
        yield pid
        self._add("end")
        self._add(f"keep {pid.word}")  # nothing else has changed the last result since

    @property
    def data(self) -> bytes:
        texts = [f'text {name} "{text}"' for text, name in self.texts.items()]
        return ("\n".join([*texts, "begin", *self.lines]) + "\n").encode("latin-1")

    def text(self, text: str) -> Name:
        """The address of a text."""
        return self.texts.setdefault(text, Name(f"t{len(self.texts)}"))

    def _word(self, value: Value) -> str:
        return str(self.text(value)) if isinstance(value, str) else str(value)

    def _add(self, line: str) -> int:
        self.lines.append(line)
        return len(self.lines)

    def _keep(self, text: str, keep: bool = True) -> Name:
        line = self._add(text)
        if keep:
            self._add(f"keep r{line}")
        return Name(f"r{line}", line)


@dataclass(frozen=True)
class CallRun:
    """What `calls` has printed."""

    script: CallScript
    output: str
    wait_status: int
    disk: Path

    def __getitem__(self, name: Name) -> int:
        """What a call returned; a number above 2^31 - 1 is itself, see error()."""
        return int(self._line(name), 16)

    def signed(self, name: Name) -> int:
        value = self[name]
        return value - (1 << 32) if value >= 1 << 31 else value

    def error(self, name: Name) -> str:
        """The name of the error that a call returned; "" for a success."""
        value = self.signed(name)
        return _ERROR_NAMES.get(-value, f"error {-value}") if -4096 < value < 0 else ""

    def bytes(self, name: Name) -> bytes:
        """What show() has shown."""
        return bytes.fromhex(self._line(name))

    def word(self, name: Name) -> int:
        return int.from_bytes(self.bytes(name)[:4], "little")

    def says(self, name: Name) -> str:
        """The call and its result, for messages."""
        return f"{self.script.lines[name.line - 1]} = {self.error(name) or hex(self[name])}"

    def _line(self, name: Name) -> str:
        found = [value for _, line, value in _LINE.findall(self.output) if int(line) == name.line]
        assert len(found) == 1, f"line {name.line} ({self.script.lines[name.line - 1]}) was printed {len(found)} times:\n{self.output[-2000:]}"
        return found[0]


def expect_errors(run: CallRun, wanted: Mapping[Name, str]) -> None:
    for name, error in wanted.items():
        assert run.error(name) == error, run.says(name)


def memory(script: CallScript, pages: int, protection: int = READ | WRITE, flags: int = PRIVATE | ANONYMOUS, at: Name | int = 0) -> Name:
    return script("MapMemory", at, pages * PAGE, protection, flags, -1, 0)


STORY = bytes(i * 7 & 0xFF for i in range(10_000))
FILES = {"story": STORY, "folder/note.txt": b"a note", "text": b"no program"}
Calls = Callable[..., CallRun]


@contextmanager
def runner(folder: Path) -> Iterator[Calls]:
    """For a fixture: runs a script, and sees to it that nothing of it stays behind."""
    with booter(folder) as machines:

        def run(script: CallScript, *, ends_with: int = 0, megabytes: int = 16, files: Mapping[str, bytes] = FILES) -> CallRun:
            scenario: Scenario = machines(megabytes)
            programs = Programs(scenario, {**files, "calls.txt": script.data, "nothing.txt": b"GetPid\n"})
            programs.run("calls", "/nothing.txt")  # what the kernel keeps from the first program on
            before = scenario.op("fuzz.frames")
            ran = programs.run("calls")
            after = scenario.op("fuzz.frames")
            result = scenario.boot()
            assert ran.wait_status == ends_with, str(ran)
            assert after.value == before.value, f"{after.value - before.value} frames are not back"
            check_file_system(result.disk)
            return CallRun(script, ran.text, ran.wait_status, result.disk)

        yield run
