"""GdbSession and Target against a real GDB and a real Bochs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridge_machines import MACHINE, build_guest, make_rom, processes_with, wait_for_process, wait_until_gone
from emulator.machine import Machine
from gdb.client import EmulatorError, GdbSession, ProbeError, Target

BUDGET = 50_000_000
DIRECTORY, TABLE, WINDOW, FIRST_FRAME, SECOND_FRAME = 0x200000, 0x201000, 0x400000, 0x300000, 0x302000


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_guest(tmp_path_factory.mktemp("client-guest"))


@pytest.fixture(scope="module")
def session() -> Iterator[GdbSession]:
    with GdbSession() as session:
        yield session


Boot = Callable[..., Target]


@pytest.fixture
def boot(guest: Path, session: GdbSession, tmp_path: Path) -> Iterator[Boot]:
    """boot("word"): a machine that will do what the word says, stopped at the guest's `ready`."""

    def boot(word: str, *, budget: int = BUDGET, machine: Machine = MACHINE, wall_seconds: float = 20) -> Target:
        target = session.boot(guest, make_rom(guest, word, machine), machine, tmp_path / "run", budget, wall_seconds)
        target.breakpoint("ready")
        assert target.resume().symbol == "ready"
        return target

    yield boot
    if session.target:
        session.target.close()


def test_one_session_boots_again_and_again(boot: Boot) -> None:
    for _ in range(3):
        target = boot("calls")
        target.breakpoint("finished")
        stop = target.resume()
        assert (stop.kind, stop.symbol, stop.eip) == ("breakpoint", "finished", target.symbol("finished"))


def test_registers_include_the_control_registers(boot: Boot) -> None:
    target = boot("calls")
    registers = target.registers()
    assert registers["cr3"] == DIRECTORY
    assert registers["cr0"] & 0x80010001 == 0x80010001
    assert registers["cr4"] & 0x90 == 0x90
    assert registers["cs"] != 0 and registers["ss"] != 0
    assert registers["eip"] == target.symbol("ready")


def test_linear_and_physical_memory_differ_where_the_mapping_does(boot: Boot) -> None:
    target = boot("calls")
    target.breakpoint("finished")
    target.resume()
    assert target.word(WINDOW) == 42
    assert int.from_bytes(target.physical(FIRST_FRAME, 4), "little") == 42
    assert target.physical(WINDOW, 4) == bytes(4)
    assert target.physical(16 << 20, 4) == b"\xff" * 4


def test_physical_ranges_come_in_order_and_unaligned(boot: Boot) -> None:
    target = boot("calls")
    whole = target.physical(DIRECTORY, 4096)
    assert len(whole) == 4096 and whole[:8] == target.linear(DIRECTORY, 8)
    pieces = target.physical_ranges([(DIRECTORY + 5, 7), (DIRECTORY, 3), (DIRECTORY + 1, 1)])
    assert pieces == [whole[5:12], whole[:3], whole[1:2]]
    image = target.physical(0x100000, 0x3003)
    assert image[:4] == b"\x7fELF" and len(image) == 0x3003
    assert image[0x123:0x2FF0] == b"".join(target.physical(0x100123 + at, 1000) for at in range(0, 0x2ECD, 1000))[:0x2ECD]


def test_every_byte_value_crosses_the_protocol(boot: Boot) -> None:
    target = boot("calls")
    data = bytes(range(256)) * 3 + b"}#$*\x03\x00"
    target.write(FIRST_FRAME + 0x800, data)
    assert target.physical(FIRST_FRAME + 0x800, len(data)) == data
    assert target.linear(WINDOW + 0x800, len(data)) == data


def test_an_unmapped_address_is_an_error_that_names_it(boot: Boot) -> None:
    target = boot("calls")
    with pytest.raises(ProbeError, match="0x800000"):
        target.linear(0x800000, 4)
    with pytest.raises(ProbeError, match="0x401000"):
        target.linear(WINDOW + 0xFFE, 8)
    with pytest.raises(ProbeError):
        target.write(0x800000, b"\1")
    assert len(target.linear(WINDOW + 0xFFE, 2)) == 2


def test_arguments_and_strings_at_a_function_entry(boot: Boot) -> None:
    target = boot("read")
    target.breakpoint("checkpoint")
    seen = []
    for _ in range(2):
        assert target.resume().symbol == "checkpoint"
        seen.append((target.string(target.argument(0)), target.argument(1)))
    assert seen == [("before", 1), ("after", 5)]
    assert target.string(target.argument(0), limit=3) == "aft"


def test_names_and_lines(boot: Boot) -> None:
    target = boot("calls")
    address = target.symbol("room::enter(room::Key)")
    assert address == target.symbol("_ZN4room5enterENS_3KeyE")
    line = next(i for i, text in enumerate(_guest_source(), 1) if "room::Key" not in text and "enter(Key key)" in text)
    assert target.line_of(address) == f"room::enter() at bridge_guest.cpp:{line}"
    assert target.line_of(0x800000) == "0x00800000"
    with pytest.raises(KeyError, match="no_such_function"):
        target.symbol("no_such_function")


def _guest_source() -> list[str]:
    return Path(__file__).with_name("bridge_guest.cpp").read_text().splitlines()


def test_counted_functions_do_not_stop(boot: Boot) -> None:
    target = boot("calls")
    hits = target.count_hits(["called", "room::enter(room::Key)", "do_loop"])
    target.breakpoint("finished")
    assert target.resume().symbol == "finished"
    assert hits.read() == {"called": 37, "room::enter(room::Key)": 1, "do_loop": 0}


def test_counting_and_stopping_at_one_place(boot: Boot) -> None:
    target = boot("calls")
    hits = target.count_hits(["called"])
    target.breakpoint("called")
    for _ in range(5):
        assert target.resume().symbol == "called"
    assert hits.read() == {"called": 5}


def test_a_triple_fault_keeps_the_machine_for_inspection(boot: Boot) -> None:
    target = boot("triple")
    stop = target.resume()
    assert stop.kind == "triple_fault" and "third exception" in stop.detail
    registers = target.registers()
    assert registers["cr2"] == 0x800000 and registers["cr3"] == DIRECTORY
    assert target.line_of(stop.eip).startswith("do_triple() at bridge_guest.cpp:")
    assert target.physical(DIRECTORY + 4, 4) == (TABLE | 0x03).to_bytes(4, "little")
    assert target.resume().kind == "triple_fault"


def test_hlt_with_interrupts_off_is_found_at_once_and_with_its_own_ticks(boot: Boot) -> None:
    stops = []
    for _ in range(2):
        target = boot("halt")
        started = time.monotonic()
        stops.append(target.resume())
        assert time.monotonic() - started < 5
        assert target.line_of(stops[-1].eip).startswith("do_halt()")
    assert [stop.kind for stop in stops] == ["halted", "halted"]
    assert stops[0].ticks == stops[1].ticks < BUDGET


def test_a_processor_that_nothing_wakes_uses_up_its_budget(boot: Boot) -> None:
    stop = boot("idle").resume()
    assert (stop.kind, stop.ticks) == ("budget", BUDGET)


def test_an_endless_loop_ends_with_the_budget_to_the_tick(boot: Boot) -> None:
    target = boot("loop", budget=3_000_000)
    stop = target.resume()
    assert (stop.kind, stop.ticks) == ("budget", 3_000_000)
    assert target.ticks() == 3_000_000
    counted = target.word(target.symbol("counter"))
    assert counted > 100_000
    assert target.resume().kind == "budget"
    assert target.word(target.symbol("counter")) == counted


def test_an_endless_loop_without_budget_meets_the_wall_clock(boot: Boot, session: GdbSession) -> None:
    target = boot("loop", budget=0, wall_seconds=1)
    with pytest.raises(EmulatorError, match="after 1 s of wall clock"):
        target.resume()
    assert session.target is None
    assert boot("calls").last_stop.kind == "breakpoint"


def test_interrupting_from_another_thread(boot: Boot, session: GdbSession) -> None:
    target = boot("loop", budget=0)
    timer = threading.Timer(0.3, session.interrupt)
    timer.start()
    stop = target.resume()
    timer.join()
    assert stop.kind == "interrupted"
    assert target.line_of(stop.eip).startswith("do_loop()")


def test_a_watchpoint_follows_its_page(boot: Boot) -> None:
    target = boot("move")
    target.watchpoint(WINDOW + 8)
    target.breakpoint("finished")
    seen = []
    while (stop := target.resume()).kind == "watchpoint":
        seen.append(target.word(WINDOW + 8))
        assert stop.address == WINDOW + 8
    assert stop.symbol == "finished"
    assert seen == [1, 2, 3]


@pytest.mark.parametrize(("kind", "stops"), [("watch", ["do_read"]), ("rwatch", ["do_read"]), ("awatch", ["do_read"] * 2)])
def test_watching_reads_and_writes(boot: Boot, kind: str, stops: list[str]) -> None:
    target = boot("read")
    target.watchpoint(target.symbol("counter"), kind)
    target.breakpoint("finished")
    seen = []
    while (stop := target.resume()).kind == "watchpoint":
        seen.append(target.line_of(stop.eip).partition("()")[0])
    assert seen == stops and stop.symbol == "finished"


def test_a_stale_tlb_entry_is_seen(boot: Boot) -> None:
    target = boot("stale")
    target.breakpoint("checkpoint")
    frames = []
    for _ in range(3):
        target.resume()
        entry = target.tlb([WINDOW])[WINDOW]
        frames.append(entry.frame_address if entry else None)
        assert int.from_bytes(target.physical(TABLE, 4), "little") & ~0xFFF == SECOND_FRAME
    assert frames == [FIRST_FRAME, None, SECOND_FRAME]
    assert entry is not None and entry.writable and not (entry.user or entry.large or entry.global_ or entry.code)


def test_tlb_entries_of_global_large_pages(boot: Boot) -> None:
    target = boot("calls")
    eip, esp = target.registers()["eip"], target.registers()["esp"]
    entries = target.tlb_entries([eip, esp, 0x800000])
    code = next(entry for entry in entries[eip] if entry.code)
    assert code.large and code.global_ and code.frame_address == eip & ~0xFFF
    data = entries[esp][0]
    assert data.large and data.global_ and not data.code and data.frame_address == esp & ~0xFFF
    assert entries[0x800000] == []


def test_serial_output_and_a_busy_screen(boot: Boot) -> None:
    target = boot("text")
    target.breakpoint("finished")
    assert target.resume().symbol == "finished"
    assert target.serial() == b"text written\n"


def test_a_crash_of_the_emulator_is_reported_in_words(boot: Boot, session: GdbSession) -> None:
    target = boot("crash")
    stop = target.resume()
    assert stop.kind == "dead" and "the emulator died" in stop.detail and "Bochs says: " in stop.detail
    assert stop.ticks == target.last_stop.ticks > 0
    assert boot("calls").last_stop.kind == "breakpoint"


def test_a_killed_emulator_is_reported_in_words(boot: Boot, tmp_path: Path) -> None:
    target = boot("loop", budget=0)
    bochs = wait_for_process(str(tmp_path / "run"), "bochs-bin")
    timer = threading.Timer(0.2, os.kill, (bochs, signal.SIGKILL))
    timer.start()
    stop = target.resume()
    assert stop.kind == "dead" and "signal 9" in stop.detail


def test_an_emulator_killed_between_two_requests(boot: Boot, tmp_path: Path) -> None:
    target = boot("loop", budget=0)
    os.kill(wait_for_process(str(tmp_path / "run"), "bochs-bin"), signal.SIGKILL)
    with pytest.raises(ProbeError):
        target.physical(0, 4)
    stop = target.resume()
    assert stop.kind == "dead" and "signal 9" in stop.detail


def test_a_killed_bridge_takes_the_emulator_with_it(boot: Boot, tmp_path: Path) -> None:
    target = boot("loop", budget=0)
    run = str(tmp_path / "run")
    bridge = next(number for number in processes_with(run) if b"gdb/bridge" in Path(f"/proc/{number}/cmdline").read_bytes())
    os.kill(bridge, signal.SIGKILL)
    with pytest.raises(EmulatorError):
        target.resume()
    assert wait_until_gone(run) == []


def test_a_killed_gdb_is_our_fault_and_the_next_boot_works(guest: Path, tmp_path: Path) -> None:
    with GdbSession() as session:
        rom = make_rom(guest, "loop")
        target = session.boot(guest, rom, MACHINE, tmp_path / "run", 0)
        assert session._process is not None
        session._process.kill()
        with pytest.raises(EmulatorError, match="GDB ended unexpectedly"):
            target.resume()
        assert wait_until_gone(str(tmp_path / "run")) == []
        session.boot(guest, rom, MACHINE, tmp_path / "run", 0)
    assert wait_until_gone(str(tmp_path)) == []


def test_closing_leaves_no_process(guest: Path, tmp_path: Path) -> None:
    with GdbSession() as session:
        session.boot(guest, make_rom(guest, "loop"), MACHINE, tmp_path / "run", 0).close()
        assert processes_with(str(tmp_path / "run")) == []
        session.boot(guest, make_rom(guest, "loop"), MACHINE, tmp_path / "run", 0)
    assert processes_with(str(tmp_path)) == []


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_grader_nothing_stays(guest: Path, tmp_path: Path, end: signal.Signals) -> None:
    """The program is stopped in the middle of `resume`, while the guest loops for ever."""
    rom = make_rom(guest, "loop")
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from pathlib import Path\nfrom gdb.client import GdbSession\nfrom emulator.machine import Machine\n"
        f"with GdbSession() as session:\n    target = session.boot(Path({str(guest)!r}), Path({str(rom)!r}), Machine(16), "
        f"Path({str(tmp_path / 'run')!r}), 0)\n    print('running', flush=True)\n    target.resume()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None and process.stdout.readline() == b"running\n"
        time.sleep(0.2)
        process.send_signal(end)
        assert process.wait(10) != 0
    assert wait_until_gone(str(tmp_path)) == []


def test_odd_names_of_files_and_folders(guest: Path, session: GdbSession, tmp_path: Path) -> None:
    folder = tmp_path / "it's a \"test\" of $HOME, x=1 #2"
    folder.mkdir()
    elf, rom = folder / "the kernel.elf", folder / "boot; rom"
    elf.write_bytes(guest.read_bytes())
    rom.write_bytes(make_rom(guest, "calls").read_bytes())
    with session.boot(elf, rom, MACHINE, folder / "run", BUDGET) as target:
        target.breakpoint("called")
        assert target.line_of(target.resume().eip).startswith("called() at bridge_guest.cpp:")


def test_a_missing_rom_is_refused_in_words(guest: Path, session: GdbSession, tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match="there is no file .*missing.rom"):
        session.boot(guest, tmp_path / "missing.rom", MACHINE, tmp_path / "run", 0)


def test_the_same_rom_stops_at_the_same_ticks_two_at_a_time(guest: Path, tmp_path: Path) -> None:
    rom = make_rom(guest, "text")
    results: list[list[int]] = []

    def run(index: int) -> None:
        with GdbSession() as session:
            for round_ in range(2):
                with session.boot(guest, rom, MACHINE, tmp_path / f"{index}-{round_}", BUDGET) as target:
                    target.breakpoint("ready")
                    target.breakpoint("finished")
                    results.append([target.resume().ticks, target.resume().ticks, target.resume().ticks])

    threads = [threading.Thread(target=run, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all(result == results[0] for result in results)
    assert 0 < results[0][0] < results[0][1] <= results[0][2]


def test_looking_inside_does_not_change_the_course(boot: Boot) -> None:
    """A long run is interrupted three times a second for a look at the processor; it must end in the same state."""
    ends = []
    for _ in range(2):
        target = boot("loop", budget=60_000_000)
        assert target.resume().kind == "budget"
        ends.append((target.registers(), target.word(target.symbol("counter"))))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("megabytes", [8, 1024])
def test_sizes_of_memory(boot: Boot, megabytes: int) -> None:
    target = boot("calls", machine=Machine(megabytes))
    end = megabytes << 20
    assert target.physical(end, 4) == b"\xff" * 4
    target.write(FIRST_FRAME, b"\x55" * 4)
    target.monitor(f"setpmem {end - 4:#x} 4 0x12345678")
    assert target.physical(end - 4, 4) == (0x12345678).to_bytes(4, "little")
