#!/usr/bin/python3
"""Write the tree that students get: everything but the reference solutions and the corpus of graded submissions.

Usage: student_tree.py FOLDER

The reference pieces come along as objects in grader/prebuilt/PROFILE/, for each profile that submissions are judged with, so that
a student can start with any lab: what is not written yet is linked from there. Run through `make student-tree FOLDER=folder`,
which builds the objects first.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "build"
PROFILES = ("grading", "no-memory-debugging")  # as kernel.mk's GRADED_PROFILES
LEFT_OUT = ("solutions/", "grader/corpus/", "grader/tests/", ".ci/")


def tracked_files() -> list[str]:
    """Every file of the checkout that git knows, so that nothing private slips out with it."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def write_tree(folder: Path) -> int:
    """Fill `folder`, which must be empty or absent; return the number of files."""
    files = [name for name in tracked_files() if not name.startswith(LEFT_OUT)]
    for name in files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    count = 0
    for profile in PROFILES:
        for piece in reference_objects(profile):
            target = folder / "grader" / "prebuilt" / profile / piece.parent.name / piece.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(piece, target)
            count += 1
    return len(files) + count


def reference_objects(profile: str) -> list[Path]:
    """The reference's pieces, as `make grading-kernel` left them."""
    return sorted((BUILT / profile / "reference").glob("*/*.o"))


def main() -> int:
    if len(sys.argv) != 2 or not sys.argv[1]:
        print(__doc__, file=sys.stderr)
        return 3
    folder = Path(sys.argv[1])
    if folder.exists() and any(folder.iterdir()):
        print(f"student_tree.py: {folder} is not empty; name a new folder, so that nothing is overwritten", file=sys.stderr)
        return 3
    if not all(map(reference_objects, PROFILES)):
        print("student_tree.py: there are no reference objects; run it through `make student-tree FOLDER=folder`", file=sys.stderr)
        return 4
    print(f"{write_tree(folder)} files in {folder}: a student's tree, without solutions/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
