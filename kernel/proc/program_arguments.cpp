#include "proc/program_arguments.h"

#include "lib/memory.h"
#include "lib/text.h"
#include "proc/process.h"

namespace proc {

Result<VirtAddr> write_arguments(mm::AddressSpace* space, VirtAddr top, std::span<const char* const> arguments) {
    constexpr uint32_t stack_alignment = 16;
    if (arguments.size() > kMaxArguments) return Error::LimitReached;
    size_t text_bytes = 0;
    for (const char* const text : arguments) {
        text_bytes += text_length(text) + 1;
        if (text_bytes > kMaxArgumentBytes) return Error::LimitReached;
    }
    // The whole block is made here, then copied once.
    uint32_t block[(kMaxArgumentBytes + stack_alignment) / sizeof(uint32_t) + kMaxArguments + 2] = {};
    const size_t words = arguments.size() + 2;
    const uint32_t begin = align_down(top.value() - (words * sizeof(uint32_t) + text_bytes), stack_alignment);
    char* text_at = reinterpret_cast<char*>(block + words);
    block[0] = arguments.size();
    for (size_t i = 0; i < arguments.size(); ++i) {
        const size_t bytes = text_length(arguments[i]) + 1;
        block[1 + i] = begin + static_cast<uint32_t>(text_at - reinterpret_cast<char*>(block));
        memcpy(text_at, arguments[i], bytes);
        text_at += bytes;
    }
    TRY(mm::spaces::copy_into(space, VirtAddr(begin), block, words * sizeof(uint32_t) + text_bytes));
    return VirtAddr(begin);
}

} // namespace proc
