/// @file
/// Where a jump wanted to go. When the target lies behind the code segment's limit, the CPU raises #GP at the jump and says no
/// more (Intel SDM 2A, CALL and JMP): the target has to be read out of the instruction.
#pragma once

#include <cstdint>
#include <optional>

namespace i386 {

/// The general registers in the order of the instruction encoding, and where the instruction lies.
struct BranchState {
    uint32_t registers[8]; ///< eax ecx edx ebx esp ebp esi edi
    uint32_t eip;
};

/// The target of the near CALL, JMP or RET at `state.eip`. Nothing for other instructions, or when memory that would have to
/// be read is not mapped.
std::optional<uint32_t> branch_target(const BranchState& state);

} // namespace i386
