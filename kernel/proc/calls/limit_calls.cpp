// Resource limits. In bytes where Unix counts bytes; the kernel counts pages.
#include "abi/memory.h"
#include "mm/space/address_space.h"
#include "mm/space/user_memory.h"
#include "proc/calls/calls.h"
#include "proc/process.h"

namespace proc::calls {

namespace {

uint32_t to_bytes(size_t pages) { return pages >= kMaxFrames ? UINT32_MAX : static_cast<uint32_t>(pages * kPageSize); }
/// Rounded down, so that a limit is never exceeded; what to_bytes() shows for "all there is" stays all there is.
size_t to_pages(uint32_t bytes) { return bytes == UINT32_MAX ? kMaxFrames : bytes / kPageSize; }

Result<uint32_t> limit(uint32_t resource) {
    const Process& process = current();
    switch (resource) {
    case abi::RLIMIT_STACK: return to_bytes(process.space_limits.stack);
    case abi::RLIMIT_RSS: return to_bytes(process.space_limits.resident);
    case abi::RLIMIT_NPROC: return process.limits.children;
    case abi::RLIMIT_NOFILE: return process.limits.files;
    case abi::RLIMIT_AS: return to_bytes(process.space_limits.address_space);
    default: return Error::InvalidArgument;
    }
}

} // namespace

Result<uint32_t> get_limit(const Arguments& arguments) {
    TRY(mm::write_user(VirtAddr(arguments[1]), TRY(limit(arguments[0]))));
    return 0;
}

Result<uint32_t> set_limit(const Arguments& arguments) {
    const uint32_t resource = arguments[0];
    const uint32_t value = arguments[1];
    if (value > TRY(limit(resource))) return Error::AccessDenied;
    Process& process = current();
    switch (resource) {
    case abi::RLIMIT_STACK:
        if (value < kPageSize) return Error::InvalidArgument; // no program could begin
        process.space_limits.stack = to_pages(value);
        break;
    case abi::RLIMIT_RSS: process.space_limits.resident = to_pages(value); break;
    case abi::RLIMIT_NPROC: process.limits.children = value; break;
    case abi::RLIMIT_NOFILE: process.limits.files = value; break;
    case abi::RLIMIT_AS: process.space_limits.address_space = to_pages(value); break;
    }
    mm::spaces::limits(process.space) = process.space_limits; // the program that runs feels it, too
    return 0;
}

} // namespace proc::calls
