#include "lib/piece.h"

#include "lib/format.h"
#include "lib/panic.h"

/// Where the grader stops: its arguments say what the student has still to write.
extern "C" [[gnu::noinline]] void not_implemented_stop(const char* lab, const char* function) {
    asm volatile("" ::"r"(lab), "r"(function) : "memory");
}

void not_implemented(const char* lab, const char* function) {
    print("lab {}: {}() is not implemented\n", lab, function);
    not_implemented_stop(lab, function);
    PANIC("a lab's stub was called: write the function, or take the piece from the reference (PIECES=)");
}
