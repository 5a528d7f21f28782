"""Records: written whole or not at all, read strictly, and blocked tests marked afterwards. Serial lines: read strictly too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from judge.lab import Lab, Test
from judge.record import Record, mark_blocked, read_records, write_json, write_record
from judge.scenario import Op, Reference, Scenario
from judge.table import Table
from judge.transcript import escaped, read_answers
from judge.verdict import EmulatorTrouble, Failure


def test_of(name: str, *needs: str) -> Test:
    return Test(f"trial.{name}", name, 1, tuple(f"trial.{need}" for need in needs), "#x", "", (), 1_000_000)


test_of.__test__ = False  # type: ignore[attr-defined]

LAB = Lab("07-trial", Path("labs/07-trial"), "Trial", "trial", (), (), (), (), (),
          (test_of("a"), test_of("b", "a"), test_of("c", "b"), test_of("d", "a"), test_of("e")))


def record(name: str, status: str, kind: str = "") -> Record:
    return Record(f"trial.{name}", name, status, 1 if status == "pass" else 0, 1, kind=kind)


# -- files -----------------------------------------------------------------------------------------------------------------------


def test_a_record_survives_the_file(tmp_path: Path) -> None:
    written = Record("trial.a", "A", "fail", 0, 2, 17, "this", "that \x1b[31m \u20ac", "hint", backtrace=["x", "y"], operation=3)
    written.tables = [Table.of("Figures", ["trace", "ticks", "ratio"], [["waves \u20ac", 12345, 0.25], ["queue", 7, 1.0]])]
    write_record(tmp_path, written)
    assert read_records(tmp_path, LAB) == [written]
    assert (tmp_path / "trial.a.json").read_bytes().isascii()
    assert [path.name for path in tmp_path.iterdir()] == ["trial.a.json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"a": object()})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_records_of_other_tests_and_half_written_ones_are_not_read(tmp_path: Path) -> None:
    write_record(tmp_path, record("b", "pass"))
    write_json(tmp_path / "trial.zzz.json", {})
    (tmp_path / ".trial.a.json.77").write_text("{")
    assert [found.id for found in read_records(tmp_path, LAB)] == ["trial.b"]


@pytest.mark.parametrize("change", [{"status": "passed"}, {"more": 1}, {"id": None, "drop": "id"}])
def test_a_strange_record_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    data = record("a", "pass").to_json() | change
    if "drop" in data:
        del data[str(data.pop("drop"))]
    with pytest.raises(ValueError):
        Record.from_json(data)


def test_a_record_of_the_time_before_tables_is_read(tmp_path: Path) -> None:
    data = record("a", "pass").to_json()
    del data["tables"]
    assert Record.from_json(data) == record("a", "pass")


GOOD_TABLE = {"title": "t", "columns": ["a", "b"], "rows": [["x", 1], ["y", 2.5]]}


@pytest.mark.parametrize("change", [
    {"title": 1}, {"title": ""}, {"title": "a\x1b[2J"}, {"columns": []}, {"columns": "ab"}, {"columns": ["a", 1]}, {"columns": ["a"]},
    {"rows": "xy"}, {"rows": ["xy"]}, {"rows": [["x"]]}, {"rows": [["x", None]]}, {"rows": [["x", True]]}, {"rows": [["x", [1]]]},
    {"rows": [["x", float("nan")]]}, {"rows": [["x", float("inf")]]}, {"rows": [["x\ny", 1]]}, {"more": 1}])
def test_a_table_of_another_shape_is_refused(change: dict[str, object]) -> None:
    Record.from_json(record("a", "pass").to_json() | {"tables": [GOOD_TABLE]})
    with pytest.raises(ValueError):
        Record.from_json(record("a", "pass").to_json() | {"tables": [GOOD_TABLE | change]})
    with pytest.raises(ValueError):
        Record.from_json(record("a", "pass").to_json() | {"tables": change})


def test_a_table_in_plain_text() -> None:
    table = Table.of("Ticks", ["trace", "ticks", "ratio"], [["waves", 12345, 0.254], ["a queue", 7, 1.0]])
    assert table.lines == ["Ticks", "  trace     ticks  ratio", "  waves    12,345   0.25", "  a queue       7   1.00"]


# -- blocked ---------------------------------------------------------------------------------------------------------------------


def statuses(*records: Record) -> str:
    return " ".join(f"{found.id[6:]}={found.status}" + (f"<{found.blocked_by[6:]}" if found.blocked_by else "")
                    for found in mark_blocked(LAB, records))


def test_a_failure_behind_a_failure_is_blocked_by_the_first() -> None:
    assert statuses(record("a", "fail"), record("b", "fail"), record("c", "fail"), record("d", "pass"), record("e", "fail")) == \
        "a=fail b=blocked<a c=blocked<a d=pass e=fail"


def test_a_failure_behind_a_pass_or_a_part_is_a_failure() -> None:
    assert statuses(record("a", "pass"), record("b", "partial"), record("c", "fail")) == "a=pass b=partial c=fail"


def test_what_is_not_implemented_says_so_itself() -> None:
    assert statuses(record("a", "fail", "not implemented"), record("b", "fail", "not implemented"), record("d", "fail")) == \
        "a=fail b=fail d=blocked<a"


def test_an_error_of_ours_blocks_nothing() -> None:
    assert statuses(record("a", "error"), record("b", "fail")) == "a=error b=fail"


# -- the serial line -------------------------------------------------------------------------------------------------------------


OPERATIONS = [Op(number, f"verb {number}") for number in range(1, 5)]


def read(text: str) -> list[tuple[int, str | None, list[int], int | None]]:
    return [(a.number, a.error, a.values, a.ticks) for a in read_answers(text.encode("latin-1"), OPERATIONS)]


def test_records_among_text() -> None:
    assert read("Faultline\r\n=1 ok\r\nsome text\r\n=2 ok 0x10 0xff t=57\n=3 error OutOfMemory t=9\n=4 o") == [
        (1, None, [], None), (2, None, [16, 255], 57), (3, "OutOfMemory", [], 9)]


def test_a_record_behind_text_without_newline() -> None:
    assert read("hello=1 ok 0x5\n") == [(1, None, [5], None)]
    assert read("a =7 ok, b=1 ok\nc =7 ok d\n=2 error Busy\n") == [(1, None, [], None), (2, "Busy", [], None)]


@pytest.mark.parametrize("text", [
    "=2 ok\n", "=1 ok\n=1 ok\n", "=1 ok\n=3 ok\n", "=1 pass\n", "=one ok\n", "= \n", "=1 ok 16\n", "=1 ok 0xG\n", "=1 ok  0x1\n", "=1 error\n",
    "=1 error a b\n", "=1 ok t=x\n", "=1 ok\x1b[2J\n", "=99999 ok\n", "=1 ok\n=2 ok\n=3 ok\n=4 ok\n=5 ok\n", "=\xff\n", "=3 bad no such\n",
    "=1 ok\ntrue one: =1 ok\n", "=1 ok 0x1\n\r=1 ok 0x2\n", "text=2 ok\n", "=1 ok 0x=1 ok 0x5\n", "=1 bad x\n=1 ok\n", "=1 bad x\n"])
def test_every_other_line_of_that_kind_is_forged(text: str) -> None:
    with pytest.raises(Failure) as caught:
        read(text)
    assert caught.value.kind == "forged record" and caught.value.seen.isprintable()


def test_a_complaint_of_the_guest_is_ours() -> None:
    with pytest.raises(EmulatorTrouble, match="verb 2"):
        read_answers(b"=1 ok\n=2 bad no such operation: verb\n", OPERATIONS, finished=True)


def test_a_complaint_that_the_guest_goes_on_after_is_forged() -> None:
    """Nobody gets out of a test by saying that it is the grader's fault."""
    for text in (b"=1 bad x\n=1 ok\n=2 ok\n", b"=1 ok\n=1 bad x\n", b"=1 ok\n=3 bad x\n"):
        with pytest.raises(Failure):
            read_answers(text, OPERATIONS, finished=True)


def test_escapes() -> None:
    assert escaped(b"a\x1b[31m\x00\xff\n") == r"a\x1b[31m\x00\xff\n"
    assert escaped("\u202egnp.exe") == r"\u202egnp.exe"


# -- scripts ---------------------------------------------------------------------------------------------------------------------


class Nobody:
    def boot(self, scenario: Scenario) -> None:
        raise AssertionError("not here")


def scenario(test: str = "trial.a", seed: int = 1) -> Scenario:
    return Scenario(test, seed, Nobody())  # type: ignore[arg-type]


def test_a_script_in_its_own_words() -> None:
    one = scenario()
    first = one.op("frames.allocate", 0, "normal")
    one.op("frames.free", first, first + 0x1000, Reference(1, -2), 4096, True)
    one.checkpoint("after the free")
    assert one.script == b"frames.allocate 0 normal\nframes.free $1 $1+0x1000 $1-0x2 0x1000 1\ncheckpoint after-the-free\n"


@pytest.mark.parametrize("arguments", [("a\nb",), (-1,), ("x" * 200,), ("\x1b",)])
def test_arguments_that_would_break_a_line_are_refused(arguments: tuple[object, ...]) -> None:
    with pytest.raises(ValueError):
        scenario().op("verb", *arguments)


def test_a_script_has_an_end() -> None:
    one = scenario()
    for _ in range(4096):
        one.op("say", "x")
    with pytest.raises(ValueError, match="4096"):
        one.op("say", "x")


def test_results_before_the_boot_are_a_mistake_of_the_test() -> None:
    one = scenario()
    op, checkpoint = one.op("verb"), one.checkpoint("x")
    for ask in (lambda: op.ok, lambda: op.values, lambda: op.ticks, lambda: checkpoint.registers, lambda: checkpoint.tables):
        with pytest.raises(RuntimeError):
            ask()


def test_numbers_come_from_seed_and_test() -> None:
    numbers = [scenario(test, seed).random.random() for test, seed in (("trial.a", 1), ("trial.a", 1), ("trial.a", 2), ("trial.b", 1))]
    assert numbers[0] == numbers[1] and len(set(numbers)) == 3
