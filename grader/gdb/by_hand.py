"""The command line of a GDB for people: connected with a fresh machine, with symbols, stopped where they want to start."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from emulator.machine import Machine

_FOLDER = Path(__file__).resolve().parent


def debug_command(
    elf: Path,
    machine: Machine,
    directory: Path,
    *,
    rom: Path | None = None,
    disk: Path | None = None,
    swap: Path | None = None,
    stop_at: str | None = "kernel_main",
    arguments: Sequence[str] = (),
) -> list[str]:
    """What to execute. `arguments` go to GDB behind our own (`-ex ...`); `directory` receives bochsrc, log and serial output.

    The caller replaces itself with it, or waits for it with SIGINT ignored: Ctrl-C belongs to GDB.
    """
    bridge = [str(_FOLDER / "bridge"), "--memory", str(machine.megabytes), "--directory", str(directory)]
    bridge += [word for name, path in (("--rom", rom), ("--disk", disk), ("--swap", swap)) if path is not None for word in (name, str(path))]
    command = ["/usr/bin/gdb", "-q", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off"]
    command += ["-x", str(_FOLDER / "debug.py"), str(elf), "-ex", f"target remote | exec {shlex.join(bridge)}"]
    if stop_at:
        command += ["-ex", f"tbreak {stop_at}", "-ex", "continue"]
    return [*command, *arguments]
