"""The command line that makes QEMU the same small PC as our Bochs, with its first serial port on a device of ours."""

from __future__ import annotations

from pathlib import Path

from emulator.machine import Machine

PROGRAM = "qemu-system-i386"


def qemu_command(machine: Machine, serial_device: str, *, kernel: Path | None = None, disk: Path | None = None,
                 command_line: str = "") -> list[str]:
    """QEMU's own boot loader for `kernel` (it passes the file's name as the command line's first word), or a `disk` image."""
    if (kernel is None) == (disk is None):
        raise ValueError("QEMU boots either a kernel or a disk")
    command = [PROGRAM, "-machine", "pc,accel=tcg", "-cpu", "pentium3", "-m", str(machine.megabytes), "-nodefaults", "-vga", "std"]
    command += ["-display", "none", "-no-reboot", "-chardev", f"serial,id=com1,path={serial_device}", "-serial", "chardev:com1"]
    if kernel is not None:
        command += ["-kernel", str(kernel)]
        if command_line:
            command += ["-append", command_line]
    else:
        command += ["-drive", f"file={disk},format=raw,if=ide"]
    return command
