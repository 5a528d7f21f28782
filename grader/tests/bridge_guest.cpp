/// @file
/// The guest of test_bridge.py, test_bochs.py and test_client.py: a kernel of a few functions, each of which does one thing that a debugger must
/// see. The first word of its command line says which. Paging is on, with low memory in one 4 MiB page (identity, global), and a
/// `window` of one 4 KiB page that moves between frames.
#include <cstddef>
#include <cstdint>

asm(R"(
.text
.balign 4
.long 0x1BADB002, 0x00000003, -(0x1BADB002 + 0x00000003)
.globl _start
_start:
    movl $stack_end, %esp
    pushl %ebx
    call guest_main
.bss
.balign 16
.skip 4096
stack_end:
.text
)");

namespace {

constexpr uint32_t kPresent = 0x1, kWritable = 0x2, kLarge = 0x80, kGlobal = 0x100;
constexpr uint32_t kDirectory = 0x200000, kTable = 0x201000;
constexpr uint32_t kWindow = 0x400000, kFirstFrame = 0x300000, kSecondFrame = 0x302000;
constexpr uint16_t kCom1 = 0x3F8;

volatile uint32_t& word(uint32_t address) { return *reinterpret_cast<volatile uint32_t*>(address); }

void invalidate(uint32_t address) { asm volatile("invlpg (%0)" : : "r"(address) : "memory"); }

void write_port(uint16_t port, uint8_t value) { asm volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

uint8_t read_port(uint16_t port) {
    uint8_t value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void map_window(uint32_t frame) { word(kTable) = frame | kPresent | kWritable; }

void enable_paging() {
    word(kDirectory) = kPresent | kWritable | kLarge | kGlobal;
    word(kDirectory + 4) = kTable | kPresent | kWritable;
    map_window(kFirstFrame);
    uint32_t value;
    asm volatile("movl %%cr4, %0; orl $0x90, %0; movl %0, %%cr4" : "=&r"(value));
    asm volatile("movl %0, %%cr3" : : "r"(kDirectory));
    asm volatile("movl %%cr0, %0; orl $0x80010000, %0; movl %0, %%cr0" : "=&r"(value) : : "memory");
}

void send(const char* text) {
    write_port(kCom1 + 3, 0x03);
    for (; *text != 0; ++text) {
        while ((read_port(kCom1 + 5) & 0x20) == 0) {}
        write_port(kCom1, static_cast<uint8_t>(*text));
    }
    while ((read_port(kCom1 + 5) & 0x40) == 0) {}
}

bool is(const char* word, const char* text) {
    for (; *word != 0; ++word, ++text) {
        if (*word != *text) return false;
    }
    return *text == 0 || *text == ' ';
}

} // namespace

namespace room {
struct Key {
    uint32_t value;
};
[[gnu::noinline]] uint32_t enter(Key key) {
    asm volatile("" : : : "memory");
    return key.value + 1;
}
} // namespace room

extern "C" {

volatile uint32_t counter;

[[gnu::noinline]] void ready() { asm volatile("" : : : "memory"); }
[[gnu::noinline]] void finished() { asm volatile("" : : : "memory"); }
[[gnu::noinline]] void checkpoint(const char* name, uint32_t number) { asm volatile("" : : "r"(name), "r"(number) : "memory"); }
[[gnu::noinline]] void called() { counter = counter + 1; }

void do_calls() {
    for (int i = 0; i < 37; ++i) called();
    word(kWindow) = room::enter({41});
}

// Each step stores its number through the window; between steps the window shows another frame, or none.
void do_move() {
    word(kWindow + 8) = 1;
    map_window(kSecondFrame);
    invalidate(kWindow);
    word(kFirstFrame + 8) = 100; // where the window was: no longer the watched word
    word(kWindow + 8) = 2;
    word(kTable) = 0;
    invalidate(kWindow);
    word(kSecondFrame + 8) = 200; // nobody looks at it through the window
    map_window(kFirstFrame);
    invalidate(kWindow);
    word(kWindow + 8) = 3;
}

void do_read() {
    counter = 5;
    checkpoint("before", 1);
    uint32_t seen = counter;
    checkpoint("after", seen);
}

void do_stale() {
    word(kWindow) = 7;
    map_window(kSecondFrame);
    checkpoint("stale", 2);
    invalidate(kWindow);
    checkpoint("flushed", 3);
    word(kWindow) = 8;
    checkpoint("walked", 4);
}

void do_triple() {
    const struct [[gnu::packed]] {
        uint16_t limit;
        uint32_t base;
    } nothing = {0, 0};
    asm volatile("lidt %0" : : "m"(nothing));
    word(0x800000) = 1; // not mapped
}

void do_halt() {
    for (int i = 0; i < 1000; ++i) called();
    asm volatile("cli; hlt");
}

// An interrupt controller that lets nothing through: the processor waits for ever, though interrupts are on.
void do_idle() {
    write_port(0x21, 0xFF);
    write_port(0xA1, 0xFF);
    asm volatile("sti; hlt");
}

void do_loop() {
    for (;;) counter = counter + 1;
}

void do_text() {
    for (int round = 0; round < 300; ++round) {
        for (uint32_t cell = 0; cell < 80 * 25; ++cell) {
            uint32_t letter = 'A' + (cell + round) % 26;
            *reinterpret_cast<volatile uint16_t*>(0xB8000 + 2 * cell) = static_cast<uint16_t>(0x0700 | letter);
        }
    }
    send("text written\n");
}

// Execution in video memory: Bochs gives up there, and its process ends.
void do_crash() { reinterpret_cast<void (*)()>(0xB8000)(); }

[[noreturn]] void guest_main(uint32_t information) {
    enable_paging();
    ready();
    const char* command = reinterpret_cast<const char*>(word(information + 16));
    if (is("calls", command)) do_calls();
    if (is("move", command)) do_move();
    if (is("read", command)) do_read();
    if (is("stale", command)) do_stale();
    if (is("triple", command)) do_triple();
    if (is("halt", command)) do_halt();
    if (is("idle", command)) do_idle();
    if (is("loop", command)) do_loop();
    if (is("text", command)) do_text();
    if (is("crash", command)) do_crash();
    finished();
    for (;;) asm volatile("cli; hlt");
}
}
