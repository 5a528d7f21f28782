"""The doctor names what is missing, too old or broken, what it is for, and how to get it."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import doctor

GRADER = Path(__file__).resolve().parents[1]


@pytest.fixture
def fake_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a shell script in front of everything on PATH, and in GDB's place."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def make(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        if name == "gdb":
            monkeypatch.setattr(doctor, "GDB", str(folder / name))

    return make


def finding(name: str) -> doctor.Finding:
    return doctor.examine_package(next(package for package in doctor.read_packages() if package.name == name))


def test_here_all_is_well(capfd: pytest.CaptureFixture[str]) -> None:
    findings = list(doctor.examine())
    assert [f for f in findings if f.is_problem] == []
    assert {f.name for f in findings} >= {"bochs", "gdb", "trial boot", "free disk space", "build folder", "left-over emulators"}


def test_every_package_of_the_list_is_examined() -> None:
    names = [package.name for package in doctor.read_packages()]
    assert len(names) == len(set(names))
    assert set(names) == set(doctor.PROBES)
    assert all(package.purpose for package in doctor.read_packages())


def test_the_versions_are_those_of_the_packages() -> None:
    for name in ("bochs", "gdb", "g++-i686-linux-gnu", "python3-rich", "doxygen"):
        query = ["dpkg-query", "-W", "-f", "${Version}", name]
        package_version = subprocess.run(query, check=True, capture_output=True, text=True).stdout.rpartition(":")[2]
        assert package_version.startswith(".".join(finding(name).found.split(".")[:2])), name


def test_an_old_gdb_is_too_old(fake_program: Callable[[str, str], None]) -> None:
    fake_program("gdb", 'case "$*" in *--version*) echo "GNU gdb (Debian 10.1-1.7) 10.1";; *) exec /usr/bin/gdb "$@";; esac')
    seen = finding("gdb")
    assert (seen.state, seen.found) == (doctor.OLD, "10.1, at least 13 is needed")
    assert "make setup" in seen.remedy and "apt-get install gdb" in seen.remedy and "grader" in seen.purpose


def test_a_gdb_without_python_is_broken(fake_program: Callable[[str, str], None]) -> None:
    fake_program("gdb", 'echo "GNU gdb (GDB) 14.2"')
    seen = finding("gdb")
    assert seen.state == doctor.BROKEN and "no Python inside" in seen.found


def test_a_program_that_cannot_start_is_broken(fake_program: Callable[[str, str], None]) -> None:
    fake_program("doxygen", "echo 'error while loading shared libraries' >&2; exit 127")
    seen = finding("doxygen")
    assert seen.state == doctor.BROKEN and "error while loading" in seen.found and "reinstall" in seen.remedy


def test_what_is_not_there_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor, "GDB", str(tmp_path / "gdb"))
    for name in ("gdb", "qemu-system-x86", "mtools", "g++-i686-linux-gnu"):
        seen = finding(name)
        assert seen.state == doctor.MISSING and seen.is_problem and f"apt-get install {name}" in seen.remedy
    seen = doctor.examine_trial_boot()
    assert seen.state == doctor.BROKEN and "i686-linux-gnu-g++" in seen.found


def test_what_only_host_tests_use_is_a_note_when_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    seen = finding("clang")
    assert seen.state == doctor.NOTE and not seen.is_problem
    assert "only `make unit` needs it" in seen.remedy and "apt-get install clang" in seen.remedy and "[unit]" not in seen.purpose


def test_without_bochs_the_trial_boot_fails_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emulator.bochs_dialogue.PROGRAM", "/nonexistent/bochs-bin")
    seen = doctor.examine_trial_boot()
    assert seen.state == doctor.BROKEN and "bochs" in seen.found.lower(), seen


def test_the_wrong_python_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/other/bin/python3")
    assert "/opt/other/bin/python3 runs this" in finding("python3").found


def test_a_full_disk_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=7 << 20))
    seen = doctor.examine_disk_space()
    assert seen.state == doctor.SCARCE and "7 MiB left" in seen.found


def test_a_build_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "BUILD", Path("/proc/faultline"))
    seen = doctor.examine_build_folder()
    assert seen.is_problem and "/proc/faultline" in seen.found and "git clone" in seen.remedy


def test_an_orphaned_emulator_is_noted(tmp_path: Path) -> None:
    program = tmp_path / "bochs-bin"
    shutil.copy("/bin/sleep", program)
    start = f"'{program}' 30 >/dev/null 2>&1 & echo $!"
    orphan = int(subprocess.run(["/bin/sh", "-c", start], capture_output=True, check=True, text=True).stdout)
    try:
        deadline = time.monotonic() + 5
        while str(orphan) not in (seen := doctor.examine_leftovers()).found and time.monotonic() < deadline:
            time.sleep(0.05)  # until its parent has gone
        assert seen.state == doctor.NOTE and not seen.is_problem
        assert f"processes {orphan}" in seen.found or f" {orphan}" in seen.found
        assert "kill" in seen.remedy
    finally:
        os.kill(orphan, signal.SIGKILL)


def test_without_a_terminal_the_report_is_plain_text(fake_program: Callable[[str, str], None]) -> None:
    fake_program("dot", "exit 1")
    done = subprocess.run(["/usr/bin/python3", GRADER / "doctor.py"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout and done.stderr == ""
    assert "ok         bochs: 2.7\n" in done.stdout
    assert "graphviz: broken." in done.stdout and "needed for: its diagrams" in done.stdout
    assert re.search(r"\n1 of \d+ things need attention\.\n\Z", done.stdout)


def test_on_a_terminal_it_is_a_table() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv("/usr/bin/python3", ["/usr/bin/python3", str(GRADER / "doctor.py")])
    screen = b""
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        screen += data
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    assert status == 0
    assert b"\x1b[32m" in screen and b"trial boot" in screen and b"All is well" in screen
