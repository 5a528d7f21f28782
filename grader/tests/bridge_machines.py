"""Builds bridge_guest.cpp and boot ROMs of it, for the tests of the bridge and of its client."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from emulator.machine import Machine
from emulator.rom import build_rom

MACHINE = Machine(16)
_SOURCE = Path(__file__).with_name("bridge_guest.cpp")
_FLAGS = (
    "-std=c++20 -ffreestanding -fno-exceptions -fno-rtti -fno-pic -fno-pie -no-pie -fno-stack-protector -nostdlib -static "
    "-fno-asynchronous-unwind-tables -fno-omit-frame-pointer -mno-sse -mno-mmx -m32 -march=i686 --param=min-pagesize=0 -O1 -g "
    "-Wall -Wextra -Werror -Wl,-Ttext-segment=0x100000,--build-id=none,-z,noexecstack"
).split()


def build_guest(folder: Path) -> Path:
    """Compiles the guest; returns its ELF file."""
    elf = folder / "guest.elf"
    subprocess.run(["i686-linux-gnu-g++", *_FLAGS, "-o", str(elf), str(_SOURCE)], check=True)
    return elf


def address_of(guest: Path, symbol: str) -> int:
    listing = subprocess.run(["i686-linux-gnu-nm", str(guest)], check=True, capture_output=True, text=True).stdout
    return next(int(line.split()[0], 16) for line in listing.splitlines() if line.split()[2] == symbol)


def make_rom(elf: Path, word: str, machine: Machine = MACHINE) -> Path:
    """A boot ROM that makes the guest do what `word` says."""
    rom = elf.with_name(f"{word}-{machine.megabytes}.rom")
    if not rom.exists():
        temporary = rom.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(build_rom(elf, machine=machine, command_line=word))
        temporary.rename(rom)
    return rom


def processes_with(text: str) -> list[int]:
    """Processes, zombies too, whose working folder or command line names `text`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            if text in command or text in os.readlink(entry / "cwd"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def wait_until_gone(text: str, seconds: float = 10.0) -> list[int]:
    """Waits until no process names `text`; returns those that still do."""
    deadline = time.monotonic() + seconds
    while (found := processes_with(text)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def wait_for_process(text: str, name: str, seconds: float = 10.0) -> int:
    """Waits until a process of that program name runs in the folder `text`; returns its number."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for number in processes_with(text):
            try:
                if Path(f"/proc/{number}/comm").read_text().strip() == name:
                    return number
            except OSError:
                continue
        time.sleep(0.02)
    raise AssertionError(f"no process {name} appeared in {text}")
