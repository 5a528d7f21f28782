"""Crashes in words: what stopped the machine, where, and what that usually means."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from judge.image import KernelImage
from judge.scenario import Op
from judge.transcript import escaped
from judge.verdict import Failure

MAX_FRAMES = 16
_PANIC_MAGIC = 0x50414E43
# magic, vector, error_code, eip, esp, ebp, cr2, cr3, eflags, eax ecx edx ebx esi edi, reason, depth, backtrace
_PANIC = struct.Struct("<15I160sI16I")
_ASSERTION = 0xFFFFFFFF
_PAGE_FAULT, _DOUBLE_FAULT = 14, 8
_EXCEPTIONS = {0: "divide error", 1: "debug exception", 3: "breakpoint", 4: "overflow", 5: "bound range exceeded",
               6: "invalid opcode", 7: "no coprocessor", 8: "double fault", 10: "invalid TSS", 11: "segment not present",
               12: "stack fault", 13: "general protection fault", 14: "page fault", 16: "floating-point error",
               17: "alignment check", 18: "machine check"}
_GUARDED_STACKS = (0xF0400000, 0xF0800000)


@dataclass(frozen=True)
class Panic:
    """The kernel's own report of its end (arch/i386/panic_report.h)."""

    vector: int
    error_code: int
    eip: int
    esp: int
    ebp: int
    cr2: int
    reason: str
    backtrace: list[int]

    @staticmethod
    def parse(data: bytes) -> Panic | None:
        words = _PANIC.unpack(data[: _PANIC.size])
        if words[0] != _PANIC_MAGIC:
            return None
        reason = escaped(words[15].split(b"\0")[0])
        return Panic(words[1], words[2], words[3], words[4], words[5], words[6], reason, list(words[17 : 17 + min(words[16], 16)]))


class Crash:
    """Looks at the stopped machine and says what happened. `operation` is the one that was running, if any."""

    def __init__(self, target: Any, image: KernelImage, files: Sequence[str], operation: Op | None) -> None:
        self.target = target
        self.image = image
        self.files = files
        self.operation = operation

    # -- what was running ---------------------------------------------------------------------------------------

    @property
    def during(self) -> str:
        return f"the operation running was {self.operation}" if self.operation else "the kernel was still booting"

    def line(self, address: int) -> str:
        return escaped(self.target.line_of(address)) or f"{address:#010x}"

    def walk(self, eip: int, ebp: int) -> list[int]:
        """Return addresses along the frame pointers."""
        found = [eip]
        for _ in range(MAX_FRAMES):
            try:
                ebp, back = struct.unpack("<II", self.target.linear(ebp, 8))
            except Exception:  # the chain leaves mapped memory: a corrupt stack ends here
                break
            if not self.image.text[0] <= back < self.image.text[1]:
                break
            found.append(back)
        return found

    def failure(self, kind: str, seen: str, addresses: list[int], hint: str = "", expected: str = "") -> Failure:
        lines = [self.line(address - (1 if index else 0)) for index, address in enumerate(addresses)]
        own = next((line for line in lines if any(file in line for file in self.files)), "")
        where = lines[0] if lines else ""
        place = f" in {where}" if where else ""
        if own and own != where:
            place += f", called from your {own}"
        return Failure(expected or "every operation returns, with a value or an error", f"{seen.replace('@', place, 1)}; {self.during}",
                       hint, kind=kind, operation=self.operation.number if self.operation else None,
                       where=own or where, backtrace=lines)

    # -- the ways to go -----------------------------------------------------------------------------------------

    def not_implemented(self, lab: str, function: str) -> Failure:
        return Failure(f"{function}() does what its contract says", f"lab {escaped(lab)}: {escaped(function)}() is not implemented",
                       "Replace the call of not_implemented() in the stub with your code.", kind="not implemented",
                       operation=self.operation.number if self.operation else None)

    def hang(self, budget: int) -> Failure:
        registers = self.target.registers()
        return self.failure("hang", f"did not finish within {budget:,} ticks: running@", self.walk(registers["eip"], registers["ebp"]),
                            "An endless loop, or work that grows with the size of memory. Where does the loop end, and what if the list or map is full?",
                            f"the test ends within {budget:,} emulated ticks, several times what a good solution takes")

    def halted(self) -> Failure:
        registers = self.target.registers()
        return self.failure("halted", "the CPU halted with interrupts off, for ever,@", self.walk(registers["eip"], registers["ebp"]),
                            "Nothing wakes a CPU that executes hlt with interrupts off. Return an error instead of stopping.")

    def triple_fault(self, detail: str) -> Failure:
        return self.failure("triple fault", f"triple fault: an exception while the CPU called the handler of an exception; it reset itself ({escaped(detail)})",
                            [], "Most often CR3 or the kernel's part of a page directory no longer maps the kernel's code, stack or IDT.")

    def panic(self, console: str = "") -> Failure:
        """The kernel stopped itself: its report says why."""
        report = None
        try:
            report = Panic.parse(self.target.physical(self.image.symbol("panic_report"), _PANIC.size))
        except KeyError:
            pass
        if report is None:
            registers = self.target.registers()
            return self.failure("panic", "the kernel panicked@", self.walk(registers["eip"], registers["ebp"]))
        addresses = report.backtrace or [report.eip]
        if report.eip and addresses[0] != report.eip:
            addresses = [report.eip, *addresses]
        if report.vector == _ASSERTION:
            return self.failure("panic", f"kernel panic: {report.reason},@", addresses)
        if report.vector == _DOUBLE_FAULT or "stack overflow" in report.reason or self._on_guard(report):
            return self.failure("stack overflow", f"the kernel stack overflowed@ (ESP {report.esp:#010x})", addresses[:6],
                                "A kernel stack is 16 KiB: no deep recursion, no large local arrays.")
        if report.vector == _PAGE_FAULT:
            return self.page_fault(report, addresses)
        name = _EXCEPTIONS.get(report.vector, f"exception {report.vector}")
        return self.failure("panic", f"{name} (error code {report.error_code:#x})@", addresses, _hint_for(report.vector))

    def _on_guard(self, report: Panic) -> bool:
        begin, end = _GUARDED_STACKS
        return report.vector == _PAGE_FAULT and begin <= report.cr2 < end and abs(report.cr2 - report.esp) < 0x2000

    def page_fault(self, report: Panic, addresses: list[int]) -> Failure:
        address, write = report.cr2, bool(report.error_code & 2)
        verb = "a write to" if write else ("a jump to" if address == report.eip else "a read of")
        harness, text, rodata = self.image.harness, self.image.text, self.image.rodata
        if harness[0] <= address < harness[1]:
            return self.failure("harness overwritten", f"{verb} {address:#010x}, which is the harness's own memory,@", addresses,
                                "A wild pointer, or an index past the end of your own table. The harness's memory is read-only while your code runs.",
                                "the piece writes to its own state and to the frames that it was given, nowhere else")
        if write and (text[0] <= address < text[1] or rodata[0] <= address < rodata[1]):
            what = "code" if address < text[1] else "constants"
            return self.failure("page fault", f"{verb} {address:#010x}, in the kernel's read-only {what},@", addresses,
                                "A wild pointer or an index past the end of a table.")
        why = "the page is there but the rights forbid it" if report.error_code & 1 else "nothing is mapped there"
        hint = "An address below 4096 is a null pointer, or a member of one." if address < 4096 else \
            "Which pointer held this address? Reach a frame's bytes through frame_memory(), never by a cast."
        return self.failure("page fault", f"page fault: {verb} {address:#010x} ({why})@", addresses, hint)


def _hint_for(vector: int) -> str:
    if vector == 0:
        return "A division by zero, or a quotient that does not fit."
    if vector == 6:
        return "The compiler puts an invalid instruction where the program's behaviour is undefined, such as a function that ends without return."
    if vector == 13:
        return "A jump to data or past the end of the kernel's code: a function pointer or a return address was overwritten."
    return ""
