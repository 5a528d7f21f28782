// Does one wrong thing, by name, and is to be killed for it.
#include <cstdint>

#include "user/files.h"
#include "user/memory.h"
#include "user/print.h"
#include "user/system_call.h"
#include "user/text.h"

namespace {

uint32_t variable = 7;
const uint32_t constant = 8;

/// An address that the compiler knows nothing about.
uint32_t hidden(uint32_t address) {
    asm volatile("" : "+r"(address));
    return address;
}
volatile uint32_t* at(uint32_t address) { return reinterpret_cast<volatile uint32_t*>(hidden(address)); }
void call(uint32_t address) { reinterpret_cast<void (*)()>(hidden(address))(); }

/// A page without memory below it.
uint32_t new_page(uint32_t protection) {
    return system_call::word(mmap(nullptr, 4096, protection, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS));
}

void run_down_the_stack() {
    for (uint32_t address = hidden(reinterpret_cast<uint32_t>(__builtin_frame_address(0)));; address -= 64) *at(address) = *at(address);
}

/// Unmaps the page that the system call returns to.
void saw_off_the_branch() {
    const uint32_t page = reinterpret_cast<uint32_t>(&call) & ~4095u;
    const uint32_t begin = page < 0x1001'0000 ? 0x1000'0000 : page - 0x10000;
    munmap(reinterpret_cast<void*>(begin), 0x20000);
}

void past_the_end_of_a_file() {
    const int file = open("/bin/faults", abi::O_RDONLY);
    const int bytes = file_size(file);
    const auto begin = system_call::word(mmap(nullptr, static_cast<uint32_t>(bytes) + 3 * 4096, abi::PROT_READ, abi::MAP_PRIVATE, file, 0));
    printf("%x\n", begin);
    (void)*at(begin + ((static_cast<uint32_t>(bytes) + 4095) & ~4095u) + 4096);
}

/// Runs through a page of zeros, which are `add %al, (%eax)`, and over the end of all code.
void run_off_the_code() {
    const uint32_t page = new_page(abi::PROT_READ | abi::PROT_EXEC);
    printf("%x\n", page + 4096);
    asm volatile("jmp *%0" ::"r"(page), "a"(&variable));
}

struct Wrong {
    const char* name;
    void (*act)();
};

const Wrong kAll[] = {
    {"null", [] { (void)*at(0x10); }},
    {"callnull", [] { call(0); }},
    {"kread", [] { (void)*at(0x0010'0000); }},
    {"kwrite", [] { *at(0x0010'0000) = 1; }},
    {"kcall", [] { call(0x0010'0000); }},
    {"shared", [] { (void)*at(0xF040'1000); }},
    {"top", [] { (void)*at(0xFFFF'FFFC); }},
    {"unmapped", [] { (void)*at(0xA000'0000); }},
    {"text", [] { *at(reinterpret_cast<uint32_t>(&call)) = 1; }},
    {"constant", [] { *at(system_call::word(&constant)) = 1; }},
    {"data", [] { call(system_call::word(&variable)); }},
    {"stackx", [] { volatile uint8_t code[4] = {0xC3}; call(reinterpret_cast<uint32_t>(code)); }},
    {"readonly", [] { *at(new_page(abi::PROT_READ)) = 1; }},
    {"none", [] { (void)*at(new_page(abi::PROT_NONE)); }},
    {"below", [] { (void)*at(new_page(abi::PROT_READ) - 4); }},
    {"overflow", run_down_the_stack},
    {"file", past_the_end_of_a_file},
    {"zero", [] { asm volatile("xor %%edx, %%edx; mov $1, %%eax; div %%edx" ::: "eax", "edx"); }},
    {"minimum", [] { asm volatile("mov $0x80000000, %%eax; cltd; mov $-1, %%ecx; idiv %%ecx" ::: "eax", "ecx", "edx"); }},
    {"invalid", [] { asm volatile("ud2"); }},
    {"int3", [] { asm volatile("int3"); }},
    {"into", [] { asm volatile("mov $0x7FFFFFFF, %%eax; inc %%eax; into" ::: "eax"); }},
    {"bound", [] { static const int32_t limits[2] = {1, 2}; asm volatile("bound %0, %1" ::"r"(5), "m"(limits)); }},
    {"step", [] { asm volatile("pushf; orl $0x100, (%%esp); popf; nop" ::: "memory", "cc"); }},
    {"hlt", [] { asm volatile("hlt"); }},
    {"cli", [] { asm volatile("cli"); }},
    {"port", [] { asm volatile("inb $0x60, %%al" ::: "eax"); }},
    {"cr3", [] { asm volatile("mov %%cr3, %%eax" ::: "eax"); }},
    {"wrcr3", [] { asm volatile("mov %0, %%cr3" ::"r"(0)); }},
    {"lidt", [] { static const uint64_t table = 0; asm volatile("lidt %0" ::"m"(table)); }},
    {"irq", [] { asm volatile("int $0x21"); }},
    {"pf", [] { asm volatile("int $14"); }},
    {"ds", [] { asm volatile("mov %0, %%ds" ::"r"(0x10)); }},
    {"far", [] { asm volatile("ljmp $0x08, $0x100000"); }},
    {"gone", saw_off_the_branch},
    {"runoff", run_off_the_code},
    {"fpu", [] { asm volatile("fld1"); }},
    {"nullss", [] { asm volatile("mov %0, %%ss" ::"r"(0)); }},
    {"esp", [] { asm volatile("mov $0x00200000, %%esp; push %%eax" ::: "memory"); }},
    {"top_esp", [] { asm volatile("xor %%esp, %%esp; push %%eax" ::: "memory"); }},
};

} // namespace

int main(int argc, char** argv) {
    for (const Wrong& wrong : kAll) {
        if (argc == 2 && strcmp(wrong.name, argv[1]) == 0) wrong.act();
    }
    printf("survived\n");
    return 77;
}
