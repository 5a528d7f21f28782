"""`faultline doctor`: what is missing on this machine, what it is needed for, and how to get it.

It asks the programs themselves, not the package manager, and then does what grading does: it compiles a guest, makes a boot
ROM of it, and boots that in Bochs.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from emulator.bochs_dialogue import PROGRAM as BOCHS
from emulator.bochs_dialogue import EmulatorError
from emulator.elf import BootImageError
from emulator.machine import MIB, Machine
from emulator.rom import build_rom
from emulator.trial import boot_trial, build_trial_kernel

GRADER = Path(__file__).resolve().parent
BUILD = GRADER.parent / "build"
PACKAGES = GRADER / "packages.txt"

GDB = "/usr/bin/gdb"  # as the grader starts it, whatever else is on PATH
ENOUGH_DISK_BYTES = 300 * MIB  # builds, reports and documentation together take less
_SECONDS = 20  # for a program to tell its version

OK, NOTE, MISSING, OLD, BROKEN, SCARCE = "ok", "note", "missing", "too old", "broken", "too little"


@dataclass(frozen=True)
class Finding:
    """One line of the report. `remedy` says what to do, where something is to be done."""

    name: str
    state: str
    found: str
    purpose: str
    remedy: str = ""

    @property
    def is_problem(self) -> bool:
        return self.state not in (OK, NOTE)


@dataclass(frozen=True)
class Package:
    """A line of packages.txt; the minimum without Debian's epoch, as the program itself tells its version."""

    name: str
    minimum: str
    purpose: str
    only_for: str = ""  # "unit": what `make unit` and `make fuzz` use, and `make grade` does not


def read_packages() -> list[Package]:
    """All that the project needs; `minimum` is empty where any version will do."""
    packages = []
    for line in PACKAGES.read_text().splitlines():
        if line and not line.startswith("#"):
            name, minimum, purpose = line.split(None, 2)
            group = re.match(r"\[(\w+)\] ", purpose)
            packages.append(Package(name, minimum.rpartition(":")[2].strip("-"), purpose[group.end() if group else 0:], group[1] if group else ""))
    return packages


# --- Probes: each returns a version, or None when the thing is not there, or raises ProbeFailed when it does not work. -------

Probe = Callable[[], str | None]


class ProbeFailed(Exception):
    """It is there, and does not work; the message says how that shows."""


def _output(command: str, *arguments: str) -> str | None:
    """All that a program says, or None when it is not there."""
    path = shutil.which(command, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))
    if path is None:
        return None
    try:
        done = subprocess.run([path, *arguments], capture_output=True, stdin=subprocess.DEVNULL, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProbeFailed(str(error)) from error
    return (done.stdout + done.stderr).decode(errors="replace").strip()


def program(command: str, *arguments: str, before: str = "") -> Probe:
    """A program that tells its version: the first number with a point in it behind the words `before`."""

    def probe() -> str | None:
        output = _output(command, *arguments)
        if output is None:
            return None
        version = re.search(re.escape(before) + r"\D*(\d+(?:\.\d+)+)", output)
        if version is None:
            raise ProbeFailed(f"it tells no version: {output[-200:] or 'it says nothing at all'}")
        return version[1]

    return probe


def file(path: str) -> Probe:
    """A file that has no version of its own."""
    return lambda: "there" if Path(path).exists() else None


def python_package(name: str) -> Probe:
    """A package of the Python that runs this."""

    def probe() -> str | None:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    return probe


def python() -> str | None:
    """Debian's packages for Python belong to /usr/bin/python3, whatever else `python3` may name."""
    if Path(sys.executable).resolve() != Path("/usr/bin/python3").resolve():
        raise ProbeFailed(f"{sys.executable} runs this; Debian's Python packages belong to /usr/bin/python3")
    return ".".join(map(str, sys.version_info[:3]))


def gdb() -> str | None:
    """GDB must hold Python, and know the i386."""
    version = program(GDB, "--version", before="GNU gdb")()
    if version is None:
        return None
    answer = _output(GDB, "-nx", "-batch", "-ex", "set architecture i386", "-ex", "python print('py' + 'thon')") or ""
    if "python" not in answer or 'set to "i386"' not in answer:
        raise ProbeFailed(f"this GDB has no Python inside, or does not know the i386: {answer}")
    return version


def googletest() -> str | None:
    """The version is told by its file for pkg-config."""
    files = list(Path("/usr/lib").glob("*/pkgconfig/gtest.pc"))
    version = re.search(r"^Version: (\S+)", files[0].read_text(), re.MULTILINE) if files else None
    return version[1] if version else None


PROBES: dict[str, Probe] = {
    "make": program("make", "--version"),
    "git": program("git", "--version"),
    "g++-i686-linux-gnu": program("i686-linux-gnu-g++", "-dumpfullversion"),
    "python3": python,
    "bochs": program(BOCHS, "--help", before="Bochs x86 Emulator"),
    "bochs-term": lambda: "there" if any(Path("/usr/lib").glob("*/bochs/plugins/libbx_term_gui.so")) else None,
    "bochsbios": file("/usr/share/bochs/BIOS-bochs-legacy"),
    "vgabios": file("/usr/share/bochs/VGABIOS-lgpl-latest"),
    "gdb": gdb,
    "qemu-system-x86": program("qemu-system-i386", "--version"),
    "syslinux": program("syslinux", "--version"),
    "syslinux-common": file("/usr/lib/syslinux/modules/bios/mboot.c32"),
    "mtools": program("mcopy", "--version"),
    "dosfstools": file("/usr/sbin/fsck.fat"),
    "python3-pytest": python_package("pytest"),
    "python3-pytest-xdist": python_package("pytest-xdist"),
    "python3-rich": python_package("rich"),
    "python3-jinja2": python_package("jinja2"),
    "python3-pyelftools": python_package("pyelftools"),
    "python3-kconfiglib": python_package("kconfiglib"),
    "patch": program("patch", "--version"),
    "doxygen": program("doxygen", "--version"),
    "graphviz": program("dot", "-V"),
    "doxygen-awesome-css": file("/usr/share/doxygen-awesome-css/doxygen-awesome.css"),
    "g++": program("g++", "-dumpfullversion"),
    "libgtest-dev": googletest,
    "clang": program("clang++", "--version", before="clang version"),
    "libclang-rt-dev": lambda: "there" if any(Path("/usr/lib").glob("llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a")) else None,
}


# --- Examinations --------------------------------------------------------------------------------------------------------------


def examine_package(package: Package) -> Finding:
    """Is it there, does it work, is it new enough?"""
    by_apt = f"`make setup`, or as root: apt-get install {package.name}"
    try:
        version = PROBES[package.name]()
    except ProbeFailed as failure:
        return Finding(package.name, BROKEN, str(failure), package.purpose, f"reinstall it: apt-get install --reinstall {package.name}")
    if version is None and package.only_for:
        return Finding(package.name, NOTE, "not installed", package.purpose, f"only `make {package.only_for}` needs it; {by_apt}")
    if version is None:
        return Finding(package.name, MISSING, "", package.purpose, by_apt)
    if package.minimum and _numbers(version) < _numbers(package.minimum):
        found = f"{version}, at least {package.minimum} is needed"
        return Finding(package.name, OLD, found, package.purpose, f"{by_apt}. Debian 12 has it; `vagrant up` starts one")
    return Finding(package.name, OK, version, package.purpose)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def examine_trial_boot() -> Finding:
    """Compiles, boots and hears a guest, as grading does."""
    name, purpose = "trial boot", "grading: compiler, boot ROM, Bochs and its debugger working together"
    try:
        with tempfile.TemporaryDirectory(prefix="faultline-doctor-") as folder:
            directory, machine = Path(folder), Machine(16)
            kernel = build_trial_kernel(directory)
            rom = directory / "rom.bin"
            rom.write_bytes(build_rom(kernel, machine=machine, command_line="doctor"))
            start = time.monotonic()
            lines = boot_trial(rom, machine, directory)
            seconds = time.monotonic() - start
    except (BootImageError, EmulatorError, OSError) as error:
        return Finding(name, BROKEN, str(error), purpose, "see the lines above; if all of them are well, please report this")
    if "magic 2badb002" not in lines or "line doctor" not in lines:
        return Finding(name, BROKEN, f"the guest said: {' / '.join(lines)}", purpose, "please report this")
    return Finding(name, OK, f"{seconds:.2f} s", purpose)


def examine_disk_space() -> Finding:
    """Where builds go, and where emulators run."""
    name, purpose = "free disk space", "builds under build/, and the temporary files of a run"
    places = {str(place): shutil.disk_usage(place).free for place in (BUILD if BUILD.exists() else GRADER, tempfile.gettempdir())}
    tight = [f"{place} has {free // MIB} MiB left" for place, free in places.items() if free < ENOUGH_DISK_BYTES]
    if tight:
        return Finding(name, SCARCE, "; ".join(tight), purpose, f"{ENOUGH_DISK_BYTES // MIB} MiB are enough. `make clean` empties build/")
    return Finding(name, OK, f"{min(places.values()) // MIB} MiB", purpose)


def examine_build_folder() -> Finding:
    """Can something be written there?"""
    name, purpose = "build folder", "everything that is built: the checkout itself is never written to"
    try:
        BUILD.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=BUILD) as trial:
            trial.write(b"faultline")
    except OSError as error:
        remedy = "make a copy of the checkout that belongs to you: git clone"
        return Finding(name, BROKEN, f"{BUILD}: {error.strerror}", purpose, remedy)
    return Finding(name, OK, "writable", purpose)


def examine_leftovers() -> Finding:
    """Emulators of ours whose parent has gone. Nothing of ours leaves one behind, so this is a note and no more."""
    name, purpose = "left-over emulators", "they take a processor each from what runs now"
    orphans = sorted(_orphans())
    if not orphans:
        return Finding(name, OK, "none", purpose)
    numbers = " ".join(map(str, orphans))
    return Finding(name, NOTE, f"processes {numbers}", purpose, f"if you do not know them: kill {numbers}")


def _orphans() -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid != os.getuid():
                continue
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            state, parent = rest.split()[0], int(rest.split()[1])
            parent_name = (Path("/proc") / str(parent) / "comm").read_text().strip()
        except (OSError, ValueError, IndexError):
            continue  # it has just ended
        if state != "Z" and name.startswith(("bochs-bin", "qemu-system-i38")) and (parent == 1 or parent_name == "systemd"):
            yield int(folder.name)


def examine() -> Iterator[Finding]:
    """Everything, in the order of the report."""
    for package in read_packages():
        yield examine_package(package)
    yield examine_build_folder()
    yield examine_disk_space()
    yield examine_leftovers()
    yield examine_trial_boot()


# --- The report -----------------------------------------------------------------------------------------------------------------


def doctor() -> int:
    """Prints the report; returns 0 when nothing is wrong, else 1."""
    findings = list(examine())
    if not (sys.stdout.isatty() and _print_table(findings)):
        for finding in findings:
            print(f"{finding.state:10} {finding.name}{': ' if finding.found else ''}{finding.found}")
    problems = [finding for finding in findings if finding.is_problem]
    for finding in findings:
        if finding.remedy:
            print(f"\n{finding.name}: {finding.state}. {finding.found}".rstrip())
            print(f"    needed for: {finding.purpose}")
            print(f"    what to do: {finding.remedy}")
    print(f"\n{len(problems)} of {len(findings)} things need attention." if problems else "\nAll is well: `make grade` will run.")
    return 1 if problems else 0


def _print_table(findings: list[Finding]) -> bool:
    """The findings as a coloured table; False without the package that draws it."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    colours = {OK: "green", NOTE: "yellow"}
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, width in (("", 10), ("", 20), ("found", 17)):
        table.add_column(title, no_wrap=True, overflow="ellipsis", width=width)
    table.add_column("needed for", no_wrap=True)
    for finding in findings:
        purpose = Text(finding.purpose, style="dim")
        purpose.truncate(max(10, console.width - 50), overflow="ellipsis")
        table.add_row(Text(finding.state, style=colours.get(finding.state, "bold red")), Text(finding.name), Text(finding.found), purpose)
    console.print(table)  # cut to the terminal's width: what matters is said in full below
    return True


if __name__ == "__main__":
    sys.exit(doctor())
