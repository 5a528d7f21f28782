"""What a submission may not do, found before it boots: in the source, in the preprocessed source, and in the object.

Each refusal names file and line, and the cure. The three looks overlap on purpose: a macro or a spliced line may hide a word
from the first, but not from the second; and whatever the text looks like, the object's sections, symbols and instructions are
what would run.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from judge.image import CROSS, demangle
from judge.lab import Lab
from judge.submission import Refusal, SourceFile
from judge.tokens import Evasion, Token, tokens

# Headers of the standard library that need no operating system (and no library to link with).
STANDARD_HEADERS = frozenset(
    "algorithm array atomic bit cfloat climits compare concepts cstdarg cstddef cstdint functional initializer_list iterator "
    "limits new numbers numeric optional ranges ratio source_location span string_view tuple type_traits utility variant "
    "version limits.h stdarg.h stddef.h stdint.h".split())

_DIRECTIVES = frozenset("include define undef if ifdef ifndef elif elifdef elifndef else endif error warning".split())

_NO_ASM = ("inline assembly (asm)", "write it in C++; what needs an instruction of its own is a function of the kernel, such as mm::tlb::invalidate_page()")
_NO_ATTRIBUTE = ("a compiler attribute", "leave it away; the standard ones, such as [[nodiscard]] and [[maybe_unused]], are fine")
_NO_PRAGMA = ("a pragma", "leave it away: all code is compiled with the same options")
_NO_TRICK = ("a compiler's own function that reaches below C++", "write it in C++")
_FORBIDDEN = {
    "asm": _NO_ASM, "__asm": _NO_ASM, "__asm__": _NO_ASM,
    "__attribute__": _NO_ATTRIBUTE, "__attribute": _NO_ATTRIBUTE, "__declspec": _NO_ATTRIBUTE,
    "_Pragma": _NO_PRAGMA, "__pragma": _NO_PRAGMA,
    "__builtin_return_address": _NO_TRICK, "__builtin_frame_address": _NO_TRICK, "__builtin_apply": _NO_TRICK,
    "__builtin_apply_args": _NO_TRICK, "__builtin_longjmp": _NO_TRICK, "__builtin_setjmp": _NO_TRICK,
    "__builtin_eh_return": _NO_TRICK, "__builtin_unwind_init": _NO_TRICK, "__builtin_dwarf_cfa": _NO_TRICK,
    "thread_local": ("a thread-local variable", "the kernel has no threads of that kind; use a plain static variable"),
    "__thread": ("a thread-local variable", "the kernel has no threads of that kind; use a plain static variable"),
    "try": ("an exception handler", "the kernel has no exceptions: return an Error, see lib/result.h"),
    "throw": ("an exception", "the kernel has no exceptions: return an Error, see lib/result.h"),
}
_HARMLESS_GNU = frozenset("always_inline noinline hot cold pure const flatten unused may_alias".split())
_TRIGRAPH = re.compile(r"\?\?[=/'()!<>-]")
_KEYWORDS = frozenset(
    "alignas alignof and asm auto bool break case catch char class concept const consteval constexpr constinit const_cast continue "
    "co_await co_return co_yield decltype default delete do double dynamic_cast else enum explicit export extern false final float "
    "for friend goto if inline int long mutable namespace new noexcept not nullptr operator or override private protected public "
    "register reinterpret_cast requires return short signed sizeof static static_assert static_cast struct switch template this "
    "thread_local throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t while xor "
    "TRY KASSERT PANIC defined".split())


# -- the source ----------------------------------------------------------------------------------------------------------


def check_source(file: SourceFile, lab: Lab) -> list[Refusal]:
    """The text as written: directives, forbidden words, spellings that fool readers."""
    found: list[Refusal] = []
    for number, line in enumerate(file.text.splitlines(), 1):
        trigraph = _TRIGRAPH.search(line)
        if trigraph and "//" not in line[: trigraph.start()]:
            found.append(Refusal(file.shown, number, f"the trigraph {trigraph.group()}", "write the character itself"))
    try:
        stream = list(tokens(file.text))
    except Evasion as evasion:
        return [*found, Refusal(file.shown, evasion.line, evasion.what, evasion.cure)]
    found += _directives(file, lab, stream)
    found += _words(file.shown, stream)
    return sorted(set(found), key=lambda refusal: refusal.line)


def _directives(file: SourceFile, lab: Lab, stream: Sequence[Token]) -> Iterator[Refusal]:
    index = 0
    while index < len(stream):
        token = stream[index]
        index += 1
        if token.kind != "directive":
            continue
        end = next(i for i in range(index, len(stream)) if stream[i].kind == "end")
        arguments, index = stream[index:end], end + 1
        if token.text == "include":
            yield from _include(file, lab, token.line, arguments)
        elif token.text == "pragma":
            yield Refusal(file.shown, token.line, *_NO_PRAGMA)
        elif token.text not in _DIRECTIVES:
            yield Refusal(file.shown, token.line, f"the directive #{token.text}", "leave it away; #include, #define and #if are fine")
        elif token.text in ("define", "undef") and arguments:
            name = arguments[0].text
            if name in _KEYWORDS or name.startswith("CONFIG_") or name in _FORBIDDEN:
                yield Refusal(file.shown, token.line, f"#{token.text} {name} changes what the contract's headers mean", "choose a name of your own")


def _include(file: SourceFile, lab: Lab, line: int, arguments: Sequence[Token]) -> Iterator[Refusal]:
    spelt = "".join(token.text for token in arguments)
    found = re.fullmatch(r'"([^"\\]+)"|<([^<>"]+)>', spelt)
    if not found:
        yield Refusal(file.shown, line, f"#include {spelt}: a header that only a macro names", "write the header's name")
        return
    name = found[1] or found[2]
    if name not in lab.includes and name not in STANDARD_HEADERS:
        yield Refusal(file.shown, line, f"#include of {name}", _include_cure(lab))


def _include_cure(lab: Lab) -> str:
    return f"a piece includes only what its contract needs: {', '.join(lab.includes)}, and freestanding standard headers such as <cstdint>; put helpers into the .cpp file itself"


def _words(shown: str, stream: Iterable[Token]) -> Iterator[Refusal]:
    names = [token for token in stream if token.kind in ("name", "mark", "directive")]
    for index, token in enumerate(names):
        after = names[index + 1].text if index + 1 < len(names) else ""
        before = names[index - 1].text if index else ""
        if token.kind != "name":
            continue
        if token.text in _FORBIDDEN:
            yield Refusal(shown, token.line, *_FORBIDDEN[token.text])
        elif token.text.startswith("__builtin_ia32_"):
            yield Refusal(shown, token.line, f"{token.text}, which is an instruction by another name", "write it in C++")
        elif token.text in ("gnu", "__gnu__", "clang") and (after in ("::", ":") or before == "using"):
            attribute = names[index + 2].text.strip("_") if after == "::" and index + 2 < len(names) else ""
            if attribute not in _HARMLESS_GNU:
                yield Refusal(shown, token.line, f"{_NO_ATTRIBUTE[0]}, {token.text}::{attribute}", _NO_ATTRIBUTE[1])


# -- the preprocessed source -----------------------------------------------------------------------------------------------


_LINE_MARKER = re.compile(r'# (\d+) "((?:[^"\\]|\\.)*)"((?: \d)*)')


def check_preprocessed(file: SourceFile, text: str, copy: Path, lab: Lab) -> list[Refusal]:
    """What the macros and includes of `copy` became. Lines that come from headers are the kit's own."""
    own: dict[int, list[str]] = {}
    stack: list[str] = []
    found: list[Refusal] = []
    line = 1
    for row in text.splitlines():
        marker = _LINE_MARKER.fullmatch(row)
        if not marker:
            if stack and stack[-1] == str(copy):
                own.setdefault(line, []).append(row)
            line += 1
            continue
        name, flags = marker[2], marker[3].split()
        if "1" in flags:
            if stack and stack[-1] == str(copy) and not _allowed_path(name, lab):
                found.append(Refusal(file.shown, line, f"#include of {name}", _include_cure(lab)))
            stack.append(name)
        elif "2" in flags:
            stack[-1:] = []
            if stack:
                stack[-1] = name
        else:
            stack = [*stack[:-1], name]
        line = int(marker[1])
    for number in sorted(own):
        try:
            stream = [Token(token.kind, token.text, number) for token in tokens("\n".join(own[number]))]
        except Evasion as evasion:
            found.append(Refusal(file.shown, number, evasion.what, evasion.cure))
            continue
        if any(token.kind == "directive" and token.text == "pragma" for token in stream):
            found.append(Refusal(file.shown, number, *_NO_PRAGMA))
        found += _words(file.shown, stream)
    return list(dict.fromkeys(found))


def _allowed_path(name: str, lab: Lab) -> bool:
    path = name.removeprefix("kernel/")
    if path in lab.includes or Path(name).name == "config.h" and "config.h" in lab.includes:
        return True
    return name.startswith("/usr/") and Path(name).name in STANDARD_HEADERS


# -- the object --------------------------------------------------------------------------------------------------------------


# What the compiler itself may call: block functions and 64-bit arithmetic.
RUNTIME = frozenset("memcpy memmove memset memcmp __udivdi3 __umoddi3 __udivmoddi4 __divdi3 __moddi3 __divmoddi4 __muldi3 "
                    "__ashldi3 __ashrdi3 __lshrdi3 __popcountsi2 __popcountdi2 __ctzdi2 __clzdi2 __ffsdi2 __bswapsi2".split())

# Any piece may stop the kernel.
_ALWAYS = frozenset(["not_implemented(char const*, char const*)", "panic(char const*, char const*, int)"])

_PLAIN_SECTION = re.compile(r"\.(text|rodata|data|bss|comment|note|debug|rel|symtab|strtab|shstrtab|group|gnu\.linkonce)($|[._])")
_CONSTRUCTORS = re.compile(r"\.(rel\.)?(init_array|ctors|preinit_array|fini_array|dtors)")
_STATIC_CONSTRUCTOR = ("a static constructor: code that would run before the kernel has begun", "make the variable constinit or constexpr, and set it up in the function that is called first")
_PRIVILEGED = re.compile(
    r"cli|sti|hlt|in[bwl]?|out[bwl]?|ins[bwl]|outs[bwl]|[ls]gdt[lw]?|[ls]idt[lw]?|[ls]ldt[lw]?|ltr[wl]?|str[wl]?|[ls]msw[wl]?|clts|invd|wbinvd|"
    r"invlpg|rdmsr|wrmsr|rdpmc|rdtscp?|cpuid|iret[wld]?|sysenter|sysexit[l]?|syscall|sysret[l]?|int|int1|int3|icebp|into|ljmp[lw]?|lcall[lw]?|"
    r"lret[lw]?|l[defgs]s|pushf[lw]?|popf[lw]?|monitor|mwait|vm\w+|xsetbv|rsm|\(bad\)")
_SPECIAL_REGISTER = re.compile(r"%(cr\d|db\d|dr\d|tr\d)\b|(?<![\w(])%[cdefgs]s\b(?!:)")
_OBJDUMP_LINE = re.compile(r"(\S.*):(\d+)(?: \(discriminator \d+\))?")
_INSTRUCTION = re.compile(r"\s+[0-9a-f]+:\t(.*?)(?: *#.*)?(?:\t[0-9a-f]+: R_386_.*)?$")
_RELOCATION = re.compile(r"\t[0-9a-f]+: R_386_\w+\t([^\s+]+)")
_PREFIXES = frozenset("rep repz repnz repe repne lock data16 addr16 cs ds es fs gs ss notrack".split())


@dataclass(frozen=True)
class _Code:
    """An object's instructions with their source lines, as objdump tells them."""

    instructions: list[tuple[int, str]]
    uses: dict[str, int]  # line of the first use of each symbol


def check_object(file: SourceFile, compiled: Path, lab: Lab) -> list[Refusal]:
    """Sections, symbols and instructions of the compiled piece."""
    code = _disassemble(file, compiled)
    with compiled.open("rb") as stream:
        elf = ELFFile(stream)
        found = [*_sections(file, elf, code), *_symbols(file, elf, code, lab)]
    found += _instructions(file, code)
    return sorted(set(found), key=lambda refusal: (refusal.line, refusal.what))


def _disassemble(file: SourceFile, compiled: Path) -> _Code:
    listing = subprocess.run([f"{CROSS}objdump", "-d", "-r", "-l", "-w", "--no-show-raw-insn", str(compiled)],
                             capture_output=True, text=True, errors="replace", check=True).stdout
    code, line = _Code([], {}), 0
    for row in listing.splitlines():
        if found := _INSTRUCTION.match(row):
            code.instructions.append((line, found[1]))
            for name in _RELOCATION.findall(row):
                code.uses.setdefault(name, line)
        elif (found := _OBJDUMP_LINE.fullmatch(row)) and Path(found[1]).name == file.name:
            line = int(found[2])
    return code


MAX_OBJECT_BYTES = 8 << 20  # of code and data: the smallest machines of most labs have twice as much memory


def _sections(file: SourceFile, elf: ELFFile, code: _Code) -> Iterator[Refusal]:
    size = sum(section["sh_size"] for section in elf.iter_sections() if section["sh_flags"] & 0x2)  # SHF_ALLOC
    if size > MAX_OBJECT_BYTES:
        yield Refusal(file.shown, 0, f"code and static data of {size >> 20} MiB",
                      f"memory for tables comes from the functions of the contract; a piece has room for {MAX_OBJECT_BYTES >> 20} MiB")
    for section in elf.iter_sections():
        if not section.name:
            continue
        if _CONSTRUCTORS.match(section.name):
            yield Refusal(file.shown, _constructor_line(file, code), *_STATIC_CONSTRUCTOR)
        elif section["sh_flags"] & 0x400:
            yield Refusal(file.shown, 0, *_FORBIDDEN["thread_local"])
        elif not _PLAIN_SECTION.match(section.name):
            yield Refusal(file.shown, 0, f"the object has a section {section.name}", "leave section attributes away")


def _constructor_line(file: SourceFile, code: _Code) -> int:
    return code.uses.get("__dso_handle", code.uses.get("__cxa_atexit", 0)) or _first_line_with(file, r"^\s*static\s+\w+[\w:<>]*\s+\w+\s*[;({=]")


def _first_line_with(file: SourceFile, pattern: str) -> int:
    for number, line in enumerate(file.text.splitlines(), 1):
        if re.search(pattern, line):
            return number
    return 0


def _symbols(file: SourceFile, elf: ELFFile, code: _Code, lab: Lab) -> Iterator[Refusal]:
    table = elf.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        return
    rows = [symbol for symbol in table.iter_symbols() if symbol.name and symbol["st_info"]["bind"] != "STB_LOCAL"]
    readable = demangle([symbol.name for symbol in rows])
    for symbol, name in zip(rows, readable):
        line = code.uses.get(symbol.name, 0) or _first_line_with(file, rf"\b{re.escape(_plain(name))}\b")
        if symbol["st_shndx"] == "SHN_UNDEF":
            if not _may_use(symbol.name, name, lab):
                yield _foreign(file, line, symbol.name, name)
        elif symbol["st_info"]["bind"] in ("STB_WEAK", "STB_LOOS") and symbol.name.startswith("_Z"):
            continue  # an inline function or template of a header: the kernel's own copy wins
        elif not name.startswith(lab.defines):
            yield Refusal(file.shown, line, f"{name} is visible to the whole kernel but is no part of the contract",
                          "put helpers into an unnamed namespace: namespace { ... }")


def _may_use(raw: str, name: str, lab: Lab) -> bool:
    return raw in RUNTIME or name in _ALWAYS or name in lab.symbols or raw in lab.symbols or name.startswith(lab.defines)


def _foreign(file: SourceFile, line: int, raw: str, name: str) -> Refusal:
    if raw in ("__cxa_atexit", "__dso_handle", "atexit"):
        return Refusal(file.shown, line, *_STATIC_CONSTRUCTOR)
    if name.startswith(("operator new", "operator delete")):
        return Refusal(file.shown, line, f"{name.partition('(')[0]} is used", "there is no heap below this piece: use fixed tables or the frames themselves")
    return Refusal(file.shown, line, f"{name} is used, which the contract does not offer", "call only what the headers of the contract declare for this lab (see `symbols` in lab.toml)")


def _plain(name: str) -> str:
    """ "mm::tlb::flush()" -> "flush"."""
    return re.split(r"[(<]", name)[0].split("::")[-1] or name


def _instructions(file: SourceFile, code: _Code) -> Iterator[Refusal]:
    for line, text in code.instructions:
        words = text.split()
        while words and words[0] in _PREFIXES and len(words) > 1:
            words = words[1:]
        if not words:
            continue
        operands = re.sub(r"[-+]?(0x)?[0-9a-f]*\(", "(", " ".join(words[1:]))
        if _PRIVILEGED.fullmatch(words[0]) or (words[0] != "nop" and _SPECIAL_REGISTER.search(operands)):
            yield Refusal(file.shown, line, f"the instruction `{' '.join(words)}`, which is the kernel's own business",
                          "leave ports, interrupts and control registers to the kernel's functions")
