"""Objects that nobody has freed: leaks by call site, and the search for objects that nothing leads to."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from heap_reports import unreachable
from profiles import ROOT, built
from scripted import Boots, Run, Script, boots

LEAKS = ROOT / "grader/guest/heap_leak_verbs.cpp"
PROFILES = ["grading", "no-memory-debugging"]
NODE = 20  # bytes of a planted node


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("leaks"))


def place(name: str) -> str:
    """function() at file:line of what the verbs plant: `// at:NAME` marks the line."""
    function = name.removesuffix("_rest")
    found = [number for number, line in enumerate(LEAKS.read_text().splitlines(), 1) if line.endswith(f"// at:{name}")]
    assert len(found) == 1
    return f"{function}() at {LEAKS.relative_to(ROOT)}:{found[0]}"


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
    run = boot.finished(script)
    assert run.value(nothing) == 0
    expected = [(49 * NODE, 49, "plant_cycle_rest"), (128, 1, "plant_table"), (2 * 40, 2, "plant_table_rest"), (3 * NODE, 3, "plant_chain"),
                (NODE, 1, "plant_cycle")]
    lines = [line for line in run.text().splitlines() if " bytes in " in line]
    assert lines == [f"{bytes:8} bytes in {objects:5} objects  {place(name)}" for bytes, objects, name in expected]
    assert run.value(some) == 56
    assert run.value(after) == 0, "what was collected is no leak any more"


# --- unreachable objects ------------------------------------------------------------------------------------------------------


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
    run = boot.finished(script)
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
    run = boot.finished(script)
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
    run = boot.finished(script)
    count = int(what.split()[1]) + (what.startswith("table"))
    assert (run.value(held), run.value(dropped)) == ((0, count) if reached else (count, 0))


@pytest.mark.parametrize("where", ["stack", "register"])
def test_the_stack_and_the_registers_keep_objects(boot, where):
    script = Script()
    held = script.add(f"leak.{where} chain 30")
    after = script.add("leak.find report")
    run = boot.finished(script)
    assert (run.value(held), run.value(after)) == (0, 30)


def test_a_long_chain_needs_no_deep_stack(boot):
    script = Script()
    for _ in range(2):
        script.add("leak.forget chain 250")
    script.add("leak.root chain 10 0")
    found = script.add("leak.find collect")
    run = boot.finished(script)
    assert run.value(found) == 500


def test_without_memory_for_the_list_nothing_is_said_or_freed(boot):
    script = Script()
    script.add("leak.forget chain 400")
    script.add("heapk.fail_after 0")
    failed = script.add("leak.find collect")
    script.add("heapk.fail_never")
    found = script.add("leak.find report")
    run = boot.finished(script)
    assert run.error(failed) == "OutOfMemory"
    assert run.value(found) == 400


def test_a_finding_about_an_object_does_not_keep_it(boot):
    script = Script()
    block = script.add("heapk.kmalloc 30")
    script.add(f"heapk.write ${block}+30 65")
    check = script.add("heapk.check")
    found = script.add("leak.find report")
    run = boot.finished(script)
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
