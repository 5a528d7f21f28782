"""Emulator processes that never outlive us: not after Ctrl-C, not after a crash of the program that started them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_c_library = ctypes.CDLL(None, use_errno=True)


class EmulatorMissing(Exception):
    """The emulator's program is not installed, or cannot be started."""


def start(command: Sequence[str], directory: Path, *, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """Starts `command` in a session of its own (the terminal's Ctrl-C is ours alone), with both outputs as pipes."""
    parent = os.getpid()

    def die_with_parent() -> None:
        _c_library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before prctl() could say so
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        return subprocess.Popen(
            command,
            cwd=directory,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=die_with_parent,
            env={**os.environ, "TERM": "dumb", "INPUTRC": "/dev/null", "LC_ALL": "C"},
        )
    except OSError as error:
        raise EmulatorMissing(f"{command[0]}: {error.strerror}. `make setup` installs it; `make doctor` tells more.") from error


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kills the process and all that it started, and waits until it is gone."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            try:
                stream.close()
            except BrokenPipeError:
                pass
