#include "arch/i386/segments.h"

#include "arch/i386/cpu.h"
#include "arch/i386/user_mode.h"
#include "config.h"

extern "C" char text_end[];                        // end of the kernel's code, a page boundary (link.ld)
extern "C" [[noreturn]] void double_fault_entry(); // trap_stubs.S
extern "C" void load_segments(const void* table_register, uint32_t stack_selector, uint32_t task_selector); // trap_stubs.S

namespace i386 {
namespace {

/// The access byte and the flags of a descriptor (Intel SDM 3A, figure 3-8), as they lie in bits 40-47 and 52-55.
enum Access : uint8_t {
    kPresentRing0 = 0x80,
    kPresentRing3 = 0xE0,
    kCode = 0x1A,   // readable, not conforming
    kData = 0x12,   // writable, grows up
    kTask32 = 0x09, // a 32-bit task state segment that is not busy
};

/// One entry of the GDT.
class Descriptor {
public:
    constexpr Descriptor() = default;

    /// A segment from 0 to `last_page` inclusive, counted in pages of 4 KiB, for 32-bit code.
    static constexpr Descriptor pages(uint32_t last_page, uint8_t access) {
        constexpr uint8_t page_granular_32_bit = 0xC;
        return Descriptor(0, last_page, access, page_granular_32_bit);
    }
    /// A segment of bytes [base, base + last_byte].
    static constexpr Descriptor bytes(uint32_t base, uint32_t last_byte, uint8_t access) {
        return Descriptor(base, last_byte, access, 0);
    }
    constexpr uint64_t word() const { return word_; }

private:
    constexpr Descriptor(uint32_t base, uint32_t limit, uint8_t access, uint8_t flags)
        : word_((limit & 0xFFFFu) | uint64_t{base & 0xFF'FFFFu} << 16 | uint64_t{access} << 40 |
                uint64_t{(limit >> 16) & 0xFu} << 48 | uint64_t{flags} << 52 | uint64_t{base >> 24} << 56) {}

    uint64_t word_ = 0;
};
static_assert(sizeof(Descriptor) == 8);
static_assert(Descriptor::pages(0xF'FFFF, kPresentRing0 | kCode).word() == 0x00CF'9A00'0000'FFFF);
static_assert(Descriptor::pages(0xF'FFFF, kPresentRing3 | kData).word() == 0x00CF'F200'0000'FFFF);
static_assert(Descriptor::bytes(0x1234'5678, 103, kPresentRing0 | kTask32).word() == 0x1200'8934'5678'0067);

constexpr uint32_t kLastPage = 0xF'FFFF; // of 4 GiB
constexpr uint32_t kDoubleFaultStackBytes = 8192;

Descriptor table[7];
TaskState main_task;
TaskState double_fault_task;
alignas(16) uint8_t double_fault_stack[kDoubleFaultStackBytes];

/// What LGDT reads (Intel SDM 3A, 2.4.1).
struct [[gnu::packed]] TableRegister {
    uint16_t last_byte;
    uint32_t base;
};

/// The registers behind SYSENTER (Intel SDM 2B, SYSENTER).
enum ModelRegister : uint32_t { kSysenterSegment = 0x174, kSysenterStack = 0x175, kSysenterEntry = 0x176 };

bool has_sysenter = false; ///< In use: the stack's register has to follow.

uint32_t address_of(const void* object) { return reinterpret_cast<uint32_t>(object); }

void prepare_double_fault_task() {
    double_fault_task.eip = reinterpret_cast<uint32_t>(&double_fault_entry);
    double_fault_task.esp = address_of(double_fault_stack + kDoubleFaultStackBytes);
    double_fault_task.eflags = 1u << 1; // the bit that is always 1; interrupts stay off
    double_fault_task.cs = kKernelCode;
    double_fault_task.ds = double_fault_task.es = double_fault_task.ss = kKernelData;
    double_fault_task.fs = double_fault_task.gs = kKernelData;
    double_fault_task.esp0 = double_fault_task.esp;
    double_fault_task.ss0 = kKernelData;
}

} // namespace

void initialize_segments() {
    const uint32_t last_code_page = CONFIG_MEMORY_PROTECTION ? (address_of(text_end) - 1) >> kPageShift : kLastPage;
    main_task.ss0 = kKernelData;
    prepare_double_fault_task();

    table[kKernelCode >> 3] = Descriptor::pages(last_code_page, kPresentRing0 | kCode);
    table[kKernelData >> 3] = Descriptor::pages(kLastPage, kPresentRing0 | kData);
    table[kUserCode >> 3] = Descriptor::pages(kLastPage, kPresentRing3 | kCode);
    table[kUserData >> 3] = Descriptor::pages(kLastPage, kPresentRing3 | kData);
    table[kTaskSelector >> 3] = Descriptor::bytes(address_of(&main_task), sizeof(TaskState) - 1, kPresentRing0 | kTask32);
    table[kDoubleFaultSelector >> 3] =
        Descriptor::bytes(address_of(&double_fault_task), sizeof(TaskState) - 1, kPresentRing0 | kTask32);

    const TableRegister table_register = {sizeof(table) - 1, address_of(table)};
    load_segments(&table_register, kKernelData, kTaskSelector);
}

const TaskState& interrupted_task() { return main_task; }

void set_double_fault_directory(PhysAddr directory) { double_fault_task.cr3 = directory.value(); }

void set_sysenter(void (*entry)()) {
    Cpu::write_model_register(kSysenterSegment, kKernelCode);
    Cpu::write_model_register(kSysenterEntry, reinterpret_cast<uint32_t>(entry));
    Cpu::write_model_register(kSysenterStack, main_task.esp0);
    has_sysenter = true;
}

void set_kernel_stack(VirtAddr top) {
    main_task.esp0 = top.value();
    if (has_sysenter) Cpu::write_model_register(kSysenterStack, top.value());
}

void set_user_code_limit(VirtAddr line) {
    const uint32_t last_page = (line.value() - 1) >> kPageShift; // 0: no limit
    table[kUserCode >> 3] = Descriptor::pages(last_page, kPresentRing3 | kCode);
}

void note_page_directory(PhysAddr directory) { main_task.cr3 = directory.value(); }

} // namespace i386
