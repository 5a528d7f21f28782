/// @file
/// crash [HOW]: mistakes on purpose. The kernel ends the program and says why; everybody else goes on.
#include "user/library.h"

namespace {

using Function = void (*)();

/// Keeps the compiler from knowing what an address is, and so from leaving the mistake out.
template <typename T>
T hidden(T value) {
    asm volatile("" : "+r"(value));
    return value;
}

void write_to(uint32_t address) { *hidden(reinterpret_cast<volatile int*>(address)) = 1; }
void read_from(uint32_t address) { static_cast<void>(*hidden(reinterpret_cast<volatile int*>(address))); }

int main_address() { return 0; }

void null_pointer() { write_to(0); }
void write_text() { write_to(reinterpret_cast<uint32_t>(&main_address)); }
void read_kernel() { read_from(0x0010'0000); }
void unmapped() { read_from(0x9000'0000); }

void divide() {
    uint32_t low = 1, high = 0;
    asm volatile("divl %2" : "+a"(low), "+d"(high) : "r"(0));
}

/// Writes into each page of the stack, downwards: it grows until its limit.
void overflow_stack() {
    char page[kPageBytes];
    *hidden(static_cast<char*>(page)) = 1;
    hidden(&overflow_stack)();
    hidden(static_cast<char*>(page)); // not the last call: it would become a jump
}

/// Just in front of memory: the page there is kept free, so that such a mistake does not hit something else.
void run_over() {
    void* const memory = mmap(nullptr, kPageBytes, abi::PROT_READ | abi::PROT_WRITE, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS);
    write_to(system_call::word(memory) - 4);
}

void run_data() {
    static constinit unsigned char code[] = {0xC3}; // ret
    hidden(reinterpret_cast<Function>(code))();
}

void run_stack() {
    unsigned char code[] = {0xC3};
    hidden(reinterpret_cast<Function>(hidden(code)))();
}

void illegal() { asm volatile("ud2"); }
void privileged() { asm volatile("cli"); }

struct Mistake {
    const char* name;
    const char* what;
    Function make;
};
constexpr Mistake kMistakes[] = {
    {"null", "write through a null pointer", null_pointer},
    {"text", "write to the program's own code", write_text},
    {"kernel", "read the kernel's memory", read_kernel},
    {"unmapped", "read where nothing is", unmapped},
    {"stack", "call without end: the stack overflows", overflow_stack},
    {"guard", "write in front of mapped memory", run_over},
    {"data", "run a variable", run_data},
    {"onstack", "run a local variable", run_stack},
    {"divide", "divide by zero", divide},
    {"illegal", "an instruction that does not exist", illegal},
    {"cli", "an instruction that only the kernel may use", privileged},
};

} // namespace

int main(int argc, char** argv) {
    for (const Mistake& mistake : kMistakes) {
        if (argc != 2) {
            printf("  crash %-9s %s\n", mistake.name, mistake.what);
        } else if (strcmp(argv[1], mistake.name) == 0) {
            mistake.make();
            printf("crash: %s did no harm\n", mistake.name);
            return 1;
        }
    }
    if (argc == 2) printf("crash: no mistake is called %s\n", argv[1]);
    return argc == 2 ? 2 : 0;
}
