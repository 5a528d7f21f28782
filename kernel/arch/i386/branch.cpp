#include "arch/i386/branch.h"

#include "arch/i386/probe.h"

namespace i386 {
namespace {

constexpr unsigned kEsp = 4, kEbp = 5; // as base registers these two encode something else

std::optional<uint32_t> word_at(uint32_t address) {
    uint32_t word;
    if (!try_read(VirtAddr(address), word)) return std::nullopt;
    return word;
}

/// Reads the bytes of one instruction in order.
class Bytes {
public:
    explicit Bytes(uint32_t address) : at_(address) {}

    uint8_t byte() { return static_cast<uint8_t>(take(1)); }
    int8_t signed_byte() { return static_cast<int8_t>(take(1)); }
    uint32_t word() { return take(4); }
    uint32_t position() const { return at_; }
    bool failed() const { return failed_; }

private:
    uint32_t take(uint32_t bytes) {
        const auto word = word_at(at_);
        failed_ |= !word;
        at_ += bytes;
        return word.value_or(0);
    }

    uint32_t at_;
    bool failed_ = false;
};

/// The address of a memory operand (Intel SDM 2A, tables 2-2 and 2-3).
uint32_t operand_address(Bytes& code, uint8_t mod_rm, const BranchState& state) {
    const unsigned mod = mod_rm >> 6, rm = mod_rm & 7;
    uint32_t address = 0;
    if (rm == kEsp) { // a SIB byte follows: base + index * scale
        const uint8_t sib = code.byte();
        const unsigned base = sib & 7, index = (sib >> 3) & 7;
        if (index != kEsp) address += state.registers[index] << (sib >> 6);
        address += base == kEbp && mod == 0 ? code.word() : state.registers[base];
    } else {
        address += rm == kEbp && mod == 0 ? code.word() : state.registers[rm];
    }
    if (mod == 1) address += static_cast<uint32_t>(code.signed_byte());
    if (mod == 2) address += code.word();
    return address;
}

/// FF /2 is CALL, FF /4 is JMP, through a register or a word in memory.
std::optional<uint32_t> indirect_target(Bytes& code, const BranchState& state) {
    const uint8_t mod_rm = code.byte();
    const unsigned operation = (mod_rm >> 3) & 7;
    if (operation != 2 && operation != 4) return std::nullopt;
    if (mod_rm >> 6 == 3) return state.registers[mod_rm & 7];
    return word_at(operand_address(code, mod_rm, state));
}

std::optional<uint32_t> relative_target(Bytes& code) {
    const uint32_t distance = code.word();
    return code.position() + distance;
}

} // namespace

std::optional<uint32_t> branch_target(const BranchState& state) {
    constexpr uint8_t ret = 0xC3, ret_and_pop = 0xC2, call_relative = 0xE8, jmp_relative = 0xE9, indirect = 0xFF;
    Bytes code(state.eip);
    std::optional<uint32_t> target;
    switch (code.byte()) {
    case ret:
    case ret_and_pop: target = word_at(state.registers[kEsp]); break;
    case call_relative:
    case jmp_relative: target = relative_target(code); break;
    case indirect: target = indirect_target(code, state); break;
    }
    return code.failed() ? std::nullopt : target;
}

} // namespace i386
