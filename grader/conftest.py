"""For all tests of the grader: the modules below grader/ are found, whatever the current folder is, Ctrl-C can be tested, and what takes
long is begun early."""

import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

# A shell starts its background jobs with SIGINT ignored, and every child inherits that: Ctrl-C could then reach nothing that a
# test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# pytest-xdist hands every process a row of tests at the start, a quarter of its share, and what is left bit by bit. So the slow ones are
# dealt out among the first rows: one of them late would leave the other processes without work.
_SLOW = ("test_corpus.py", "test_unit.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    row = len(items) // (4 * processes)
    slow = [item for item in items if item.path.name in _SLOW]
    quick = [item for item in items if item.path.name not in _SLOW]
    items.clear()
    for process in range(processes):
        share = slow[process::processes]
        fill = max(row - len(share), 0)
        items += share + quick[:fill]
        del quick[:fill]
    items += quick
