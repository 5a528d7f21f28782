"""docs/session.md shows what the shell prints today."""

from __future__ import annotations

import subprocess

import pytest

import session_page
from shell_session import KERNEL, PROMPT, ROOT


@pytest.fixture(scope="module")
def recorded() -> str:
    if not KERNEL.exists():
        subprocess.run(["make", "kernel"], cwd=ROOT, check=True, capture_output=True)
    return session_page.record()


def test_the_page_says_what_the_machine_says(recorded: str) -> None:
    assert session_page.differences(recorded) == [], "`make session` records it anew; read the page's sentences again then"


def test_the_page_shows_what_it_promises(recorded: str) -> None:
    commands = [line.removeprefix(PROMPT).split()[0] for line in recorded.splitlines() if line.startswith(PROMPT)]
    assert {"ls", "ps", "maps", "meminfo", "crash", "sleep", "kill", "shutdown"} <= set(commands)
    assert "The machine has stopped" in recorded and "init: process 1 starts /bin/shell" in recorded


def test_numbers_may_differ_and_words_may_not() -> None:
    page = session_page.PAGE.read_text("utf-8")
    assert session_page.differences(page) == []
    assert session_page.differences(page.replace("0x10", "0x11").replace("[2]", "[33]")) == []
    assert session_page.differences(page.replace("killed by SIGSEGV", "killed by SIGBUS")) != []
    assert session_page.differences(page.replace(f"{PROMPT}ps\n", f"{PROMPT}ps\nmore\n", 1)) != []
