/// @file
/// ring3 STORY [NUMBER]: what ring 3 can do to the ways into the kernel. Each story prints what it saw, or is to be killed.
#include "user/library.h"

// Both make the call GetPid with a number of its own in every register, null data segments where the kernel has to bring its own, and flags
// that would mean something to it: direction, nested task, alignment check, identification. Afterwards words[0] to [11] are EAX, EBX, ECX,
// EDX, ESI, EDI, EBP, DS, ES, FS, GS and EFLAGS.
extern "C" void call_by_interrupt(uint32_t* words);
extern "C" void call_by_sysenter(uint32_t* words);

asm(R"(
    .text
    .macro begin_call
    push %ebp
    push %ebx
    push %esi
    push %edi
    push %ds
    push %es
    pushf
    orl $0x244400, (%esp)
    popf
    xor %eax, %eax
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ds
    mov $1, %eax                # GetPid
    mov $0x11111111, %ebx
    mov $0x22222222, %ecx
    mov $0x33333333, %edx
    mov $0x66666666, %ebp
    .endm
    .macro end_call
    pushf
    push %gs
    push %fs
    push %es
    push %ds
    push %ebp
    push %edi
    push %esi
    push %edx
    push %ecx
    push %ebx
    push %eax
    push $2
    popf
    mov 48(%esp), %eax
    mov %eax, %es
    mov 52(%esp), %eax
    mov %eax, %ds
    mov 76(%esp), %edi
    mov %esp, %esi
    mov $12, %ecx
    rep movsl
    add $48, %esp
    pop %es
    pop %ds
    pop %edi
    pop %esi
    pop %ebx
    pop %ebp
    ret
    .endm
call_by_interrupt:
    begin_call
    mov $0x44444444, %esi
    mov $0x55555555, %edi
    int $0x80
    end_call
call_by_sysenter:
    begin_call
    call 1f
1:  pop %edi
    add $2f - 1b, %edi
    mov %esp, %esi
    sysenter
2:  end_call
)");

namespace {

constexpr auto kGetPid = static_cast<uint32_t>(abi::SystemCall::GetPid);
constexpr uint32_t kArenaEnd = 0x2000'0000;  // no code lies here or above
constexpr uint32_t kCodePage = kArenaEnd - kPageBytes;
constexpr uint32_t kSelectors = 64;  // the table of descriptors ends before
constexpr const char* kCodeFile = "/code.bin";

uint32_t argument;
uint8_t page[kPageBytes];
uint32_t traps;

/// Makes `page` the last page below the line behind which nothing can be executed. From a file: memory that may be written may not.
void map_code() {
    const int file = open(kCodeFile, abi::O_RDWR | abi::O_CREAT | abi::O_TRUNC);
    ASSERT("the code is written", write_all(file, page, sizeof page) >= 0);
    void* const place = reinterpret_cast<void*>(kCodePage);
    ASSERT("the code is mapped", mmap(place, kPageBytes, abi::PROT_READ | abi::PROT_EXEC, abi::MAP_PRIVATE | abi::MAP_FIXED, file) == place);
    close(file);
}

void show(const uint32_t* words) {
    words[0] == static_cast<uint32_t>(getpid()) ? printf("pid") : printf("%x", words[0]);
    for (size_t i = 1; i < 7; ++i) printf(" %x", words[i]);
    for (size_t i = 7; i < 11; ++i) printf(" %x", words[i] & 0xFFFF);
    printf(" %x\n", words[11]);
}

void interrupt() {
    uint32_t words[12];
    call_by_interrupt(words);
    show(words);
}

void sysenter() {
    uint32_t words[12];
    call_by_sysenter(words);
    words[4] = words[5] = 0; // addresses
    show(words);
}

/// The stack pointer is ring 3's own business.
void stack() {
    uint32_t result;
    asm volatile("mov %%esp, %%ebx\n\t mov %2, %%esp\n\t int $0x80\n\t mov %%ebx, %%esp" : "=a"(result) : "a"(kGetPid), "r"(argument) : "ebx", "memory");
    printf("%s\n", result == static_cast<uint32_t>(getpid()) ? "pid" : "lost");
}

/// Single steps into the kernel, both ways.
void step() {
    signal(abi::SIGTRAP, [](int, abi::SignalFrame*) { ++traps; });
    uint32_t first, second;
    asm volatile("pushf\n\t orl $0x100, (%%esp)\n\t popf\n\t int $0x80\n\t nop\n\t pushf\n\t andl $~0x100, (%%esp)\n\t popf" : "=a"(first) : "a"(kGetPid) : "memory");
    const uint32_t by_interrupt = traps;
    asm volatile("call 1f\n1:\t pop %%edi\n\t add $2f - 1b, %%edi\n\t mov %%esp, %%esi\n\t pushf\n\t orl $0x100, (%%esp)\n\t popf\n\t"
                 "mov %%esp, %%esi\n\t sysenter\n2:" : "=a"(second) : "a"(kGetPid) : "ecx", "edx", "esi", "edi", "memory");
    const auto pid = static_cast<uint32_t>(getpid());
    printf("%s %s, trapped %s\n", first == pid ? "pid" : "lost", second == pid ? "pid" : "lost", by_interrupt > 2 ? "often" : "never");
}

/// The call is the last instruction before the end of all code: there is nowhere to return to.
void edge() {
    memset(page, 0x90, sizeof page);
    page[sizeof page - 2] = 0xCD;
    page[sizeof page - 1] = 0x80;
    map_code();
    asm volatile("jmp *%1" : : "a"(kGetPid), "r"(kArenaEnd - 2));
}

/// SYSENTER is to return to the address NUMBER.
void nowhere() { asm volatile("mov %%esp, %%esi\n\t sysenter" : : "a"(kGetPid), "D"(argument)); }

/// The same, with work to be done on the way back: another process wants to run, and a signal is pending.
void nowhere_with_work() {
    const auto pid = static_cast<uint32_t>(getpid());
    asm volatile("mov %%esp, %%esi\n\t sysenter" : : "a"(abi::SystemCall::Kill), "b"(pid), "c"(abi::SIGTERM), "D"(argument));
}

void unknown() {
    printf("%d", static_cast<int>(system_call::by_interrupt(abi::SystemCall(argument))));
    printf(" %d\n", static_cast<int>(system_call::by_sysenter(abi::SystemCall(argument))));
}

/// Which of the first `count` numbers a child survives that does something with it.
template <typename Try>
void survivors(uint32_t count, Try try_one) {
    for (uint32_t number = 0; number < count; ++number) {
        const int child = fork();
        if (child == 0) {
            signal(abi::SIGSEGV, [](int, abi::SignalFrame*) { exit(abi::SIGSEGV); });
            try_one(number);
            exit(0);
        }
        uint32_t status = 0;
        wait(child, &status);
        if (status == 0) printf("%x ", number);
        if (status != 0 && status != abi::exited(abi::SIGSEGV)) printf("(%x: status %x) ", number, status);
    }
    printf("\n");
}

/// The interrupt instruction with every number.
void vectors() {
    for (size_t i = 0; i < 256; ++i) {
        const uint8_t code[] = {0xCD, static_cast<uint8_t>(i), 0xC3, 0x90};
        memcpy(page + i * sizeof code, code, sizeof code);
    }
    map_code();
    survivors(256, [](uint32_t number) {
        uint32_t result = kGetPid;
        asm volatile("call *%1" : "+a"(result) : "r"(kCodePage + number * 4) : "memory");
    });
}

void data_selectors() {
    survivors(kSelectors, [](uint32_t number) { asm volatile("push %%ds\n\t mov %0, %%ds\n\t pop %%ds" : : "r"(number) : "memory"); });
}

void stack_selectors() {
    survivors(kSelectors, [](uint32_t number) { asm volatile("push %%ss\n\t mov %0, %%ss\n\t pop %%ss" : : "r"(number) : "memory"); });
}

/// A far call to its own next line with every selector.
void code_selectors() {
    survivors(kSelectors, [](uint32_t number) {
        asm volatile("push %%cs\n\t call 1f\n1:\t pop %%ecx\n\t add $2f - 1b, %%ecx\n\t push %0\n\t push %%ecx\n\t lret\n2:\t add $4, %%esp"
                     : : "r"(number) : "ecx", "memory");
    });
}

void floating() { asm volatile("fld1"); }
void vector_unit() { asm volatile(".byte 0x0F, 0x57, 0xC0"); } // xorps %xmm0, %xmm0

struct Story {
    const char* name;
    void (*tell)();
};
constexpr Story kStories[] = {
    {"interrupt", interrupt}, {"sysenter", sysenter}, {"stack", stack},     {"step", step},           {"edge", edge},
    {"nowhere", nowhere},     {"work", nowhere_with_work}, {"unknown", unknown}, {"vectors", vectors},     {"data", data_selectors},
    {"ss", stack_selectors},  {"code", code_selectors},    {"float", floating},  {"vector", vector_unit},
};

} // namespace

int main(int count, char** words) {
    if (count > 2) parse_number(words[2], argument);
    for (const Story& story : kStories) {
        if (count > 1 && strcmp(words[1], story.name) == 0) {
            story.tell();
            return 0;
        }
    }
    printf("ring3: no such story\n");
    return 2;
}
