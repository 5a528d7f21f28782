// Signal handlers: one story by name. Prints what it sees; some stories end in a signal.
#include <cstdint>

#include "user/library.h"

namespace {

volatile uint32_t* target;   // what a handler is to make writable
uint32_t seen;               // signals that handlers have seen

uint32_t new_page(uint32_t protection) {
    return system_call::word(mmap(nullptr, 4096, protection, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS));
}

void say(int number, abi::SignalFrame* frame) {
    ++seen;
    uint32_t flags;
    asm volatile("pushf; pop %0" : "=r"(flags));
    const uint32_t arguments = reinterpret_cast<uint32_t>(__builtin_frame_address(0)) + 8;  // behind the saved EBP and the return address
    printf("%s, frame %s, address %x, reason %u, flags %x, aligned %s\n", signal_name(number), frame->signal == static_cast<uint32_t>(number) ? "ok" : "bad",
           frame->address, frame->reason, flags & 0x700, arguments % 16 == 0 ? "yes" : "no");
}

/// The instruction runs again when the handler has made the page writable.
void repair() {
    target = reinterpret_cast<volatile uint32_t*>(new_page(abi::PROT_READ));
    printf("target %x\n", reinterpret_cast<uint32_t>(target));
    signal(abi::SIGSEGV, [](int number, abi::SignalFrame* frame) {
        say(number, frame);
        mprotect(const_cast<uint32_t*>(target), 4096, abi::PROT_READ | abi::PROT_WRITE);
    });
    *target = 0x1234;
    printf("repaired %x, seen %u\n", *target, seen);
}

/// All registers come through a handler, and the direction flag is down inside.
void registers() {
    signal(abi::SIGILL, [](int number, abi::SignalFrame* frame) {
        say(number, frame);
        frame->eip += 2;
    });
    uint32_t a = 0xA1, b = 0xB2, c = 0xC3, d = 0xD4, s = 0x51, t = 0xD1, flags = 0;
    asm volatile("std; stc; ud2; pushf; cld; popl %6"
                 : "+a"(a), "+b"(b), "+c"(c), "+d"(d), "+S"(s), "+D"(t), "=m"(flags)::"memory", "cc");
    printf("%x %x %x %x %x %x flags %x\n", a, b, c, d, s, t, flags & 0xCD5);
}

/// What a handler writes into its frame: registers are taken, privileges are not.
void privileges() {
    signal(abi::SIGILL, [](int, abi::SignalFrame* frame) {
        frame->eip += 2;
        frame->eax = 0x77;
        frame->eflags = 0xFFFF'FFFF & ~0x100u & ~0x40000u;  // all but single steps and alignment checks
    });
    uint32_t a = 0, flags = 0;
    asm volatile("ud2; pushf; cld; popl %1" : "+a"(a), "=m"(flags)::"memory", "cc");
    printf("eax %x, interrupts %s, privilege %u, nested %u, virtual %u\n", a, flags & 0x200 ? "on" : "off", flags >> 12 & 3, flags >> 14 & 1, flags >> 17 & 1);
}

void kernel_eip() {
    signal(abi::SIGILL, [](int, abi::SignalFrame* frame) { frame->eip = 0xC000'0000; });
    asm volatile("ud2");
}

void data_eip() {
    signal(abi::SIGILL, [](int, abi::SignalFrame* frame) { frame->eip = reinterpret_cast<uint32_t>(&seen); });
    asm volatile("ud2");
}

/// The stack pointer comes back as the handler wrote it; the next push is the program's own business.
void kernel_esp() {
    signal(abi::SIGILL, [](int, abi::SignalFrame* frame) {
        frame->eip += 2;
        frame->esp = 0x0020'0000;
    });
    asm volatile("ud2; push %%eax" ::: "memory");
}

void nested() {
    signal(abi::SIGSEGV, [](int number, abi::SignalFrame* frame) {
        say(number, frame);
        asm volatile("movl $1, 0x10" ::: "memory");
    });
    asm volatile("movl $1, 0x14" ::: "memory");
}

void no_stack(uint32_t stack) {
    signal(abi::SIGILL, say);
    asm volatile("mov %0, %%esp; ud2" ::"r"(stack) : "memory");
}

void lost_frame() {
    signal(abi::SIGILL, [](int, abi::SignalFrame*) { asm volatile("mov $0xA0000000, %%esp; mov $8, %%eax; int $0x80" ::: "memory", "eax"); });
    asm volatile("ud2");
}

void forged() { printf("without a handler %d\n", static_cast<int>(system_call::by_interrupt(abi::SystemCall::SignalReturn))); }

void bad_handler(uint32_t handler) {
    printf("accepted %d\n", signal(abi::SIGILL, reinterpret_cast<SignalHandler>(handler)));
    asm volatile("ud2");
}

void numbers() {
    printf("%d %d %d %d %d\n", signal(0, say), signal(32, say), signal(-1, say), signal(abi::SIGKILL, say), signal(abi::SIGTERM, say));
    printf("%d %d\n", kill(getpid(), 32), kill(12345, abi::SIGTERM));
}

/// A signal from outside; a second one of the same process waits until the handler is done.
void own_signal() {
    signal(abi::SIGTERM, [](int number, abi::SignalFrame* frame) {
        say(number, frame);
        if (seen == 1) kill(getpid(), abi::SIGTERM);
        printf("handler ends\n");
    });
    kill(getpid(), abi::SIGTERM);
    printf("seen %u\n", seen);
}

void sleeper(bool handles) {
    const int child = fork();
    if (child == 0) {
        if (handles) signal(abi::SIGTERM, say);
        const int slept = sleep(60'000);
        printf("slept %d\n", slept);
        exit(5);
    }
    sleep(20);
    kill(child, abi::SIGTERM);
    uint32_t status = 0;
    wait(child, &status);
    printf("child signal %u status %u\n", abi::signal_of(status), abi::exit_status_of(status));
}

/// fork() keeps handlers, a new program begins without.
void inherit() {
    signal(abi::SIGILL, say);
    const int child = fork();
    if (child == 0) {
        kill(getpid(), abi::SIGILL);
        printf("child has seen %u\n", seen);
        static const char* const arguments[] = {"sigs", "plain", nullptr};
        exec("/bin/sigs", arguments);
    }
    uint32_t status = 0;
    wait(child, &status);
    printf("child signal %u\n", abi::signal_of(status));
}

void stale_flags(uint32_t flags) {
    if (!system_call::has_sysenter()) return;
    uint32_t result;
    asm volatile("pushf; orl %1, (%%esp); popf; call enter_kernel_fast; pushf; andl $0xFFFFBEFF, (%%esp); popf"
                 : "=a"(result) : "r"(flags), "a"(abi::SystemCall::GetPid) : "ebx", "ecx", "esi", "edi", "memory", "cc");
    printf("pid %s\n", static_cast<int>(result) == getpid() ? "ok" : "wrong");
}

struct Story {
    const char* name;
    void (*tell)();
};
const Story kStories[] = {
    {"plain", [] { asm volatile("ud2"); }},
    {"repair", repair},
    {"registers", registers},
    {"privileges", privileges},
    {"kernel_eip", kernel_eip},
    {"data_eip", data_eip},
    {"kernel_esp", kernel_esp},
    {"nested", nested},
    {"no_stack", [] { no_stack(0xA000'0000); }},
    {"kernel_stack", [] { no_stack(0x0020'0000); }},
    {"shared_stack", [] { no_stack(0xF040'5000); }},
    {"low_stack", [] { no_stack(8); }},
    {"lost_frame", lost_frame},
    {"forged", forged},
    {"kernel_handler", [] { bad_handler(0xC000'0000); }},
    {"low_handler", [] { bad_handler(0x0010'0000); }},
    {"data_handler", [] { bad_handler(reinterpret_cast<uint32_t>(&seen)); }},
    {"numbers", numbers},
    {"own_signal", own_signal},
    {"sleeper", [] { sleeper(false); }},
    {"waker", [] { sleeper(true); }},
    {"inherit", inherit},
    {"nested_task_flag", [] { stale_flags(0x4000); }},
    {"trap_flag", [] { signal(abi::SIGTRAP, [](int, abi::SignalFrame*) { ++seen; }); stale_flags(0x100); printf("steps %s\n", seen ? "seen" : "none"); }},
};

} // namespace

int main(int argc, char** argv) {
    for (const Story& story : kStories) {
        if (argc == 2 && strcmp(story.name, argv[1]) == 0) {
            story.tell();
            return 0;
        }
    }
    printf("no such story\n");
    return 99;
}
