"""The bridge as people use it: a real GDB at its one end, a real Bochs at the other, and what stands on GDB's console."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge_machines import MACHINE, address_of, build_guest, make_rom, processes_with, wait_for_process, wait_until_gone
from emulator.bochs import BochsDebugger
from gdb.by_hand import debug_command

BRIDGE = Path(__file__).parents[1] / "gdb" / "bridge"
DIRECTORY, TABLE, WINDOW, FIRST_FRAME, SECOND_FRAME = 0x200000, 0x201000, 0x400000, 0x300000, 0x302000


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_guest(tmp_path_factory.mktemp("bridge-guest"))


Gdb = Callable[..., str]


@pytest.fixture
def gdb(guest: Path, tmp_path: Path) -> Gdb:
    """gdb("word", "command", ...): what GDB prints, connected with a machine that does what the word says and stands at `ready`.

    A command that fails is answered by its error message, and the next one follows. Afterwards no process may be left.
    """

    def run(word: str, *commands: str, stop_at: str | None = "ready", bridge: str = "") -> str:
        script = tmp_path / "script.py"
        script.write_text(_SCRIPT.format(commands=commands))
        command = debug_command(guest, MACHINE, tmp_path / "run", rom=make_rom(guest, word), stop_at=stop_at)
        connect = next(index for index, text in enumerate(command) if text.startswith("target remote"))
        command[connect] += f" {bridge}"
        command[1:1] = ["-nx", "-batch"]
        done = subprocess.run(
            [*command, "-x", str(script)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60
        )
        assert wait_until_gone(str(tmp_path)) == []
        return done.stdout.decode().partition("===\n")[2]

    return run


_SCRIPT = """
import sys
gdb.write("===\\n")
for command in {commands!r}:
    try:
        gdb.execute(command)
    except gdb.error as error:
        gdb.write(str(error) + "\\n")
"""


# --- registers and memory ---------------------------------------------------------------------------------------------------


def test_control_registers_have_names(gdb: Gdb) -> None:
    text = gdb("calls", "print/x $cr3", "print/x $cr0 & 0x80010001", "print/x $cr4 & 0x90", "info registers cr2")
    assert "$1 = 0x200000\n$2 = 0x80010001\n$3 = 0x90\n" in text
    assert re.search(r"cr2 +0x0", text)


def test_registers_can_be_set_as_far_as_bochs_can(gdb: Gdb) -> None:
    settings = ("set $eax = 0x12345678", "set $esi = -2", "print/x $eax", "print/x $esi", "set $cr3 = 0x1000")
    text = gdb("calls", *settings, "print/x $cr3")
    assert "$1 = 0x12345678\n$2 = 0xfffffffe\n" in text
    assert "Bochs's debugger cannot set cr3" in text and "$3 = 0x200000" in text


def test_flags_cannot_be_set_and_it_is_said(gdb: Gdb) -> None:
    text = gdb("calls", "set $eflags = 0x246", "print/x $eflags & 0x200")
    assert "Bochs's debugger cannot set eflags" in text and "$1 = 0x0" in text


def test_execution_goes_on_at_a_set_eip(gdb: Gdb) -> None:
    going_on = ("break *$eip", "info symbol $eip", "stepi", "info symbol $eip", "finish", "print counter")
    text = gdb("loop", "set $eip = called", *going_on)
    assert "called in section .text" in text and "called + " in text
    assert "$1 = 1" in text


def test_linear_memory_is_read_and_written_through_the_page_tables(gdb: Gdb) -> None:
    text = gdb(
        "calls",
        f"set *(int*){WINDOW + 0x10:#x} = 0x55667788",
        f"x/wx {WINDOW + 0x10:#x}",
        f"phys {FIRST_FRAME + 0x10:#x} 1",
        f"set *(char*){WINDOW + 0x11:#x} = 0x99",
        f"x/wx {WINDOW + 0x10:#x}",
        f"x/wx {FIRST_FRAME + 0x10:#x}",
    )
    assert text.count("0x55667788") == 1 and "55667788" in text.splitlines()[-3] + text.splitlines()[-4]
    assert text.count("0x55669988") == 2


def test_unmapped_addresses_are_errors(gdb: Gdb) -> None:
    text = gdb("calls", "x/wx 0x800000", "set *(int*)0x800000 = 1", f"x/2wx {WINDOW + 0xFFC:#x}")
    assert text.count("Cannot access memory at address 0x800000") == 2
    assert "Cannot access memory at address 0x401000" in text


def test_physical_mode_of_qemu_is_served(gdb: Gdb) -> None:
    """The mode ends when the machine runs, as a forgotten one would make nonsense of everything after."""
    text = gdb(
        "calls",
        "break called",
        "maint packet Qqemu.PhyMemMode:1",
        f"x/2wx {DIRECTORY:#x}",
        "x/wx 0x800000",
        "continue",
        "x/wx 0x800000",
    )
    assert re.search(r"0x200000:\s+0x000001.3\s+0x002010.3", text)
    assert re.search(r"0x800000:\s+0x00000000", text)
    assert text.count("Cannot access memory at address 0x800000") == 1


# --- breakpoints, watchpoints, stepping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["break", "hbreak"])
def test_breakpoints_hit_each_time(gdb: Gdb, kind: str) -> None:
    hits = ("continue", "continue", "ignore 2 33", "continue", "continue")
    text = gdb("calls", f"{kind} called", *hits, "print counter", "bt 2", "delete", "info break")
    assert len(re.findall(r"^Breakpoint 2, called", text, re.MULTILINE)) == 4
    assert "$1 = 36" in text
    assert "#1  0x" in text and "do_calls" in text
    assert "No breakpoints" in text


def test_a_deleted_breakpoint_does_not_stop(gdb: Gdb) -> None:
    text = gdb("calls", "break called", "continue", "delete 2", "break finished", "continue", "print counter")
    assert "Breakpoint 3, finished" in text and "$1 = 37" in text


def test_sixteen_breakpoints_and_no_more(gdb: Gdb) -> None:
    places = [f"hbreak *(char*)&do_loop + {index}" for index in range(17)]
    text = gdb("calls", *places, "continue", "delete 18", "break finished", "continue")
    assert "Bochs has 16 breakpoints, and all are in use" in text
    text = gdb("calls", *places[:15], "break finished", "continue")
    assert "Breakpoint 17, finished" in text


def test_stepping_by_instruction_and_by_line(gdb: Gdb) -> None:
    steps = ("stepi", "info symbol $eip", "finish", "info symbol $eip", "step", "print counter")
    text = gdb("calls", "break called", "continue", *steps)
    places = re.findall(r"^(\w+ \+ \d+) in section", text, re.MULTILINE)
    assert places[0].startswith("called + ") and places[1].startswith("do_calls + ")
    assert len(re.findall(r"^Breakpoint 2, called", text, re.MULTILINE)) == 2 and "$1 = 1\n" in text


def test_a_watchpoint_moves_with_its_page(gdb: Gdb) -> None:
    """The window shows another frame, none, and the first one again; writes to the frames that it does not show do not count."""
    text = gdb("move", f"watch *(int*){WINDOW + 8:#x}", "break finished", "continue", "continue", "continue", "continue")
    changes = re.findall(r"Old value = (\S+).*\nNew value = (\S+)", text)
    assert [new for _, new in changes] == ["1", "2", "3"]
    assert "Breakpoint 3, finished" in text


def test_a_watchpoint_waits_for_its_page(gdb: Gdb) -> None:
    """Set while the window shows nothing at all, it stops at the first write after the page came."""
    unmap, remap = (f"set *(int*){TABLE:#x} = {entry:#x}" for entry in (0, FIRST_FRAME + 3))
    text = gdb("move", unmap, f"awatch *(int*){WINDOW + 8:#x}", remap, "continue")
    assert "Hardware access (read/write) watchpoint 2" in text and "Value = 1\n" in text


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("watch", ["Old value = 0", "New value = 5"]),
        ("rwatch", ["Value = 5"]),
        ("awatch", ["Old value = 0", "New value = 5", "Value = 5"]),
    ],
)
def test_kinds_of_watchpoints(gdb: Gdb, kind: str, values: list[str]) -> None:
    text = gdb("read", f"{kind} counter", "break finished", "continue", "continue", "continue")
    assert re.findall(r"^(?:Old |New )?[Vv]alue = .*$", text, re.MULTILINE) == values
    assert "Breakpoint 3, finished" in text


def test_a_watchpoint_over_two_pages_is_refused_in_words(gdb: Gdb) -> None:
    text = gdb("loop", f"watch *(int*){WINDOW + 0xFFE:#x}", "continue")
    assert "lie in two pages" in text
    assert "Could not insert hardware watchpoint 2" in text or "Could not insert hardware breakpoints" in text


def test_too_many_watchpoints_are_refused_in_words(gdb: Gdb) -> None:
    watches = [f"watch *(int*){WINDOW + 16 * index:#x}" for index in range(15)]
    text = gdb("loop", *watches, "continue")
    assert "Bochs has 16 watchpoints of each kind, page table entries on the way included" in text


# --- how a run ends ----------------------------------------------------------------------------------------------------------


def test_a_triple_fault_in_words(gdb: Gdb) -> None:
    text = gdb("triple", "continue", "print/x $cr2", "info symbol $eip", "continue")
    assert text.count("bridge: triple fault: the processor has shut down") == 2
    assert "received signal SIGABRT" in text and "$1 = 0x800000" in text and "do_triple" in text


def test_hlt_with_interrupts_off_in_words(gdb: Gdb) -> None:
    text = gdb("halt", "continue", "info symbol $eip")
    assert "the processor has halted with interrupts off, and nothing can wake it" in text and "do_halt" in text


def test_a_budget_ends_an_endless_loop(gdb: Gdb) -> None:
    again = ("monitor ticks", "monitor budget 0", "monitor budget 500", "continue")
    text = gdb("loop", "monitor ticks", "monitor budget 1000", "continue", *again)
    before, after = (int(number) for number in re.findall(r"^(\d+)$", text, re.MULTILINE)[:2])
    assert after == before + 1000
    assert "the budget of ticks is used up; eip 0x" in text and f"tick {after}\n" in text and f"tick {after + 500}\n" in text
    assert text.count("SIGXCPU, CPU time limit exceeded") == 2


def test_budget_of_the_command_line_counts_from_power_on(gdb: Gdb) -> None:
    assert "tick 2000000\n" in gdb("loop", "continue", bridge="--budget 2000000")


def test_a_dead_emulator_in_words(gdb: Gdb) -> None:
    text = gdb("crash", "continue", "print/x $cr3")
    assert "bridge: the emulator died" in text and "Bochs says: " in text
    assert "Program terminated with signal SIGKILL" in text


def test_kill_and_detach_leave_nothing(gdb: Gdb) -> None:
    assert "killed" in gdb("loop", "kill")
    assert "detached" in gdb("loop", "detach")
    gdb("loop", "disconnect")
    gdb("loop")  # GDB just ends


def _start_looping(guest: Path, folder: Path) -> subprocess.Popen[bytes]:
    """A GDB whose guest loops for ever; returns when it does."""
    command = debug_command(guest, MACHINE, folder / "run", rom=make_rom(guest, "loop"), stop_at=None)
    script = "continue\nmonitor status\nprint counter > 1000\n"
    (folder / "script.gdb").write_text(script)
    command += ["-x", str(folder / "script.gdb")]
    command[1:1] = ["-nx", "-batch"]
    command[:0] = ["env", "--default-signal=HUP"]  # or it would ignore what the tests' own parent ignores, as under nohup
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    bochs = wait_for_process(str(folder / "run"), "bochs-bin")
    while _processor_seconds(bochs) < 0.4:
        time.sleep(0.02)
    return process


def _wait_for_end(process: subprocess.Popen[bytes]) -> None:
    """Fails when GDB does not end, and then leaves nothing running."""
    try:
        process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_ctrl_c_stops_a_running_machine(guest: Path, tmp_path: Path) -> None:
    with _start_looping(guest, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        text = process.communicate(timeout=30)[0].decode()
    assert "received signal SIGINT" in text and "kind interrupted" in text and "$1 = true" in text
    assert wait_until_gone(str(tmp_path)) == []


def test_an_emulator_killed_while_it_runs(guest: Path, tmp_path: Path) -> None:
    with _start_looping(guest, tmp_path) as process:
        os.kill(wait_for_process(str(tmp_path / "run"), "bochs-bin"), signal.SIGKILL)
        text = process.communicate(timeout=30)[0].decode()
    assert "bridge: the emulator died: it was ended by signal 9 (Killed)" in text
    assert wait_until_gone(str(tmp_path)) == []


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_stays_behind_a_killed_gdb(guest: Path, tmp_path: Path, end: signal.Signals) -> None:
    with _start_looping(guest, tmp_path) as process:
        process.send_signal(end)
        _wait_for_end(process)
    assert wait_until_gone(str(tmp_path)) == []


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_stays_behind_a_killed_bridge(guest: Path, tmp_path: Path, end: signal.Signals) -> None:
    with _start_looping(guest, tmp_path) as process:
        bridges = [n for n in processes_with(str(tmp_path / "run")) if Path(f"/proc/{n}/comm").read_text() == "bridge\n"]
        assert len(bridges) == 1
        os.kill(bridges[0], end)
        _wait_for_end(process)
    assert wait_until_gone(str(tmp_path)) == []


# --- monitor commands and GDB's own ------------------------------------------------------------------------------------------


def test_monitor_commands(gdb: Gdb) -> None:
    text = gdb("calls", "monitor help", "monitor info tab", "monitor page 0x400000", "monitor bochs help", "monitor c")
    assert "monitor budget N" in text
    assert "cr3: 0x000000200000" in text and "maps to physical page 0x000000300000" in text
    assert "h|help - show list of debugger commands" in text
    assert "would let the machine run behind GDB's back" in text


def test_mistakes_in_monitor_commands_do_no_harm(gdb: Gdb) -> None:
    text = gdb("calls", "monitor", "monitor tlb", "monitor tlb nonsense", "monitor budget x", "monitor nonsense", "print/x $cr3")
    assert "usage: monitor tlb ADDR" in text and "usage: monitor budget TICKS" in text
    assert "$1 = 0x200000" in text


def test_monitor_tlb_shows_stale_entries(gdb: Gdb) -> None:
    text = gdb("stale", "break checkpoint", "continue", f"tlb {WINDOW:#x}", f"walk {WINDOW:#x}", "continue", f"tlb {WINDOW:#x}")
    assert f"0x00400000 data frame={FIRST_FRAME:#010x} size=4K write=1 user=0 global=0" in text
    assert f"page at {SECOND_FRAME:#010x}, writable, supervisor by both levels" in text
    assert "0x00400000 none" in text


def test_counters(gdb: Gdb, guest: Path) -> None:
    address = address_of(guest, "called")
    text = gdb("calls", f"monitor count {address:#x}", "break finished", "continue", "monitor counts")
    assert f"{address:#010x} 37" in text


def test_commands_for_page_tables(gdb: Gdb) -> None:
    text = gdb("calls", "pt", "walk 0x400123", "walk &counter", "walk 0x800000", "phys &counter", "walk", "pt 0x400000 0x400fff")
    assert re.search(r"0x00000000-0x003fffff -> 0x00000000 +4096 KiB  rw supervisor global 4M\n", text)
    assert len(re.findall(r"0x00400000-0x00400fff -> 0x00300000 +4 KiB  rw supervisor\n", text)) == 2
    assert "physical 0x00300123" in text and "4 MiB page at 0x00000000" in text and "not present" in text
    assert "walk ADDR: the way of a linear address" in text


def test_commands_for_page_tables_know_swap_entries(gdb: Gdb) -> None:
    """Two of them, with slots in a row, written by hand behind the only page."""
    entries = (f"set var *(unsigned*){TABLE + 4 * page:#x} = {slot << 8 | 2:#x}" for page, slot in ((1, 12), (2, 13), (3, 99)))
    text = gdb("calls", *entries, "walk 0x401010", "pt 0x400000 0x402fff")
    assert "table     0x00201000 [1] = 0x00000c02  not present, swapped to slot 12\n" in text
    assert re.search(r"0x00400000-0x00400fff -> 0x00300000 +4 KiB  rw supervisor\n0x00401000-0x00402fff in slot 12 +8 KiB  swapped\n", text)
    assert "slot 99" not in text, "that page lies behind the last one asked for"


# --- the command line --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "--rom or --disk is needed"),
        ("--rom /nonexistent/x.rom", "there is no file /nonexistent/x.rom"),
        ("--rom", "--rom needs a value"),
        ("--unheard-of 3", "unknown argument --unheard-of"),
        ("--rom /bin/true --memory 0", "--memory must be a number from 2 to 3072, not 0"),
        ("--rom /bin/true --memory much", "--memory must be a number from 2 to 3072, not much"),
    ],
)
def test_mistakes_on_the_command_line(arguments: str, words: str) -> None:
    done = subprocess.run([str(BRIDGE), *shlex.split(arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 3 and words in done.stderr and done.stdout == ""


def test_help_names_every_option() -> None:
    done = subprocess.run([str(BRIDGE), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    options = re.search(r"^_OPTIONS = \((.*)\)$", BRIDGE.read_text(), re.MULTILINE)
    assert options
    for name in re.findall(r'"([\w-]+)"', options[1]):
        assert f"--{name} " in done.stdout


def test_a_file_that_is_no_rom(gdb: Gdb, tmp_path: Path) -> None:
    """Bochs refuses it, and its reason reaches the user."""
    broken = tmp_path / "broken.rom"
    broken.write_bytes(b"x" * (8 << 20))
    directory = tmp_path / "run"
    command = [str(BRIDGE), "--rom", str(broken), "--directory", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 4 and "bridge: the emulator died" in done.stderr and "Bochs says: " in done.stderr
    assert "ROM" in done.stderr


def test_a_folder_of_its_own_is_removed(guest: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    bridge = [str(BRIDGE), "--rom", str(make_rom(guest, "calls"))]
    done = subprocess.run(bridge, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 0 and list(tmp_path.iterdir()) == []


def test_odd_names_of_folders(guest: Path, tmp_path: Path) -> None:
    """Bochs's configuration file knows no escapes; nothing of a path may get into it."""
    folder = tmp_path / 'a "b" $HOME, c=d #e'
    folder.mkdir()
    rom = folder / "boot, x=1.rom"
    rom.write_bytes(make_rom(guest, "calls").read_bytes())
    with BochsDebugger(rom, None, MACHINE, folder / "run") as debugger:
        assert debugger.eip == 0xFFF0
        assert debugger.memory.read_physical(0xFFFFFFF0, 4) == rom.read_bytes()[-16:-12]
