"""The book: the Markdown filter, and the commands that the pages tell people to type."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load_filter():
    spec = importlib.util.spec_from_file_location("book", ROOT / "docs/book.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["book"] = module
    spec.loader.exec_module(module)
    return module


book = load_filter()
PAGES = sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("labs/*/README.md"), *ROOT.glob("grader/report/*.md"), ROOT / "README.md"])


def convert(text: str, page: str = "docs/grading.md") -> str:
    return "\n".join(book.convert(page, text.splitlines()))


def test_headings_get_identifiers_that_are_unique_in_the_book():
    assert convert("# Title\n## The `map()` step\n## Own {#mine}") == (
        "# Title {#page-docs-grading}\n## The `map()` step {#page-docs-grading-the-map-step}\n## Own {#page-docs-grading-mine}")
    assert convert("# Faultline", "docs/index.md") == "# Faultline {#mainpage}"


def test_links_lead_to_pages_headings_and_headers():
    assert convert("# T\nsee [memory](architecture.md#memory-layout)").endswith("[memory](@ref page-docs-architecture-memory-layout)")
    assert convert("# T\n[seam](../kernel/arch/cpu.h)").endswith('@ref arch/cpu.h "seam"')
    assert convert("# T\n[A](architecture.md)", "docs/index.md").endswith('@subpage page-docs-architecture "A"')
    assert convert("# T\n[make](../Makefile) [w](https://example.org/a)").endswith("make [w](https://example.org/a)")


def test_a_broken_link_becomes_something_that_doxygen_refuses():
    assert "@ref no-such-file-nothing-md" in convert("# T\n[x](nothing.md)")
    assert "@ref no-such-heading-nowhere" in convert("# T\n[x](architecture.md#nowhere)")


def test_code_is_left_alone_and_signs_in_prose_are_escaped():
    assert convert("# T\n```sh\n# no heading [x](y)\n```\n`a #b @c` #d @e a\\b").splitlines()[1:] == [
        "```sh", "# no heading [x](y)", "```", "`a #b @c` \\#d \\@e a\\\\b"]
    assert convert("# T\n```dot\ngraph {}\n```").splitlines()[1:] == ["@dot", "graph {}", "@enddot"]


def test_names_of_exceptions_in_headers_are_no_references():
    assert book.header("/// raises #GP(0), see #define") == "/// raises \\#GP(0), see #define"
    assert book.header("#define AB 1 ///< #PF") == "#define AB 1 ///< \\#PF"


def commands() -> list[tuple[str, str]]:
    """Every line of a shell block on a page, comments cut off."""
    found = []
    for page in PAGES:
        inside = False
        for line in page.read_text("utf-8").splitlines() if page.exists() else []:
            if line.startswith("```"):
                inside = not inside and line.strip() in ("```sh", "```console")
            elif inside and re.match(r"(\$ )?(make|grader/faultline)\b", line):
                found.append((str(page.relative_to(ROOT)), line.removeprefix("$ ").partition(" #")[0].strip()))
    return found


@pytest.mark.parametrize("page, command", commands())
def test_commands_on_the_pages_name_targets_and_files_that_exist(page, command):
    words = shlex.split(command)
    if words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word and not word.startswith(("-", "<"))]
        known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert set(targets) <= known, page
    else:
        assert words[1] in {"grade", "explain", "debug", "view", "doctor"}, page
    for word in words:
        if re.fullmatch(r"(frames|paging)\.\w+", word):
            assert any(f'id = "{word}"' in lab.read_text() for lab in ROOT.glob("labs/*/lab.toml")), f"{page}: no test {word}"
        name = word.partition("=")[2] if word.startswith("SUBMISSION=") else word
        if name.startswith(("grader/corpus/", "solutions")):
            assert (ROOT / name).exists(), f"{page}: {name} does not exist"


@pytest.mark.parametrize("page", [page for page in PAGES if page.exists()], ids=lambda page: str(page.relative_to(ROOT)))
def test_submissions_that_a_page_names_exist(page):
    for name in re.findall(r"grader/corpus/\w+/[\w-]+", page.read_text("utf-8")):
        assert (ROOT / name).is_dir(), name


def test_the_pages_hold_commands_at_all():
    assert len(commands()) > 8


def test_the_filter_runs_as_doxygen_runs_it():
    result = subprocess.run([ROOT / "docs/book.py", "docs/index.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("# Faultline {#mainpage}") and result.stderr == ""


@pytest.mark.parametrize("comment, complaint", [
    ("/// Adds.\n/// @param first  a number\n/// @return the sum", ""),
    ("/// Adds.\n/// @param frist  a number", "frist"),
    ("/// Adds, see [the book](@ref nowhere).", "nowhere"),
])
def test_a_comment_that_does_not_fit_its_function_fails_the_book(tmp_path, comment, complaint):
    header = tmp_path / "add.h"
    header.write_text(f"/// @file\n/// Sums.\n\n{comment}\nint add(int first);\n")
    settings = (ROOT / "docs/Doxyfile").read_text() + f"""
        INPUT = {header}
        FILTER_PATTERNS =
        OUTPUT_DIRECTORY = {tmp_path}
        HAVE_DOT = NO
        """
    result = subprocess.run(["doxygen", "-"], input=settings, cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode == 0) == (complaint == "") and complaint in result.stderr
