"""`make run` as a person meets it: a real Bochs or QEMU, a terminal, typing, Ctrl-C, and no process left behind."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.trial import build_trial_kernel

RUN = Path(__file__).resolve().parents[1] / "emulator" / "run.py"
PATIENCE = 40  # seconds; what is waited for takes two or three


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_trial_kernel(tmp_path_factory.mktemp("trial"))


class Terminal:
    """run.py with a terminal of its own, in a session of its own, as in a terminal window."""

    def __init__(self, *arguments: str | Path) -> None:
        self.screen = b""
        self.pid, self._keys = pty.fork()
        if self.pid == 0:
            os.execv(RUN, [str(RUN), *map(str, arguments)])

    def wait_for(self, text: bytes) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.screen:
            assert time.monotonic() < deadline, f"{text!r} did not come; the screen shows {self.screen!r}"
            if select.select([self._keys], [], [], 0.1)[0]:
                self.screen += os.read(self._keys, 4096)

    def type(self, text: bytes) -> None:
        os.write(self._keys, text)

    def exit_status(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while (done := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
            assert time.monotonic() < deadline, "it does not leave"
            if select.select([self._keys], [], [], 0.1)[0]:
                try:
                    self.screen += os.read(self._keys, 4096)
                except OSError:  # the other end has gone
                    time.sleep(0.05)
        return os.waitstatus_to_exitcode(done[1])

    def close(self) -> None:
        os.close(self._keys)


def emulators_of(kernel: Path, since: set[int]) -> set[int]:
    """The emulators that have started since, and belong to a run.py of ours (they inherit our marked environment)."""
    mark = f"FAULTLINE_TEST={kernel.parent}".encode()
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, environment = (folder / "comm").read_text().strip(), (folder / "environ").read_bytes()
        except OSError:
            continue
        if name.startswith(("bochs", "qemu")) and mark in environment.split(b"\0") and int(folder.name) not in since:
            found.add(int(folder.name))
    return found


@pytest.fixture
def nothing_left(kernel: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Fails the test if an emulator or a temporary file outlives run.py."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("FAULTLINE_TEST", str(kernel.parent))
    monkeypatch.setenv("TMPDIR", str(scratch))
    yield
    deadline = time.monotonic() + 5
    while emulators_of(kernel, set()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert emulators_of(kernel, set()) == set()
    assert list(scratch.iterdir()) == []


def assemble(directory: Path, text: str) -> Path:
    """A guest of a few instructions, at 1 MiB."""
    source, elf = directory / "guest.s", directory / "guest.elf"
    source.write_text(text)
    layout = "-Wl,-Ttext=0x100000,--build-id=none,-N,--no-warn-rwx-segments"
    subprocess.run(["i686-linux-gnu-g++", "-nostdlib", "-static", layout, "-o", elf, source], check=True)
    return elf


def run_without_terminal(*arguments: str | Path, typed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([RUN, *arguments], input=typed, capture_output=True, timeout=PATIENCE)


@pytest.mark.parametrize("options", [[], ["--emulator", "qemu"], ["--emulator", "qemu", "--disk"]], ids=["bochs", "qemu", "qemu-disk"])
def test_typing_arrives_and_ctrl_c_leaves_cleanly(kernel: Path, nothing_left: None, options: list[str]) -> None:
    terminal = Terminal("--elf", kernel, "--append", "echo words  apart", *options)
    try:
        terminal.wait_for(b"end\r\n")
        assert b"Ctrl-C leaves" in terminal.screen
        assert b"echo words" in terminal.screen
        terminal.type(b"what is typed\r")
        terminal.wait_for(b"WHAT IS TYPED")
        assert b"what is typed" not in terminal.screen, "the machine echoes, not the terminal"
        terminal.type(b"\x03")
        assert terminal.exit_status() == 0
    finally:
        terminal.close()


def test_memory_is_what_was_asked_for(kernel: Path, nothing_left: None) -> None:
    done = run_without_terminal("--elf", kernel, "--memory", "32")
    assert done.returncode == 0
    assert f"upper {31 * 1024:x}\n".encode() in done.stdout
    assert b"loader SYSLINUX" in done.stdout and b"line kernel.elf\n" in done.stdout
    assert b"halted with interrupts off" in done.stderr


def test_input_from_a_pipe_waits_for_the_kernel_and_loses_nothing(kernel: Path, nothing_left: None) -> None:
    text = bytes(ord("a") + i * i % 26 for i in range(3000))
    run = subprocess.Popen([RUN, "--elf", kernel, "--append", "echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        run.stdin.write(text)
        run.stdin.close()
        said = b""
        deadline = time.monotonic() + PATIENCE
        while text.upper() not in said and time.monotonic() < deadline:
            if select.select([run.stdout], [], [], 0.1)[0]:
                said += os.read(run.stdout.fileno(), 4096)
        assert said.endswith(b"end\n" + text.upper())
    finally:
        run.terminate()
        assert run.wait(PATIENCE) == 128 + signal.SIGTERM


@pytest.mark.parametrize("emulator", ["bochs", "qemu"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_signals_take_the_emulator_along(
    kernel: Path, nothing_left: None, emulator: str, number: signal.Signals, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run = subprocess.Popen(
        [RUN, "--elf", kernel, "--append", "echo", "--emulator", emulator], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert run.stdout.readline() == b"magic 2badb002\n"
    assert len(emulators_of(kernel, set())) == 1
    run.send_signal(number)
    status = run.wait(PATIENCE)
    if number == signal.SIGKILL:
        assert status == -signal.SIGKILL
        for folder in (tmp_path / "scratch").iterdir():  # nobody could have cleaned up
            subprocess.run(["rm", "-r", str(folder)], check=True)
    else:
        assert status == (0 if number == signal.SIGINT else 128 + number)


def test_a_triple_fault_is_named_with_its_place(tmp_path: Path, nothing_left: None) -> None:
    elf = assemble(tmp_path, ".long 0x1BADB002, 0, -0x1BADB002\n.globl _start\n_start: nop\n lidtl no_table\nhere: ud2\n"
                   ".balign 4\nno_table: .word 0\n .long 0\n")  # fmt: skip
    done = run_without_terminal("--elf", elf)
    assert done.returncode == 1
    assert b"triple fault at 0x00100014" in done.stderr, done.stderr


def test_a_guest_that_floods_the_screen_does_not_block(tmp_path: Path, nothing_left: None) -> None:
    elf = assemble(
        tmp_path,
        ".long 0x1BADB002, 0, -0x1BADB002\n.globl _start\n_start:\n movl $30000, %edx\n"
        "again: movl $0xB8000, %edi\n movl %edx, %eax\n movl $1000, %ecx\n rep stosl\n decl %edx\n jnz again\n"
        " movw $0x3F8, %dx\n movb $'k, %al\n outb %al, %dx\n cli\n hlt\n",
    )
    done = run_without_terminal("--elf", elf)
    assert done.returncode == 0
    assert b"halted with interrupts off" in done.stderr


def test_a_reader_that_goes_away_is_no_error(kernel: Path, nothing_left: None) -> None:
    done = subprocess.run(
        ["/bin/bash", "-c", f"set -o pipefail; '{RUN}' --elf '{kernel}' --emulator qemu </dev/null | head -n 1"],
        capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"magic 2badb002\n", b"")


def test_bad_requests_are_answered_in_a_line(kernel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments, words in (
        (["--elf", tmp_path / "missing.elf"], b"cannot read the kernel"),
        (["--elf", tmp_path / "missing.elf", "--emulator", "qemu"], b"cannot read the kernel"),
        (["--elf", kernel, "--memory", "1"], b"2 to 3072 MiB"),
            (["--elf", assemble(tmp_path, ".long 0x1BADB002, 0, -0x1BADB002\n.globl _start\n_start: jmp .\n.bss\n.skip 9000000"),
              "--memory", "8"], b"past the machine's 8 MiB"),
        (["--elf", kernel, "--append", "a\nb"], b"SYSLINUX cannot pass on"),
    ):
        done = run_without_terminal(*arguments)
        assert done.returncode == 1
        assert done.stderr.startswith(b"run: ") and done.stderr.count(b"\n") == 1 and words in done.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run(
        [sys.executable, RUN, "--elf", kernel, "--emulator", "qemu"],
        env={"PATH": str(empty)}, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 1 and b"qemu-system-i386: No such file" in done.stderr and b"make setup" in done.stderr
