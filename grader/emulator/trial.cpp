/// @file
/// The smallest guest that is worth booting: it writes to COM1 what the boot loader told it, one fact a line. `faultline doctor`
/// boots it to see that compiler, emulator and boot ROM work together; the tests compare its lines with what they asked for.
/// With the word `echo` on its command line it then sends back each character that it receives, as a capital letter.
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
    pushl %eax
    call trial
.bss
.balign 16
.skip 4096
stack_end:
.text
)");

namespace {

constexpr uint16_t kCom1 = 0x3F8;
constexpr uint8_t kReceived = 0x01, kTransmitterReady = 0x20, kTransmitterIdle = 0x40;

struct Information {
    uint32_t flags, lower_kib, upper_kib, boot_device, command_line, module_count, modules, symbols[4], map_bytes, map;
    uint32_t drives[2], configuration, loader_name;
};

struct Module {
    uint32_t start, end, name, reserved;
};

struct [[gnu::packed]] MapEntry {
    uint32_t size;
    uint64_t base, length;
    uint32_t kind;
};

volatile uint32_t initialized_data = 0x12345678;
volatile uint8_t zeroed_data[70001];

void write_port(uint16_t port, uint8_t value) { asm volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

uint8_t read_port(uint16_t port) {
    uint8_t value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void wait_for(uint8_t line_status) {
    while ((read_port(kCom1 + 5) & line_status) == 0) {}
}

void put(char letter) {
    wait_for(kTransmitterReady);
    write_port(kCom1, static_cast<uint8_t>(letter));
}

void put(const char* text) {
    while (*text != '\0') put(*text++);
}

void put_hex(uint64_t value) {
    bool started = false;
    for (int shift = 60; shift >= 0; shift -= 4) {
        const auto digit = static_cast<unsigned>(value >> shift) & 0xF;
        started = started || digit != 0 || shift == 0;
        if (started) put("0123456789abcdef"[digit]);
    }
}

void put_line(const char* name, uint64_t value) {
    put(name);
    put(' ');
    put_hex(value);
    put('\n');
}

template <typename T>
T* at(uint32_t address) {
    return reinterpret_cast<T*>(address);
}

/// Tells modules apart: the sum of the bytes, each times its place.
uint32_t checksum(const Module& module) {
    uint32_t sum = 0;
    for (uint32_t address = module.start; address < module.end; ++address) {
        sum += *at<uint8_t>(address) * (address - module.start + 1);
    }
    return sum;
}

void describe_machine() {
    uint32_t cr0;
    asm volatile("movl %%cr0, %0" : "=r"(cr0));
    put_line("cr0", cr0 & 0xE0000001);
    // With A20 shut, bit 20 of every address is zero, and 1 MiB up is the same memory as here.
    auto* low = at<volatile uint32_t>(0x0600);
    auto* one_mebibyte_up = at<volatile uint32_t>(0x100600);
    *low = 0xA20;
    const uint32_t kept = *one_mebibyte_up;
    *one_mebibyte_up = ~kept;
    put_line("a20", *low == 0xA20 && *one_mebibyte_up == ~kept ? 1 : 0);
    *one_mebibyte_up = kept;

    put_line("data", initialized_data);
    uint32_t dirty = 0;
    for (const volatile uint8_t& byte : zeroed_data) dirty += byte;
    put_line("bss", dirty);
}

void describe_boot(const Information& information) {
    put_line("flags", information.flags);
    put_line("lower", information.lower_kib);
    put_line("upper", information.upper_kib);
    put("line ");
    put(at<const char>(information.command_line));
    put("\nloader ");
    put(at<const char>(information.loader_name));
    put('\n');
    for (uint32_t address = information.map; address < information.map + information.map_bytes;) {
        const auto& entry = *at<const MapEntry>(address);
        put("map ");
        put_hex(entry.base);
        put(' ');
        put_hex(entry.length);
        put(' ');
        put_hex(entry.kind);
        put('\n');
        address += entry.size + sizeof entry.size;
    }
    for (uint32_t i = 0; i < information.module_count; ++i) {
        const auto& module = at<const Module>(information.modules)[i];
        put("module ");
        put_hex(module.start);
        put(' ');
        put_hex(module.end);
        put(' ');
        put_hex(checksum(module));
        put(' ');
        put(at<const char>(module.name));
        put('\n');
    }
}

bool contains(const char* text, const char* word) {
    for (; *text != '\0'; ++text) {
        size_t i = 0;
        while (word[i] != '\0' && text[i] == word[i]) ++i;
        if (word[i] == '\0') return true;
    }
    return false;
}

[[noreturn]] void echo() {
    for (;;) {
        wait_for(kReceived);
        const auto letter = static_cast<char>(read_port(kCom1));
        put(letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter);
        if (letter == '\r') put('\n');
    }
}

} // namespace

extern "C" [[noreturn]] void trial(uint32_t magic, const Information* information) {
    write_port(kCom1 + 1, 0);    // no interrupts
    write_port(kCom1 + 3, 0x80); // the next two bytes are the divisor: 115200 baud
    write_port(kCom1 + 0, 1);
    write_port(kCom1 + 1, 0);
    write_port(kCom1 + 3, 0x03); // 8 data bits, no parity, 1 stop bit
    put_line("magic", magic);
    describe_machine();
    describe_boot(*information);
    put("end\n");
    wait_for(kTransmitterIdle);
    if (contains(at<const char>(information->command_line), "echo")) echo();
    for (;;) asm volatile("cli; hlt");
}
