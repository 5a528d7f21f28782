"""How processes end that did something wrong, and what must become of a process beside them."""

from __future__ import annotations

import re

from judge.scenario import Op, expect
from labs.programs import Look, Programs, Ran

# fault::Reason (mm/fault/decision.h), and what the kernel prints for each when a process dies of it.
REASON_TEXTS = {
    "None": "",
    "NullPointer": "null pointer",
    "KernelAddress": "address of the kernel",
    "NotMapped": "nothing is mapped there",
    "GuardPage": "guard page below a stack or mapping",
    "NotReadable": "access to memory without rights",
    "NotWritable": "write to read-only memory",
    "NotExecutable": "execution of data",
    "PastEnd": "past the end of the mapped file",
    "Device": "the page cannot be read from the disk",
    "StackLimit": "the stack has reached its limit",
}
REASONS = tuple(REASON_TEXTS)
ACCESSES = {"r": "a read of", "w": "a write to", "x": "a jump to"}


def numbers_in(ran: Ran, count: int) -> dict[str, list[int]]:
    """Lines of a word and so many hexadecimal numbers, by the word; what else was printed is passed over."""
    found = re.findall(rf"^(\S+)((?: [0-9a-f]+){{{count}}})$", ran.text, re.MULTILINE)
    return {word: [int(number, 16) for number in numbers.split()] for word, numbers in found}


def told(signal: int, reason: int, address: int) -> str:
    """What a handler was told, in words."""
    if signal == 0:
        return "the access was possible"
    return f"signal {signal}, {REASONS[reason] if reason < len(REASONS) else f'reason {reason}'}, at {address:#x}"


def check_death(ran: Ran, signal: str, reason: str, addresses: range, why: str) -> None:
    """The process was ended by the right signal, and the message says the reason and an address in a range."""
    found = re.search(r"killed by (\w+): (.+) at 0x([0-9a-f]{8}), eip", ran.text)
    seen = f"{ran.ending}: {ran.lines[-1] if ran.lines else 'nothing printed'}"
    expect(ran.signal == signal and found is not None, f"{why}: the process ends by {signal}", seen, operation=ran.op.number)
    assert found
    expect(found[2] == REASON_TEXTS[reason] and int(found[3], 16) in addresses,
           f"{why}: {REASON_TEXTS[reason]!r} at {addresses.start:#x}{f' to {addresses.stop - 1:#x}' if len(addresses) > 1 else ''}",
           seen, operation=ran.op.number)


def start_bystander(programs: Programs, secret: int) -> Op:
    """A process that fills its memory, and sleeps until it is told to look whether all of it is as it was."""
    process = programs.start("isolate", "victim", secret)
    programs.let_run(12)
    return process


def check_bystander(at_first: Look, at_last: Look, lived: Ran) -> None:
    """A process that slept while others died has what it had: only its code and its stack it may have used meanwhile."""
    def mapped(look: Look) -> dict[int, tuple[int, bytes]]:
        areas = [area for area in look.view.areas if area.kind_name in ("heap", "mapping")]
        return {page.virtual: (page.frame, look.found[page.virtual]) for area in areas for page in look.view.pages_of(area)}

    first, last = mapped(at_first), mapped(at_last)
    changed = [address for address in first.keys() | last.keys() if first.get(address) != last.get(address)]
    expect(not changed, "a process that only sleeps keeps its pages and what is in them",
           f"the page {min(changed, default=0):#x} has changed", operation=lived.op.number)
    expect(lived.exit_status == 0, "a process that slept while others died goes on, and finds its memory as it was", lived.ending,
           operation=lived.op.number)
