#include "proc/calls/arguments.h"

#include "abi/memory.h"

namespace proc::calls {

Result<void> check_writable(VirtAddr address, size_t bytes) {
    if (bytes == 0) return {};
    if (bytes - 1 > UINT32_MAX - address.value()) return Error::BadAddress;
    while (bytes > 0) {
        const auto byte = TRY(mm::read_user<uint8_t>(address));
        TRY(mm::write_user(address, byte));
        const size_t step = bytes_in_page(address, bytes);
        address = address + static_cast<uint32_t>(step);
        bytes -= step;
    }
    return {};
}

Result<mm::Protection> protection_of(uint32_t bits) {
    constexpr uint32_t known = abi::PROT_READ | abi::PROT_WRITE | abi::PROT_EXEC;
    if (bits & ~known) return Error::InvalidArgument;
    return mm::Protection{(bits & abi::PROT_READ) != 0, (bits & abi::PROT_WRITE) != 0, (bits & abi::PROT_EXEC) != 0};
}

} // namespace proc::calls
