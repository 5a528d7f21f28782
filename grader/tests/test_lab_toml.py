"""lab.toml is read strictly: each slip is named with file and line, and a lab's name is forgiven small ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from judge import paths
from judge.lab import LabError, all_labs, find_lab, load_lab
from judge.labcode import scenario_class, test_function as function_of, test_modules as modules_of
from judge.scenario import Scenario

GOOD = '''title = "Frames"
fixture = "trial"
files = ["frames.cpp"]
contracts = ["kernel/mm/x.h"]
includes = ["mm/x.h"]
symbols = []
defines = ["mm::x::"]

[[test]]
id = "trial.first"
title = "The first"
points = 1
handout = "#the-first-step"
rests_on = "a sentence"
ticks = 1_000_000

[[test]]
id = "trial.second"
title = "The second"
points = 2.5
needs = ["trial.first"]
handout = "#extra"
rests_on = "a sentence"
hints = ["think"]
ticks = 1_000_000
'''


def write(folder: Path, text: str) -> Path:
    lab = folder / "07-trial"
    lab.mkdir(exist_ok=True)
    (lab / "lab.toml").write_text(text)
    (lab / "README.md").write_text("# Trial\n\n## The first step\n\n### More {#extra}\n")
    return lab


def test_a_good_file(tmp_path: Path) -> None:
    lab = load_lab(write(tmp_path, GOOD))
    assert (lab.name, lab.title, lab.max_points, lab.test_files[0].name) == ("07-trial", "Frames", 3.5, "test_07_trial.py")
    assert lab.test("second").needs == ("trial.first",) and lab.test("trial.first").function == "test_first"


def test_the_profiles_of_a_lab_are_those_that_its_tests_ask_for(tmp_path: Path) -> None:
    assert load_lab(write(tmp_path, GOOD)).profiles == ("grading",)
    lab = load_lab(write(tmp_path, GOOD.replace('hints = ["think"]', 'profile = "no-memory-debugging"')))
    assert lab.profiles == ("grading", "no-memory-debugging")
    assert [test.profile for test in lab.tests] == ["grading", "no-memory-debugging"]


@pytest.mark.parametrize("old, new, line, words", [
    ('title = "Frames"', "title = Frames", 1, "not valid TOML"),
    ('files = ["frames.cpp"]', 'files = ["frames.cpp"', 4, "not valid TOML"),
    ('title = "Frames"', 'titel = "Frames"', 1, "unknown key 'titel'; did you mean title?"),
    ('title = "Frames"\n', "", 1, "the lab has no 'title'"),
    ('files = ["frames.cpp"]', 'files = "frames.cpp"', 3, "'files' must be a list"),
    ('files = ["frames.cpp"]', "files = []", 3, "'files' is empty"),
    ('files = ["frames.cpp"]', 'files = ["../frames.cpp"]', 3, "plain name of a .cpp file"),
    ('includes = ["mm/x.h"]', "includes = [7]", 5, "texts in quotes, not 7"),
    ('fixture = "trial"', 'fixture = "tri al"', 2, "Python name"),
    ("points = 1\n", "points = 0\n", 12, "above 0"),
    ("points = 1\n", 'points = "1"\n', 12, "'points' must be a number"),
    ("points = 1\n", "points = true\n", 12, "'points' must be a number"),
    ("points = 2.5\n", "", 17, "test 2 has no 'points'"),
    ('id = "trial.second"', 'id = "trial.first"', 18, "used twice"),
    ('id = "trial.second"', 'id = "second"', 18, "must be trial."),
    ('needs = ["trial.first"]', 'needs = ["trial.frist"]', 21, "no test that stands above; did you mean trial.first?"),
    ('needs = ["trial.first"]', 'needs = ["trial.second"]', 21, "no test that stands above"),
    ('handout = "#extra"', 'handout = "#extras"', 22, "no heading for '#extras'; did you mean #extra?"),
    ('hints = ["think"]', 'hint = ["think"]', 24, "unknown key 'hint'; did you mean hints?"),
    ("ticks = 1_000_000\n\n[[test]]", "ticks = 10\n\n[[test]]", 15, "too small to boot"),
    ("ticks = 1_000_000\n\n[[test]]", "ticks = 1e6\n\n[[test]]", 15, "'ticks' must be a whole number"),
    ('hints = ["think"]', 'profile = "no-memory-debuging"', 24, "unknown profile 'no-memory-debuging'; did you mean no-memory-debugging?"),
    ('hints = ["think"]', 'profile = "default"', 24, "unknown profile 'default'; there are: grading, no-memory-debugging"),
    ('hints = ["think"]', "profile = 2", 24, "'profile' must be a text in quotes"),
])
def test_each_slip_is_named_with_its_line(old: str, new: str, line: int, words: str, tmp_path: Path) -> None:
    assert old in GOOD
    with pytest.raises(LabError) as caught:
        load_lab(write(tmp_path, GOOD.replace(old, new, 1)))
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}/07-trial/lab.toml:{line}: "), text
    assert words in text, text


def test_a_file_that_is_missing_or_no_text(tmp_path: Path) -> None:
    lab = write(tmp_path, GOOD)
    (lab / "lab.toml").write_bytes(b"title = \"\xff\"\n")
    with pytest.raises(LabError, match="not UTF-8"):
        load_lab(lab)
    (lab / "lab.toml").unlink()
    with pytest.raises(LabError, match="lab.toml is missing"):
        load_lab(lab)


@pytest.mark.parametrize("name", ["01-frames", "01", "1", "frames", "01-frames/"])
def test_short_names_of_a_lab(name: str) -> None:
    assert find_lab(name).name == "01-frames"


@pytest.mark.parametrize("name, nearest", [("01-frame", "01-frames"), ("fraems", "01-frames"), ("02-pages", "02-paging"), ("pagin", "02-paging")])
def test_an_unknown_lab_is_answered_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(LabError, match=f"did you mean {nearest}"):
        find_lab(name)


def test_a_name_that_is_near_nothing_is_answered_with_the_list() -> None:
    with pytest.raises(LabError, match="there are: 01-frames, 02-paging"):
        find_lab("xyzzy")


def test_every_lab_is_whole() -> None:
    """Each test of lab.toml has its function with a docstring, each function its test; the scenario is there."""
    for lab in all_labs():
        assert issubclass(scenario_class(lab), Scenario)
        for test in lab.tests:
            assert function_of(lab, test).__doc__, f"{test.function} does not say what it checks"
        functions = [name for module in modules_of(lab) for name in vars(module) if name.startswith("test_")]
        assert sorted(functions) == sorted(test.function for test in lab.tests)
        for path in (*lab.contracts, *(f"kernel/{name}" for name in lab.includes if name != "config.h")):
            assert (paths.ROOT / path).is_file(), f"{lab.name}: {path} does not exist"
        for name in lab.files:
            assert (lab.folder / name).is_file()
