"""What the kernel builds around the heap: pools, findings in words, leak reports, the search for unreachable objects, and the heap
itself when frames run out."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from profiles import ROOT, built, built_with
from scripted import Boots, Run, Script, boots
from test_monitor import PROMPT, Console

PLANTS = ROOT / "kernel/monitor/plants.cpp"
LEAKS = ROOT / "grader/guest/heap_leak_verbs.cpp"
UNGUARDED = "no-memory-debugging"
PROFILES = ["grading", UNGUARDED]
TROUBLES = ["none", "another error than OutOfMemory", "a frame is lost", "an object is lost", "it cannot be undone", "never succeeds"]
NODE = 20  # bytes of a planted node


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("heap"))


@pytest.fixture(scope="module")
def single_frames() -> Path:
    """The heap over an allocator of single frames."""
    return built_with("01-frames")


def finished(boot: Boots, script: Script, **options) -> Run:
    run = boot(script, **options)
    run.to_end()
    return run


def place(name: str) -> str:
    """function() at file:line of what the verbs plant: `// at:NAME` marks the line."""
    function = name.removesuffix("_rest")
    found = [number for number, line in enumerate(LEAKS.read_text().splitlines(), 1) if line.endswith(f"// at:{name}")]
    assert len(found) == 1
    return f"{function}() at {LEAKS.relative_to(ROOT)}:{found[0]}"


# --- the heap, when frames run out --------------------------------------------------------------------------------------------


def churn_script(*stories: tuple[int, int, int]) -> tuple[Script, list[int]]:
    script = Script()
    return script, [script.add(f"heapk.churn {seed} {steps} {largest}") for seed, steps, largest in stories]


@pytest.mark.parametrize("profile", PROFILES)
def test_blocks_of_all_sizes_keep_their_contents_and_lose_no_frame(boot, profile):
    script, stories = churn_script((7, 2000, 5000), (8, 1000, 200_000), (9, 200, 4_000_000))
    run = finished(boot, script, profile=profile)
    assert [run.values(story)[0] for story in stories] == [2000, 1000, 200], "a step went wrong"
    assert [run.values(story)[2:] for story in stories] == [(0, 0)] * 3, "findings, frames lost"
    assert run.values(stories[2])[1] > 0, "the last story should run out of memory"


def test_the_heap_stands_on_an_allocator_of_single_frames(boot, single_frames):
    script, stories = churn_script((7, 2000, 5000), (8, 1000, 200_000))
    large = script.add("heapk.kmalloc 100000")
    run = finished(boot, script, kernel=single_frames)
    assert [run.values(story)[0] for story in stories] == [2000, 1000]
    assert [run.values(story)[2:] for story in stories] == [(0, 0)] * 2
    assert run.value(large) >= 0xC000_0000, "a large block comes from vmalloc"


def inject_script() -> tuple[Script, list[int]]:
    script = Script()
    lines = [*(f"heapk.inject_kmalloc {bytes} {alignment}" for bytes, alignment in
               [(32, 8), (500, 8), (4096, 8), (4096, 4096), (100, 256), (70_000, 8), (70_000, 4096), (5_000_000, 8)]),
             *(f"heapk.inject_krealloc {old} {new}" for old, new in
               [(32, 100), (100, 5000), (5000, 70_000), (70_000, 5_000_000), (70_000, 100)]),
             *(f"heapk.inject_object {size} {alignment}" for size, alignment in [(64, 8), (700, 8), (4096, 8), (4096, 4096)]),
             "heapk.inject_caches", "pool.inject 100 20", "pool.inject 3000 20"]
    return script, [script.add(line) for line in lines]


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_is_lost_at_any_point_where_frames_end(boot, profile):
    script, attempts = inject_script()
    expect_no_trouble(script, attempts, finished(boot, script, profile=profile))


def test_nothing_is_lost_without_runs_of_frames(boot, single_frames):
    script, attempts = inject_script()
    expect_no_trouble(script, attempts, finished(boot, script, kernel=single_frames))


def expect_no_trouble(script: Script, attempts: list[int], run: Run) -> None:
    for attempt in attempts:
        needed, trouble = run.values(attempt)
        line = script.lines[attempt - 1]
        assert trouble == 0, f"{line}: {TROUBLES[trouble]}, with {needed} frames"
        shrinks = line in ("heapk.inject_krealloc 70000 100",)
        assert needed > 0 or shrinks, f"{line} needs no frame: the test tests nothing"


@pytest.mark.parametrize("profile", PROFILES)
def test_frames_without_objects_go_back_when_memory_is_short(boot, profile):
    script = Script()
    pressure = script.add("heapk.pressure")
    run = finished(boot, script, profile=profile)
    before, after = run.values(pressure)
    assert before >= 10 and after == 0


# --- pools --------------------------------------------------------------------------------------------------------------------


class PoolScript(Script):
    """A pool of number 0."""

    def allocate(self) -> int:
        return self.add("pool.allocate 0")

    def free(self, object: str) -> int:
        return self.add(f"pool.free 0 {object}")

    def figures(self) -> int:
        return self.add("pool.figures 0")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("size", [24, 1000])
def test_a_pools_reserve_cannot_fail_and_fills_up_first(boot, profile, size):
    script = PoolScript()
    script.add(f"pool.initialize 0 {size} 5")
    full = script.figures()
    script.add("heapk.fail_after 0")
    script.add("heapk.findings")
    taken = [script.allocate() for _ in range(3000)]
    script.add("heapk.fail_never")
    out = script.figures()
    given = [script.free(f"${taken[i]}") for i in range(7)]
    refilled = script.figures()
    again = script.allocate()
    plenty = script.figures()
    run = finished(boot, script, profile=profile)
    assert run.values(full) == (0, 5, 5)
    records = run.records()
    addresses = [records[op].values[0] for op in taken if not records[op].error]
    assert len(addresses) >= 5 and len(set(addresses)) == len(addresses)
    assert [records[op].error for op in taken[len(addresses):]] == ["OutOfMemory"] * (len(taken) - len(addresses)), "the end is the end"
    assert len(addresses) < len(taken)
    assert run.values(out) == (len(addresses), 5, 0)
    assert [records[op].error for op in given] == [""] * 7
    assert run.values(refilled) == (len(addresses) - 7, 5, 5), "the reserve fills up first, and is not overfilled"
    assert not records[again].error and run.values(plenty)[2] == 5, "while there is memory the reserve stays"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_pool_in_use_is_busy_and_its_end_loses_nothing(boot, profile):
    script = PoolScript()
    before = script.add("heapk.frames")
    script.add("pool.initialize 0 300 40")
    first, second = script.allocate(), script.allocate()
    script.free(f"${first}")
    busy = script.add("pool.destroy 0")
    unchanged = script.figures()
    script.free(f"${second}")
    ended = script.add("pool.destroy 0")
    after = script.add("heapk.frames")
    anew = script.add("pool.initialize 0 40 2")
    script.add("pool.destroy 0")
    run = finished(boot, script, profile=profile)
    assert run.error(busy) == "Busy" and run.values(unchanged) == (1, 40, 40)
    assert run.error(ended) == "" and run.value(after) == run.value(before)
    assert run.error(anew) == ""


def test_a_pool_refuses_what_is_not_its_own(boot):
    script = PoolScript()
    script.add("pool.initialize 0 32 4")
    object, foreign = script.allocate(), script.add("heapk.kmalloc 32")
    refused = [script.free(f"${foreign}"), script.free(f"${object}+8"), script.free("0x1234"), script.free("0xF0000000")]
    script.free(f"${object}")
    refused.append(script.free(f"${object}"))
    nothing = script.free("0")
    figures = script.figures()
    too_many = script.add("pool.initialize 1 4096 1000000000")
    wrong = script.add("pool.initialize 1 0 5")
    findings = script.add("heapk.findings")
    run = finished(boot, script)
    assert [run.error(op) for op in refused] == ["NotAllocated"] * 5
    assert run.error(nothing) == "" and run.values(figures) == (0, 4, 4)
    assert (run.error(too_many), run.error(wrong)) == ("OutOfMemory", "InvalidArgument")
    assert run.value(findings) == 5


# --- leaks by call site -------------------------------------------------------------------------------------------------------


def test_leaks_are_counted_by_call_site_most_bytes_first(boot):
    script = Script()
    script.add("leak.forget chain 7")
    script.add("leak.remember")
    nothing = script.add("leak.report")
    script.add("leak.forget chain 3")
    script.add("leak.forget cycle 50")
    script.add("leak.forget table 2")
    some = script.add("leak.report")
    script.add("leak.find collect")
    after = script.add("leak.report")
    run = finished(boot, script)
    assert run.value(nothing) == 0
    expected = [(49 * NODE, 49, "plant_cycle_rest"), (128, 1, "plant_table"), (2 * 40, 2, "plant_table_rest"), (3 * NODE, 3, "plant_chain"),
                (NODE, 1, "plant_cycle")]
    lines = [line for line in run.text().splitlines() if " bytes in " in line]
    assert lines == [f"{bytes:8} bytes in {objects:5} objects  {place(name)}" for bytes, objects, name in expected]
    assert run.value(some) == 56
    assert run.value(after) == 0, "what was collected is no leak any more"


# --- unreachable objects ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unreachable:
    """One line of the report."""

    address: int
    bytes: int
    cache: str
    place: str


def unreachable(text: str) -> list[Unreachable]:
    found = re.findall(r"^unreachable: 0x([0-9a-f]{8}), (\d+) bytes, cache \"(.*)\", allocated in (.*)$", text, re.MULTILINE)
    return [Unreachable(int(address, 16), int(size), cache, place) for address, size, cache, place in found]


def planted(run: Run, *notes: int) -> list[int]:
    """Addresses, from the complements that the guest keeps."""
    return [~note & 0xFFFF_FFFF for line in notes for note in run.values(line) if note]


FORGOTTEN = ["chain", "cycle", "table", "objects"]


@pytest.mark.parametrize("what", FORGOTTEN)
def test_what_nothing_leads_to_is_found_and_collected_exactly(boot, what):
    script = Script()
    kept = script.add("leak.root chain 5 0")
    before = script.add("heapk.frames")
    script.add(f"leak.forget {what} 6")
    notes = [script.add("leak.notes 5")]
    found, collected, after = (script.add(f"leak.find {action}") for action in ("report", "collect", "report"))
    frames, check, findings = script.add("heapk.frames"), script.add("heapk.check"), script.add("heapk.findings")
    run = finished(boot, script)
    assert run.error(kept) == ""
    expected = planted(run, *notes)
    assert run.value(found) == run.value(collected) == len(expected) == (7 if what == "table" else 6)
    assert run.value(after) == 0
    lines = unreachable(run.text())
    assert sorted(line.address for line in lines) == sorted(expected * 2), "once in each of the two reports"
    sizes = {"table": {384, 40}}.get(what, {NODE})
    assert {line.bytes for line in lines} == sizes
    assert {line.place for line in lines} <= {place(f"plant_{what}"), *([place(f"plant_{what}_rest")] if what in ("cycle", "table") else [])}
    assert {line.cache for line in lines} == {"plain"} if what == "objects" else all(line.cache.startswith("kmalloc") for line in lines)
    assert run.value(frames) <= run.value(before) + 2, "a frame or two for the caches themselves"
    assert (run.value(check), run.value(findings)) == (0, 0)


def test_objects_with_a_constructor_are_found_and_left_to_their_owner(boot):
    script = Script()
    script.add("leak.forget constructed 3")
    first, second = script.add("leak.find collect"), script.add("leak.find report")
    run = finished(boot, script)
    assert run.value(first) == run.value(second) == 3
    assert "0 of 3 unreachable objects freed" in run.text()


@pytest.mark.parametrize(("what", "offset", "reached"), [
    ("chain 5", 0, True), ("chain 5", NODE - 1, True), ("cycle 5", 9, True), ("table 4", 255, True), ("table 4", 130, True),
    ("objects 4", 3, True),
    ("cycle 5", NODE, False),  # one behind the last byte
    ("table 4", 256, False),
])
def test_kernel_data_that_leads_to_any_byte_keeps_all_that_follows(boot, what, offset, reached):
    script = Script()
    script.add(f"leak.root {what} {offset}")
    held = script.add("leak.find collect")
    script.add("leak.drop")
    dropped = script.add("leak.find collect")
    run = finished(boot, script)
    count = int(what.split()[1]) + (what.startswith("table"))
    assert (run.value(held), run.value(dropped)) == ((0, count) if reached else (count, 0))


@pytest.mark.parametrize("where", ["stack", "register"])
def test_the_stack_and_the_registers_keep_objects(boot, where):
    script = Script()
    held = script.add(f"leak.{where} chain 30")
    after = script.add("leak.find report")
    run = finished(boot, script)
    assert (run.value(held), run.value(after)) == (0, 30)


def test_a_long_chain_needs_no_deep_stack(boot):
    script = Script()
    for _ in range(2):
        script.add("leak.forget chain 250")
    script.add("leak.root chain 10 0")
    found = script.add("leak.find collect")
    run = finished(boot, script)
    assert run.value(found) == 500


def test_without_memory_for_the_list_nothing_is_said_or_freed(boot):
    script = Script()
    script.add("leak.forget chain 400")
    script.add("heapk.fail_after 0")
    failed = script.add("leak.find collect")
    script.add("heapk.fail_never")
    found = script.add("leak.find report")
    run = finished(boot, script)
    assert run.error(failed) == "OutOfMemory"
    assert run.value(found) == 400


def test_a_finding_about_an_object_does_not_keep_it(boot):
    script = Script()
    block = script.add("heapk.kmalloc 30")
    script.add(f"heapk.write ${block}+30 65")
    check = script.add("heapk.check")
    found = script.add("leak.find report")
    run = finished(boot, script)
    assert (run.value(check), run.value(found)) == (1, 1)
    assert [line.address for line in unreachable(run.text())] == [run.value(block)]


@pytest.mark.parametrize("profile", PROFILES)
def test_the_variables_of_the_labs_pieces_lie_apart_from_the_kernels(profile):
    listed = subprocess.run(["i686-linux-gnu-nm", "-C", built(profile)], capture_output=True, text=True, check=True).stdout
    symbols = {name: int(address, 16) for address, _, name in (line.split(maxsplit=2) for line in listed.splitlines())}
    ranges = [range(symbols[f"kernel_{part}_begin"], symbols[f"kernel_{part}_end"]) for part in ("data", "bss")]

    def is_kernels(name: str) -> bool:
        return any(symbols[name] in part for part in ranges)

    assert is_kernels("mm::findings::(anonymous namespace)::reported")
    assert not is_kernels("mm::findings::(anonymous namespace)::last")
    pieces = ["mm::slab::(anonymous namespace)::blocks", "mm::(anonymous namespace)::aligned_caches",
              "mm::frame_allocator::(anonymous namespace)::table"]
    assert [name for name in pieces if is_kernels(name)] == []


# --- findings in words --------------------------------------------------------------------------------------------------------


@pytest.fixture
def planted_at_boot():
    """What the kernel says at boot with `plant=NAME`; more options may follow."""
    def run(options: str, until: str = PROMPT) -> str:
        console = Console(built("default"), options)
        try:
            return console.until(until)
        finally:
            console.close()
    return run


def at(function: str, text: str, after: str = "") -> str:
    """The place in plants.cpp: the first line with `text` behind the beginning of the function."""
    lines = PLANTS.read_text().splitlines()
    begin = next(number for number, line in enumerate(lines) if f" {function}(" in line or f"*{function}(" in line)
    numbers = [number for number, line in enumerate(lines, 1) if number > begin and text in line]
    return f"{function}() at {PLANTS.relative_to(ROOT)}:{numbers[1 if after else 0]}"


def paragraph(text: str, kind: str) -> str:
    """The finding and its indented lines."""
    found = re.findall(rf"^heap: {kind}: .*\n(?:  .*\n)*", text, re.MULTILINE)
    assert len(found) == 1, text
    return found[0]


def dump(said: str) -> dict[int, int]:
    """The bytes that a paragraph shows, by address."""
    rows = re.findall(r"^      0x([0-9a-f]{8}):(.*)$", said, re.MULTILINE)
    cells = {int(address, 16) + i // 3: row[i : i + 3].strip() for address, row in rows for i in range(0, len(row), 3)}
    return {address: int(cell, 16) for address, cell in cells.items() if cell}


def test_an_overflow_in_words(planted_at_boot):
    said = paragraph(planted_at_boot("plant=overflow"), "overflow")
    address = int(re.search(r"object 0x([0-9a-f]{8}), 30 bytes, cache \"kmalloc 32\"", said)[1], 16)
    assert "  byte 30 is damaged: 1 behind the object's last\n" in said
    assert f"  allocated in {at('plant_overflow', 'must_allocate')}\n" in said
    assert f"  found in {at('plant_overflow', 'kfree')}\n" in said
    dumped = dump(said)
    assert dumped[address + 30] == 0x41 and dumped[address + 29] == 0x41 and dumped[address + 31] not in (0x41, 0x6B)
    assert "freed in" not in said


def test_an_underflow_in_words(planted_at_boot):
    said = paragraph(planted_at_boot("plant=underflow"), "underflow")
    address = int(re.search(r"object 0x([0-9a-f]{8})", said)[1], 16)
    assert "  byte -1 is damaged: 1 before the object's first\n" in said and dump(said)[address - 1] == 0x41
    assert f"  allocated in {at('plant_underflow', 'must_allocate')}\n" in said


def test_a_use_after_free_in_words(planted_at_boot):
    said = paragraph(planted_at_boot("plant=use-after-free"), "use after free")
    assert "64 bytes, cache \"kmalloc 64\"\n  byte 4 of it was written after it was freed\n" in said
    assert f"  allocated in {at('plant_use_after_free', 'must_allocate')}\n" in said
    assert f"  freed in {at('plant_use_after_free', 'kfree')}\n" in said
    assert "found in" not in said, "a sweep found it"


def test_a_double_free_in_words(planted_at_boot):
    said = paragraph(planted_at_boot("plant=double-free"), "double free")
    assert f"  allocated in {at('plant_double_free', 'must_allocate')}\n" in said
    assert f"  freed in {at('plant_double_free', 'kfree')}\n" in said
    assert f"  found in {at('plant_double_free', 'kfree', 'the first')}\n" in said


def test_a_foreign_free_in_words(planted_at_boot):
    said = paragraph(planted_at_boot("plant=foreign-free"), "foreign free")
    assert "it lies in cache \"kmalloc 64\"\n" in said
    assert f"  allocated in {at('plant_foreign_free', 'must_allocate')}\n" in said
    assert f"  found in {at('plant_foreign_free', 'kfree')}\n" in said


def test_a_planted_leak_is_named_by_function_and_line(planted_at_boot):
    said = planted_at_boot("plant=leak")
    assert f"    1200 bytes in    12 objects  {at('plant_leak', 'must_allocate')}" in said.splitlines()


def test_a_finding_stops_the_kernel_if_that_is_wished(planted_at_boot):
    said = planted_at_boot("panic_on_finding plant=overflow", "*** the kernel has stopped\n")
    assert "*** kernel panic: the heap has a finding, and the command line says panic_on_finding" in said
    assert paragraph(said, "overflow")
    assert "plant_overflow" in said.partition("backtrace")[2], "the backtrace leads to the culprit"


def test_a_panic_on_finding_needs_a_finding(boot):
    script = Script()
    script.add("heapk.churn 5 500 5000")
    finished(boot, script, options="panic_on_finding")
    script.add("heapk.kfree 0x1234")
    assert boot(script, options="panic_on_finding").to_panic().startswith("the heap has a finding")


# --- without CONFIG_MEMORY_DEBUGGING ------------------------------------------------------------------------------------------


def test_without_debugging_nothing_is_known_and_wrong_frees_are_refused_all_the_same(boot):
    script = Script()
    unknown = [script.add("leak.remember"), script.add("leak.report"), script.add("leak.find report"), script.add("leak.find collect")]
    block = script.add("heapk.kmalloc 30")
    script.add(f"heapk.write ${block}+30 65")
    wrong = [script.add(f"heapk.kfree {address}") for address in (f"${block}+8", "0x1000", "0xb8000", "0x20000000", "0xc0000000", "0xfffffff8")]
    right = script.add(f"heapk.kfree ${block}")
    wrong.append(script.add(f"heapk.kfree ${block}"))
    check, findings = script.add("heapk.check"), script.add("heapk.findings")
    run = finished(boot, script, profile=UNGUARDED)
    assert [run.error(op) for op in unknown] == ["Unsupported"] * 4
    assert run.error(right) == "" and [run.error(op) for op in wrong] == ["NotAllocated"] * 7
    assert (run.value(check), run.value(findings)) == (0, 0)


# --- the monitor --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    console = Console(built("default"))
    try:
        console.until(PROMPT)
        yield console
    finally:
        console.close()


def test_the_monitor_allocates_resizes_and_frees(console):
    first = re.match(r"(0x[0-9a-f]{8}), 100 bytes\n$", console.run("kmalloc 100"))[1]
    assert re.search(r"kmalloc 112 +112 +1 ", console.run("slabinfo"))
    second = re.match(r"(0x[0-9a-f]{8}), 100000 bytes\n$", console.run(f"krealloc {first} 100000"))[1]
    assert re.search(r"kmalloc large +0 +1 ", console.run("slabinfo"))
    assert console.run(f"kfree {second}") == ""
    assert "heap: double free: object" in (said := console.run(f"kfree {first}")) and said.endswith("kfree: NotAllocated\n")
    assert console.run("kmalloc 0").startswith("kmalloc: InvalidArgument\nusage: kmalloc BYTES [ALIGNMENT]\n")
    assert int(re.match(r"(0x[0-9a-f]{8})", console.run("kmalloc 10 4096"))[1], 16) % 4096 == 0
    assert re.search(r"heap: 1 objects in \d+ KiB of frames, \d+ caches; 1 findings\n", console.run("meminfo"))


def test_the_monitor_spoils_and_finds(console):
    address = re.match(r"(0x[0-9a-f]{8})", console.run("kmalloc 20"))[1]
    assert console.run("heap check").startswith("0 findings")
    console.run(f"heap spoil {address} -1")
    console.run(f"heap spoil {address} 20")
    said = console.run("heap check")
    assert paragraph(said, "underflow") and paragraph(said, "overflow") and "2 findings" in said
    assert console.run("heap check").startswith("0 findings"), "the same damage is found once"
    assert "  allocated in allocate() at kernel/monitor/heap_commands.cpp:" in said


def test_the_monitor_plants_a_leak_and_collects_it(console):
    console.run("leaks remember")
    assert "plant leak" in console.run("plant") and "plant overflow" in console.run("plant nothing")
    assert "1200 bytes in    12 objects  plant_leak()" in console.run("plant leak")
    assert len([line for line in unreachable(console.run("leaks unreachable")) if line.place.startswith("plant_leak()")]) == 12
    console.run("leaks collect")
    assert "plant_leak" not in console.run("leaks")
    assert re.search(r"\d+ frames given back\n", console.run("heap shrink"))
