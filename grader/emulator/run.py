#!/usr/bin/python3
"""`make run`: boots a kernel as a PC would, with its serial console in this terminal. Ctrl-C leaves.

Bochs starts from a disk image through BIOS, SYSLINUX and mboot.c32. QEMU loads the kernel by itself, or starts from the same
image with --disk. --programs puts a folder of programs on the machine's disk, as /bin; --swap says how large the swap disk beside
it is. With no terminal, standard input is sent once the machine waits for it, and the machine runs on until it ends or is ended
(`timeout 10 make run </dev/null`).
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import tty
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from emulator import process  # noqa: E402
from emulator.console import Console, Keyboard, SerialPort  # noqa: E402
from emulator.disk import build_disk, build_program_disk, programs_in  # noqa: E402
from emulator.elf import BootImageError, read_kernel  # noqa: E402
from emulator.machine import Machine, bochs_memory  # noqa: E402
from emulator.qemu import qemu_command  # noqa: E402
from emulator.swap_disk import SwapDisk  # noqa: E402

_LARGEST_SWAP = 64 * 1024  # MiB: what a swap entry can name

_BOCHS_CONFIGURATION = """\
{memory}
cpu: model=p3_katmai, ips=50000000, reset_on_triple_fault=1
romimage: file=/usr/share/bochs/BIOS-bochs-legacy
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={disk}, mode=flat
{swap}boot: disk
com1: enabled=1, mode=term, dev={serial}
display_library: term
clock: sync=slowdown, time0=local
plugin_ctrl: iodebug=0, unmapped=0, speaker=0, gameport=0
panic: action=fatal
log: /dev/stderr
"""


_BOCHS_SWAP = """\
ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
ata1-master: type=disk, path={image}, mode=flat
"""


class BochsWatch:
    """Reads what Bochs says beside the serial port: where its screen is, and whether the machine has come to an end."""

    _SCREEN = re.compile(rb'connected to screen "(/dev/pts/\d+)"')
    _PANIC = re.compile(rb">>PANIC<< ([^\n]*)\n")
    _HALT = b"HLT instruction with IF=0"
    _PROMPT_AFTER_STOP = b"<bochs:2> "
    _LAST_INSTRUCTION = re.compile(rb"\(0\)\.\[\d+\] \[0x([0-9a-f]+)\]")

    def __init__(self, console: Console, bochs: subprocess.Popen[bytes]) -> None:
        self._console = console
        self._dialogue = b""
        self._log = b""
        self.screen: int | None = None
        console.watch(bochs.stdout.fileno(), self._see_dialogue)
        console.watch(bochs.stderr.fileno(), self._see_log)

    def close(self) -> None:
        if self.screen is not None:
            os.close(self.screen)

    def _see_dialogue(self, data: bytes) -> str | None:
        """The debugger prompts again when the machine has stopped. We set no breakpoints, so it was a triple fault."""
        self._dialogue += data
        if not self._dialogue.endswith(self._PROMPT_AFTER_STOP):
            return None
        last = self._LAST_INSTRUCTION.search(self._dialogue)
        place = f" at 0x{int(last[1], 16):08x}" if last else ""
        return f"triple fault{place}: the processor found no working handler for a fault, and reset itself"

    def _see_log(self, data: bytes) -> str | None:
        self._log = (self._log + data)[-65536:]
        screen = self._SCREEN.search(self._log)
        if screen and self.screen is None:
            # Somebody must read the screen, or a guest that writes to it blocks Bochs for good.
            self.screen = os.open(os.fsdecode(screen[1]), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(self.screen)  # it must not send back what is drawn, as if somebody had typed it
            self._console.watch(self.screen, lambda _: None)
        if panic := self._PANIC.search(self._log):
            return f"Bochs gave up: {panic[1].decode(errors='replace')}"
        return "the processor has halted with interrupts off" if self._HALT in self._log else None


def run_bochs(console: Console, port: SerialPort, machine: Machine, disk: Path, swap: Path | None, directory: Path) -> str:
    """Boots the disk image in Bochs, until it ends; returns how."""
    configuration = directory / "bochsrc"
    second = _BOCHS_SWAP.format(image=swap) if swap else ""
    configuration.write_text(_BOCHS_CONFIGURATION.format(memory=bochs_memory(machine), disk=disk, swap=second, serial=port.device))
    bochs = process.start(["bochs-bin", "-q", "-f", str(configuration)], directory, stdin=subprocess.PIPE)
    watch = BochsWatch(console, bochs)
    try:
        bochs.stdin.write(b"c\n")  # Debian's Bochs waits in its debugger
        bochs.stdin.flush()
        return console.converse(bochs)
    finally:
        process.stop(bochs)
        watch.close()


def run_qemu(console: Console, command: list[str], directory: Path) -> str:
    """Runs QEMU until it ends; returns how."""
    qemu = process.start(command, directory)
    said: list[bytes] = []
    console.watch(qemu.stdout.fileno(), said.append)
    console.watch(qemu.stderr.fileno(), said.append)
    try:
        ending = console.converse(qemu)
        if qemu.returncode == 0:
            return "the machine was switched off, or has reset itself as after a triple fault"
        return f"{ending}: {b''.join(said).decode(errors='replace').strip()}"
    finally:
        process.stop(qemu)


def run(options: argparse.Namespace) -> str:
    """Boots what the options ask for; returns how it ended."""
    machine = Machine(options.memory)
    read_kernel(options.elf).check_fits(machine)  # a boot loader would say it on a screen that nobody sees
    port = SerialPort()
    try:
        with tempfile.TemporaryDirectory(prefix="faultline-run-") as name, Keyboard() as keyboard:
            directory = Path(name)
            console = Console(port, keyboard)
            disk = directory / "disk.img"
            programs = programs_in(options.programs) if options.programs else {}
            if options.emulator == "bochs" or options.disk:
                build_disk(disk, options.elf, command_line=options.append, files=programs)
            elif programs:
                build_program_disk(disk, programs)
            swap = directory / "swap.img" if options.swap else None
            if swap:
                SwapDisk(kib=options.swap * 1024).write(swap)
            if options.emulator == "bochs":
                return run_bochs(console, port, machine, disk, swap, directory)
            kernel = {} if options.disk else {"kernel": options.elf.resolve(), "command_line": options.append}
            disks = {"disk": disk if disk.exists() else None, "swap": swap}
            return run_qemu(console, qemu_command(machine, port.device, **disks, **kernel), directory)
    finally:
        port.close()


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description="Boots a kernel; its serial console is this terminal. Ctrl-C leaves.")
    parser.add_argument("--elf", type=Path, required=True, help="the Multiboot kernel")
    parser.add_argument("--emulator", choices=("bochs", "qemu"), default="bochs")
    parser.add_argument("--memory", type=int, default=64, metavar="MIB")
    parser.add_argument("--append", default="", metavar="WORDS", help="the kernel's command line")
    parser.add_argument("--programs", type=Path, metavar="FOLDER", help="what the machine finds in /bin")
    parser.add_argument("--swap", type=_swap_size, default=16, metavar="MIB", help="size of the swap disk; 0 for none (16)")
    parser.add_argument("--disk", action="store_true", help="QEMU: start from the disk image, as Bochs does")
    return parser.parse_args(arguments)


def _swap_size(text: str) -> int:
    if not text.isdigit() or int(text) > _LARGEST_SWAP:
        raise argparse.ArgumentTypeError(f"a swap disk has 0 to {_LARGEST_SWAP} MiB, not {text!r}")
    return int(text)


def _leave(signal_number: int, _frame: object) -> None:
    raise SystemExit(128 + signal_number)


def main(arguments: list[str] | None = None) -> int:
    options = parse_options(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    if sys.stdin.isatty():
        name = {"bochs": "Bochs", "qemu": "QEMU"}[options.emulator]
        print(f"{name} with {options.memory} MiB; Ctrl-C leaves.", file=sys.stderr, flush=True)
    try:
        ending = run(options)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 0
    except BrokenPipeError:  # `make run | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (BootImageError, process.EmulatorMissing, ValueError, OSError) as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    print(f"\nThe machine has stopped: {ending}.", file=sys.stderr)
    return 1 if ending.startswith(("triple fault", "Bochs gave up", "the emulator has ended")) else 0


if __name__ == "__main__":
    sys.exit(main())
