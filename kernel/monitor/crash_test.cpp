#include "monitor/crash_test.h"

#include <cstddef>
#include <cstdint>

#include "arch/cpu.h"
#include "lib/format.h"
#include "lib/image.h"
#include "lib/panic.h"
#include "lib/text.h"

namespace {

constexpr uint32_t kUnmapped = 0xFE00'0000; ///< In the shared kernel range, in nobody's window.

volatile uint32_t& word_at(uint32_t address) { return *reinterpret_cast<volatile uint32_t*>(address); }

/// The compiler must not know what it does, or it would warn, or leave it out.
template <typename T>
T unknown(T value) {
    volatile T hidden = value;
    return hidden;
}

using Function = void (*)();
Function function_at(uint32_t address) { return reinterpret_cast<Function>(unknown(address)); }

void write_null() { word_at(unknown(0u) + 12) = 1; }
void call_null() { function_at(0)(); }
void read_unmapped() { unknown(word_at(unknown(kUnmapped))); }
void write_text() { word_at(unknown(image::text_begin())) = 1; }
void write_constant() { word_at(unknown(image::rodata_begin())) = 1; }

/// One byte of code that lies among the data: RET.
uint8_t code_in_data[] = {0xC3};
void run_data() {
    function_at(reinterpret_cast<uint32_t>(code_in_data))();
    unknown(0); // keeps the call from becoming a jump, which would leave no frame of ours to see
}

/// Each call leaves a little on the stack, until there is none.
[[gnu::noinline]] uint32_t recurse(uint32_t depth) {
    volatile uint32_t local[16] = {depth};
    return unknown(true) ? recurse(depth + 1) + local[0] : depth;
}
void overflow_stack() { recurse(0); }

void do_nothing() {}
void lose_stack() { Cpu::run_on_stack(VirtAddr(kUnmapped), do_nothing); }

void divide_by_zero() { unknown(unknown(1) / unknown(0)); }
void run_invalid_instruction() { __builtin_trap(); }
void fail_assertion() { KASSERT("one is two", unknown(1) == 2); }

/// A wild write has hit the saved EBP, and then the kernel faults.
[[gnu::noinline]] void break_chain() {
    *static_cast<volatile uint32_t*>(__builtin_frame_address(0)) = kUnmapped + 0x40;
    write_null();
}

/// A console that breaks down at the word "backtrace".
void fail_at_backtrace(const char* text, size_t length) {
    if (length > 9 && text[0] == 'b' && text[4] == 't') write_null();
}

/// The report of a panic fails half way to the people.
void panic_while_reporting() {
    add_console(fail_at_backtrace);
    write_null();
}

struct CrashTest {
    const char* name;
    const char* what;
    void (*run)();
};

constexpr CrashTest kTests[] = {
    {"null", "write through a null pointer", write_null},
    {"call", "call through a null pointer", call_null},
    {"unmapped", "read where nothing is mapped", read_unmapped},
    {"text", "write to the kernel's code", write_text},
    {"constant", "write to a constant of the kernel", write_constant},
    {"exec", "run data as code (QEMU does not check: try it in Bochs)", run_data},
    {"stack", "call itself without end", overflow_stack},
    {"double", "lose the stack, so that no exception can be delivered", lose_stack},
    {"divide", "divide by zero", divide_by_zero},
    {"invalid", "run an instruction that does not exist", run_invalid_instruction},
    {"assert", "fail an assertion", fail_assertion},
    {"chain", "fault with a broken chain of stack frames", break_chain},
    {"nested", "fault, and fault again while that is reported", panic_while_reporting},
};

} // namespace

bool run_crash_test(const char* name) {
    for (const CrashTest& test : kTests) {
        if (!text_is_word(name, test.name)) continue;
        print("crash test: {}\n", test.what);
        test.run();
        print("crash test: nothing noticed it\n");
        return true;
    }
    return false;
}

void list_crash_tests() {
    for (const CrashTest& test : kTests) print("  crash {-10} {}\n", test.name, test.what);
}
