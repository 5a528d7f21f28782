#!/usr/bin/python3
"""`make torture`: the tests of programs, on machines that take a page out of memory for every N-th frame that is allocated (emulator/torture.py).

What a program sees must be what it always is. Left out are the tests whose business is where pages are: that a page is present, in which
frame, how many frames are in use, and what happens when there is no swap area to go to.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from emulator import torture  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
_TESTS = ("test_programs", "test_processes", "test_signals", "test_isolation", "test_copy_on_write", "test_hostile_elf", "test_system_calls",
          "test_system_calls_memory", "test_system_calls_pointers", "test_system_calls_files", "test_shell", "test_reclaim_programs")
_LEFT_OUT = {
    "test_zombies_keep_their_record_and_nothing_else": "counts frames",
    "test_a_fork_bomb_ends_in_an_error_and_leaves_nothing": "has room for more processes with a swap area",
    "test_the_look_from_outside_would_see_a_trespass": "plants a lie about a page that must be there",
    "test_user_code_reaches_its_own_frames_and_shared_ones_only": "counts pages that are there",
    "test_what_was_promised_and_is_not_there_ends_who_touches_it": "goes on with a swap area",
    "test_processes_are_shown_in_order": "knows no reclaimer",
    "test_memory_info_counts_what_is_mapped": "counts frames",
    "test_without_memory_there_is_no_child_and_no_program": "has memory with a swap area",
}
_LABS = {
    "05-spaces": "program and not fixed",
    "06-faults": "program and not (deaths or memory or files or together or random)",
    "07-cow": "program and (kernel_writes or no_memory)",
}


def run(command: list[str], environment: dict[str, str]) -> bool:
    print("  " + " ".join(command), flush=True)
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__.partition("\n")[0])
    parser.add_argument("n", type=int, nargs="?", default=1, metavar="N", help="frames between two pages that leave (1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    environment = {**os.environ, torture.VARIABLE: str(options.n)}
    left_out = " or ".join(_LEFT_OUT)
    tests = [f"grader/tests/{name}.py" for name in _TESTS]
    passed = [run([sys.executable, "-m", "pytest", "-q", "-n", str(options.jobs), "-k", f"not ({left_out})", *tests], environment)]
    passed += [run(["grader/faultline", "grade", lab, "--submission", "solutions", "--jobs", str(options.jobs), "-k", tests], environment)
               for lab, tests in _LABS.items()]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
