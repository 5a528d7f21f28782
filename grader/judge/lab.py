"""A lab's description: `labs/NN-name/lab.toml`, read strictly, so that a slip in it is named with file and line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge import paths


# What a test's kernel may be built with (kernel/configs/*.config). kernel.mk's GRADED_PROFILES names the same.
PROFILES = ("grading", "no-memory-debugging")


class LabError(Exception):
    """A lab that does not exist, or whose description is broken. The message holds the cure."""


@dataclass(frozen=True)
class Test:
    """One [[test]] table."""

    id: str
    title: str
    points: float
    needs: tuple[str, ...]
    handout: str  # anchor in the lab's README.md, such as "#allocate"
    rests_on: str  # the sentence of handout or contract that the test rests on
    hints: tuple[str, ...]
    ticks: int  # budget of one boot
    profile: str = PROFILES[0]  # options of the kernel that it boots

    __test__ = False  # not a test of pytest's

    @property
    def function(self) -> str:
        """The pytest function: "frames.unique" is test_unique."""
        return "test_" + self.id.partition(".")[2]


@dataclass(frozen=True)
class Lab:
    """One lab."""

    name: str  # folder name, such as "01-frames"
    folder: Path
    title: str
    fixture: str
    files: tuple[str, ...]
    contracts: tuple[str, ...]
    includes: tuple[str, ...]
    symbols: tuple[str, ...]
    defines: tuple[str, ...]
    tests: tuple[Test, ...]

    @property
    def max_points(self) -> float:
        return sum(test.points for test in self.tests)

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles that a submission is built with: the graded one, and what else its tests ask for."""
        return tuple(profile for profile in PROFILES if profile == PROFILES[0] or profile in {test.profile for test in self.tests})

    @property
    def test_files(self) -> tuple[Path, ...]:
        """grader/labs/test_01_frames.py, and those beside it that take up one subject each, such as test_01_frames_map.py."""
        stem = "test_" + self.name.replace("-", "_")
        folder = paths.GRADER / "labs"
        return (folder / f"{stem}.py", *sorted(folder.glob(f"{stem}_*.py")))

    @property
    def handout(self) -> Path:
        return self.folder / "README.md"

    def test(self, name: str) -> Test:
        """The test with this id; its part behind the dot is enough."""
        for test in self.tests:
            if name in (test.id, test.function, test.id.partition(".")[2]):
                return test
        raise LabError(f"lab {self.name} has no test {name!r}{nearest(name, [test.id for test in self.tests])}")


def nearest(name: str, choices: list[str]) -> str:
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    if not near:
        parts = {part: choice for choice in choices for part in re.split(r"[-.]", choice)}
        near = [parts[part] for part in difflib.get_close_matches(name, list(parts), n=1, cutoff=0.5)]
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are: {', '.join(choices)}" if choices else ""


def lab_names(labs: Path | None = None) -> list[str]:
    """The labs that this tree holds, in order."""
    return sorted(path.parent.name for path in (labs or paths.LABS).glob("*/lab.toml"))


def find_lab(name: str, labs: Path | None = None) -> Lab:
    """The lab called `name`: "01-frames", or just "01" or "frames"."""
    labs = labs or paths.LABS
    names = lab_names(labs)
    short = name.strip("/")
    for full in names:
        number, _, rest = full.partition("-")
        if short in (full, number, rest, number.lstrip("0")):
            return load_lab(labs / full)
    same_number = [full for full in names if full.partition("-")[0] == short.partition("-")[0]]
    raise LabError(f"there is no lab {name!r}{nearest(short, same_number or names)}")


def all_labs() -> list[Lab]:
    return [load_lab(paths.LABS / name) for name in lab_names()]


def profiles_of(labs: Sequence[Lab]) -> tuple[str, ...]:
    """The profiles that submissions of these labs are built with."""
    return tuple(profile for profile in PROFILES if any(profile in lab.profiles for lab in labs))


def load_lab(folder: Path) -> Lab:
    """Reads folder/lab.toml and refuses what is missing, misspelt or of the wrong type."""
    return _Loader(folder).load()


_LAB_KEYS = {"title": str, "fixture": str, "files": list, "contracts": list, "includes": list, "symbols": list,
             "defines": list, "test": list}
_TEST_KEYS = {"id": str, "title": str, "points": (int, float), "needs": list, "handout": str, "rests_on": str,
              "hints": list, "ticks": int, "profile": str}
_NEEDED = {"id", "title", "points", "handout", "rests_on", "ticks"}
_TYPE_NAMES = {str: "a text in quotes", list: "a list", int: "a whole number", (int, float): "a number"}


class _Loader:
    """Reads one lab.toml; holds the file's text to find the line of a mistake."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "lab.toml"
        self.lines: list[str] = []
        self.table_lines: list[int] = []  # of every [[test]]

    def load(self) -> Lab:
        try:
            text = self.file.read_text("utf-8")
            self.lines = text.splitlines()
            self.table_lines = [number for number, line in enumerate(self.lines, 1) if re.match(r"\s*\[\[\s*test\s*\]\]", line)]
            data = tomllib.loads(text)
        except FileNotFoundError:
            raise LabError(f"{paths.shown(self.file)} is missing: every lab has one; restore it from the kit") from None
        except UnicodeDecodeError as error:
            raise LabError(f"{paths.shown(self.file)} is not UTF-8 text ({error.reason} at byte {error.start})") from None
        except tomllib.TOMLDecodeError as error:
            self.broken_toml(error)
        self.check_keys(data, _LAB_KEYS, set(_LAB_KEYS), "the lab", 0)
        for key in ("files", "contracts", "includes", "symbols", "defines"):
            self.check_texts(data[key], key, self.line_of(key))
        tests = tuple(self.test(index, table) for index, table in enumerate(data["test"]))
        self.check_tests(data, tests)
        for key in ("files", "contracts", "includes", "symbols", "defines"):
            data[key] = tuple(data[key])
        del data["test"]
        return Lab(name=self.folder.name, folder=self.folder, tests=tests, **data)

    def broken_toml(self, error: tomllib.TOMLDecodeError) -> None:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line = int(found[1]) if found else len(self.lines)
        what = re.sub(r"\s*\(at .*\)$", "", str(error))
        shown = f": {self.lines[line - 1].strip()}" if 0 < line <= len(self.lines) else ""
        self.refuse(line, f"not valid TOML{shown}\n  {what}; texts stand in double quotes, lists in [brackets]")

    def refuse(self, line: int, what: str) -> None:
        raise LabError(f"{paths.shown(self.file)}:{max(line, 1)}: {what}") from None

    def table_line(self, index: int) -> int:
        """The line of the index-th [[test]]."""
        return self.table_lines[index] if index < len(self.table_lines) else 1

    def line_of(self, key: str, after: int = 0) -> int:
        """The first line at or behind `after` that sets `key`."""
        for number, line in enumerate(self.lines[max(after - 1, 0):], max(after, 1)):
            if re.match(rf'\s*"?{re.escape(key)}"?\s*=', line):
                return number
        return after or 1

    def check_keys(self, table: Any, keys: dict[str, Any], needed: set[str], owner: str, line: int) -> None:
        if not isinstance(table, dict):
            self.refuse(line, f"{owner} is not a table; write [[test]]")
        for key in table:
            if key not in keys:
                self.refuse(self.line_of(key, line), f"unknown key {key!r}{nearest(key, list(keys))}")
        for key in sorted(needed - table.keys()):
            self.refuse(line, f"{owner} has no {key!r}; add: {key} = ...")
        for key, value in table.items():
            if not isinstance(value, keys[key]) or isinstance(value, bool):
                self.refuse(self.line_of(key, line), f"{key!r} must be {_TYPE_NAMES[keys[key]]}, not {value!r}")

    def check_texts(self, values: list[Any], key: str, line: int) -> None:
        for value in values:
            if not isinstance(value, str) or not value:
                self.refuse(line, f"{key!r} must hold texts in quotes, not {value!r}")

    def test(self, index: int, table: Any) -> Test:
        line = self.table_line(index)
        self.check_keys(table, _TEST_KEYS, _NEEDED, f"test {index + 1}", line)
        for key in ("needs", "hints"):
            self.check_texts(table.get(key, []), key, self.line_of(key, line))
        if table["points"] <= 0:
            self.refuse(self.line_of("points", line), f"'points' must be above 0, not {table['points']}")
        if table["ticks"] < 100_000:
            self.refuse(self.line_of("ticks", line), f"a budget of {table['ticks']} ticks is too small to boot")
        if table.get("profile", PROFILES[0]) not in PROFILES:
            self.refuse(self.line_of("profile", line), f"unknown profile {table['profile']!r}{nearest(table['profile'], list(PROFILES))}")
        return Test(**{**table, "needs": tuple(table.get("needs", ())), "hints": tuple(table.get("hints", ()))})

    def check_tests(self, data: dict[str, Any], tests: tuple[Test, ...]) -> None:
        fixture = data["fixture"]
        if not fixture.isidentifier():
            self.refuse(self.line_of("fixture"), f"'fixture' must be a Python name, not {fixture!r}")
        if not data["files"]:
            self.refuse(self.line_of("files"), "'files' is empty: a lab asks for at least one file")
        for name in data["files"]:
            if "/" in name or not name.endswith(".cpp"):
                self.refuse(self.line_of("files"), f"{name!r} in 'files' must be the plain name of a .cpp file")
        anchors = self.anchors()
        seen: set[str] = set()
        for index, test in enumerate(tests):
            line = self.table_line(index)
            if not re.fullmatch(rf"{fixture}\.[a-z0-9_]+", test.id):
                self.refuse(self.line_of("id", line), f"test id {test.id!r} must be {fixture}. and a name in lower case")
            if test.id in seen:
                self.refuse(self.line_of("id", line), f"test id {test.id!r} is used twice")
            for need in test.needs:
                if need not in seen:
                    self.refuse(self.line_of("needs", line),
                                f"{need!r} in 'needs' is no test that stands above{nearest(need, sorted(seen))}")
            seen.add(test.id)
            if anchors is not None and test.handout not in anchors:
                self.refuse(self.line_of("handout", line), f"README.md has no heading for {test.handout!r}"
                                                           f"{nearest(test.handout, sorted(anchors))}")

    def anchors(self) -> set[str] | None:
        """The handout's anchors, as the usual Markdown renderers make them, and {#explicit} ones."""
        try:
            text = (self.folder / "README.md").read_text("utf-8")
        except FileNotFoundError:
            return None
        found = {"#" + name for name in re.findall(r"\{#([\w-]+)\}", text)}
        found |= {"#" + name for name in re.findall(r"<a (?:name|id)=\"([\w-]+)\"", text)}
        for heading in re.findall(r"^#{1,6}\s+(.*?)\s*#*$", text, re.MULTILINE):
            plain = re.sub(r"\s*\{#[\w-]+\}", "", heading).lower()
            found.add("#" + re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
        return found
