"""For all tests of the grader: the modules below grader/ are found, whatever the current folder is, and Ctrl-C can be tested."""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

# A shell starts its background jobs with SIGINT ignored, and every child inherits that: Ctrl-C could then reach nothing that a
# test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
