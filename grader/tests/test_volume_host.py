"""The FAT code on this computer: thousands of spoilt volumes under sanitizers, and the power that fails between two sectors."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from emulator.disk import build_program_disk
from profiles import ROOT, make

SOURCES = [*sorted((ROOT / "kernel/fs").glob("fat_*.cpp")), ROOT / "kernel/fs/volume.cpp", ROOT / "grader/tests/volume_host.cpp"]
FLAGS = ["-std=c++20", "-O1", "-g", "-fno-strict-aliasing", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wall", "-Wextra",
         f"-I{ROOT / 'kernel'}", f"-I{ROOT / 'build/grading/generated'}"]
MIB = 1 << 20
# What fsck.fat may find after a stop: clusters that are nobody's, and more of them than a file's size needs.
HARMLESS = ("Reclaimed", "Reclaiming unconnected clusters", "cluster chain length", "Truncating file", "and was truncated", "FATs differ",
            "Using first FAT", "Orphaned long file name", "Auto-deleting", "Leaving filesystem unchanged", "Leaving them unchanged")


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    configured = make("PROFILE=grading", "build/grading/generated/config.h")
    assert configured.returncode == 0, configured.stderr
    path = tmp_path_factory.mktemp("volume-host") / "volume_host"
    subprocess.run(["g++", *FLAGS, "-o", str(path), *map(str, SOURCES)], check=True)
    return path


@pytest.fixture(scope="module")
def partition(tmp_path_factory) -> Path:
    """A partition with files and folders on it."""
    folder = tmp_path_factory.mktemp("partition")
    files = {"a": b"1" * 3000, "b.txt": b"2", "long.ext": b"", "a long name": b"3" * 1500, "two/x": b"4" * 700}
    build_program_disk(folder / "disk.img", files | {f"bin/f{i:02}": b"5" * 100 * i for i in range(40)}, megabytes=3)
    path = folder / "partition.img"
    path.write_bytes((folder / "disk.img").read_bytes()[MIB:])
    return path


@pytest.mark.parametrize("seed", [1, 100_000])
def test_no_spoilt_volume_leads_outside_it_or_into_a_loop(program, partition, seed):
    rounds = 1500
    done = subprocess.run([program, "fuzz", partition, str(seed), str(rounds)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert rounds // 4 < int(done.stdout) < rounds, "some are refused at once, some are used"


@pytest.mark.parametrize("seed", [3, 4])
def test_a_stop_between_any_two_sectors_loses_at_most_clusters(program, partition, tmp_path, seed):
    """No cluster in two files, no file shorter than its size says: fsck.fat finds nothing but clusters too many."""
    for writes in [*range(0, 40), *range(40, 2000, 61)]:
        stopped = tmp_path / "stopped.img"
        done = subprocess.run([program, "stop", partition, str(seed), str(writes), stopped], capture_output=True, text=True)
        assert done.returncode == 0 and stopped.exists(), done.stderr[-3000:]
        said = subprocess.run(["/usr/sbin/fsck.fat", "-n", str(stopped)], capture_output=True, text=True).stdout
        problems = [line for line in said.splitlines()[1:-1] if line.strip() and not any(word in line for word in HARMLESS)]
        assert not [line for line in problems if not line.startswith("/")], f"after {writes} writes: {said}"
        stopped.unlink()
