"""The build: what a changed file rebuilds, what the options change, which mixes of pieces link.

`make -n -W FILE` asks make what it would do if FILE were new, so nothing is touched and nothing has to be rebuilt.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from judge.lab import PROFILES, all_labs, find_lab
from judge.link import prepare_kernel, reference_objects
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
    assert rebuilt == {"kernel/main.cpp", "kernel/monitor/plants.cpp", "grader/guest/harness.cpp"}


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


def linked_pieces(pieces: str) -> set[str]:
    """What a make with these PIECES links beside kernel.o: "submission/labs/02-paging/page_table.o" and so on."""
    done = make("-n", "-B", "PROFILE=default", f"PIECES={pieces}", "build/default/kernel.elf")
    assert done.returncode == 0, done.stderr
    link = next(line for line in done.stdout.splitlines() if line.startswith("i686-linux-gnu-ld") and "-T" in line)
    return {found for found in re.findall(r" build/default/(\S+)\.o", link) if found != "kernel"}


@pytest.mark.parametrize("pieces, own", [
    ("", []), ("02-paging", ["02-paging/page_table"]), ("paging", ["02-paging/page_table"]),
    ("04-heap 02-paging", ["02-paging/page_table", "04-heap/slab", "04-heap/kmalloc"])])
def test_chosen_pieces_come_from_the_submission_and_the_others_from_the_reference(pieces, own):
    everything = {"01-frames/memory_map", "02-paging/page_table", "03-buddy/frame_allocator", "04-heap/slab", "04-heap/kmalloc", "05-spaces/areas",
                  "06-faults/demand", "07-cow/copy_on_write", "09-swap/swap", "10-replace/policy"}
    assert linked_pieces(pieces) == {f"{'submission/labs' if piece in own else 'reference'}/{piece}" for piece in everything}


@pytest.mark.parametrize("pieces, allocator", [
    ("", "reference/03-buddy"), ("01-frames", "submission/labs/01-frames"), ("03-buddy", "submission/labs/03-buddy"),
    ("01-frames 03-buddy", "submission/labs/03-buddy"), ("buddy frames", "submission/labs/03-buddy"), ("04-heap", "reference/03-buddy")])
def test_of_a_file_that_two_labs_write_the_submissions_is_linked_or_the_later_labs(pieces, allocator):
    """Labs 01 and 03 both write frame_allocator.cpp."""
    [linked] = [piece for piece in linked_pieces(pieces) if piece.endswith("/frame_allocator")]
    assert linked == f"{allocator}/frame_allocator"


@pytest.mark.parametrize("judged, allocator", [("01-frames", ""), ("02-paging", "03-buddy"), ("03-buddy", ""), ("04-heap", "03-buddy"), ("05-spaces", "03-buddy"),
                                               ("06-faults", "03-buddy"), ("07-cow", "03-buddy"), ("09-swap", "03-buddy")])
@pytest.mark.parametrize("profile", PROFILES)
def test_the_grader_links_the_same_reference_as_make(profile, judged, allocator):
    """A judged lab's own files come from the submission alone, whichever other lab writes a file of that name."""
    prepare_kernel([profile])
    lab = find_lab(judged)
    objects = reference_objects(lab, profile)
    names = [piece.stem for piece in objects]
    assert sorted(names) == sorted({Path(file).stem for other in all_labs() for file in other.files if file not in lab.files})
    assert [piece.parent.name for piece in objects if piece.stem == "frame_allocator"] == ([allocator] if allocator else [])
    assert all(piece.is_file() and piece.parts[-4] == profile for piece in objects)


def test_a_students_tree_links_what_was_handed_out_for_its_profile(tmp_path):
    """Without solutions/, make and the grader take grader/prebuilt/PROFILE; a kernel of one's own options takes what fits them."""
    tree = tmp_path / "tree"
    assert make("grading-kernel").returncode == 0
    done = subprocess.run(["/usr/bin/python3", "grader/student_tree.py", tree], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tree / "solutions").exists() and not (tree / "grader/corpus").exists()
    for profile in PROFILES:
        prebuilt = {piece.relative_to(tree / "grader/prebuilt" / profile) for piece in (tree / "grader/prebuilt" / profile).glob("*/*.o")}
        assert prebuilt == {piece.relative_to(ROOT / "build" / profile / "reference") for piece in (ROOT / "build" / profile / "reference").glob("*/*.o")}
    (tree / "build").mkdir()
    for config, profile in (("grading", "grading"), ("no-memory-debugging", "no-memory-debugging"), ("no-large-pages", "grading")):
        shutil.copy(ROOT / "kernel/configs" / f"{config}.config", tree / "build" / ".config")
        dry = make("-n", "PIECES=02-paging", "build/default/kernel.elf", cwd=tree)
        assert dry.returncode == 0, dry.stderr
        assert f" grader/prebuilt/{profile}/04-heap/slab.o " in dry.stdout and "submission/labs/02-paging/page_table.o" in dry.stdout


# -- what profiles share -----------------------------------------------------------------------------------------------------


class Compiler:
    """kernel/tools/compile.sh in a folder of its own, with a compiler that notes what it compiles."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.noted = folder / "compiled.txt"
        self.command = folder / "compiler"
        self.command.write_text(f'#!/bin/sh\ncase " $* " in *" -c "*) echo "$*" >> {self.noted};; esac\nexec g++ "$@"\n')
        self.command.chmod(0o755)
        (folder / "one.cpp").write_text('#include "config.h"\n#include "other.h"\nint one() { return OTHER; }\n')
        (folder / "two.cpp").write_text('#include "config.h"\nint two() { return CONFIG_TWO; }\n')
        (folder / "other.h").write_text("#define OTHER 1 // as often as it takes\n")

    def configure(self, profile: str, value: int) -> None:
        generated = self.folder / "build" / profile / "generated"
        generated.mkdir(parents=True, exist_ok=True)
        (generated / "config.h").write_text(f"#define CONFIG_TWO {value}\n")

    def __call__(self, profile: str, name: str, *flags: str) -> tuple[bool, bytes]:
        """Compiles a file for a profile. Returns whether the compiler had to, and the object."""
        out, before = f"build/{profile}", self.noted.exists() and self.noted.read_text()
        target = self.folder / out / f"{name}.o"
        done = subprocess.run([ROOT / "kernel/tools/compile.sh", out, "-c", f"{name}.cpp", "-o", f"{out}/{name}.o", self.command, "-g",
                               f"-I{out}/generated", *flags], cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert f"{out}/{name}.o: {name}.cpp {out}/generated/config.h" in (self.folder / out / f"{name}.d").read_text()
        return (self.noted.exists() and self.noted.read_text()) != before, target.read_bytes()


def test_what_no_option_changes_is_compiled_for_one_profile(tmp_path):
    compile_ = Compiler(tmp_path)
    for profile, value in (("first", 1), ("second", 2)):
        compile_.configure(profile, value)
    ran, one = compile_("first", "one")
    assert ran and compile_("second", "one") == (False, one)
    assert [compile_(profile, "two")[0] for profile in ("first", "second")] == [True, True], "its text is another one"
    assert compile_("second", "one", "-O1")[0], "with other flags"


def test_a_change_is_compiled_whoever_has_an_older_object(tmp_path):
    compile_ = Compiler(tmp_path)
    for profile in ("first", "second", "third"):
        compile_.configure(profile, 1)
    compile_("first", "one"), compile_("second", "one")
    (tmp_path / "other.h").write_text("#define OTHER 2\n")
    ran, new = compile_("second", "one")
    assert ran, "the first profile's is the old one"
    assert compile_("third", "one") == (False, new)
    compile_("first", "two")
    (tmp_path / "build/first/two.sum").unlink()  # as while it is compiled
    assert compile_("third", "two")[0]


def test_what_does_not_compile_leaves_nothing_to_take(tmp_path):
    compile_ = Compiler(tmp_path)
    compile_.configure("first", 1), compile_.configure("second", 1)
    compile_("first", "one")
    (tmp_path / "other.h").write_text("#define OTHER nobody_knows\n")
    for profile in ("first", "second"):
        with pytest.raises(AssertionError, match="nobody_knows"):
            compile_(profile, "one")
    assert not list((tmp_path / "build").glob("*/one.sum"))


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
