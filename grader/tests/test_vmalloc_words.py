"""What the kernel says about vmalloc's memory: in page faults, which name the area that was missed, and in its report."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from scripted import Boots, Script, boots

PAGE, FIRST = 4096, 0xC000_1000


@pytest.fixture(scope="module")
def boot(tmp_path_factory) -> Iterator[Boots]:
    yield from boots(tmp_path_factory.mktemp("words"))


CALLER = r"of allocate\(\) at grader/guest/vmalloc_verbs\.cpp:\d+$"


@pytest.mark.parametrize("lines, offset, sentence", [
    ([], -PAGE, r"guard page before the first vmalloc area$"),
    ([], 3 * PAGE, rf"guard page behind the vmalloc area of 3 pages {CALLER}"),
    (["vmalloc.free $1"], 3 * PAGE + 4095, rf"guard page behind the freed vmalloc area of 3 pages {CALLER}"),
    (["vmalloc.free $1", "vmalloc.purge"], 5000, rf"use after free of the vmalloc area of 3 pages {CALLER}"),
    (["vmalloc.free $1", "vmalloc.purge"], 4 * PAGE, r"no vmalloc area is there$"),
    (["mmio.map 0xB8000 4000 uncached"], 0x1FFF_F000, r"no device memory is mapped there$"),
])
def test_a_page_fault_says_whose_page_was_missed(boot, lines, offset, sentence):
    script = Script()
    script.add("vmalloc.allocate 12000")
    for line in lines:
        script.add(line)
    script.add(f"vmalloc.touch $1{offset:+}")
    run = boot(script)
    said = run.to_panic()
    address = FIRST + offset
    assert re.match(rf"write to {address:#010x}: {sentence}", said), said


def test_without_debugging_a_page_fault_names_no_caller(boot):
    script = Script()
    script.add("vmalloc.allocate 12000")
    script.add("vmalloc.touch $1+12288")
    said = boot(script, profile="no-memory-debugging").to_panic()
    assert said == "write to 0xc0004000: guard page behind the vmalloc area of 3 pages"


@pytest.mark.parametrize("profile", ["grading", "no-memory-debugging"])
def test_the_report_lists_areas_by_address_with_state_and_caller(boot, profile):
    script = Script()
    first = script.add("vmalloc.allocate 5000")
    script.add("vmalloc.allocate 4096")
    script.add("mmio.map 0xB8004 8 write-through")
    script.add(f"vmalloc.free ${first}")
    script.add("vmalloc.report")
    run = boot(script, profile=profile)
    run.to_end()
    caller = r"  allocate\(\) at grader/guest/vmalloc_verbs\.cpp:\d+" if profile == "grading" else " *"
    assert re.search(rf"vmalloc areas\n  0xc0001000      2 pages       8192 bytes  freed *{caller}\n"
                     rf"  0xc0004000      1 pages       4096 bytes  in use{caller}\n"
                     r"device memory\n  0xe0001004      1 pages       4096 bytes  device memory at 0x000b8004, write-through\n"
                     r"vmalloc: 1 areas, 4 KiB in use; freed, but not yet unmapped: 1 areas, 8 KiB\n", run.text()), run.text()
