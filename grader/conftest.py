"""For all tests of the grader: the modules below grader/ are found, whatever the current folder is."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
