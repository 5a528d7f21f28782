"""The shell and the programs beside it, at the serial line of a machine that `make run` boots: nearly all of it in one boot."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.disk import build_program_disk, programs_in
from shell_session import PROMPT, SHIPPED, ShellSession, build_what_is_missing
from terminal_screen import Screen
from test_drivers import Machine

GREETING = "The shell. help lists the commands, Tab completes them, the arrows bring lines back.\n"
LEFT, RIGHT, UP, DOWN, HOME, END, DELETE = "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B", "\x1b[H", "\x1b[F", "\x1b[3~"


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    build_what_is_missing()


@pytest.fixture(scope="module")
def shell(built: None) -> Iterator[ShellSession]:
    with ShellSession(append="overcommit=always oom=self") as session:
        yield session


@pytest.fixture
def other_machine(built: None) -> Iterator[ShellSession]:
    """A machine of the test's own, for what ends it."""
    with ShellSession(emulator="qemu") as session:
        yield session


def memory(shell: ShellSession) -> dict[str, int]:
    """The table of meminfo: pages, or a count."""
    return {name.strip(): int(value) for name, value in re.findall(r"^  ([^\d\n]+?)  +(\d+)", shell.run("meminfo"), re.MULTILINE)}


def processes(shell: ShellSession) -> dict[str, list[str]]:
    """The lines of ps, by name."""
    lines = [line.replace(" K", "").split() for line in shell.run("ps").splitlines()[1:]]
    return {line[-1]: line for line in lines}


def test_the_boot_ends_at_the_prompt(shell: ShellSession) -> None:
    assert f"\ninit: process 1 starts /bin/shell\n\n{GREETING}{PROMPT}" in shell.seen


# The line editor


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("echo one", "one"),
        ("eo" + LEFT + "ch" + END + " two", "two"),
        ("xecho three" + HOME + DELETE, "three"),
        ("echo foux\x7fr", "four"),
        ("cho five\x01e", "five"),
        ("echo ix" + LEFT + LEFT + "s\x05!", "six!"),
        ("nonsense\x15echo seven", "seven"),
        ("echo eight and more" + LEFT * 9 + "\x0b", "eight"),
        ("echo nine wrong words\x17\x17", "nine"),
        ("echo then" + LEFT * 4 + DELETE + RIGHT * 3, "hen"),
        ("echo a b" + "\x1b[1;5D" + "x", "a xb"),
        ("echo eleven\x0c", "eleven"),
        ("echo twelve" + "\x1b[17~", "twelve"),
    ],
)
def test_the_line_can_be_edited(shell: ShellSession, keys: str, words: str) -> None:
    shell.type(keys + "\r")
    seen = shell.until(f"\n{words}\n{PROMPT}")
    screen = Screen()
    screen.write(PROMPT + seen)
    assert screen.lines[-3].rstrip() == f"{PROMPT}echo {words}", "what is seen is what is run"


def test_a_line_that_is_wider_than_the_screen_moves_under_the_cursor(shell: ShellSession) -> None:
    words = " ".join(f"word{number:02}" for number in range(14))
    assert len(words) > 90
    shell.type(f"echo {words}" + HOME + END + LEFT * 80 + RIGHT * 80 + "\r")
    seen = shell.until(f"\n{words}\n{PROMPT}")
    screen = Screen()
    screen.write(PROMPT + seen.removesuffix(f"{words}\n{PROMPT}"))
    assert len(screen.lines) == 2, "it never leaves its line"
    shown = screen.lines[0].rstrip().removeprefix(PROMPT)
    assert 40 <= len(shown) <= 68 and words.endswith(shown), "its end is in sight"


def test_earlier_lines_come_back(shell: ShellSession) -> None:
    shell.run("echo first")
    shell.run("echo second")
    shell.type(UP + UP + "\r")
    assert shell.answer().endswith(f"\nfirst\n{PROMPT}")
    shell.type("echo draft" + UP + UP + UP + DOWN + DOWN + DOWN + "!\r")
    assert shell.answer().endswith(f"\ndraft!\n{PROMPT}")


def test_tab_completes_programs_commands_and_files(shell: ShellSession) -> None:
    completed = {"upt\t": "uptime ", "shut\t\x15help": "help", "ec\tx": "echo x", "echo bi\tcrash": "echo bin/crash", "ls /b\t": "ls /bin/"}
    for keys, line in completed.items():
        shell.type(keys + "\r")
        screen = Screen()
        screen.write(PROMPT + shell.answer())
        assert screen.lines[0].rstrip() == (PROMPT + line).rstrip()
    shell.type("s\t")
    assert "\nshutdown  shell  sleep  \n" in shell.until("\r" + PROMPT + "s")
    shell.type("h\t")
    assert "\nshutdown  shell  \n" in shell.until("\r" + PROMPT + "sh")
    shell.type("\x15zzz\t")
    shell.until("zzz\a")
    shell.type("\x15\r")
    shell.answer()


def test_control_c_gives_the_line_up(shell: ShellSession) -> None:
    shell.type("echo never\x03")
    assert shell.answer() == f"echo never^C\n{PROMPT}"


@pytest.fixture
def computer(built: None, tmp_path: Path) -> Iterator[Machine]:
    """A PC with keyboard and screen at the shell's prompt."""
    disk = tmp_path / "disk.img"
    build_program_disk(disk, programs_in(SHIPPED))
    machine = Machine(tmp_path, "-drive", f"file={disk},format=raw,if=ide")
    try:
        machine.wait_for(PROMPT)
        yield machine
    finally:
        machine.close()


def test_the_keyboard_edits_and_the_screen_follows(computer: Machine) -> None:
    computer.press(*"cho", "spc", "1", "home", "e", "end", "x", "backspace", "2", "left", "left", "delete", "3", "ret")
    assert "\n32\n" in computer.wait_for(f"\n32\n{PROMPT}")
    computer.press("up", "ctrl-e", "4", "ret")
    computer.wait_for(f"\n324\n{PROMPT}")
    computer.press("ctrl-l", "u", "p", "tab")
    for _ in range(100):  # the serial line is ahead of the screen by a moment
        shown = computer.screen()
        if shown[0] == f"{PROMPT}uptime":
            break
        time.sleep(0.05)
    assert shown[0] == f"{PROMPT}uptime" and not any(shown[1:]), "an empty screen but for its first line"


# Lines that are no commands


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("", ""),
        ("    ", ""),
        ("bogus words", "bogus: no such program; help lists them\n"),
        ("/bin/bogus", "/bin/bogus: no such program; help lists them\n"),
        ("verylongname", "verylongname: no such program; help lists them\n"),
        ("echo " + "x " * 15, "x " * 14 + "x\n"),
        ("echo " + "x " * 16, "shell: too many words\n"),
        ('echo "a  b" c"d e"f', "a  b cd ef\n"),
        ('echo ""', "\n"),
        ('echo "a', "shell: a quote without its end\n"),
        ("&", "shell: nothing to run before &\n"),
        ("echo a & b", "shell: & comes last\n"),
        ("exit many", "usage: exit [STATUS]\n"),
        ("/bin/true", ""),
        ("bin/false", "bin/false ended with status 1\n"),
        ("/syslinux.cfg", "/syslinux.cfg: no program\n"),
        ("/bin", "/bin: no program\n"),
    ],
)
def test_every_line_has_an_answer(shell: ShellSession, line: str, answer: str) -> None:
    assert shell.run(line) == answer


def test_a_line_has_512_characters_at_most(shell: ShellSession) -> None:
    shell.type("echo " + "y" * 512 + "\r")
    answer = shell.answer()
    assert answer.splitlines()[-2] == "y" * 506 and answer.count("\a") == 512 - 506


# The programs


def test_help_describes_every_program(shell: ShellSession) -> None:
    text = shell.run("help")
    assert re.findall(r"^  (\w+)", text, re.MULTILINE) == ["help", "exit", "shutdown", *sorted(path.name for path in SHIPPED.iterdir())]
    assert not re.findall(r"^  \w+ *$", text, re.MULTILINE), "each with what it does"
    assert re.findall(r"^  (\w+)", shell.run("help s"), re.MULTILINE) == ["shutdown", "shell", "sleep"]


def test_ls_shows_what_the_host_put_there(shell: ShellSession) -> None:
    found = {name: int(size) for size, name in re.findall(r"(\d+)  (\S+)\n", shell.run("ls /bin"))}
    assert found == {path.name: path.stat().st_size for path in SHIPPED.iterdir()}
    assert "     folder  bin/\n" in shell.run("ls") and shell.run("ls") == shell.run("ls /")


def test_files_are_written_copied_shown_and_removed(shell: ShellSession) -> None:
    assert shell.run("write notes.txt hello   you") == ""
    assert shell.run("write -a notes.txt more") == ""
    assert shell.run("cat notes.txt") == "hello you\nmore\n"
    assert shell.run("mkdir papers") == "" and shell.run("ls papers") == ""
    assert shell.run("cp notes.txt papers/copy.txt") == "" and shell.run("write notes.txt short") == ""
    assert shell.run("cat notes.txt papers/copy.txt") == "short\nhello you\nmore\n"
    assert shell.run("ls papers") == "         15  copy.txt\n"
    assert shell.run("cp /bin/shell papers/again") == ""
    assert int(shell.run("ls papers").split()[2]) == (SHIPPED / "shell").stat().st_size


def test_a_copied_program_runs(shell: ShellSession) -> None:
    shell.run("cp /bin/echo mine")
    assert shell.run("/mine it runs") == "it runs\n"
    assert shell.run("rm mine") == "" and "mine" not in shell.run("ls")


@pytest.mark.parametrize(
    ("line", "answer", "status"),
    [
        ("ls nothere", "ls: nothere: no such file or folder\n", 1),
        ("ls /bin/ls", "ls: /bin/ls: a file, no folder\n", 1),
        ("ls a b", "usage: ls [FOLDER]\n", 2),
        ("cat", "usage: cat FILE...\n", 2),
        ("cat nothere", "cat: nothere: no such file or folder\n", 1),
        ("cat bin", "cat: bin: a folder\n", 1),
        ("rm nothere", "rm: nothere: no such file or folder\n", 1),
        ("rm bin", "rm: bin: a folder\n", 1),
        ("mkdir bin", "mkdir: bin: exists already\n", 1),
        ("mkdir a/b", None, 1),
        ("cp one", "usage: cp FROM TO\n", 2),
        ("cp nothere x", "cp: nothere: no such file or folder\n", 1),
        ("cp /bin/ls /bin/ls", "cp: /bin/ls: in use\n", 1),
        ("write x", "usage: write [-a] FILE WORD...\n", 2),
        ("write no/where x", None, 1),
        ("kill", "usage: kill PID [SIGNAL]\n", 2),
        ("kill 999", "kill: 999: no such process\n", 1),
        ("kill 1 99", "kill: 1: invalid argument\n", 1),
        ("maps 999", "maps: 999: no such process\n", 1),
        ("maps x", "usage: maps [PID]\n", 2),
        ("sleep", "usage: sleep SECONDS\n", 2),
        ("hog 3000", "hog: 3000 MiB: out of memory\n", 1),
        ("hog 0", "usage: hog MIB [SECONDS]\n", 2),
        ("crash softly", "crash: no mistake is called softly\n", 2),
        ("false", "", 1),
    ],
)
def test_programs_say_what_cannot_be_done(shell: ShellSession, line: str, answer: str | None, status: int) -> None:
    *said, last = shell.run(line).splitlines(keepends=True)
    assert last == f"{line.split()[0]} ended with status {status}\n"
    assert said == [answer] if answer else (answer is None or said == []), said


def test_ps_shows_the_family(shell: ShellSession) -> None:
    found = processes(shell)
    assert found["kernel"][0] == "0" and found["init"][:3] == ["1", "0", "waiting"]
    assert found["shell"][1] == "1" and found["shell"][2] == "waiting"
    assert found["ps"][1] == found["shell"][0] and found["ps"][2] == "running"


def test_maps_shows_text_below_the_line_and_what_may_be_written_above(shell: ShellSession) -> None:
    layouts = [re.findall(r"^0x(\w+)-0x(\w+) (\S+) (\w+)", shell.run("maps"), re.MULTILINE) for _ in range(3)]
    for areas in layouts:
        assert [kind for *_, kind in areas] == ["image", "image", "heap", "stack"]
        for begin, end, rights, _ in areas:
            assert int(begin, 16) < int(end, 16)
            assert ("x" in rights) == (int(begin, 16) < 0x2000_0000) and not {"w", "x"} <= set(rights)
        assert int(areas[1][0], 16) - int(areas[0][0], 16) >= 0x1000_0000
    assert len({areas[0][0] for areas in layouts}) > 1 or len({areas[3][0] for areas in layouts}) > 1, "chance places them"


def test_the_figures_of_meminfo_add_up(shell: ShellSession) -> None:
    figures = memory(shell)
    assert figures["memory"] == figures["since the boot: the kernel"] + figures["handed out"] + figures["free"]
    assert figures["of these, the heap's"] <= figures["handed out"] and figures["of these, cleared already"] <= figures["free"]
    assert figures["processes"] == len(processes(shell))


def test_two_processes_out_of_one(shell: ShellSession) -> None:
    before, child, parent, end = shell.run("forkdemo").splitlines()
    line = r"  \w+ +\(process (\d+)\): variable at (0x\w+) is (\d), shared memory at (0x\w+) is (\d)"
    (pid, address, *first), (child_pid, child_address, *second), (parent_pid, parent_address, *third) = (
        re.fullmatch(line, text).groups() for text in (before, child, parent)
    )
    assert pid == parent_pid != child_pid and address == child_address == parent_address
    assert [values[0] for values in (first, second, third)] == ["1", "2", "1"], "each its own variable"
    assert [values[2] for values in (first, second, third)] == ["1", "2", "2"], "one shared memory"
    assert end == f"  the child, process {child_pid}, ended with status 3"


def test_time_goes_by(shell: ShellSession) -> None:
    def now() -> float:
        return float(re.fullmatch(r"up for (\d+\.\d{3}) s\n", shell.run("uptime"))[1])

    before = now()
    assert shell.run("sleep 1") == "" and 1.0 <= now() - before


# How programs end


@pytest.mark.parametrize(
    ("how", "signal", "reason"),
    [
        ("null", "SIGSEGV", "null pointer at 0x00000000"),
        ("text", "SIGSEGV", r"write to read-only memory at 0x1\w{7}"),
        ("kernel", "SIGSEGV", "address of the kernel at 0x00100000"),
        ("unmapped", "SIGSEGV", "nothing is mapped there at 0x90000000"),
        ("stack", "SIGSEGV", r"the stack has reached its limit at 0xbf\w{6}"),
        ("guard", "SIGSEGV", r"guard page below a stack or mapping at 0x\w{5}ffc"),
        ("data", "SIGSEGV", r"execution outside the program's code at 0x2\w{7}"),
        ("onstack", "SIGSEGV", r"execution outside the program's code at 0xbf\w{6}"),
        ("divide", "SIGFPE", "division by zero or overflow"),
        ("illegal", "SIGILL", "invalid instruction"),
        ("cli", "SIGSEGV", "general protection fault"),
    ],
)
def test_a_crash_ends_the_program_alone_and_is_explained(shell: ShellSession, how: str, signal: str, reason: str) -> None:
    meaning = {"SIGSEGV": "segmentation fault", "SIGFPE": "arithmetic error", "SIGILL": "illegal instruction"}[signal]
    death, words = shell.run(f"crash {how}").splitlines()
    assert re.fullmatch(rf"crash\[\d+\] killed by {signal}: {reason}, eip 0x1\w{{7}}", death), death
    assert words == f"crash was ended by {signal}: {meaning}"


def test_crash_lists_its_mistakes(shell: ShellSession) -> None:
    names = re.findall(r"^  crash (\w+)", shell.run("crash"), re.MULTILINE)
    assert {"null", "text", "kernel", "stack", "data", "divide"} <= set(names)


def test_a_program_in_the_background_tells_its_end_at_a_later_prompt(shell: ShellSession) -> None:
    pid = re.fullmatch(r"\[(\d+)\] sleep runs in the background\n", shell.run("sleep 1 &"))[1]
    found = processes(shell)["sleep"]
    assert found[0] == pid and found[2] == "sleeping"
    assert shell.run("sleep 2") == f"[{pid}] sleep is done\n"
    pid = shell.run("sleep 100 &")[1:].partition("]")[0]
    assert shell.run(f"kill {pid}") .endswith(f"[{pid}] sleep was ended by SIGTERM: terminated\n")
    pid = shell.run("sleep 100 &")[1:].partition("]")[0]
    assert shell.run(f"kill {pid} KILL").endswith(f"[{pid}] sleep was ended by SIGKILL: killed\n")
    assert "sleep" not in processes(shell)


def test_a_hog_shows_in_ps_and_its_memory_comes_back(shell: ShellSession) -> None:
    before = memory(shell)["free"]
    shell.type("hog 8 100 &\r")
    pid = re.search(r"\[(\d+)\] hog runs", shell.until("every page written\n"))[1]
    line = processes(shell)["hog"]
    assert int(line[3]) >= 8192 and int(line[4]) >= 8192
    assert before - memory(shell)["free"] >= 2048
    shell.run(f"kill {pid}")
    assert abs(memory(shell)["free"] - before) < 16, "but for what the kernel's heap keeps"


def test_a_hog_that_wants_more_than_there_is_gets_nothing(built: None) -> None:
    with ShellSession() as shell:
        before = memory(shell)
        assert shell.run("hog 500") == "hog: 500 MiB: out of memory\nhog ended with status 1\n", "more than is promised"
        assert abs(memory(shell)["free"] - before["free"]) < 16


def test_a_hog_that_was_promised_more_than_there_is_dies_alone(built: None) -> None:
    with ShellSession(append="overcommit=always") as shell:
        before, family = memory(shell), processes(shell)
        said = shell.run("hog 500").splitlines()
        assert re.fullmatch(r"hog: 500 MiB mapped at 0x\w{8}", said[0]), "promised"
        written = [f"hog: {mib} MiB written" for mib in (16, 32, 48, 64)]
        assert said[1:5] == written and said[5] == "", "as much as memory and the swap disk hold"
        assert re.fullmatch(r"hog\[\d+\] killed by SIGKILL: out of memory, eip 0x1\w{7}", said[-2]), said
        assert said[-1] == "hog was ended by SIGKILL: killed"
        assert processes(shell).keys() == family.keys() and processes(shell)["shell"][0] == family["shell"][0]
        assert abs(memory(shell)["free"] - before["free"]) < 16, "but for what the kernel's heap keeps"


def test_nothing_is_lost_from_command_to_command(shell: ShellSession) -> None:
    """Slabs and the shell's own pages come in the first round; a frame that were lost in each later one would be seen."""
    lines = ("ls /bin", "crash stack", "forkdemo", "lazydemo", "cowdemo", "hog 500", "cat nothere", "maps", "bogus")
    for line in lines:
        shell.run(line)
    before = memory(shell)
    for line in 4 * lines:
        shell.run(line)
    assert memory(shell)["handed out"] - before["handed out"] < 4


# Ends


def test_init_starts_the_shell_again(shell: ShellSession) -> None:
    old = processes(shell)["shell"][0]
    assert shell.run("exit 3") == f"init: the shell ({old}) ended with status 3; starting it again\n\n{GREETING}"
    old = processes(shell)["shell"][0]
    shell.type("\x04")
    assert f"init: the shell ({old}) ended with status 0; starting it again\n" in shell.answer()
    old = processes(shell)["shell"][0]
    answer = shell.run(f"kill {old} SIGKILL")
    assert f"init: the shell ({old}) was killed by SIGKILL; starting it again\n" in answer
    assert processes(shell)["shell"][1] == "1"


def test_init_does_not_end_by_a_plain_kill(shell: ShellSession) -> None:
    assert shell.run("kill 1") == "init: SIGTERM does not end process 1; SIGKILL would\n"
    assert processes(shell)["init"][0] == "1"


def test_shutdown_stops_the_machine(other_machine: ShellSession) -> None:
    other_machine.type("shutdown\r")
    assert "shutting down\n" in other_machine.wait_for_end()
    assert "The machine has stopped" in other_machine.seen


def test_with_monitor_on_the_command_line_there_is_no_init(built: None) -> None:
    session = ShellSession(emulator="qemu", append="monitor")
    try:
        assert "The kernel's monitor. help lists the commands.\nfaultline> " in session.until("faultline> ")
        assert "init:" not in session.seen
    finally:
        session.close()
