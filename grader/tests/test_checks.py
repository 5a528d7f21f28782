"""What a submission may not do is found before it boots, however it is spelt; and what is allowed is let through."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from judge import paths
from judge.build import COMPILER, BuildError, compile_file, flags, prepare_kernel
from judge.checks import check_object, check_source
from judge.lab import Lab, load_lab
from judge.submission import MAX_BYTES, Refusal, Refused, SourceFile, find_submission

HEADER = '#include "mm/physical/frame_allocator.h"\n'


@pytest.fixture(scope="module")
def lab() -> Lab:
    prepare_kernel()
    return load_lab(paths.LABS / "01-frames")


def refusals(text: str, lab: Lab, out: Path) -> list[Refusal]:
    """All that the three looks find."""
    file = SourceFile("frame_allocator.cpp", Path("frame_allocator.cpp"), "work/frame_allocator.cpp", text)
    found = check_source(file, lab)
    if found:
        return found
    try:
        return check_object(file, compile_file(file, out, lab)[0], lab)
    except Refused as refused:
        return refused.refusals


def function(body: str, before: str = "") -> str:
    """A piece with one function of the contract; `body` begins on line 4 if `before` is one line."""
    return f"{HEADER}{before}\nnamespace mm::frame_allocator {{ size_t free_frames(Zone zone) {{\n{body}\nreturn static_cast<size_t>(zone); }} }}\n"


@pytest.mark.parametrize("name, text, line, what", [
    ("plain", function('asm("cli");'), 4, "asm"),
    ("underscored", function('__asm__ volatile("cli");'), 4, "asm"),
    ("at file scope", HEADER + 'asm(".section .x");\n', 2, "asm"),
    ("after a comment", function('/* x */ asm /* y */ ("cli");'), 4, "asm"),
    ("spliced word", function('as\\\nm("cli");'), 4, "asm"),
    ("spliced with blanks", function('as\\  \nm("cli");'), 4, "asm"),
    ("pasted by a macro", function('WORD(as, m)("cli");', "#define WORD(a, b) a##b"), 4, "asm"),
    ("pasted in two steps", function('WORD(WORD(__a, s), m__)("cli");', "#define PASTE(a, b) a##b\n#define WORD(a, b) PASTE(a, b)\n"), 6, "asm"),
    ("named by a macro", function('CALL("cli");', "#define CALL asm"), 2, "asm"),
    ("behind a raw string", function('const char* s = R"(")"; asm("cli"); (void)s; // ")";'), 4, "asm"),
    ("behind a digit separator", function("int n = 1'000; asm(\"cli\"); (void)n; // '"), 4, "asm"),
    ("behind a quote in a comment", function("// it's\nasm(\"cli\");"), 5, "asm"),
    ("behind an open comment mark in a string", function('const char* s = "/*"; asm("cli"); (void)s; /* */'), 4, "asm"),
    ("attribute", function("__attribute__((section(\".x\"))) static int a; (void)a;"), 4, "attribute"),
    ("gnu attribute", HEADER + '[[gnu::section(".harness")]] int a;\n', 2, "attribute"),
    ("gnu attribute with blanks", HEADER + '[ [ gnu :: constructor ] ] void a() {}\n', 2, "attribute"),
    ("using gnu", HEADER + '[[using gnu: naked]] void a() {}\n', 2, "attribute"),
    ("gnu attribute by its other name", HEADER + '[[__gnu__::__used__]] static int a;\n', 2, "attribute"),
    ("pragma", "#pragma GCC optimize(\"O0\")\n" + function(""), 1, "pragma"),
    ("pragma as an operator", function('_Pragma("GCC poison x")'), 4, "pragma"),
    ("pragma pasted", function('WORD(_Pra, gma)("GCC optimize 0")', "#define WORD(a, b) a##b"), 4, "pragma"),
    ("kernel header", '#include "arch/i386/ports.h"\n' + function(""), 1, "arch/i386/ports.h"),
    ("the solution", '#include "../solutions/01-frames/frame_allocator.cpp"\n', 1, "solutions"),
    ("a file of the system", "#include </etc/passwd>\n", 1, "/etc/passwd"),
    ("include by macro", '#define FILE "arch/i386/ports.h"\n#include FILE\n', 2, "macro"),
    ("include by digraph", '%:include "arch/i386/ports.h"\n', 1, "arch/i386/ports.h"),
    ("include spliced", '#inc\\\nlude "arch/i386/ports.h"\n', 1, "arch/i386/ports.h"),
    ("include behind a comment", '/* */ # /* */ include "arch/i386/ports.h"\n', 1, "arch/i386/ports.h"),
    ("include_next", "#include_next <cstdint>\n", 1, "include_next"),
    ("import", "#import <cstdint>\n", 1, "import"),
    ("path around the list", '#include "mm/physical/../../arch/i386/ports.h"\n', 1, "ports.h"),
    ("hosted header", "#include <iostream>\n", 1, "iostream"),
    ("forged line numbers", '#line 1 "kernel/mm/x.h"\n' + function(""), 1, "line"),
    ("line marker", '# 1 "kernel/mm/x.h" 1\n' + function(""), 1, "#1"),
    ("trigraph", function("??/"), 4, "trigraph"),
    ("keyword redefined", "#define private public\n" + function(""), 1, "private"),
    ("option redefined", "#define CONFIG_MEMORY_DEBUGGING 0\n" + function(""), 1, "CONFIG_MEMORY_DEBUGGING"),
    ("exception", function("throw 1;"), 4, "exception"),
    ("built-in instruction", function("__builtin_ia32_pause();"), 4, "__builtin_ia32_pause"),
    ("return address", function("if (__builtin_return_address(0) == nullptr) return 1;"), 4, "compiler's own"),
    ("splice in a raw string", function('const char* s = R"(\\\n)"; (void)s;'), 4, "raw string"),
])
def test_evasions_in_the_source_are_refused_with_their_line(name: str, text: str, line: int, what: str, lab: Lab, tmp_path: Path) -> None:
    found = refusals(text, lab, tmp_path)
    assert any(what in refusal.what and refusal.line == line for refusal in found), [str(refusal) for refusal in found]
    assert all(refusal.cure and refusal.file == "work/frame_allocator.cpp" for refusal in found)


@pytest.mark.parametrize("name, text, line, what", [
    ("foreign function", function("panic_stop();", 'extern "C" void panic_stop();'), 4, "panic_stop is used"),
    ("foreign C++ function", function("mm::tlb::flush();", "namespace mm::tlb { void flush(); }"), 4, "mm::tlb::flush() is used"),
    ("foreign variable", function("panic_report[0] = 1;", 'extern "C" unsigned panic_report[];'), 4, "panic_report is used"),
    ("heap", function("return reinterpret_cast<size_t>(new int(static_cast<int>(zone)));"), 4, "operator"),
    ("visible helper", function("", "int helper(int a) { return a + 1; }"), 2, "helper(int)"),
    ("name of the kernel", function("", 'extern "C" void panic_stop() {}'), 2, "panic_stop"),
    ("static constructor", function("return table.a;", "struct Table { int a; Table(); }; Table::Table() : a(1) { Table* volatile p = this; p->a = 2; } static Table table;"),
     0, "static constructor"),
    ("static destructor", function("return table.a;", "namespace { struct Table { int a; ~Table() { Table* volatile p = this; p->a = 3; } }; Table table; }"),
     2, "static constructor"),
    ("thread-local", function("", "thread_local int a;"), 2, "thread-local"),
    ("huge table", function("static volatile char table[16 << 20]; return table[static_cast<size_t>(zone)];"), 0, "static data of 16 MiB"),
])
def test_what_the_object_may_not_hold_is_refused(name: str, text: str, line: int, what: str, lab: Lab, tmp_path: Path) -> None:
    found = refusals(text, lab, tmp_path)
    assert any(what in refusal.what for refusal in found), [str(refusal) for refusal in found]
    if line:
        assert any(what in refusal.what and refusal.line == line for refusal in found), [str(refusal) for refusal in found]


@pytest.mark.parametrize("instruction", [
    "cli", "sti", "hlt", "in %dx, %al", "outb %al, $0x80", "rep outsl", "mov %cr3, %eax", "mov %eax, %cr0", "mov %eax, %db7", "invlpg (%eax)",
    "lgdt (%eax)", "lidt (%eax)", "wrmsr", "rdtsc", "int $0x80", "int3", "iret", "ljmp $8, $0", "mov %eax, %ds", "push %cs", "popf", "wbinvd",
    "lret", "mov %ds:0, %eax; mov %ss, %eax", ".byte 0xff, 0xff"])
def test_privileged_instructions_are_found_in_the_object(instruction: str, lab: Lab, tmp_path: Path) -> None:
    """The source checks would not let these come so far; here they are compiled without them."""
    source, compiled = tmp_path / "frame_allocator.cpp", tmp_path / "frame_allocator.o"
    source.write_text(function(f'asm volatile("{instruction}");'))
    subprocess.run([COMPILER, *flags(), "-c", str(source), "-o", str(compiled)], cwd=paths.ROOT, check=True)
    file = SourceFile("frame_allocator.cpp", source, "frame_allocator.cpp", source.read_text())
    found = check_object(file, compiled, lab)
    assert [refusal.line for refusal in found] == [4] and "instruction" in found[0].what, [str(refusal) for refusal in found]


def test_ordinary_code_passes(lab: Lab, tmp_path: Path) -> None:
    text = '''#include "mm/physical/frame_allocator.h"
#include <algorithm>
#include <array>
#include <bit>
/* asm, __attribute__ and #pragma are words like others in a comment; it's fine */
#define ROUND_UP(value, to) \\
    (((value) + (to) - 1) / (to) * (to))
namespace mm::frame_allocator {
namespace {
constexpr const char* kNames[] = {"asm volatile", R"(#pragma __attribute__)", "\\"??\\""};
struct Entry { unsigned a; unsigned b; };
constinit std::array<Entry, 40> table{};
template <typename T> [[nodiscard]] T twice(T value) { return static_cast<T>(value * 2); }
[[gnu::noinline]] unsigned long long divide(unsigned long long a, unsigned long long b) { return a / b; }
}
size_t free_frames(Zone zone) {
    std::sort(table.begin(), table.end(), [](const Entry& x, const Entry& y) { return x.a < y.a; });
    Entry copy = table[static_cast<size_t>(zone)];
    switch (copy.a) {
    case 1: return std::popcount(copy.b);
    case 2: return std::countr_zero(copy.b);
    case 3: return ROUND_UP(copy.b, 16);
    case 4: return kNames[copy.b % 3][0];
    case 5: return static_cast<size_t>(divide(copy.b * 1'000'000ull, copy.b + 3));
    case 6: return twice(copy.b);
    default: return 0x2A;
    }
}
}
'''
    assert refusals(text, lab, tmp_path) == []


@pytest.mark.parametrize("folder", ["labs", "solutions"])
def test_stubs_and_reference_pass(folder: str, tmp_path: Path) -> None:
    prepare_kernel()
    if not (paths.ROOT / folder).is_dir():
        pytest.skip("no solutions in this tree")
    for name in ("01-frames", "02-paging"):
        lab = load_lab(paths.LABS / name)
        for file in find_submission(lab, paths.ROOT / folder).files:
            assert refusals(file.text, lab, tmp_path) == []


def test_a_compiler_error_carries_the_submissions_own_path_and_line(lab: Lab, tmp_path: Path) -> None:
    file = SourceFile("frame_allocator.cpp", Path("x"), "work/01-frames/frame_allocator.cpp", function("int unused"))
    with pytest.raises(BuildError, match=r"work/01-frames/frame_allocator\.cpp:5:1: error"):
        compile_file(file, tmp_path, lab)


# -- finding the files ---------------------------------------------------------------------------------------------------------


def complaint(folder: Path, lab: Lab) -> str:
    with pytest.raises(Refused) as caught:
        find_submission(lab, folder)
    return str(caught.value)


def hand_in(folder: Path, lab: Lab) -> Path:
    place = folder / lab.name
    place.mkdir(parents=True)
    for name in lab.files:
        (place / name).write_text("int a;\n")
    return place


def test_the_three_shapes_of_a_submission(lab: Lab, tmp_path: Path) -> None:
    hand_in(tmp_path / "folders", lab)
    hand_in(tmp_path / "tree" / "labs", lab)
    for folder in (tmp_path / "folders", tmp_path / "tree", tmp_path / "folders" / lab.name):
        assert [file.name for file in find_submission(lab, folder).files] == list(lab.files)


def test_a_missing_file_is_named_with_its_stub(lab: Lab, tmp_path: Path) -> None:
    (hand_in(tmp_path, lab) / "memory_map.cpp").unlink()
    text = complaint(tmp_path, lab)
    assert "memory_map.cpp: the file is missing" in text and "labs/01-frames/memory_map.cpp" in text


def test_a_folder_without_the_lab_is_named(lab: Lab, tmp_path: Path) -> None:
    assert "no folder 01-frames/" in complaint(tmp_path, lab)
    assert "does not exist" in complaint(tmp_path / "nowhere", lab)


def test_links_devices_huge_and_binary_files_are_refused(lab: Lab, tmp_path: Path) -> None:
    place = hand_in(tmp_path, lab)
    target = place / "memory_map.cpp"
    target.unlink()
    target.symlink_to("/etc/passwd")
    assert "symbolic link" in complaint(tmp_path, lab)
    target.unlink()
    os.mkfifo(target)
    assert "no plain file" in complaint(tmp_path, lab)
    target.unlink()
    target.mkdir()
    assert "no plain file" in complaint(tmp_path, lab)
    target.rmdir()
    target.write_bytes(b"//" + b"x" * MAX_BYTES)
    assert "larger than" in complaint(tmp_path, lab)
    target.write_bytes(b"int a;\n\x7fELF\0\0")
    assert "memory_map.cpp:2: holds a byte 0x00" in complaint(tmp_path, lab)
    target.write_bytes(b"int a;\n// \xff\n")
    assert "memory_map.cpp:2: not UTF-8" in complaint(tmp_path, lab)
