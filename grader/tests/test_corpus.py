"""Every submission of the corpus earns exactly the verdict that its verdict.toml says: test by test, no point more, none less.

`make test` runs a faulty case through six of the tests that must find the fault and a twelfth of the others, fewer of the long ones, and each
of the alternative designs through a third of the tests; `make corpus` (FAULTLINE_CORPUS=all) runs all, which takes three times as long."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from judge import build as building
from judge import paths
from judge.build import compile_file, prepare_kernel
from judge.corpus import FINDING, Case, Wanted, case_folders, chosen_tests, differences, judge_case, load_case
from judge.engine import Engine
from judge.lab import LabError, all_labs
from judge.record import Record
from judge.submission import SourceFile


SHARE = 1 / 12  # of the tests that a faulty case must pass


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One per process: all cases that it judges share one GDB."""
    prepare_kernel()
    with Engine() as engine:
        yield engine


@pytest.mark.parametrize("folder", case_folders(), ids=lambda folder: f"{folder.parent.name}/{folder.name}")
def test_case(folder: Path, engine: Engine, tmp_path: Path) -> None:
    case = load_case(folder)
    found = judge_case(case, engine, tmp_path, 1.0 if os.environ.get("FAULTLINE_CORPUS") == "all" else SHARE)
    if found:
        pytest.fail(f"{case.name}: {case.what}\n  " + "\n  ".join(found), pytrace=False)


@pytest.mark.parametrize("lab", [lab.name for lab in all_labs()])
@pytest.mark.parametrize("kind, least", [("good", 1), ("alt", 3), ("bad", 12), ("spoof", 5)])
def test_every_lab_has_cases_of_every_kind(lab: str, kind: str, least: int) -> None:
    cases = [folder for folder in case_folders()
             if folder.parent.name == kind and tomllib.loads((folder / "verdict.toml").read_text("utf-8"))["lab"] == lab]
    assert len(cases) >= least, f"{lab} has {len(cases)} of them: {', '.join(folder.name for folder in cases)}"


def test_a_file_that_a_case_does_not_change_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_kernel()
    case = load_case(paths.CORPUS / "bad" / "frames-no-poison")  # a patch of one of two files
    compiled: list[str] = []

    def note(file: SourceFile, *rest: object) -> object:
        compiled.append(file.name)
        return compile_file(file, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(building, "compile_file", note)
    monkeypatch.setattr(building, "_references_own", {})
    first, second = (building.build(case.lab, case.folder, 7, tmp_path / name) for name in ("first", "second"))
    assert sorted(compiled) == ["frame_allocator.cpp", "frame_allocator.cpp", "memory_map.cpp"]
    assert first.elf.read_bytes() == second.elf.read_bytes()


def _records(case: Case, **statuses: str) -> list[Record]:
    return [Record(test.id, test.title, statuses.get(test.function, "pass"), 0, test.points) for test in case.lab.tests]


def _write_case(folder: Path, text: str, kind: str = "bad") -> Path:
    case = folder / kind / "frames-case"
    case.mkdir(parents=True)
    (case / "verdict.toml").write_text(text)
    return case


def test_a_failure_that_the_verdict_does_not_list_is_a_difference(tmp_path: Path) -> None:
    case = load_case(_write_case(tmp_path, 'lab = "01-frames"\nwhat = "x"\n[verdict]\n"frames.unique" = "fail"\n'))
    assert differences(case, _records(case, test_unique="fail")) == []
    assert differences(case, _records(case)) == ["frames.unique: expected fail, seen pass"]
    case.verdict["frames.churn"] = Wanted("any")
    for status in ("pass", "fail", "blocked"):
        assert differences(case, _records(case, test_unique="fail", test_churn=status)) == []
    [difference] = differences(case, _records(case, test_unique="fail", test_reuse="error"))
    assert difference.startswith("frames.reuse: expected pass, seen error")


def test_a_part_of_the_points_is_a_verdict_of_its_own_with_limits_if_need_be(tmp_path: Path) -> None:
    case = load_case(_write_case(tmp_path, 'lab = "01-frames"\nwhat = "x"\n[verdict]\n"frames.unique" = "partial"\n"frames.cost" = { partial = [0.5, 1] }\n'))
    records = _records(case, test_unique="partial", test_cost="partial")
    [cost] = [record for record in records if record.id == "frames.cost"]
    for points, exact in ((0.5, True), (1, True), (0.4, False), (1.1, False)):
        cost.points = points
        assert differences(case, records) == ([] if exact else [f"frames.cost: expected partial with 0.5 to 1 points, seen partial with {points:g} points ()"])
    cost.status = "fail"
    assert len(differences(case, records)) == 1


def test_another_correct_design_may_lose_points_of_a_measure_and_no_others(tmp_path: Path) -> None:
    text = 'lab = "01-frames"\nwhat = "x"\n[verdict]\n"frames.cost" = '
    assert load_case(_write_case(tmp_path / "a", text + '"partial"\n', "alt")).verdict["frames.cost"].status == "partial"
    for kind, status in (("alt", "fail"), ("alt", "blocked"), ("good", "partial"), ("good", "fail")):
        with pytest.raises(LabError, match="earns all points"):
            load_case(_write_case(tmp_path / kind / status, f'{text}"{status}"\n', kind))


@pytest.mark.parametrize("text, complaint", [
    *((f'lab = "01-frames"\nwhat = "x"\n[verdict]\n"frames.cost" = {value}\n', "write { partial") for value in
      ("{ partial = 1 }", "{ partial = [1] }", "{ partial = [1, 0.5] }", "{ partial = [-1, 1] }", "{ partial = [1, 2] }", "{ part = [0, 1] }",
       '{ partial = ["0", 1] }', "{ partial = [0, 1], fail = 1 }", "{ partial = [false, true] }")),
    ('lab = "01-frames"\nwhat = "x"\n[verdict]\n"frames.cost" = ["partial"]\n', "a verdict is"),
    ('lab = "01-frames"\nwhat = "x"\n', "must lose something"),
    ('lab = "01-frames"\nwhat = "x"\n[verdict]\n"frames.unique" = "any"\n', "must lose something"),
    ('lab = "01-frames"\nwhat = "x"\n[verdict]\n"frames.uniqe" = "fail"\n', "did you mean frames.unique"),
    ('lab = "01-frames"\nwhat = "x"\n[verdict]\n"frames.unique" = "pass"\n', "a verdict is"),
    ('lab = "01-frames"\n[verdict]\n"frames.unique" = "fail"\n', "'what' is missing"),
    ('lab = "01-frames"\nwhat = "x"\nrefuse = "asm"\n', "unknown key"),
    ("lab = 01-frames\n", "line 1"),
])
def test_a_broken_verdict_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(LabError, match=complaint):
        load_case(_write_case(tmp_path, text))


def test_of_many_tests_that_must_find_the_fault_a_share_runs_some(tmp_path: Path) -> None:
    case = load_case(_write_case(tmp_path, 'lab = "01-frames"\nwhat = "x"\n[verdict]\n"frames.unique" = "fail"\n'))
    case.verdict.update({test.id: Wanted("fail") for test in case.lab.tests[:FINDING + 4]})
    chosen = {test.id for test in chosen_tests(case, 0)}
    assert len(chosen) == FINDING and chosen <= set(case.verdict)
    assert len(case.verdict.keys() & {test.id for test in chosen_tests(case, 0.99)}) == FINDING
    assert chosen_tests(case, 1) == list(case.lab.tests)


def test_a_share_leaves_out_no_test_that_must_find_the_fault(tmp_path: Path) -> None:
    case = load_case(_write_case(tmp_path, 'lab = "01-frames"\nwhat = "x"\n[verdict]\n"frames.unique" = "fail"\n'))
    assert [test.id for test in chosen_tests(case, 0)] == ["frames.unique"]
    assert chosen_tests(case, 1) == list(case.lab.tests)
    assert chosen_tests(case, 0.5) == chosen_tests(case, 0.5)
    blocked = {test.id for test in case.lab.tests if test.id != "frames.unique" and "frames.unique" not in test.needs}
    case.verdict.update({name: Wanted("blocked") for name in blocked})
    assert not blocked.intersection(test.id for test in chosen_tests(case, 0.99)), "what blocks them is not run for certain"
    good = load_case(paths.CORPUS / "good" / "frames-reference")
    assert chosen_tests(good, 0) == list(good.lab.tests)
