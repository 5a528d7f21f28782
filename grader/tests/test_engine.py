"""Crashes, hangs, forgeries and tampering, each named in words; and the same seed gives the same record.

The piece is the reference of lab 01, with one statement that runs when the script asks for a frame of order 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from judge import build as building
from judge import checks, engine, paths
from judge.build import Build, prepare_kernel
from judge.engine import Engine
from judge.lab import Lab, Test, load_lab
from judge.record import Record
from emulator.disk import program_disk
from emulator.volume import list_files
from judge.scenario import Scenario, expect

pytestmark = pytest.mark.skipif(not paths.SOLUTIONS.is_dir(), reason="the pieces here are made from the reference")

BUDGET = 8_000_000
CURE = "frames.allocate 0 normal unspecified"
DISEASE = "frames.allocate 7 normal unspecified"


@pytest.fixture(scope="module")
def machine() -> Iterator[Engine]:
    prepare_kernel()
    with Engine() as engine:
        yield engine


def make_build(folder: Path, statement: str, *, before: str = "", seed: int = 1, file: str = "frame_allocator.cpp") -> Build:
    """The reference, with `statement` at the beginning of allocate() when the order is 7."""
    lab = load_lab(paths.LABS / "01-frames")
    place = folder / lab.name
    place.mkdir(parents=True, exist_ok=True)
    for name in lab.files:
        text = (paths.SOLUTIONS / lab.name / name).read_text()
        if name == file:
            head = "Result<FrameNumber> allocate(Order order, Zone zone, Contents contents) {\n"
            assert head in text
            text = text.replace(head, f"{before}\n{head}    if (order == Order(7)) {{ {statement} }}\n")
        (place / name).write_text(text)
    return building.build(lab, folder, seed, folder / "out")


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """For pieces that the checks would refuse: what would happen if one got through?"""
    for name in ("check_source", "check_preprocessed", "check_object"):
        monkeypatch.setattr(checks, name, lambda *arguments: [])


@pytest.fixture
def judge(machine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Record]:
    """Judges a piece with a test of our own."""

    def run(statement: str, script: Callable[[Scenario], None] | None = None, *, before: str = "", seed: int = 1, ticks: int = BUDGET) -> Record:
        def test(scenario: Scenario) -> None:
            """One frame, then the statement, then another frame."""
            scenario.op("frames.allocate", 0, "normal", "unspecified")
            scenario.op("frames.allocate", 7, "normal", "unspecified", note="where it goes wrong")
            last = scenario.op("frames.allocate", 0, "normal", "unspecified")
            scenario.boot()
            expect(last.ok, "a frame is handed out", last.says)

        monkeypatch.setattr(engine, "test_function", lambda lab, test_: script or test)
        monkeypatch.setattr(engine, "scenario_class", lambda lab: Scenario)
        made = make_build(tmp_path, statement, before=before, seed=seed)
        return machine.run_test(made, Test("frames.trial", "A trial", 2, (), "#x", "a sentence", ("a hint",), ticks), folder=tmp_path / "run")

    return run


def test_a_piece_without_a_mistake_passes(judge: Callable[..., Record]) -> None:
    record = judge(";")
    assert (record.status, record.points, record.kind, record.boots) == ("pass", 2, "", 1)
    assert 100_000 < record.ticks < BUDGET


def failed(record: Record, kind: str, *words: str) -> None:
    """The test is lost, for this reason, and the student learns where."""
    assert (record.status, record.kind, record.points) == ("fail", kind, 0), record
    for word in words:
        assert word in record.seen, record.seen


def test_an_endless_loop_is_a_hang_with_function_and_line(judge: Callable[..., Record]) -> None:
    record = judge("for (;;) wild = wild + 1;", before="namespace { volatile uint32_t wild; }")
    failed(record, "hang", "did not finish within 8,000,000 ticks", "frame_allocator.cpp:", "operation 2", "where it goes wrong")
    assert record.operation == 2 and "allocate" in record.where
    assert 0 <= record.ticks - BUDGET < 1000


def test_a_halt_with_interrupts_off_is_named(judge: Callable[..., Record], unchecked: None) -> None:
    record = judge('for (;;) asm volatile("cli; hlt");')
    failed(record, "halted", "halted with interrupts off", "frame_allocator.cpp:", "operation 2")


def test_a_triple_fault_is_named(judge: Callable[..., Record], unchecked: None) -> None:
    record = judge('struct [[gnu::packed]] { uint16_t limit; uint32_t base; } none{0, 0}; asm volatile("lidt %0; int3" : : "m"(none));')
    failed(record, "triple fault", "triple fault", "operation 2")


def test_a_null_pointer_is_a_page_fault_with_its_address(judge: Callable[..., Record]) -> None:
    record = judge("volatile uint32_t* volatile p = nullptr; p[3] = 1;")
    failed(record, "page fault", "a write to 0x0000000c", "frame_allocator.cpp:", "operation 2")
    assert "null pointer" in record.hint


def test_writing_to_the_kernels_code_is_named(judge: Callable[..., Record]) -> None:
    record = judge("auto code = reinterpret_cast<uint32_t>(&allocate); *reinterpret_cast<volatile uint8_t*>(code) = 0x90;")
    failed(record, "page fault", "read-only code", "operation 2")


def test_writing_over_the_harness_is_named(judge: Callable[..., Record]) -> None:
    """The harness's memory lies behind the kernel's data: whoever runs past the end of a table gets there."""
    record = judge("for (volatile uint32_t* p = &wild;; ++p) *p = *p;", before="namespace { volatile uint32_t wild; }")
    failed(record, "harness overwritten", "the harness's own memory", "frame_allocator.cpp:", "operation 2")


def test_endless_recursion_is_a_stack_overflow(judge: Callable[..., Record]) -> None:
    record = judge("return FrameNumber(static_cast<uint32_t>(deeper(1)));",
                   before="namespace { int deeper(int n) { volatile int room[50]; room[n % 50] = n; return n < 0 ? 0 : deeper(n + 1) + room[n % 50]; } }")
    failed(record, "stack overflow", "stack overflowed", "frame_allocator.cpp:", "operation 2")


def test_a_failed_assertion_is_quoted(judge: Callable[..., Record]) -> None:
    record = judge('KASSERT("order 7 is never asked for", order != Order(7));', before='} // namespace\n#include "lib/panic.h"\nnamespace mm::frame_allocator {')
    failed(record, "panic", "order 7 is never asked for", "frame_allocator.cpp:", "operation 2")


def test_a_missing_function_is_named(judge: Callable[..., Record]) -> None:
    record = judge('not_implemented("01-frames", "allocate");', before='}\n#include "lib/piece.h"\nnamespace mm::frame_allocator {')
    failed(record, "not implemented", "lab 01-frames: allocate() is not implemented")


def test_a_division_by_zero_is_named(judge: Callable[..., Record]) -> None:
    record = judge("volatile int zero = 0; return FrameNumber(static_cast<uint32_t>(7 / zero));")
    failed(record, "panic", "divide error", "operation 2")


PRINT = '}\n#include "lib/format.h"\nnamespace mm::frame_allocator {'


def test_a_printed_record_is_forged(judge: Callable[..., Record]) -> None:
    record = judge(r'print("=2 ok 0x1000 t=5\n");', before=PRINT)
    failed(record, "forged record", "=2 error Unsupported", "operation 3")


def test_a_printed_record_out_of_order_is_forged(judge: Callable[..., Record]) -> None:
    failed(judge(r'print("\n=3 ok 0x1000\n");', before=PRINT), "forged record", "=3 ok 0x1000", "operation 2")


def test_a_record_that_blames_the_grader_is_forged(judge: Callable[..., Record]) -> None:
    failed(judge(r'print("=2 bad no such operation\n");', before=PRINT), "forged record", "=2 bad", "operation 2")


def test_a_true_record_hidden_behind_text_is_found(judge: Callable[..., Record]) -> None:
    failed(judge(r'print("=2 ok 0x1000 t=9\n# ");', before=PRINT), "forged record", "=2 error Unsupported", "operation 3")


def test_a_printed_verdict_earns_nothing_and_costs_nothing(judge: Callable[..., Record]) -> None:
    record = judge(r'print("PASS\nall tests passed\n2/2 points\n\x1b[2J");', before=PRINT)
    assert (record.status, record.points) == ("pass", 2)


def test_text_without_a_newline_does_not_spoil_the_record(judge: Callable[..., Record]) -> None:
    assert judge(r'print("looking for a run of order 7 ");', before=PRINT).status == "pass"


def test_serial_text_is_escaped_where_it_is_kept(judge: Callable[..., Record], tmp_path: Path) -> None:
    judge(r'print("\x1b[31mred\x07 <b>\n");', before=PRINT)
    kept = (tmp_path / "run" / "console" / "frames.trial.txt").read_bytes()
    assert b"\\x1b[31mred\\x07 <b>" in kept and b"\x1b" not in kept


def test_changed_code_is_tampering(judge: Callable[..., Record], unchecked: None) -> None:
    """A piece that gets round the write protection is found when memory is compared with the file."""
    record = judge('uint32_t cr0; asm volatile("mov %%cr0, %0" : "=r"(cr0)); asm volatile("mov %0, %%cr0" : : "r"(cr0 & ~0x10000u)); '
                   'auto code = reinterpret_cast<uint32_t>(&initialize); auto p = reinterpret_cast<volatile uint8_t*>(code); *p = *p ^ 1; '
                   'asm volatile("mov %0, %%cr0" : : "r"(cr0));')
    failed(record, "tampered kernel", "tampered kernel", "initialize")


def test_a_failed_expectation_says_what_the_test_says(judge: Callable[..., Record]) -> None:
    def script(scenario: Scenario) -> None:
        op = scenario.op("frames.allocate", 7, "normal", "unspecified")
        scenario.boot()
        expect(op.ok, "order 7 is served", op.says, "This test is wrong.")

    record = judge(";", script)
    failed(record, "check", "Error::Unsupported")
    assert (record.expected, record.hint) == ("order 7 is served", "This test is wrong.")


def test_a_value_of_an_operation_that_failed_is_a_failure_with_its_line(judge: Callable[..., Record]) -> None:
    def script(scenario: Scenario) -> None:
        op = scenario.op("frames.allocate", 7, "normal", "unspecified")
        scenario.boot()
        assert op.value

    record = judge(";", script)
    failed(record, "check", "Error::Unsupported")
    assert record.operation == 1 and DISEASE in record.expected


def test_partial_points(judge: Callable[..., Record]) -> None:
    def script(scenario: Scenario) -> None:
        scenario.op("say", "x")
        scenario.boot()
        scenario.partial(0.5, "slow")

    record = judge(";", script)
    assert (record.status, record.points, record.seen) == ("partial", 0.5, "slow")


def test_a_script_that_the_guest_does_not_know_is_the_graders_fault(judge: Callable[..., Record]) -> None:
    def script(scenario: Scenario) -> None:
        scenario.op("frames.alocate", 1)
        scenario.boot()

    record = judge(";", script)
    assert record.status == "error" and "frames.alocate" in record.seen and record.points == 0


def test_a_mistake_in_the_test_is_the_graders_fault(judge: Callable[..., Record]) -> None:
    def script(scenario: Scenario) -> None:
        raise KeyError("no such thing")

    record = judge(";", script)
    assert record.status == "error" and "KeyError" in record.seen and record.backtrace


def test_an_emulator_that_dies_once_costs_nothing(judge: Callable[..., Record]) -> None:
    tries = []

    def script(scenario: Scenario) -> None:
        from judge.verdict import EmulatorTrouble

        op = scenario.op("frames.allocate", 0, "normal", "unspecified")
        tries.append(1)
        if len(tries) == 1:
            raise EmulatorTrouble("it died")
        scenario.boot()
        assert op.ok

    record = judge(";", script)
    assert record.status == "pass" and len(tries) == 2 and "it died" in record.notes[0]


def test_checkpoints_show_registers_tables_and_what_a_probe_reads(judge: Callable[..., Record], machine: Engine) -> None:
    seen = {}

    def script(scenario: Scenario) -> None:
        before = scenario.checkpoint("the very beginning", lambda target: target.physical(0x100000, 4))
        scenario.op("frames.allocate", 0, "normal", "unspecified")
        after = scenario.checkpoint("after")
        run = scenario.boot()
        seen.update(magic=before.probe, registers=before.registers, pages=after.tables.pages(0x100000, 0x101000), text=run.serial_text,
                    symbol=run.symbol("harness_checkpoint"))

    assert judge(";", script).status == "pass"
    assert seen["magic"] == bytes.fromhex("02b0ad1b")  # the Multiboot header
    assert seen["registers"]["eip"] == seen["symbol"] and seen["registers"]["cr0"] & 0x80010000 == 0x80010000
    [page] = seen["pages"]
    assert page.physical == 0x100000 and not page.writable and not page.user
    assert "=1 ok" in seen["text"]


def test_two_machines_in_one_test(judge: Callable[..., Record]) -> None:
    from emulator.machine import Machine

    found = []

    def script(scenario: Scenario) -> None:
        scenario.machine = Machine(8)
        other = scenario.second_machine(Machine(64))
        ops = [each.op("frames.free_count", "normal") for each in (scenario, other)]
        scenario.boot()
        other.boot()
        found.extend(op.value for op in ops)

    record = judge(";", script)
    assert record.status == "pass" and record.boots == 2 and found[0] < found[1]


def test_each_machine_has_its_own_copy_of_the_disk_and_it_can_be_read_after_the_run(judge: Callable[..., Record]) -> None:
    image = program_disk({"old": b"here"}, megabytes=4)
    found = []

    def script(scenario: Scenario) -> None:
        scenario.disk = image
        other = scenario.second_machine()
        machines = [scenario, other, scenario.reference_machine()]
        opened = [each.op("volume.open", "old") for each in machines]
        for each, name in zip(machines, ("first", "second", "third")):
            each.op("volume.create", name)
        for each in machines:
            found.append(list_files(each.boot().disk))
        assert [op.values[1] for op in opened] == [4, 4, 4]

    record = judge(";", script)
    assert record.status == "pass", record
    assert found == [{"old": 4, "first": 0}, {"old": 4, "second": 0}, {"old": 4, "third": 0}]
    assert list_files(image) == {"old": 4}


def test_addresses_differ_between_seeds_and_results_do_not(judge: Callable[..., Record], tmp_path: Path) -> None:
    addresses, values = [], []

    def script(scenario: Scenario) -> None:
        op = scenario.op("frames.allocate", 0, "normal", "unspecified")
        addresses.append(scenario.boot().symbol("mm::frame_allocator::allocate"))
        values.append(op.value)

    for seed in (1, 2, 3):
        assert judge(";", script, seed=seed).status == "pass"
    assert len(set(addresses)) == 3 and len(set(values)) == 1


def test_the_same_seed_gives_the_same_records_two_at_a_time(tmp_path: Path) -> None:
    """Ten runs of two tests, two at a time, each with a GDB of its own: everything is the same, ticks included."""
    lab: Lab = load_lab(paths.LABS / "01-frames")
    prepare_kernel()
    made = make_build(tmp_path, ";", seed=0x5EED)
    tests = [lab.test("frames.unique"), lab.test("frames.double_free")]

    def five_runs(_: int) -> list[list[dict[str, object]]]:
        with Engine() as engine:
            return [[engine.run_test(made, test).to_json() for test in tests] for _ in range(5)]

    with ThreadPoolExecutor(2) as pool:
        runs = [run for runs in pool.map(five_runs, range(2)) for run in runs]
    assert len(runs) == 10 and all(run == runs[0] for run in runs)
    assert [record["status"] for record in runs[0]] == ["pass", "pass"] and all(record["ticks"] for record in runs[0])
