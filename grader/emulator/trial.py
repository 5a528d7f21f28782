"""Builds and boots trial.cpp, the smallest guest: for the doctor's trial boot and for tests that need a kernel but not ours."""

from __future__ import annotations

import os
import select
import subprocess
import time
from pathlib import Path

from emulator import process
from emulator.console import SerialPort
from emulator.elf import BootImageError
from emulator.machine import HIGH_MEMORY_START, Machine, bochs_memory

_SOURCE = Path(__file__).with_name("trial.cpp")
_COMPILER = "i686-linux-gnu-g++"
_FLAGS = (
    "-std=c++20 -ffreestanding -fno-exceptions -fno-rtti -fno-pic -fno-pie -no-pie -fno-stack-protector -nostdlib -static "
    "-fno-asynchronous-unwind-tables -mno-sse -mno-mmx -m32 -march=i686 --param=min-pagesize=0 -O2 -Wall -Wextra -Werror"
).split()
_LAST_LINE = b"end\n"
_LINKER_FLAGS = [f"-Wl,-Ttext-segment={HIGH_MEMORY_START:#x},--build-id=none,-z,noexecstack"]

_BOCHS_CONFIGURATION = """\
{memory}
cpu: model=p3_katmai, ips=50000000, reset_on_triple_fault=1
romimage: file={rom}
com1: enabled=1, mode=term, dev={serial}
display_library: term
clock: sync=none, time0=946681200
plugin_ctrl: iodebug=0, unmapped=0, speaker=0, gameport=0
panic: action=fatal
log: bochs.log
"""


def build_trial_kernel(directory: Path) -> Path:
    """Compiles and links the guest; returns the ELF file."""
    elf = directory / "trial.elf"
    command = [_COMPILER, *_FLAGS, *_LINKER_FLAGS, "-o", str(elf), str(_SOURCE), "-lgcc"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise BootImageError(f"cannot start {_COMPILER}: {error.strerror}") from error
    if done.returncode != 0:
        raise BootImageError(f"{_COMPILER} does not build the trial guest:\n{done.stderr.strip()}")
    return elf


def boot_trial(rom: Path, machine: Machine, directory: Path, *, seconds: float = 20) -> list[str]:
    """Boots the guest from its ROM in Bochs; returns the lines that it sent. Raises BootImageError when it does not finish."""
    port = SerialPort()
    configuration = directory / "bochsrc"
    configuration.write_text(_BOCHS_CONFIGURATION.format(memory=bochs_memory(machine), rom=rom, serial=port.device))
    bochs = process.start(["bochs-bin", "-q", "-f", str(configuration)], directory, stdin=subprocess.PIPE)
    said = b""
    try:
        bochs.stdin.write(b"c\n")
        bochs.stdin.flush()
        deadline = time.monotonic() + seconds
        while not said.endswith(_LAST_LINE) and time.monotonic() < deadline and bochs.poll() is None:
            if select.select([port.descriptor], [], [], 0.1)[0]:
                said += os.read(port.descriptor, 4096)
    finally:
        process.stop(bochs)
        port.close()
    if not said.endswith(_LAST_LINE):
        heard = said.decode(errors="replace").strip() or "nothing"
        raise BootImageError(f"the trial guest did not finish in {seconds:g} s; it said: {heard}")
    return said.decode(errors="replace").splitlines()[:-1]
