#include "arch/i386/traps.h"

#include <cstdint>

#include "arch/i386/exceptions.h"
#include "arch/i386/pic.h"
#include "arch/i386/segments.h"

extern "C" char trap_stubs[]; // trap_stubs.S: kVectors stubs of kStubBytes each

namespace i386 {
namespace {

constexpr unsigned kVectors = pic::kFirstVector + pic::kLines;
constexpr unsigned kSystemCallVector = 0x80; ///< Nobody's but ring 3's. The vectors between are absent: using one is #GP.
constexpr uint32_t kStubBytes = 16;

/// An entry of the IDT (Intel SDM 3A, figure 6-2).
class Gate {
public:
    constexpr Gate() = default;

    /// Interrupts are off while the handler runs. Only the kernel may reach it with an INT instruction.
    static constexpr Gate interrupt(uint32_t handler) { return Gate(kKernelCode, handler, kPresent | kInterrupt32); }
    /// The same for a gate that ring 3 may use, too.
    static constexpr Gate call(uint32_t handler) { return Gate(kKernelCode, handler, kPresent | kRing3 | kInterrupt32); }
    /// Switches to another task, with registers and stack of its own.
    static constexpr Gate task(uint16_t task_selector) { return Gate(task_selector, 0, kPresent | kTask); }
    constexpr uint64_t word() const { return word_; }

private:
    static constexpr uint8_t kPresent = 0x80, kRing3 = 0x60, kInterrupt32 = 0x0E, kTask = 0x05;

    constexpr Gate(uint16_t selector, uint32_t offset, uint8_t access)
        : word_((offset & 0xFFFFu) | uint64_t{selector} << 16 | uint64_t{access} << 40 | uint64_t{offset >> 16} << 48) {}

    uint64_t word_ = 0;
};
static_assert(sizeof(Gate) == 8);
static_assert(Gate::interrupt(0x0010'1234).word() == 0x0010'8E00'0008'1234);
static_assert(Gate::call(0x0010'1234).word() == 0x0010'EE00'0008'1234);
static_assert(Gate::task(kDoubleFaultSelector).word() == 0x0000'8500'0030'0000);

Gate gates[kSystemCallVector + 1];

/// What LIDT reads (Intel SDM 3A, 2.4.3).
struct [[gnu::packed]] TableRegister {
    uint16_t last_byte;
    uint32_t base;
};

void initialize_gates() {
    const auto stubs = reinterpret_cast<uint32_t>(trap_stubs);
    for (unsigned vector = 0; vector < kVectors; ++vector) gates[vector] = Gate::interrupt(stubs + vector * kStubBytes);
    for (const unsigned vector : {kBreakpoint, kOverflow}) gates[vector] = Gate::call(stubs + vector * kStubBytes); // INT3 and INTO
    gates[kDoubleFault] = Gate::task(kDoubleFaultSelector);

    const TableRegister table_register = {sizeof(gates) - 1, reinterpret_cast<uint32_t>(gates)};
    asm volatile("lidt %0" : : "m"(table_register));
}

} // namespace

void initialize_descriptor_tables() {
    initialize_segments();
    initialize_gates();
    pic::initialize();
}

void set_system_call_gate(void (*entry)()) { gates[kSystemCallVector] = Gate::call(reinterpret_cast<uint32_t>(entry)); }

} // namespace i386
