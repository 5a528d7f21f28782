"""grader/setup, with programs of our own in place of apt-get, dpkg-query, sudo and id."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

GRADER = Path(__file__).resolve().parents[1]
SETUP = GRADER / "setup"
BORROWED = ("bash", "env", "mktemp", "tail", "rm", "true", "dpkg")


def wanted_packages() -> list[str]:
    lines = (GRADER / "packages.txt").read_text().splitlines()
    return [line.split()[0] for line in lines if line and not line.startswith("#")]


class System:
    """A Debian whose packages are the lines of a file, and on which apt-get works in no time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.installed = folder / "installed"
        self.calls = folder / "calls"
        self.calls.touch()
        self.versions = dict.fromkeys(wanted_packages(), "9:999")
        for name in BORROWED:
            (self.programs / name).symlink_to(shutil.which(name))
        self.program("dpkg-query", f'while read -r line; do echo "$line"; done <{self.installed}')
        self.program("id", "echo 1000")
        self.program(
            "apt-get",
            f'echo "apt-get $*" >>{self.calls}\n'
            f'case "$*" in *install*) for word; do case $word in -*|install) ;; *) echo "$word installed 9:999" ;; esac; done '
            f">>{self.installed};; esac",
        )

    def program(self, name: str, script: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)

    def setup(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.installed.write_text("".join(f"{name} installed {version}\n" for name, version in self.versions.items()))
        environment = {"PATH": str(self.programs), "TMPDIR": str(self.folder)}
        return subprocess.run([SETUP, *arguments], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)

    def apt_calls(self) -> list[str]:
        return self.calls.read_text().splitlines()


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


def test_with_everything_there_it_says_and_does_nothing(system: System) -> None:
    done = system.setup()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert system.apt_calls() == []


def test_without_root_it_prints_the_one_line_for_an_administrator(system: System) -> None:
    del system.versions["gdb"], system.versions["bochs"]
    done = system.setup()
    assert done.returncode != 0
    assert done.stdout == ""
    line = "    apt-get update && apt-get install --yes --no-install-recommends bochs gdb\n"
    assert line in done.stderr and done.stderr.count("apt-get install") == 1
    assert system.apt_calls() == []


def test_a_sudo_that_refuses_is_as_good_as_none(system: System) -> None:
    del system.versions["gdb"]
    system.program("sudo", "echo 'sudo: a password is required' >&2; exit 1")
    done = system.setup()
    assert done.returncode != 0 and "--no-install-recommends gdb\n" in done.stderr
    assert system.apt_calls() == []


def test_root_installs_what_is_missing_and_only_that(system: System) -> None:
    system.program("id", "echo 0")
    del system.versions["mtools"]
    done = system.setup()
    assert done.returncode == 0, done.stderr
    update, install = system.apt_calls()
    assert update.endswith(" update")
    assert "--no-install-recommends mtools" in install and "gdb" not in install
    assert done.stdout == "Installing mtools\n"


def test_sudo_is_used_where_it_works(system: System) -> None:
    system.program("sudo", f'echo "sudo $*" >>{system.calls}\nwhile [[ $1 == -* ]]; do shift; done\nexec "$@"')
    del system.versions["mtools"]
    assert system.setup().returncode == 0
    assert [call.split()[0] for call in system.apt_calls()] == ["sudo", "sudo", "apt-get", "sudo", "apt-get"]


def test_what_only_host_tests_use_is_not_needed_to_grade(system: System) -> None:
    system.program("id", "echo 0")
    del system.versions["clang"], system.versions["mtools"]
    assert system.setup("--without", "unit").stdout == "Installing mtools\n"
    assert system.setup().stdout == "Installing mtools clang\n"
    makefile = (GRADER.parent / "Makefile").read_text()
    for target, first in (("kernel", "needed"), ("programs", "needed"), ("grading-kernel", "programs"), ("docs", "needed")):
        assert re.search(rf"^{target}: {first} ##", makefile, re.MULTILINE), "these do with what `make needed` installs"


def test_a_package_that_is_too_old_is_upgraded_or_named(system: System) -> None:
    system.program("id", "echo 0")
    system.versions["bochs"] = "2.6.11+dfsg-1"
    assert system.setup().returncode == 0, "the archive had a newer one"
    system.program("apt-get", f'echo "apt-get $*" >>{system.calls}')
    done = system.setup()
    assert done.returncode != 0
    assert "bochs is 2.6.11+dfsg-1, and at least 2.7 is needed" in done.stderr


def test_a_package_that_was_removed_but_left_its_settings_is_missing(system: System) -> None:
    system.program("dpkg-query", f'while read -r name _ version; do echo "$name config-files $version"; done <{system.installed}')
    done = system.setup()
    assert done.returncode != 0 and "gdb" in done.stderr


def test_when_apt_fails_its_words_are_shown(system: System) -> None:
    system.program("id", "echo 0")
    system.program("apt-get", "echo 'E: Unable to locate package'; exit 100")
    del system.versions["mtools"]
    done = system.setup()
    assert done.returncode != 0
    assert "update failed" in done.stderr and "E: Unable to locate package" in done.stderr
    assert [path.name for path in system.folder.glob("faultline-setup.*")] == []


def test_where_apt_does_not_exist_it_says_what_it_wants(system: System) -> None:
    (system.programs / "apt-get").unlink()
    done = system.setup()
    assert done.returncode != 0 and "Debian 12" in done.stderr and "vagrant up" in done.stderr


def test_the_real_list_is_made_of_packages_that_debian_has() -> None:
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted_packages()]
    known = subprocess.run(query, capture_output=True, text=True).stdout.split("\n")
    assert {f"{name} installed" for name in wanted_packages()} <= set(known)


def test_here_it_has_nothing_to_do() -> None:
    done = subprocess.run([SETUP], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_vagrant_and_continuous_integration_use_the_same_list() -> None:
    top = GRADER.parent
    assert "make -C /vagrant setup" in (top / "Vagrantfile").read_text()
    assert 'config.vm.box = "debian/bookworm64"' in (top / "Vagrantfile").read_text()
    assert "make test" in (top / ".ci" / "run").read_text()
    others = "|".join(re.escape(name) for name in wanted_packages() if name not in ("make", "git"))
    for name in ("Vagrantfile", ".ci/run"):
        assert not re.search(rf"install .*\b({others})\b", (top / name).read_text()), f"{name} has a package list of its own"
