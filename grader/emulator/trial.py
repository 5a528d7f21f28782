"""Builds and boots trial.cpp, the smallest guest: for the doctor's trial boot and for tests that need a kernel but not ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

from emulator.bochs import BochsDebugger
from emulator.elf import BootImageError
from emulator.machine import HIGH_MEMORY_START, Machine

_SOURCE = Path(__file__).with_name("trial.cpp")
_COMPILER = "i686-linux-gnu-g++"
_FLAGS = (
    "-std=c++20 -ffreestanding -fno-exceptions -fno-rtti -fno-pic -fno-pie -no-pie -fno-stack-protector -nostdlib -static "
    "-fno-asynchronous-unwind-tables -mno-sse -mno-mmx -m32 -march=i686 --param=min-pagesize=0 -O2 -Wall -Wextra -Werror"
).split()
_LAST_LINE = "end\n"
_LINKER_FLAGS = [f"-Wl,-Ttext-segment={HIGH_MEMORY_START:#x},--build-id=none,-z,noexecstack"]


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


def boot_trial(rom: Path, machine: Machine, directory: Path, *, seconds: float = 30) -> list[str]:
    """Boots the guest from its ROM in Bochs; returns the lines that it sent. Raises BootImageError when it does not finish."""
    serial = directory / "serial"
    with BochsDebugger(rom=rom, disk=None, machine=machine, directory=directory / "bochs", serial=serial) as bochs:
        stop = bochs.resume(wall_seconds=seconds)
    said = serial.read_bytes().decode(errors="replace")
    if stop.kind != "halted" or not said.endswith(_LAST_LINE):
        raise BootImageError(f"the trial guest did not finish ({stop.kind} {stop.detail}); it said: {said.strip() or 'nothing'}")
    return said.splitlines()[:-1]
