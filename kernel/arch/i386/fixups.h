/// @file
/// Instructions that may fault, and where to go on when they do: pairs in the linker section .fixups (Linux: exception tables).
#pragma once

#include <cstdint>

namespace i386 {

/// One pair. A copying loop writes it with `.pushsection .fixups, "a"; .long access, continuation; .popsection`.
struct Fixup {
    uint32_t access;        ///< Address of the instruction that may fault.
    uint32_t continuation;  ///< EIP after the fault.
};

/// The continuation for a fault at `eip`, or 0 when there is none.
uint32_t find_fixup(uint32_t eip);

} // namespace i386
