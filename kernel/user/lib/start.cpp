// From the entry to main(): the program relocates itself, asks what the CPU can do, and ends when main() returns.
#include <cpuid.h>
#include <cstdint>

#include "user/processes.h"
#include "user/system_call.h"

constinit bool system_call::sysenter_usable = false;

namespace {

/// One entry of the table of relocations (System V ABI, Elf32_Rel).
struct Relocation {
    uint32_t offset;
    uint32_t kind;
};
/// R_386_RELATIVE: the image's place is added to the word at `offset`. The build allows no other kind.
constexpr uint32_t kRelative = 8;

constexpr uint32_t kSysenterBit = 1 << 11;

/// The Pentium Pro says that it has SYSENTER, and has not (Intel SDM 2B, SYSENTER).
bool cpu_has_sysenter() {
    uint32_t version, ebx, ecx, features;
    if (!__get_cpuid(1, &version, &ebx, &ecx, &features)) return false;
    const uint32_t family = version >> 8 & 15, model = version >> 4 & 15, stepping = version & 15;
    return features & kSysenterBit && !(family == 6 && model < 3 && stepping < 3);
}

} // namespace

extern "C" {
// The linker's (program.ld).
extern const char image_begin[];
extern const Relocation relocations_begin[], relocations_end[];

[[noreturn]] void start_program(uint32_t* stack);
}
int main(int argc, char** argv);

void start_program(uint32_t* stack) {
    const auto base = reinterpret_cast<uint32_t>(image_begin);
    for (const Relocation* entry = relocations_begin; entry < relocations_end; ++entry) {
        if (entry->kind == kRelative) *reinterpret_cast<uint32_t*>(base + entry->offset) += base;
    }
    asm volatile("" ::: "memory"); // nothing that was relocated is read before
    system_call::sysenter_usable = cpu_has_sysenter();
    exit(main(static_cast<int>(stack[0]), reinterpret_cast<char**>(stack + 1)));
}
