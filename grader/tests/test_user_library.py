"""The user library: what its functions return at random, in the kernel's user mode and on this computer under sanitizers."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import user_library
from shell_session import ALL_PROGRAMS, KERNEL, ShellSession
from terminal_screen import Screen

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "kernel/user/lib"
TESTS = ROOT / "grader/tests"
SANITIZED = [
    "-std=c++20", "-g", "-O1", "-fno-builtin", "-fno-omit-frame-pointer", "-Wall", "-Wextra", "-Werror",
    "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{ROOT / 'kernel/user/include'}", f"-I{ROOT / 'kernel'}",
]  # fmt: skip
# These four have C's names: they must not replace the sanitizers' own.
RENAMED = [f"-D{name}=user_{name}" for name in ("memcpy", "memmove", "memset", "memcmp")]


def build(target: Path, parts: list[str], *sources: Path) -> Path:
    files = [LIBRARY / f"{part}.cpp" for part in parts] + [TESTS / "user_library_host.cpp", *sources]
    subprocess.run(["g++", *SANITIZED, *RENAMED, *map(str, files), "-o", str(target)], check=True)
    return target


@pytest.fixture(scope="module")
def host_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """libtest for this computer."""
    target = tmp_path_factory.mktemp("libtest") / "libtest"
    return build(target, ["format", "print", "text", "block_heap", "heap"], ROOT / "grader/programs/libtest.cpp")


@pytest.fixture(scope="module")
def host_editor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A line editor that reads keys from a pipe."""
    target = tmp_path_factory.mktemp("editor") / "editor"
    return build(target, ["format", "print", "text", "line_editor"], TESTS / "line_editor_host.cpp")


def run(program: Path, *arguments: str | int, keys: bytes = b"") -> str:
    done = subprocess.run([str(program), *map(str, arguments)], input=keys, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode()


@pytest.mark.parametrize("seed", [1, 20261, 0xC0FFEE])
def test_printf_prints_what_the_c_library_prints(host_program: Path, seed: int) -> None:
    assert user_library.check_formats(run(host_program, "format", seed, 4000), 64) == 4000


def test_texts_are_what_python_says(host_program: Path) -> None:
    assert user_library.check_texts(run(host_program, "text", 77, 4000)) == 4000


@pytest.mark.parametrize("seed", [3, 0xFEED])
def test_blocks_of_the_heap_never_overlap_and_come_back(host_program: Path, seed: int) -> None:
    text = run(host_program, "heap", seed, 6000)
    assert user_library.check_heap(text) > 6000
    assert re.search(r"^end\|0\|0\|0\|1$", text, re.MULTILINE), "all blocks given back are one block"


@pytest.fixture(scope="module")
def machine() -> Iterator[ShellSession]:
    """The kernel with its shell; QEMU's serial line is faster than Bochs's."""
    if not KERNEL.exists() or not (ALL_PROGRAMS / "libtest").exists():
        subprocess.run(["make", "kernel"], cwd=ROOT, check=True, capture_output=True)
    with ShellSession(emulator="qemu", programs=ALL_PROGRAMS) as session:
        yield session


def test_printf_in_user_mode_prints_what_the_c_library_prints(machine: ShellSession) -> None:
    assert user_library.check_formats(machine.run("libtest format 4711 1500"), 32) == 1500


def test_texts_in_user_mode_are_what_python_says(machine: ShellSession) -> None:
    assert user_library.check_texts(machine.run("libtest text 99 800")) == 800


def test_blocks_in_user_mode_never_overlap_and_come_back(machine: ShellSession) -> None:
    text = machine.run("libtest heap 31337 2500")
    assert user_library.check_heap(text) > 2500
    assert "end|0|0|0|1\n" in text, "all blocks given back are one block"


MISTAKES = {
    "twice": ("char* p = (char*)malloc(100); free(p); free(p);", "free already"),
    "past the end": ("char* p = (char*)malloc(100); p[100] = 1; free(p);", "written past its end"),
    "far past the end": ("char* p = (char*)malloc(96); char* q = (char*)malloc(96); for (int i = 0; i < 20; ++i) p[96 + i] = 1; free(q);",
                         "somebody wrote before its begin"),
    "into a free block": ("char* p = (char*)malloc(100); char* q = (char*)malloc(10); free(p); *(void**)p = q; p = (char*)malloc(100);",
                          "written to|wrote to it after"),
    "inside": ("char* p = (char*)malloc(100); free(p + 16);", "no block of the heap"),
    "not aligned": ("char* p = (char*)malloc(100); free(p + 1);", "no block of the heap"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_heap_names_what_was_done_to_it(tmp_path: Path, mistake: str) -> None:
    code, words = MISTAKES[mistake]
    source = tmp_path / "mistake.cpp"
    source.write_text(f'#include "user/heap.h"\nint main() {{ {code} return 0; }}\n')
    program = tmp_path / "mistake"
    files = [LIBRARY / f"{part}.cpp" for part in ("format", "print", "text", "block_heap", "heap")]
    subprocess.run(["g++", "-std=c++20", "-fno-builtin", f"-I{ROOT / 'kernel/user/include'}", f"-I{ROOT / 'kernel'}", *RENAMED,
                    *map(str, files), str(TESTS / "user_library_host.cpp"), str(source), "-o", str(program)], check=True)  # fmt: skip
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 134 and re.search(words, done.stderr), (done.returncode, done.stderr)


# The line editor. A model in Python says what the line should be after each key, and a screen what the user sees of it.

PROMPT = "prompt> "
WIDTH = 79 - len(PROMPT)
KEYS = {
    "left": b"\x1b[D", "right": b"\x1b[C", "up": b"\x1b[A", "down": b"\x1b[B", "home": b"\x1b[H", "end": b"\x1b[F", "delete": b"\x1b[3~",
    "home 1": b"\x1b[1~", "end 4": b"\x1b[4~", "home O": b"\x1bOH", "end O": b"\x1bOF", "word left": b"\x1b[1;5D", "word right": b"\x1b[1;5C",
    "unknown": b"\x1b[17~", "A": b"\x01", "E": b"\x05", "U": b"\x15", "K": b"\x0b", "W": b"\x17", "L": b"\x0c", "C": b"\x03", "B": b"\x02",
    "F": b"\x06", "P": b"\x10", "N": b"\x0e", "D": b"\x04", "backspace": b"\x7f", "H": b"\x08", "tab": b"\t", "return": b"\r",
}  # fmt: skip
SAME = {"home 1": "home", "home O": "home", "A": "home", "end 4": "end", "end O": "end", "E": "end", "B": "left", "F": "right", "P": "up",
        "N": "down", "H": "backspace"}  # fmt: skip


class Model:
    """What should be on the line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.text, self.cursor, self.back, self.draft = "", 0, 0, ""

    def _set(self, text: str, cursor: int) -> None:
        self.text, self.cursor = text, cursor

    def _word_left(self) -> int:
        return len(re.sub(r"[^ ]*$", "", self.text[: self.cursor].rstrip(" ")))

    def insert(self, text: str) -> None:
        for c in text:
            if len(self.text) < 511:
                self._set(self.text[: self.cursor] + c + self.text[self.cursor :], self.cursor + 1)

    def _recall(self, back: int) -> None:
        if not 0 <= back <= min(len(self.lines), 32):
            return
        if self.back == 0:
            self.draft = self.text
        self.back = back
        text = self.lines[-back] if back else self.draft
        self._set(text, len(text))

    def key(self, name: str) -> None:
        text, at = self.text, self.cursor
        match SAME.get(name, name):
            case "left": self.cursor = max(at - 1, 0)
            case "right": self.cursor = min(at + 1, len(text))
            case "home": self.cursor = 0
            case "end": self.cursor = len(text)
            case "word left": self.cursor = self._word_left()
            case "word right": self.cursor = len(text) - len(re.sub(r"^ *[^ ]*", "", text[at:]))
            case "backspace" if at: self._set(text[: at - 1] + text[at:], at - 1)
            case "delete" | "D": self._set(text[:at] + text[at + 1 :], at)
            case "U": self._set(text[at:], 0)
            case "K": self._set(text[:at], at)
            case "W": self._set(text[: self._word_left()] + text[at:], self._word_left())
            case "up": self._recall(self.back + 1)
            case "down": self._recall(self.back - 1)
            case "tab": self.insert("tab")
            case "C" | "return":
                if name == "return" and text and self.lines[-1:] != [text]:
                    self.lines.append(text)
                self.text, self.cursor, self.back = "", 0, 0


def random_keys(randomness: random.Random, count: int) -> list[str]:
    """Names of keys, and single characters: letters twice as often as all else, so that lines grow."""
    names = [name for name in KEYS if name not in ("return", "C", "D", "U", "K", "L")]
    rare = ["return", "U", "K", "L", "C"]
    kinds = randomness.choices(["letter", "key", "rare", "burst"], [60, 30, 4, 2], k=count)
    keys: list[str] = []
    for kind in kinds:
        if kind == "burst":
            keys += randomness.choices("abc  xyz", k=randomness.randrange(150))
        else:
            keys.append(randomness.choice("abcde fgh ~!" if kind == "letter" else names if kind == "key" else rare))
    return keys


def follow(editor: Path, keys: list[str]) -> Screen:
    """Types the keys; after each, line and screen must be the model's."""
    said = run(editor, keys=b"".join(KEYS.get(key, key.encode()) for key in keys)).splitlines()
    screen, model = Screen(), Model()
    screen.write(bytes.fromhex(said.pop(0).removeprefix("show ")).decode())
    for number, key in enumerate(keys):
        finished = key in ("return", "C")
        typed = model.text
        model.key(key) if key in KEYS else model.insert(key)
        for byte in range(len(KEYS.get(key, key))):
            screen.write(bytes.fromhex(said.pop(0).removeprefix("show ")).decode())
            line = said.pop(0)
            if finished:
                screen.write(bytes.fromhex(said.pop(0).removeprefix("show ")).decode())
        case = f"key {number}, {key!r}"
        state, cursor, text = re.fullmatch(r"line (\d) (\d+) (.*)", line).groups()
        if finished:
            assert (state, text) == (("1", typed) if key == "return" else ("2", "")), case
        else:
            assert (state, text, int(cursor)) == ("0", model.text, model.cursor), case
        first = int(screen.cursor - len(PROMPT) < model.cursor) and model.cursor - (screen.cursor - len(PROMPT))
        assert screen.line() == (PROMPT + model.text[first : first + WIDTH]).rstrip(" "), case
        assert len(PROMPT) <= screen.cursor <= 79, case
    return screen


@pytest.mark.parametrize("seed", range(4))
def test_the_line_and_what_is_seen_of_it_follow_every_key(host_editor: Path, seed: int) -> None:
    follow(host_editor, random_keys(random.Random(seed), 1500))


def test_a_line_feed_behind_a_carriage_return_is_no_second_line(host_editor: Path) -> None:
    said = run(host_editor, keys=b"one\r\ntwo\n\nthree\r\r")
    finished = re.findall(r"^line 1 \d+ (.*)$", said, re.MULTILINE)
    assert finished == ["one", "two", "", "three", ""]


def test_control_d_ends_the_input_on_an_empty_line_only(host_editor: Path) -> None:
    said = run(host_editor, keys=b"a\x01\x04\x04")
    assert re.findall(r"^line (\d) (\d) (.*)$", said, re.MULTILINE)[-2:] == [("0", "0", ""), ("3", "0", "")]


def test_a_line_has_an_end(host_editor: Path) -> None:
    said = run(host_editor, keys=b"x" * 600 + b"\r")
    assert f"line 1 511 {'x' * 511}\n" in said and said.count("07\n") == 600 - 511, "the bell rings for what does not fit"
