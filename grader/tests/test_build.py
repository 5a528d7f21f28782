"""The build: what a changed file rebuilds, what the options change, which mixes of pieces link.

`make -n -W FILE` asks make what it would do if FILE were new, so nothing is touched and nothing has to be rebuilt.
"""

import re
import subprocess

import pytest

from profiles import ROOT, built, make

@pytest.fixture(scope="module", autouse=True)
def a_finished_build():
    built("grading")


def would_compile(*arguments: str) -> set[str]:
    """The sources that a make with these arguments would compile."""
    done = make("-n", "PROFILE=grading", "build/grading/kernel.o", *arguments)
    assert done.returncode == 0, done.stderr
    return set(re.findall(r" -c (\S+) -o ", done.stdout))


def test_nothing_is_rebuilt_when_nothing_changed():
    assert would_compile() == set()


def test_a_header_rebuilds_exactly_what_includes_it():
    rebuilt = would_compile("-W", "kernel/boot_task.h")
    assert rebuilt == {"kernel/main.cpp", "grader/guest/harness.cpp"}


def test_a_source_rebuilds_only_itself():
    assert would_compile("-W", "kernel/mm/paging/kmap.cpp") == {"kernel/mm/paging/kmap.cpp"}


def test_the_targets_are_printed_with_a_line_each():
    done = make()
    assert done.returncode == 0
    for target in ("setup", "grade", "test", "run", "debug", "docs", "view", "doctor", "menuconfig"):
        assert re.search(rf"^  make {target} +\S", done.stdout, re.MULTILINE), f"`make` does not mention {target}"


def test_an_unknown_piece_is_named_with_the_known_ones():
    done = make("PIECES=99-nothing", "kernel-elf")
    assert done.returncode != 0
    assert '"99-nothing"' in done.stderr and "01-frames 02-paging" in done.stderr


@pytest.mark.parametrize("pieces", ["01-frames", "paging", "01-frames 02-paging"])
def test_chosen_pieces_come_from_the_submission_and_the_others_from_the_reference(pieces):
    done = make("-n", "-B", "PROFILE=default", f"PIECES={pieces}", "build/default/kernel.elf")
    assert done.returncode == 0, done.stderr
    link = next(line for line in done.stdout.splitlines() if line.startswith("i686-linux-gnu-ld") and "-T" in line)
    for lab, file in (("01-frames", "frame_allocator"), ("02-paging", "page_table")):
        chosen = lab in pieces or lab.split("-")[1] in pieces.split()
        assert f"build/default/{'submission/labs' if chosen else 'reference'}/{lab}/{file}.o" in link


def test_every_option_off_has_a_profile_of_its_own():
    options = re.findall(r"^config (\w+)", (ROOT / "kernel/Kconfig").read_text(), re.MULTILINE)
    for option in options:
        profile = ROOT / "kernel/configs" / f"no-{option.lower().replace('_', '-')}.config"
        assert f"# CONFIG_{option} is not set" in profile.read_text()


def test_a_mistyped_option_is_refused(tmp_path):
    config = tmp_path / "config"
    config.write_text("CONFIG_LARGE_PAGE=y\n")
    done = subprocess.run(["/usr/bin/python3", "kernel/tools/config.py", config, tmp_path / "config.h"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0 and "LARGE_PAGE" in done.stderr
