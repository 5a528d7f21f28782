"""Finding a submission's files: in a student's tree, in a folder of NN-name/ folders, or in a case of the corpus.

Files are read once, and what was read is what is checked, compiled and hashed.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from judge import paths
from judge.lab import Lab

MAX_BYTES = 1 << 20  # of one source file; the reference pieces have some 10,000


@dataclass(frozen=True)
class Refusal:
    """One reason why a submission is not graded: where, what, and how to cure it."""

    file: str
    line: int  # 0: the whole file
    what: str
    cure: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.what}\n    {self.cure}"


class Refused(Exception):
    """The submission is not graded (exit status 2); all the reasons at once."""

    def __init__(self, refusals: list[Refusal]) -> None:
        super().__init__("\n".join(str(refusal) for refusal in refusals))
        self.refusals = refusals


@dataclass(frozen=True)
class SourceFile:
    """One file of a piece."""

    name: str  # "page_table.cpp"
    path: Path  # where it came from
    shown: str  # the same, as messages show it
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Submission:
    """The pieces of one lab, as handed in."""

    lab: Lab
    folder: Path
    files: tuple[SourceFile, ...]


def find_submission(lab: Lab, folder: Path) -> Submission:
    """The files of `lab` below `folder`; Refused when one is missing or is no source text."""
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise Refused([Refusal(paths.shown(folder), 0, f"the submission {what}",
                               f"name a folder that holds {lab.name}/, or a tree that holds labs/{lab.name}/")])
    is_case = (folder / "verdict.toml").is_file()
    place = folder / lab.name if is_case else piece_folder(lab, folder)
    if place is None:
        raise Refused([Refusal(paths.shown(folder), 0, f"no folder {lab.name}/ in the submission",
                               f"put {', '.join(lab.files)} into {paths.shown(folder / lab.name)}/")])
    files, refusals = [], []
    for name in lab.files:
        try:
            files.append(_read(lab, name, place, is_case))
        except Refused as refused:
            refusals += refused.refusals
    if refusals:
        raise Refused(refusals)
    return Submission(lab, folder, tuple(files))


def piece_folder(lab: Lab, folder: Path) -> Path | None:
    """NN-name/ in the folder, labs/NN-name/ in a tree, or the folder itself."""
    for candidate in (folder / lab.name, folder / "labs" / lab.name):
        if candidate.is_dir():
            return candidate
    if any((folder / name).is_file() for name in lab.files):
        return folder
    return None


def _read(lab: Lab, name: str, place: Path, is_case: bool) -> SourceFile:
    path = place / name
    patch = place / f"{name}.patch"
    if not os.path.lexists(path) and is_case:
        return _patched(lab, name, patch if patch.exists() else None)
    return SourceFile(name, path, paths.shown(path), read_source(path, lab))


def read_source(path: Path, lab: Lab) -> str:
    """The text of a source file. Symbolic links, devices, huge and binary files are refused before they are read."""
    shown = paths.shown(path)

    def refuse(what: str, cure: str) -> Refused:
        return Refused([Refusal(shown, 0, what, cure)])

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        stub = paths.shown(lab.folder / path.name)
        raise refuse("the file is missing", f"lab {lab.name} asks for {' and '.join(lab.files)}; start from the stub, {stub}") from None
    except OSError as error:
        if path.is_symlink():
            raise refuse("this is a symbolic link", "hand in the file itself") from None
        raise refuse(f"cannot be read: {error.strerror}", "make it readable for the grader") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise refuse("this is no plain file", "hand in a file of source text")
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise refuse(f"larger than {MAX_BYTES >> 10} KiB", "hand in source text; the reference has some 10 KiB")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused([Refusal(shown, line, "not UTF-8 text", "save the file as UTF-8, or remove the bytes that are no text")]) from None
    for bad in ("\0", "\x1b"):
        if bad in text:
            line = text.count("\n", 0, text.index(bad)) + 1
            raise Refused([Refusal(shown, line, f"holds a byte {ord(bad):#04x}: this is binary, not source text", "hand in the .cpp file")])
    return text


def _patched(lab: Lab, name: str, patch: Path | None) -> SourceFile:
    """A file of a corpus case: the reference with a patch, or the reference as it is (a case may bring nothing at all)."""
    original = paths.SOLUTIONS / lab.name / name
    if patch is None:
        return SourceFile(name, original, paths.shown(original), read_source(original, lab))
    with tempfile.TemporaryDirectory(prefix="faultline-") as temporary:
        target = Path(temporary) / name
        target.write_text(original.read_text("utf-8"), "utf-8")
        done = subprocess.run(["patch", "--batch", "--silent", "--no-backup-if-mismatch", "-o", str(target) + ".new", str(target), str(patch)],
                              capture_output=True, text=True)
        if done.returncode:
            raise Refused([Refusal(paths.shown(patch), 0, f"the patch does not apply: {(done.stdout + done.stderr).strip()}",
                                   f"make it anew against {paths.shown(original)}")])
        text = Path(str(target) + ".new").read_text("utf-8")
    return SourceFile(name, patch, paths.shown(patch.with_suffix("")), text)  # lines are those of the patched file
