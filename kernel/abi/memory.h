/// @file
/// Arguments of the memory calls. Names and numbers are Linux's.
#pragma once

#include <cstdint>

namespace abi {

enum ProtectionBits : uint32_t { PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };
enum MapFlags : uint32_t {
    MAP_SHARED = 0x01, MAP_PRIVATE = 0x02,   ///< One of the two.
    MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_FIXED_NOREPLACE = 0x10'0000,
};
enum Advice : uint32_t { MADV_NORMAL = 0, MADV_WILLNEED = 3, MADV_DONTNEED = 4 };
enum Resource : uint32_t {
    RLIMIT_STACK = 3,   ///< Bytes that a stack may grow to; beyond is SIGSEGV.
    RLIMIT_RSS = 5,     ///< Bytes that may be resident. Mapping more is fine; who then touches a page too many is killed.
    RLIMIT_NPROC = 6,   ///< Processes that this one may have as living children.
    RLIMIT_NOFILE = 7,  ///< Open files.
    RLIMIT_AS = 9,      ///< Bytes in all areas.
};

} // namespace abi
