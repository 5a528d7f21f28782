#include "proc/calls/arguments.h"

#include "abi/memory.h"

namespace proc::calls {

Result<mm::Protection> protection_of(uint32_t bits) {
    constexpr uint32_t known = abi::PROT_READ | abi::PROT_WRITE | abi::PROT_EXEC;
    if (bits & ~known) return Error::InvalidArgument;
    return mm::Protection{(bits & abi::PROT_READ) != 0, (bits & abi::PROT_WRITE) != 0, (bits & abi::PROT_EXEC) != 0};
}

} // namespace proc::calls
