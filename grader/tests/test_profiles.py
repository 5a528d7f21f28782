"""Tests that boot a kernel of another profile, files for the guest, and the reference's kernel as a measure.

The piece is the reference of lab 01, with a statement in allocate() that runs when the order is 7.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulator.rom import Module
from judge import boot, engine, link, paths
from judge import build as building
from judge.build import Build, BuildError, prepare_kernel
from judge.engine import Engine
from judge.lab import PROFILES, Lab, Test, load_lab
from judge.record import Record
from judge.runs import RunFolder
from judge.scenario import Scenario, expect
from judge.submission import Refused

pytestmark = pytest.mark.skipif(not paths.SOLUTIONS.is_dir(), reason="the pieces here are made from the reference")

BUDGET = 8_000_000
PLAIN = "no-memory-debugging"
HEAD = "Result<FrameNumber> allocate(Order order, Zone zone, Contents contents) {\n"


@pytest.fixture(scope="module")
def machine() -> Iterator[Engine]:
    prepare_kernel()
    with Engine() as engine:
        yield engine


def trial(profile: str) -> Test:
    return Test("frames.trial", "A trial", 2, (), "#x", "a sentence", (), BUDGET, profile)


def lab_with(*profiles: str) -> Lab:
    """Lab 01, with a test of each profile."""
    return dataclasses.replace(load_lab(paths.LABS / "01-frames"), tests=tuple(trial(profile) for profile in profiles))


def make_build(folder: Path, statement: str, lab: Lab, seed: int = 1) -> Build:
    place = folder / lab.name
    place.mkdir(parents=True, exist_ok=True)
    for name in lab.files:
        text = (paths.SOLUTIONS / lab.name / name).read_text()
        (place / name).write_text(text.replace(HEAD, f"{HEAD}    if (order == Order(7)) {{\n{statement}\n}}\n"))
    return building.build(lab, folder, seed, folder / "out")


@pytest.fixture
def judge(machine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Record]:
    """judge(script, statement, profile) -> the record of one test."""

    def run(script: Callable[[Scenario], None], statement: str = ";", profile: str = PROFILES[0]) -> Record:
        monkeypatch.setattr(engine, "test_function", lambda lab, test: script)
        monkeypatch.setattr(engine, "scenario_class", lambda lab: Scenario)
        return machine.run_test(make_build(tmp_path, statement, lab_with(profile)), trial(profile))

    return run


# -- profiles ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile, poisoned", [("grading", True), (PLAIN, False)])
def test_a_test_boots_the_profile_that_it_asks_for(judge: Callable[..., Record], profile: str, poisoned: bool) -> None:
    """The piece is compiled with that profile's config.h: without debugging it fills no freed frame."""
    seen = []

    def script(scenario: Scenario) -> None:
        frame = scenario.op("frames.allocate", 0, "normal", "zeroed")
        scenario.op("frames.free", frame, 0)
        seen.append(scenario.op("frames.compare", frame, 0xF4EEDF4E, 16))
        scenario.boot()

    assert judge(script, profile=profile).status == "pass"
    assert (seen[0].value == 0) == poisoned


def test_only_labs_whose_tests_ask_for_it_are_built_twice(tmp_path: Path) -> None:
    prepare_kernel()
    one, two = (make_build(tmp_path / str(count), ";", lab_with(*PROFILES[:count])) for count in (1, 2))
    assert [made.profile for made in (one, *one.variants)] == ["grading"]
    assert [made.profile for made in (two, *two.variants)] == list(PROFILES)
    assert two.of_profile(PLAIN).elf.read_bytes() != two.elf.read_bytes()
    assert two.of_profile(PLAIN).image.symbols.keys() != set()


def test_a_mistake_that_only_one_profile_compiles_is_named_with_it(tmp_path: Path) -> None:
    prepare_kernel()
    statement = "#if !CONFIG_MEMORY_DEBUGGING\nno such thing;\n#endif"
    make_build(tmp_path / "one", statement, lab_with("grading"))
    with pytest.raises(BuildError, match=r"frame_allocator.cpp:\d+:(.|\n)*no-memory-debugging.config"):
        make_build(tmp_path / "two", statement, lab_with(*PROFILES))


def test_what_hides_behind_an_option_is_checked_as_well(tmp_path: Path) -> None:
    """Directives show no words of the other branch to the compiler; the object of that profile shows them all."""
    prepare_kernel()
    statement = "#if !CONFIG_MEMORY_DEBUGGING\nvolatile auto i = __builtin_ia32_rdtsc();\n(void)i;\n#endif"
    with pytest.raises(Refused, match="rdtsc"):
        make_build(tmp_path, statement, lab_with(*PROFILES))


def test_a_run_remembers_all_its_kernels(tmp_path: Path) -> None:
    prepare_kernel()
    made = make_build(tmp_path, ";", lab_with(*PROFILES))
    run = RunFolder(tmp_path / "run")
    run.write(1, [made], False)
    found = run.load_build("01-frames")
    assert found is not None and found.of_profile(PLAIN).elf == made.of_profile(PLAIN).elf and found.elf == made.elf


def test_the_makefile_and_the_student_tree_know_the_same_profiles() -> None:
    makefile = (paths.ROOT / "kernel" / "kernel.mk").read_text()
    assert f"\nGRADED_PROFILES := {' '.join(PROFILES)}\n" in makefile
    assert f"\nPROFILES = {PROFILES!r}".replace("'", '"') in (paths.GRADER / "student_tree.py").read_text()
    assert all((paths.ROOT / "kernel" / "configs" / f"{profile}.config").is_file() for profile in PROFILES)


# -- files for the guest -------------------------------------------------------------------------------------------------------


def test_a_module_lies_in_memory_beside_the_script(judge: Callable[..., Record]) -> None:
    data = bytes(range(256)) * 20
    seen = []

    def script(scenario: Scenario) -> None:
        scenario.module("trace", data)
        begin = boot_layout_of(scenario)
        checkpoint = scenario.checkpoint("here", lambda target: target.physical(begin(), len(data)), tables=False)
        run = scenario.boot()
        seen.append((checkpoint.probe, run.layout.modules[1]))

    def boot_layout_of(scenario: Scenario) -> Callable[[], int]:
        boots: boot.Boots = scenario.booter  # type: ignore[assignment]
        return lambda: boot.boot_layout(boots.build.elf, **scenario.boot_arguments).modules[1][0]

    assert judge(script).status == "pass"
    [(found, (begin, end))] = seen
    assert found == data and end - begin == len(data)


def test_a_module_that_the_piece_changes_is_tampering(judge: Callable[..., Record]) -> None:
    """The piece looks for the file's first words in memory."""
    statement = """for (auto p = reinterpret_cast<volatile uint32_t*>(0x100000); p < reinterpret_cast<volatile uint32_t*>(0x800000); p += 1024)
        if (p[0] == 0x64636261 && p[1] == 0x68676665) p[1] = 0;"""

    def script(scenario: Scenario) -> None:
        scenario.module("trace", b"abcdefgh")
        scenario.op("frames.allocate", 7, "normal", "unspecified")
        scenario.boot()

    record = judge(script, statement)
    assert (record.status, record.kind) == ("fail", "tampered kernel") and "'trace'" in record.expected


@pytest.mark.parametrize("name", ["script", "two words", "", "trace"])
def test_a_modules_name_is_one_word_and_its_own(name: str) -> None:
    scenario = Scenario("frames.trial", 1, None)  # type: ignore[arg-type]
    scenario.module("trace", b"")
    with pytest.raises(ValueError):
        scenario.module(name, b"")
    assert scenario.boot_arguments["modules"] == [Module("script", b""), Module("trace", b"")]


# -- the reference as a measure ------------------------------------------------------------------------------------------------


def compare(scenario: Scenario) -> None:
    """The same script on both kernels."""
    ops = []
    for one in (scenario, scenario.reference_machine()):
        one.op("frames.allocate", one.random.randrange(6, 9), "normal", "unspecified")
        ops.append(one.op("frames.allocate", 7, "normal", "unspecified"))
        one.boot()
    own, reference = ops
    assert own.line == reference.line
    expect(own.ticks < 10 * reference.ticks, "as quick as the reference", f"{own.ticks} ticks, reference {reference.ticks}")


@pytest.mark.parametrize("profile", PROFILES)
def test_figures_are_compared_with_the_references_in_the_same_run(judge: Callable[..., Record], profile: str) -> None:
    assert judge(compare, profile=profile).status == "pass"
    slow = judge(compare, "for (volatile int i = 0; i < 10000; i = i + 1) {}", profile=profile)
    assert slow.status == "fail" and slow.boots == 2 and "quick as the reference" in slow.expected


def test_the_reference_kernel_is_linked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_kernel()
    lab = load_lab(paths.LABS / "01-frames")
    elf = link.reference_kernel(lab, PLAIN).elf
    before = elf.stat().st_mtime_ns
    link.reference_kernel.cache_clear()
    monkeypatch.setattr(link, "link", lambda *arguments: pytest.fail("linked again"))
    assert link.reference_kernel(lab, PLAIN).elf.stat().st_mtime_ns == before


def test_a_reference_that_fails_is_the_graders_fault(judge: Callable[..., Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = make_build(tmp_path / "broken", "for (;;) zone = Zone(zone);", lab_with("grading"))
    monkeypatch.setattr(boot, "reference_kernel", lambda lab, profile: broken.image)
    record = judge(compare)
    assert record.status == "error" and "the reference's own kernel" in record.seen and "did not finish" in record.seen
