"""Every submission of the corpus earns exactly the verdict that its verdict.toml says: test by test, no point more, none less."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from judge.build import prepare_kernel
from judge.corpus import Case, case_folders, differences, judge_case, load_case
from judge.engine import Engine
from judge.lab import LabError
from judge.record import Record


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One per process: all cases that it judges share one GDB."""
    prepare_kernel()
    with Engine() as engine:
        yield engine


@pytest.mark.parametrize("folder", case_folders(), ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_case(folder: Path, engine: Engine, tmp_path: Path) -> None:
    case = load_case(folder)
    found = judge_case(case, engine, tmp_path)
    if found:
        pytest.fail(f"{case.name}: {case.what}\n  " + "\n  ".join(found), pytrace=False)


def _records(case: Case, **statuses: str) -> list[Record]:
    return [Record(test.id, test.title, statuses.get(test.function, "pass"), 0, test.points) for test in case.lab.tests]


def _write_case(folder: Path, text: str) -> Path:
    case = folder / "bad" / "frames-case"
    case.mkdir(parents=True)
    (case / "verdict.toml").write_text(text)
    return case


def test_a_failure_that_the_verdict_does_not_list_is_a_difference(tmp_path: Path) -> None:
    case = load_case(_write_case(tmp_path, 'lab = "01-frames"\nwhat = "x"\n[verdict]\n"frames.unique" = "fail"\n'))
    assert differences(case, _records(case, test_unique="fail")) == []
    assert differences(case, _records(case)) == ["frames.unique: expected fail, seen pass"]
    [difference] = differences(case, _records(case, test_unique="fail", test_reuse="error"))
    assert difference.startswith("frames.reuse: expected pass, seen error")


@pytest.mark.parametrize("text, complaint", [
    ('lab = "01-frames"\nwhat = "x"\n', "must lose something"),
    ('lab = "01-frames"\nwhat = "x"\n[verdict]\n"frames.uniqe" = "fail"\n', "did you mean frames.unique"),
    ('lab = "01-frames"\nwhat = "x"\n[verdict]\n"frames.unique" = "pass"\n', "a verdict is"),
    ('lab = "01-frames"\n[verdict]\n"frames.unique" = "fail"\n', "'what' is missing"),
    ('lab = "01-frames"\nwhat = "x"\nrefuse = "asm"\n', "unknown key"),
    ("lab = 01-frames\n", "line 1"),
])
def test_a_broken_verdict_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(LabError, match=complaint):
        load_case(_write_case(tmp_path, text))
