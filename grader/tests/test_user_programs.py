"""How user programs are built: what the loader and start.cpp rely on holds for every one, and what cannot work fails in words."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from shell_session import ALL_PROGRAMS, ROOT, SHIPPED

READELF = "i686-linux-gnu-readelf"
PAGE = 4096


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    subprocess.run(["make", "programs"], cwd=ROOT, check=True, capture_output=True)


def readelf(option: str, program: Path) -> str:
    return subprocess.run([READELF, option, "-W", str(program)], check=True, capture_output=True, text=True).stdout


def constant(name: str) -> int:
    """A constant of the kernel's user_layout.h that is one number."""
    text = (ROOT / "kernel/mm/space/user_layout.h").read_text()
    return int(re.search(rf"{name} = (0x[0-9a-fA-F']+);", text)[1].replace("'", ""), 16)


def test_there_is_a_program_for_every_source() -> None:
    own, tests = (
        {path.stem for path in folder.iterdir() if path.suffix == ".cpp" or [*path.glob("*.cpp")]}
        for folder in (ROOT / "kernel/user/programs", ROOT / "grader/programs")
    )
    assert {path.name for path in SHIPPED.iterdir()} == own
    assert {path.name for path in ALL_PROGRAMS.iterdir() if path.suffix != ".debug"} == own | tests


def test_every_program_is_what_the_loader_expects() -> None:
    data_offset = constant("kExecutableEnd") - 0x1000_0000  # kUserBegin, of page_table.h
    assert data_offset == 0x1000_0000
    for program in sorted(ALL_PROGRAMS.iterdir()):
        if program.suffix == ".debug":
            continue
        headers = readelf("-l", program)
        assert "Elf file type is DYN" in headers
        segments = re.findall(r"^  LOAD +0x(\w+) 0x(\w+) 0x\w+ 0x(\w+) 0x(\w+) (...) ", headers, re.MULTILINE)
        (text_at, text, text_file, text_memory, text_flags), (data_at, data, *_, data_flags) = segments
        assert (int(text_at, 16), int(text, 16), text_flags) == (0, 0, "R E"), program.name
        assert (int(data, 16), data_flags) == (data_offset, "RW "), program.name
        assert int(data_at, 16) % PAGE == 0 and int(data_at, 16) - int(text_file, 16) < PAGE, f"{program.name}: a file without a hole"
        assert text_file == text_memory
        entry = int(re.search(r"Entry point (0x\w+)", headers)[1], 16)
        assert 0 < entry < int(text_memory, 16), program.name
        kinds = set(re.findall(r"R_386_\w+", readelf("-r", program)))
        assert kinds <= {"R_386_RELATIVE"} and "TEXTREL" not in readelf("-d", program), program.name
        assert not re.search(r"\.symtab|\.debug_info", readelf("-S", program)), f"{program.name}: what is for GDB lies in NAME.debug"
        assert ".debug_info" in readelf("-S", program.with_name(program.name + ".debug"))


def test_programs_include_nothing_of_the_kernel_but_its_abi() -> None:
    found = set()
    for listing in (ROOT / "build/user").rglob("*.d"):
        for name in re.findall(r"(?:^|\s)((?:build/user/include|kernel)/\S+\.h):?", listing.read_text()):
            found.add(re.sub(r"[^/]*$", "", name))
    assert found and all(re.match(r"kernel/user/|build/user/include/abi/", folder) for folder in found), found


BROKEN = {
    "verylongname": ("int main() { return 0; }", "a program's name has up to 8"),
    "Shout": ("int main() { return 0; }", "a program's name has up to 8"),
    "textrel": ('int main() { asm volatile("movl $1f, %%eax; 1:" ::: "eax"); return 0; }', 'textrel: not linked. "text relocations" mean'),
    "ctor": ("int f(); struct S { S() : v(f()) {} int v; } s; int f() { return 3; } int main() { return s.v; }", "make it constinit"),
    "kernelin": ('#include "mm/space/areas.h"\nint main() { return 0; }', "mm/space/areas.h: No such file"),
    "nomain": ("int f() { return 0; }", "undefined reference to `main'"),
    "twice/b": ("int main() { return f(); }", "was not declared"),
    "echo": ("int main() { return 0; }", "both have a program echo"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_work_fails_in_words(tmp_path: Path, name: str) -> None:
    code, words = BROKEN[name]
    for part in ("Makefile", "kernel"):
        (tmp_path / part).symlink_to(ROOT / part)
    source = tmp_path / "grader/programs" / f"{name}.cpp"
    source.parent.mkdir(parents=True)
    source.write_text(code)
    shutil.copytree(ROOT / "build/user", tmp_path / "build/user", symlinks=True)  # with its times: the library need not be built again
    done = subprocess.run(["make", "-C", str(tmp_path), "programs-built"], capture_output=True, text=True)
    assert done.returncode != 0 and words in done.stderr + done.stdout, done.stderr + done.stdout
    assert not (tmp_path / "build/user/bin" / name.split("/")[0]).exists() or name == "echo"


def test_the_program_in_the_book_is_one(tmp_path: Path) -> None:
    for part in ("Makefile", "kernel"):
        (tmp_path / part).symlink_to(ROOT / part)
    source = tmp_path / "grader/programs/hello.cpp"
    source.parent.mkdir(parents=True)
    source.write_text(re.search(r"```cpp\n(.*?)```", (ROOT / "docs/session.md").read_text(), re.DOTALL)[1])
    shutil.copytree(ROOT / "build/user", tmp_path / "build/user", symlinks=True)
    subprocess.run(["make", "-C", str(tmp_path), "programs-built"], check=True, capture_output=True)
    assert (tmp_path / "build/user/bin/hello").exists()


def test_a_folder_of_sources_is_one_program_and_goes_with_its_sources(tmp_path: Path) -> None:
    for part in ("Makefile", "kernel"):
        (tmp_path / part).symlink_to(ROOT / part)
    folder = tmp_path / "grader/programs/pair"
    folder.mkdir(parents=True)
    (folder / "a.cpp").write_text("int f();\nint main() { return f(); }\n")
    (folder / "b.cpp").write_text("int f() { return 3; }\n")
    shutil.copytree(ROOT / "build/user", tmp_path / "build/user", symlinks=True)
    make = ["make", "-C", str(tmp_path), "programs-built"]
    subprocess.run(make, check=True, capture_output=True)
    assert (tmp_path / "build/user/bin/pair").exists() and not (tmp_path / "build/user/shipped/pair").exists()
    shutil.rmtree(folder)
    subprocess.run(make, check=True, capture_output=True)
    assert not list((tmp_path / "build/user/bin").glob("pair*"))
