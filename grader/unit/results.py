"""What the test program said (host/runner.cpp), read and shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from judge import paths

SHOWN_FAILURES = 2  # of one test
SHOWN_LINES = 16  # of one failure
SHOWN_FRAMES = 6  # of one stack

# The sanitizer's name for a bad access, and what it means here.
ACCESSES = {
    "use-after-poison": "an access to memory that nobody may touch now: a free or reserved frame, a High frame that is not mapped, or the "
                        "red zone of an area",
    "global-buffer-overflow": "an access past the end of an array",
    "stack-buffer-overflow": "an access past the end of a local array",
    "dynamic-stack-buffer-overflow": "an access past the end of a local array",
    "heap-buffer-overflow": "an access past the end of an array that the test passed",
    "stack-use-after-scope": "an access to a local variable that has ended",
    "stack-use-after-return": "an access to a local variable of a function that has returned",
    "stack-overflow": "the stack is used up: endless recursion, or a very large local variable",
    "SEGV": "an access where there is no memory",
    "FPE": "a division by zero",
}


_HEAD = re.compile(rb"@test (?P<number>\d+) (?P<name>\S+) (?P<outcome>\w+) (?P<ms>\d+) (?P<bytes>\d+)\n")


@dataclass(frozen=True)
class Result:
    """How one test ended."""

    name: str
    outcome: str  # pass, fail, hang, crash
    milliseconds: int
    output: str

    @property
    def missing(self) -> str:
        """ "lab 03-buddy: allocate() is not implemented", when that is why it failed."""
        found = re.search(r"lab \S+: \w+\(\) is not implemented", self.output)
        return found[0] if found and self.outcome != "pass" else ""


def parse(output: bytes) -> list[Result]:
    """The records of the runner's output, in the order of the tests' definition."""
    results: dict[int, Result] = {}
    at = 0
    while head := _HEAD.search(output, at):
        at = head.end() + int(head["bytes"])
        written = output[head.end():at].decode("utf-8", "replace")
        results[int(head["number"])] = Result(head["name"].decode(), head["outcome"].decode(), int(head["ms"]), written)
    return [results[number] for number in sorted(results)]


def same_trouble(result: Result) -> tuple[str, ...]:
    """Tests that fail for one cause have the same: what happened, numbers aside, and the innermost place of a crash."""
    lines = explain(result)
    if not result.outcome == "crash" and re.match(r"\S+:\d+:$", lines[0]):
        return (result.name,)  # a sentence of this test's own
    return (re.sub(r"0x[0-9a-f]+|\d+", "N", lines[0]), *[line for line in lines if line.startswith("    at ")][:1])


def explain(result: Result) -> list[str]:
    """A failed test, in a few lines without indentation."""
    return [line.removesuffix(" in TestBody") + f" in {result.name}" if line.endswith(" in TestBody") else line for line in _explain(result)]


def _explain(result: Result) -> list[str]:
    if result.missing:
        return [result.missing]
    output = _strip_root(result.output)
    if result.outcome == "hang":
        return ["it did not end: stopped after 3 seconds of processor time, here:", *_frames(output.rpartition("@hang")[2])]
    sanitizer = _sanitizer_report(output)
    if sanitizer:
        return sanitizer
    lines: list[str] = []
    failures = re.findall(r"@failure ([^\n]*)\n(.*?)(?=\n@failure |\Z)", output, re.DOTALL)
    for place, message in failures[:SHOWN_FAILURES]:
        lines += _failure(place, message, output)
    if len(failures) > SHOWN_FAILURES:
        lines.append(f"... and {len(failures) - SHOWN_FAILURES} more of this test")
    return lines or [f"it ended in a way of its own ({result.outcome}):", *output.strip().splitlines()[-SHOWN_LINES:]]


def explain_output(said: str) -> list[str]:
    """What a fuzz target said at its end."""
    said = _strip_root(said)
    problem = re.search(r"@problem (.*?)\n@end", said, re.DOTALL)
    if problem:
        return problem[1].splitlines()[:SHOWN_LINES]
    hang = re.search(r"ERROR: libFuzzer: timeout after \d+ seconds", said)
    if hang:
        return ["a call does not end:", *_frames(said[hang.end():])]
    return _sanitizer_report(said) or said.strip().splitlines()[-SHOWN_LINES:]


def _failure(place: str, message: str, output: str) -> list[str]:
    thrown = re.match(r'C\+\+ exception with description "(.*)" thrown in (.*?)\.?\Z', message.strip(), re.DOTALL)
    if not thrown:
        text = message.strip().removeprefix("Failed\n").splitlines()
        return [f"{place}:", *("    " + line.rstrip() for line in text[:SHOWN_LINES])]
    lines = thrown[1].splitlines()[:SHOWN_LINES]
    if lines and lines[0].startswith("kernel panic"):
        lines += _frames(output[output.find(lines[0]):])
    return lines


def _sanitizer_report(output: str) -> list[str]:
    """AddressSanitizer's or UndefinedBehaviorSanitizer's report, cut down to what it is about."""
    undefined = re.search(r"^(\S+?:\d+:\d+): runtime error: (.*)$", output, re.MULTILINE)
    if undefined:
        return [f"undefined behaviour at {undefined[1]}: {undefined[2]}", *_frames(output[undefined.end():])]
    report = re.search(r"ERROR: AddressSanitizer: (.*)", output)
    if not report:
        return []
    kind = report[1].split()[0].rstrip(":")
    address = re.search(r"address (0x[0-9a-f]+)", report[1])
    access = re.search(r"^(READ|WRITE) of size (\d+)|caused by a (READ|WRITE)", output[report.end():], re.MULTILINE)
    lines = [f"AddressSanitizer: {ACCESSES.get(kind, kind)}"]
    if access and address:
        verb = "reads" if "READ" in access[0] else "writes"
        number = int(address[1], 16)
        if number in _SHADOW_OF_THE_SHARED_RANGE:
            return [_no_mmu((number - _SHADOW_OFFSET) * 8), *_frames(output[report.end():])]
        lines.append(f"{verb} {access[2] + ' bytes ' if access[2] else ''}at {number:#010x} ({kind})")
    lines += [f"it {line}" for line in re.findall(r"is located .* (?:global variable|region).*", output)[-1:]]
    return lines + _frames(output[report.end():])


# AddressSanitizer looks up an address at offset + address / 8 first, and for those above 2 GiB that look itself faults.
_SHADOW_OFFSET = 0x7FFF8000
_SHADOW_OF_THE_SHARED_RANGE = range(_SHADOW_OFFSET + (0x80000000 >> 3), _SHADOW_OFFSET + (1 << 29))


def _no_mmu(address: int) -> str:
    if 0xFF800000 <= address < 0xFFC00000:
        return (f"an access near {address:#010x}, in the piece's own slot. A recursive slot needs the CPU's paging: it works in the kernel "
                "(`make grade`), and not in the host tests, which reach page tables through frame_memory() only")
    return f"an access near {address:#010x}: nothing is mapped there. The host tests have no paging, only identity-mapped memory"


def _frames(stack: str) -> list[str]:
    """The calls of the first stack that lie in this tree, innermost first, down to the test."""
    lines = []
    for function, place in re.findall(r"^ +#\d+ 0x[0-9a-f]+ in (.+?) (\S+?:\d+)(?::\d+)?$", _first_stack(stack), re.MULTILINE):
        if _NOT_OURS.search(place):
            continue
        lines.append(f"    at {place} in {_short(function)}")
        if "TestBody" in function or len(lines) == SHOWN_FRAMES:
            break
    return lines


# The sanitizers' own code, the C++ library, GoogleTest, and what only carries out a test.
_NOT_OURS = re.compile(r"libsanitizer|compiler-rt|^/usr/|/libc|csu/|gtest|host/(kernel_lib|runner)\.cpp")


def _first_stack(text: str) -> str:
    begin = text.find("    #0 ")
    end = text.find("\n\n", begin)
    return text[begin:end if end > 0 else None] if begin >= 0 else ""


def _short(function: str) -> str:
    """Without arguments and unnamed namespaces; a test by its own name."""
    test = re.match(r"(?:\(anonymous namespace\)::)?(\w+?)_(\w+)_Test::TestBody", function)
    if test:
        return f"{test[1]}.{test[2]}"
    plain = function.replace("(anonymous namespace)::", "")
    return plain.partition("(")[0]


def _strip_root(text: str) -> str:
    return text.replace(f"{paths.ROOT}/", "")


def missing_functions(texts: Sequence[str]) -> list[str]:
    """What the stubs in these sources say is still to be written."""
    return [name for text in texts for name in re.findall(r'^(?!\s*//).*\bnot_implemented\("[^"]*", "(\w+)"\)', text, re.MULTILINE)]
