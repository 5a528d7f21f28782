"""For all tests of the grader: the modules below grader/ are found, whatever the current folder is, Ctrl-C can be tested, and what takes
long is begun early."""

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

# A shell starts its background jobs with SIGINT ignored, and every child inherits that: Ctrl-C could then reach nothing that a
# test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests are handed to the processes in pieces, and a piece of slow ones at the end would leave the other processes without work.
_SLOW = ("test_corpus.py", "test_unit.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in _SLOW)
