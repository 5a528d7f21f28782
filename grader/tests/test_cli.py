"""The command as people use it: its messages, its exit statuses, Ctrl-C, and what happens when something is missing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from judge import command, paths

FAULTLINE = paths.GRADER / "faultline"


def faultline(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(FAULTLINE), *map(str, arguments)], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **environment}, cwd=paths.ROOT)


def hand_in(folder: Path, lab: str = "01-frames") -> Path:
    """The stub of a lab, to be spoilt."""
    shutil.copytree(paths.LABS / lab, folder / lab)
    return folder / lab


# -- usage -----------------------------------------------------------------------------------------------------------------------


def test_help_names_every_command_and_shows_examples() -> None:
    done = faultline("--help")
    assert done.returncode == 0
    for word in ("grade", "explain", "debug", "view", "doctor", "examples:", "exit status"):
        assert word in done.stdout
    for name in ("grade", "explain", "debug", "view", "doctor"):
        assert faultline(name, "--help").returncode == 0


@pytest.mark.parametrize("arguments, words", [
    ([], "COMMAND"),
    (["grad"], "invalid choice"),
    (["grade"], "LAB"),
    (["grade", "01-frmes"], "there is no lab '01-frmes'; did you mean 01-frames?"),
    (["grade", "01", "--seed", "seven"], "no number such as"),
    (["grade", "01", "--seed", "-1"], "between 0 and 0xffffffff"),
    (["grade", "01", "--jobs", "0"], "1 to 256"),
    (["grade", "01", "--json", "/nonexistent/x.json"], "/nonexistent does not exist"),
    (["explain", "frames.uniqe"], "did you mean frames.unique?"),
    (["debug", "01", "frames.uniqe"], "did you mean frames.unique?"),
    (["view", "02", "paging.mapp"], "did you mean paging.map?"),
])
def test_wrong_usage_is_3_with_what_would_be_right(arguments: list[str], words: str) -> None:
    done = faultline(*arguments)
    assert done.returncode == 3 and words in done.stderr and "Traceback" not in done.stderr


def test_explain_shows_the_docstring_the_sentence_and_the_hints() -> None:
    done = faultline("explain", "frames.double_free")
    assert done.returncode == 0
    for word in ("checks", "rests on", "labs/01-frames/README.md#", "hint 1", "faultline debug 01-frames frames.double_free"):
        assert word in done.stdout
    listing = faultline("explain", "frames")
    assert listing.returncode == 0 and "frames.double_free" in listing.stdout


# -- submissions that are not run --------------------------------------------------------------------------------------------------


def test_a_piece_that_does_not_compile_is_2_with_file_and_line(tmp_path: Path) -> None:
    place = hand_in(tmp_path)
    source = (place / "memory_map.cpp").read_text()
    (place / "memory_map.cpp").write_text(source + "\nint f() { return undeclared; }\n")
    done = faultline("grade", "01", "--submission", tmp_path, "--json", tmp_path / "r.json")
    line = source.count("\n") + 2
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{place}/memory_map.cpp:{line}:" in done.stdout and "undeclared" in done.stdout
    assert "undeclared" in json.loads((tmp_path / "r.json").read_text())["refused"]


def test_warnings_are_shown_and_cost_nothing(tmp_path: Path) -> None:
    place = hand_in(tmp_path)
    with (place / "memory_map.cpp").open("a") as file:
        file.write("\nnamespace { int forgotten; }\n")
    done = faultline("grade", "01", "--submission", tmp_path, "-k", "orders", "--jobs", "1")
    assert done.returncode == 1 and "forgotten" in done.stdout and "memory_map.cpp:" in done.stdout and "The compiler warns" in done.stdout


def test_a_missing_file_and_a_refused_one_are_2(tmp_path: Path) -> None:
    place = hand_in(tmp_path)
    (place / "memory_map.cpp").unlink()
    done = faultline("grade", "01", "--submission", tmp_path)
    assert done.returncode == 2 and "memory_map.cpp: the file is missing" in done.stdout
    (place / "memory_map.cpp").write_text('asm("cli");\n')
    done = faultline("grade", "01", "--submission", tmp_path)
    assert done.returncode == 2 and "memory_map.cpp:1: inline assembly" in done.stdout
    assert faultline("debug", "01", "--submission", tmp_path).returncode == 2


def test_finish_in_gdb_shows_the_result_that_comes_back_in_registers() -> None:
    gdb = "-ex 'break mm::frame_allocator::allocate' -ex continue -ex finish -ex kill -ex quit"
    shown = faultline("debug", "01", "--submission", paths.ROOT / "solutions", GDBFLAGS=gdb).stdout
    assert "Value returned is" in shown and "error_ = Error::None" in shown, shown


def test_grading_all_judges_what_was_handed_in(tmp_path: Path) -> None:
    hand_in(tmp_path)
    done = faultline("grade", "all", "--submission", tmp_path, "-k", "orders", "--jobs", "1", "--json", tmp_path / "r.json")
    assert done.returncode == 2 and "no folder 02-paging/" in done.stdout
    labs = json.loads((tmp_path / "r.json").read_text())["labs"]
    assert [lab["lab"] for lab in labs if not lab["refused"]] == ["01-frames"]
    ran = [test for test in labs[0]["tests"] if test["status"] != "skipped"]
    assert [test["id"] for test in ran] == ["frames.orders"] and "not implemented" in ran[0]["seen"]


def test_a_selection_that_matches_nothing_is_wrong_usage() -> None:
    done = faultline("grade", "01", "-k", "nosuchtest", "--jobs", "1")
    assert done.returncode == 3 and "no test matches" in done.stderr


# -- runs --------------------------------------------------------------------------------------------------------------------------


def test_stubs_earn_nothing_and_say_what_is_missing(tmp_path: Path) -> None:
    done = faultline("grade", "02", "-k", "map and not remap", "--seed", "0x1f2e", "--json", tmp_path / "r.json", "--junit", tmp_path / "r.xml")
    assert done.returncode == 1, done.stdout + done.stderr
    data = json.loads((tmp_path / "r.json").read_text())
    ran = [test for test in data["tests"] if test["status"] != "skipped"]
    assert ran and all("lab 02-paging:" in test["seen"] and "not implemented" in test["seen"] for test in ran)
    assert data["points"] == 0 and data["seed"] == "0x1f2e" and "--seed 0x1f2e" in ran[0]["repeat"]
    assert data["provenance"]["files"].keys() == {"page_table.cpp"} and "bochs" in data["provenance"]["versions"]
    assert (tmp_path / "r.xml").read_bytes().startswith(b"<?xml")
    assert "\x1b" not in done.stdout


def processes_of(run: Path) -> list[str]:
    """Everything that runs for this run: pytest, GDB, the bridges and Bochs all inherit its variable."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if f"FAULTLINE_RUN={run}".encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return found


@pytest.mark.skipif(not paths.SOLUTIONS.is_dir(), reason="needs a submission that runs for a while")
def test_ctrl_c_keeps_what_has_finished_and_leaves_no_process(tmp_path: Path) -> None:
    runs = paths.runs_folder()
    before = set(runs.iterdir()) if runs.is_dir() else set()
    child = subprocess.Popen([str(FAULTLINE), "grade", "01", "--submission", str(paths.SOLUTIONS), "--json", str(tmp_path / "r.json"), "--seed", "77"],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=paths.ROOT)
    deadline, run, finished = time.monotonic() + 60, None, []
    while time.monotonic() < deadline and not finished and child.poll() is None:
        for candidate in set(runs.iterdir()) - before:
            file = candidate / "run.json"
            if not candidate.is_symlink() and file.is_file() and json.loads(file.read_text())["seed"] == 77:
                run = candidate
                finished = list((run / "01-frames" / "records").glob("[!.]*.json"))
        time.sleep(0.02)
    assert run is not None and finished and processes_of(run)
    child.send_signal(signal.SIGINT)
    text, _ = child.communicate(timeout=30)
    assert child.returncode == 130, text
    assert "Interrupted" in text and "pass" in text
    tests = json.loads((tmp_path / "r.json").read_text())["tests"]
    assert {test["status"] for test in tests} == {"pass", "skipped"}
    gone = time.monotonic() + 5
    while processes_of(run) and time.monotonic() < gone:
        time.sleep(0.1)
    assert processes_of(run) == []


# -- when something is missing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["bochs-bin", "gdb"])
def test_a_missing_program_is_4_and_doctor_is_named(missing: str, tmp_path: Path) -> None:
    for folder in os.environ["PATH"].split(":"):
        for program in (Path(folder).iterdir() if Path(folder).is_dir() else ()):
            if program.name != missing and not (tmp_path / program.name).exists():
                (tmp_path / program.name).symlink_to(program)
    done = faultline("grade", "01", PATH=str(tmp_path))
    assert done.returncode == 4, done.stdout + done.stderr
    assert missing in done.stdout and "faultline doctor" in done.stdout


@pytest.mark.parametrize("number, words", [(errno.ENOSPC, "no space left on the disk"), (errno.EROFS, "FAULTLINE_BUILD=")])
def test_a_disk_that_is_full_or_read_only_is_4_with_the_cure(number: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/somewhere/build")

    monkeypatch.setattr("judge.grade.new_run", refuse)
    assert command.main(["grade", "01"]) == 4
    error = capsys.readouterr().err
    assert words in error and "/somewhere/build" in error and "FAULTLINE_BUILD" in error


def test_the_build_folder_can_be_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths.build_folder.cache_clear()
    monkeypatch.setenv("FAULTLINE_BUILD", str(tmp_path / "elsewhere"))
    assert paths.grading_folder() == tmp_path / "elsewhere" / "grading"
    paths.build_folder.cache_clear()
    monkeypatch.delenv("FAULTLINE_BUILD")
    monkeypatch.setattr(paths, "_writable", lambda folder: False)
    assert paths.build_folder() != paths.ROOT / "build" and "faultline" in paths.build_folder().name
    paths.build_folder.cache_clear()
