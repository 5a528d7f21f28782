"""The reports: what a student reads in the terminal, and what programs read as JSON and JUnit."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from rich.console import Console

from judge.grade import LabResult, Result
from judge.lab import Lab, Test
from judge.record import Record
from judge.table import Table
from judge.transcript import escaped
from report.data import result_object, write_junit, write_result
from report.terminal import make_console, print_result

LAB = Lab("07-trial", Path("labs/07-trial"), "Trial", "trial", (), (), (), (), (),
          tuple(Test(f"trial.{name}", f"The {name} test", points, (), "#x", "", (), 1_000_000)
                for name, points in (("first", 2), ("second", 1), ("third", 1.5), ("fourth", 1))))


def records() -> list[Record]:
    long = "the allocator handed out frame 0x1234 twice, which " + "is very long " * 20
    return [
        Record("trial.first", "The first test", "pass", 2, 2, 1000),
        Record("trial.second", "The second test", "fail", 0, 1, 1000, "frames are handed out once", long, "remember them", "labs/07-trial/README.md#x",
               "Each frame has one owner.", "check", 3, "allocate() at x.cpp:7", ["allocate() at x.cpp:7", "verb() at y.cpp:9"],
               repeat="grader/faultline debug 07-trial trial.second --seed 0x5"),
        Record("trial.third", "The third test", "fail", 0, 1.5, seen=escaped("it printed \x1b[31m<b>&\u202e")),
        Record("trial.fourth", "The fourth test", "blocked", 0, 1, blocked_by="trial.second", seen="as above",
               tables=[Table.of("Ticks [red]per call[/red]", ["trace", "<yours>", "ratio"], [["waves", 12345, 0.5], ["queue \u20ac", 70, 1]])]),
    ]


def result(*found: Record, **changes: object) -> Result:
    lab = LabResult(LAB, 5, Path("work"), records=list(found), provenance={"seed": "0x5"})
    for name, value in changes.items():
        setattr(lab, name, value)
    return Result(5, [lab], seconds=1.5)


def plain(judged: Result, verbose: bool = False) -> str:
    stream = io.StringIO()
    print_result(make_console(stream), judged, verbose)
    return stream.getvalue()


def test_a_line_per_test_the_first_failure_in_full_the_rest_folded() -> None:
    text = plain(result(*records()))
    lines = text.splitlines()
    assert "  pass     trial.first     2/2  The first test" in lines
    assert "  blocked  trial.fourth    0/1  The fourth test  (builds on trial.second)" in lines
    full = text[text.index("fail: trial.second, The second test") : text.index("1 more")]
    for words in ("frames are handed out once", "is very long is very long", "remember them", "Each frame has one owner.", "labs/07-trial/README.md#x",
                  "allocate() at x.cpp:7", "verb() at y.cpp:9", "grader/faultline debug 07-trial trial.second --seed 0x5"):
        assert words in full
    folded = text[text.index("1 more") :]
    assert "trial.third: it printed" in folded and "trial.fourth" not in folded
    assert "07-trial: 2 of 5.5 points" in text and "--seed 0x5 repeats this run" in text


def test_without_a_terminal_it_is_plain_text() -> None:
    text = plain(result(*records()))
    assert "\x1b" not in text and all(line == line.rstrip() for line in text.splitlines())
    assert max(map(len, text.splitlines())) <= 120


def test_colours_on_a_terminal_unless_no_color() -> None:
    for environment, coloured in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)):
        stream = io.StringIO()
        print_result(Console(file=stream, force_terminal=True, width=100, _environ=environment), result(*records()))
        assert ("\x1b[32m" in stream.getvalue() or "\x1b[1;31m" in stream.getvalue()) == coloured


def test_verbose_shows_every_failure_in_full() -> None:
    text = plain(result(*records()), verbose=True)
    assert "fail: trial.third" in text and "more (" not in text


def test_tests_that_failed_alike_share_a_line() -> None:
    same = [Record(test.id, test.title, "fail", 0, test.points, seen="lab 07-trial: map() is not implemented", kind="not implemented") for test in LAB.tests]
    lines = plain(result(*same)).splitlines()
    assert "  3 tests: lab 07-trial: map() is not implemented" in lines and "    trial.second, trial.third, trial.fourth" in lines


def test_nothing_of_the_machine_reaches_the_terminal_or_the_files_unescaped(tmp_path: Path) -> None:
    judged = result(*records())
    assert "\\x1b[31m<b>&\\u202e" in plain(judged)
    write_result(tmp_path / "r.json", judged)
    write_junit(tmp_path / "r.xml", judged)
    assert (tmp_path / "r.json").read_bytes().isascii() and (tmp_path / "r.xml").read_bytes().isascii()
    assert json.loads((tmp_path / "r.json").read_text())["tests"][2]["seen"] == "it printed \\x1b[31m<b>&\\u202e"
    failure = ElementTree.parse(tmp_path / "r.xml").find(".//testcase[@name='trial.third']/failure")
    assert failure is not None and failure.text is not None and "\\x1b[31m<b>&\\u202e" in failure.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.json", "r.xml"]


def test_tables_of_figures_are_in_every_report(tmp_path: Path) -> None:
    judged = result(*records())
    lines = plain(judged).splitlines()
    at = lines.index("Ticks [red]per call[/red]")
    assert [line.split() for line in lines[at + 1 : at + 4]] == [["trace", "<yours>", "ratio"], ["waves", "12,345", "0.50"], ["queue", "\u20ac", "70", "1"]]
    assert result_object(judged)["tests"][3]["tables"] == [
        {"title": "Ticks [red]per call[/red]", "columns": ("trace", "<yours>", "ratio"), "rows": (("waves", 12345, 0.5), ("queue \u20ac", 70, 1))}]
    write_junit(tmp_path / "r.xml", judged)
    said = ElementTree.parse(tmp_path / "r.xml").find(".//testcase[@name='trial.fourth']/system-out")
    assert said is not None and said.text is not None and "  waves     12,345   0.50" in said.text.splitlines()
    assert ElementTree.parse(tmp_path / "r.xml").find(".//testcase[@name='trial.first']/system-out") is None


def test_markup_in_a_failure_is_text() -> None:
    text = plain(result(Record("trial.first", "[bold]title[/bold]", "fail", 0, 2, seen="[red]table[3][/red] :smile:")))
    assert "[bold]title[/bold]" in text and "[red]table[3][/red] :smile:" in text


def test_a_build_that_failed_shows_the_compilers_lines() -> None:
    message = "labs/07-trial/x.cpp:7:5: error: expected ';'\n    7 |     int a\n      |          ^"
    judged = result(refused=message)
    text = plain(judged)
    assert all("  " + line in text.splitlines() for line in message.splitlines())
    assert "0 of 5.5 points" in text and judged.exit_status == 2


def test_exit_statuses() -> None:
    first, second, *_ = records()
    assert result(first).exit_status == 0
    assert result(first, second).exit_status == 1
    assert result(Record("trial.first", "x", "partial", 1, 2)).exit_status == 1
    assert result(Record("trial.first", "x", "error", 0, 2), second).exit_status == 4
    assert result(first, Record("trial.second", "x", "skipped", 0, 1)).exit_status == 0
    interrupted = result(first)
    interrupted.interrupted = True
    assert interrupted.exit_status == 130


def test_an_error_of_ours_costs_no_points() -> None:
    judged = result(Record("trial.first", "x", "error", 0, 2, seen="Bochs died"))
    assert "(2 not judged, as the grader failed)" in plain(judged)
    assert result_object(judged)["not_judged"] == 2


def test_the_json_object() -> None:
    data = result_object(result(*records()))
    assert {key: data[key] for key in ("schema", "lab", "seed", "points", "max_points")} == \
        {"schema": 1, "lab": "07-trial", "seed": "0x5", "points": 2, "max_points": 5.5}
    for name in ("id", "status", "points", "max_points", "ticks", "expected", "seen", "hint", "handout", "repeat"):
        assert name in data["tests"][1]
    both = Result(5, result().labs * 2)
    assert [lab["lab"] for lab in result_object(both)["labs"]] == ["07-trial", "07-trial"]


def test_every_field_is_described() -> None:
    """report/schema.md names each field of the object."""
    described = (Path(__file__).parent.parent / "report" / "schema.md").read_text()
    data = result_object(result(*records()))
    for name in (*data, *data["tests"][0]):
        assert f"`{name}`" in described, name


def test_the_junit_file_counts(tmp_path: Path) -> None:
    write_junit(tmp_path / "r.xml", result(*records()))
    suite = ElementTree.parse(tmp_path / "r.xml").find("testsuite")
    assert suite is not None and (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("4", "3", "0", "0")
