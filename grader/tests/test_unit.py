"""`make unit` and `make fuzz`: the references and other correct designs pass, mistakes are named, and nothing that a piece does goes unseen."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from judge import paths
from student_tree import LEFT_OUT, tracked_files

UNIT, FUZZ = (paths.GRADER / "unit" / name for name in ("unit.py", "fuzz.py"))
CORPUS = paths.CORPUS
RECURSIVE = "paging-recursive-slot"  # correct, and beyond what works without the CPU's paging


def run(program: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["/usr/bin/python3", str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, env={**os.environ, **environment}, cwd=program.parents[2])


def unit(lab: str, submission: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run(UNIT, lab, "--submission", submission, "--profile", "grading", *arguments)


def spoil(folder: Path, lab: str, file: str, old: str, new: str) -> Path:
    """A submission: the reference with one change."""
    shutil.copytree(paths.SOLUTIONS / lab, folder / lab, dirs_exist_ok=True)
    path = folder / lab / file
    text = path.read_text()
    assert text.count(old) >= 1, f"the reference has no {old!r} any more: choose another place for the mistake"
    path.write_text(text.replace(old, new, 1))
    return folder


# -- correct pieces ----------------------------------------------------------------------------------------------------------


LABS = ("01-frames", "02-paging", "03-buddy", "04-heap", "05-spaces", "06-faults", "07-cow", "09-swap", "10-replace")


# The fuzz targets build all of them with clang++ as well.
@pytest.mark.parametrize("compiler, labs", [("g++", LABS), ("clang++", ("05-spaces",))])
def test_the_references_pass_with_memory_debugging_on_and_off(compiler: str, labs: tuple[str, ...]) -> None:
    done = run(UNIT, "all" if labs == LABS else labs[0], "--submission", paths.SOLUTIONS, "--compiler", compiler)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.findall(r"^(\S+): (\d+) of (\d+) host tests passed \((\S+), (memory debugging on|without memory debugging)", done.stdout, re.MULTILINE)
    assert {(lab, debugging) for lab, *_, debugging in passed} == {
        (lab, debugging) for lab in labs for debugging in ("memory debugging on", "without memory debugging")}
    assert all(count == total and int(total) >= 20 and by == compiler for _, count, total, by, _ in passed)


def alternatives() -> list[str]:
    return sorted(case.name for case in (CORPUS / "alt").iterdir() if case.name != RECURSIVE)


@pytest.mark.parametrize("case", alternatives())
def test_other_correct_designs_pass(case: str) -> None:
    lab = next((CORPUS / "alt" / case).glob("[01]*-*")).name
    done = unit(lab, CORPUS / "alt" / case)
    assert done.returncode == 0, done.stdout


def test_a_recursive_slot_is_explained() -> None:
    done = unit("02-paging", CORPUS / "alt" / RECURSIVE, "--only", "OnePage")
    assert done.returncode == 1
    assert "in the piece's own slot. A recursive slot needs the CPU's paging" in done.stdout and "`make grade`" in done.stdout


# -- mistakes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case, test, words", [
    ("frames-double-free-head", "Frames.AFrameCannotBeFreedTwice", "expected NotAllocated, seen success"),
    ("frames-wrap", "MemoryMap.AnEntryThatWrapsIsCutOff", "expected [0x100, 0x100000); seen nothing"),
    ("frames-no-fallback", "Frames.AnEmptyZoneFallsBackToLowerOnesNeverToHigherOnes", "free frames of all zones"),
    ("frames-zeroed-ignored", "Frames.AZeroedFrameIsZero", "a frame that was allocated zeroed is not"),
    ("frames-high-by-cast", "Frames.AZeroedFrameIsZero", "a High frame that is not mapped"),
    ("frames-reserved-inclusive", "Frames.RunsAreNotServed", "assertion failed: a frame table index lies within the table"),
    ("paging-half-mapped", "Paging.NoMemoryAtAnyAllocationOfMap", "after a call that failed: nothing may have changed"),
    ("paging-no-flush-protect", "Paging.ProtectChangesRightsAndNothingElse", "the TLB still holds the old translation of 0x40001000"),
    ("paging-always-flushes", "Paging.OnePageInAnEmptyDirectory", "flushed the whole TLB"),
    ("paging-tables-lost-on-error", "Paging.NoMemoryAtAnyAllocationOfMap", "frames are in use; the directories and page tables that can be reached"),
    ("spaces-split-keeps-first-page", "Areas.AHoleMakesTwo", "for_each() shows, as number 1: "),
    ("spaces-protect-up-to-hole", "Areas.ProtectWithAHoleChangesNothing", "it failed, and called its visitor"),
    ("spaces-split-node-leaks", "Areas.NoMemoryAtAnyRequest", "the set is destroyed, and the heap has"),
    ("spaces-remove-takes-memory-first", "Areas.RemoveWithoutAHoleNeedsNoMemory", "expected success, seen OutOfMemory"),
    ("faults-object-page-writable", "Faults.APrivateAreaCopiesForAWrite", "read-only; it is"),
    ("faults-frame-lost-on-failure", "Faults.WithoutMemoryNothingChanges", "references; 1 hold it"),
    ("cow-no-invalidate", "CopyOnWrite.FirstACopyThenTheLastOwner", "the TLB still leads from"),
    ("cow-fork-leaks", "CopyOnWrite.NoFrameForAnyPageTable", "owners, and "),
    ("replace-ages-wrap", "Policy.AnAgeIsNeverNegative", "WorkingSet: the victim is frame 0x200, expected frame 0x201"),
])
def test_mistakes_fail_in_a_test_that_says_which(case: str, test: str, words: str) -> None:
    done = unit(next((CORPUS / "bad" / case).glob("[01]*-*")).name, CORPUS / "bad" / case, "--only", test)
    assert done.returncode == 1
    assert re.search(rf"^  (FAIL|CRASH) +{re.escape(test)}$", done.stdout, re.MULTILINE), done.stdout
    assert words in done.stdout


@pytest.mark.parametrize("old, new, words", [
    ("++list.count;", "list.count += 2;", "free_frames("),
    ("if (state(info) != State::InUse) return Error::NotAllocated;", "", "Frames.AFrameCannotBeFreedTwice"),
    ("if constexpr (CONFIG_MEMORY_DEBUGGING) fill_frame(", "if constexpr (!CONFIG_MEMORY_DEBUGGING) fill_frame(", "a freed frame is not poisoned"),
    ("if constexpr (CONFIG_MEMORY_DEBUGGING) fill_frame(first, kFreedFramePoison);",
     "const auto a = frame_memory(first), b = frame_memory(first), c = frame_memory(first), d = frame_memory(first), e = frame_memory(first);"
     "if (CONFIG_MEMORY_DEBUGGING) fill_frame(first, kFreedFramePoison);", "temporary mappings at one time"),
])
def test_other_mistakes_are_seen_too(tmp_path: Path, old: str, new: str, words: str) -> None:
    done = unit("01-frames", spoil(tmp_path, "01-frames", "frame_allocator.cpp", old, new))
    assert done.returncode == 1 and words in done.stdout, done.stdout


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_a_write_past_an_array_is_caught_by_name(tmp_path: Path, compiler: str) -> None:
    spoil(tmp_path, "01-frames", "frame_allocator.cpp", "constinit ZoneList zones[kZoneCount];",
          "constinit uint32_t hits[8]; uint32_t* volatile at = hits;\nconstinit ZoneList zones[kZoneCount];")
    path = tmp_path / "01-frames" / "frame_allocator.cpp"
    path.write_text(path.read_text().replace("    if (order != Order(0)) return Error::Unsupported;", "    at[8] = 1;\n", 1))
    line = path.read_text().splitlines().index("    at[8] = 1;") + 1
    done = unit("01-frames", tmp_path, "--only", "AFrameComes", "--compiler", compiler)
    assert done.returncode == 1 and "CRASH Frames.AFrameComesFromTheZoneThatWasAskedFor" in done.stdout
    assert "an access past the end of an array" in done.stdout and "hits" in done.stdout
    assert f"frame_allocator.cpp:{line} in mm::frame_allocator::allocate" in done.stdout


def test_undefined_behaviour_is_named_with_its_line(tmp_path: Path) -> None:
    spoil(tmp_path, "01-frames", "frame_allocator.cpp", "    if (order != Order(0)) return Error::Unsupported;",
          "    if (1 << order.value() != 1) return Error::Unsupported;")
    done = unit("01-frames", tmp_path, "--only", "RunsAreNotServed")
    assert done.returncode == 1
    assert re.search(r"undefined behaviour at \S*frame_allocator.cpp:\d+:\d+: shift exponent 32 is too large", done.stdout), done.stdout


def test_endless_recursion_is_named(tmp_path: Path) -> None:
    spoil(tmp_path, "01-frames", "frame_allocator.cpp", "{ return zone_list(zone).count; }", "{ return free_frames(zone) + zone_list(zone).count; }")
    done = unit("01-frames", tmp_path, "--only", "AFrameComes")
    assert done.returncode == 1 and "endless recursion" in done.stdout, done.stdout


def test_a_test_that_hangs_is_stopped_and_named_and_the_others_run(tmp_path: Path) -> None:
    spoil(tmp_path, "01-frames", "memory_map.cpp", "        if (address < kAddressEnd) address = next_boundary(firmware, address);",
          "        if (address < kAddressEnd && !firmware.empty()) address = next_boundary(firmware, address);")
    done = unit("01-frames", tmp_path, "--only", "MemoryMap")
    assert done.returncode == 1
    assert "HANG  MemoryMap.AnEmptyMapHasNoMemory" in done.stdout and "it did not end" in done.stdout
    assert "memory_map.cpp" in done.stdout and "in mm::memory_map::sanitise" in done.stdout
    assert "CRASH" not in done.stdout and "FAIL " not in done.stdout and "01-frames: 1" in done.stdout


# -- what is not there, or does not compile ----------------------------------------------------------------------------------


def test_a_stub_says_what_is_to_be_written(tmp_path: Path) -> None:
    shutil.copytree(paths.LABS / "03-buddy", tmp_path / "03-buddy")
    done = unit("03-buddy", tmp_path)
    assert done.returncode == 1
    assert "still to be written: initialize(), allocate(), free(), free_frames(), free_runs(), fragmentation()" in done.stdout
    assert "TODO  lab 03-buddy: initialize() is not implemented: " in done.stdout


def test_half_a_lab_is_tested_as_far_as_it_goes(tmp_path: Path) -> None:
    shutil.copytree(paths.LABS / "01-frames", tmp_path / "01-frames")
    shutil.copy(paths.SOLUTIONS / "01-frames" / "memory_map.cpp", tmp_path / "01-frames")
    done = unit("01-frames", tmp_path)
    assert done.returncode == 1
    assert "sanitise" not in done.stdout and "TODO  lab 01-frames: initialize() is not implemented" in done.stdout
    assert "01-frames: 12 of " in done.stdout


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_a_piece_that_does_not_compile_is_shown_by_the_compiler(tmp_path: Path, compiler: str) -> None:
    spoil(tmp_path, "02-paging", "page_table.cpp", "Result<Translation> translate(", "Result<Translation> translate(int oops oops, ")
    done = unit("02-paging", tmp_path, "--compiler", compiler)
    assert done.returncode == 2
    assert re.search(r"page_table\.cpp:\d+:\d+: error: ", done.stdout) and "oops" in done.stdout


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_a_pointer_squeezed_into_32_bits_gets_advice(tmp_path: Path, compiler: str) -> None:
    spoil(tmp_path, "02-paging", "page_table.cpp", "Result<PageDirectory> create() {",
          "uint32_t squeezed(void* pointer) { return reinterpret_cast<uint32_t>(pointer); }\nResult<PageDirectory> create() {")
    done = unit("02-paging", tmp_path, "--compiler", compiler)
    assert done.returncode == 2 and "address_of(pointer).value()" in done.stdout


def test_a_function_that_is_missing_is_named(tmp_path: Path) -> None:
    spoil(tmp_path, "01-frames", "frame_allocator.cpp", "size_t free_frames(Zone zone)", "size_t free_frame_count(Zone zone)")
    done = unit("01-frames", tmp_path)
    assert done.returncode == 2 and "the piece does not define mm::frame_allocator::free_frames(mm::Zone)" in done.stdout


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "01-frames").mkdir()
    done = unit("01-frames", tmp_path)
    assert done.returncode == 2 and "memory_map.cpp: the file is missing" in done.stdout


@pytest.mark.parametrize("arguments, words", [
    (["frmes"], "there is no lab 'frmes'; did you mean 01-frames?"),
    (["01", "--compiler", "icc"], "invalid choice"),
])
def test_wrong_usage_is_3(arguments: list[str], words: str) -> None:
    for program in (UNIT, FUZZ) if len(arguments) == 1 else (UNIT,):
        done = run(program, *arguments)
        assert done.returncode == 3 and words in done.stderr and "Traceback" not in done.stderr


def test_a_name_that_no_test_has(tmp_path: Path) -> None:
    done = unit("01-frames", paths.SOLUTIONS, "--only", "Nonsense")
    assert done.returncode == 3 and "no test has 'Nonsense' in its name" in done.stdout


def test_in_a_students_tree(tmp_path: Path) -> None:
    """Without solutions/. What is built is shared with this tree, whose files are the same."""
    for name in tracked_files():
        if not name.startswith(LEFT_OUT):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(paths.ROOT / name, tmp_path / name)
    shutil.copy2(paths.SOLUTIONS / "02-paging" / "page_table.cpp", tmp_path / "labs" / "02-paging")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "SUBMISSION", "ARGS"))}
    done = subprocess.run(["make", "--no-print-directory", "unit", "LAB=02-paging"], cwd=tmp_path, capture_output=True, text=True, timeout=900,
                          env={**environment, "FAULTLINE_BUILD": str(paths.build_folder())})
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("host tests passed") == 2


# -- the fuzzer --------------------------------------------------------------------------------------------------------------


def test_fuzzing_finds_nothing_in_the_references() -> None:
    done = run(FUZZ, "all", "--submission", paths.SOLUTIONS, "--seconds", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^\S+: nothing found in \d+ inputs$", done.stdout, re.MULTILINE)) == 9


@pytest.mark.parametrize("case, words", [
    ("frames-double-free-head", "expected NotAllocated, seen success"),
    ("paging-half-mapped", "after a call that failed: nothing may have changed"),
    ("spaces-no-merge-right", "for_each() shows, as number"),
])
def test_fuzzing_finds_a_mistake_and_keeps_what_repeats_it(case: str, words: str) -> None:
    lab = next((CORPUS / "bad" / case).glob("[01]*-*")).name
    done = run(FUZZ, lab, "--submission", CORPUS / "bad" / case, "--seconds", 10)
    assert done.returncode == 1 and words in done.stdout, done.stdout
    again = re.search(r"again:  (\S+) (\S+)", done.stdout)
    assert again
    repeated = subprocess.run(again.groups(), cwd=paths.ROOT, capture_output=True, text=True, timeout=120)
    assert repeated.returncode != 0 and words in repeated.stderr


def test_fuzzing_a_stub_says_what_is_to_be_written(tmp_path: Path) -> None:
    shutil.copytree(paths.LABS / "03-buddy", tmp_path / "03-buddy")
    done = run(FUZZ, "03-buddy", "--submission", tmp_path)
    assert done.returncode == 1 and "still to be written: initialize()" in done.stdout
