"""The command line that makes QEMU the same small PC as our Bochs, with its first serial port on a device of ours."""

from __future__ import annotations

from pathlib import Path

from emulator.machine import Machine

PROGRAM = "qemu-system-i386"


def qemu_command(machine: Machine, serial_device: str, *, kernel: Path | None = None, disk: Path | None = None,
                 swap: Path | None = None, command_line: str = "") -> list[str]:
    """QEMU's own boot loader for `kernel` (it passes the file's name as the command line's first word), or else a `disk` image. With
    both, the disk is just there. `swap` is the second channel's first disk."""
    if kernel is None and disk is None:
        raise ValueError("QEMU boots a kernel or a disk")
    command = [PROGRAM, "-machine", "pc,accel=tcg", "-cpu", "pentium3", "-m", str(machine.megabytes), "-nodefaults", "-vga", "std"]
    command += ["-display", "none", "-no-reboot", "-chardev", f"serial,id=com1,path={serial_device}", "-serial", "chardev:com1"]
    if kernel is not None:
        command += ["-kernel", str(kernel)]
        if command_line:
            command += ["-append", command_line]
    for index, image in ((0, disk), (2, swap)):
        if image is not None:  # a private copy: no need to wait for the host's disk
            command += ["-drive", f"file={image},format=raw,if=ide,index={index},cache=unsafe"]
    return command
