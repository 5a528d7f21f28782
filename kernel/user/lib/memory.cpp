#include "user/memory.h"

#include "user/system_call.h"

using abi::SystemCall;
using namespace system_call;

namespace {
void* address(uint32_t result) { return reinterpret_cast<void*>(result); }
} // namespace

void* brk(void* to) { return address(fast(SystemCall::Break, word(to))); }

void* sbrk(int bytes) {
    char* const before = static_cast<char*>(brk(nullptr));
    if (bytes == 0 || is_error(before)) return before;
    void* const after = brk(before + bytes);
    return is_error(after) ? after : before;
}

void* mmap(void* at, size_t bytes, uint32_t protection, uint32_t flags, int file, uint32_t offset) {
    return address(system_call_with_six(SystemCall::MapMemory, word(at), bytes, protection, flags, static_cast<uint32_t>(file), offset));
}
int munmap(void* at, size_t bytes) { return static_cast<int>(fast(SystemCall::UnmapMemory, word(at), bytes)); }
int mprotect(void* at, size_t bytes, uint32_t protection) {
    return static_cast<int>(fast(SystemCall::Protect, word(at), bytes, protection));
}
int madvise(void* at, size_t bytes, uint32_t advice) { return static_cast<int>(fast(SystemCall::Advise, word(at), bytes, advice)); }
int mincore(void* at, size_t bytes, unsigned char* vector) {
    return static_cast<int>(fast(SystemCall::Resident, word(at), bytes, word(vector)));
}

int create_shared(size_t bytes) { return static_cast<int>(fast(SystemCall::CreateShared, bytes)); }
void* attach_shared(int number, void* at, uint32_t protection) {
    return address(fast(SystemCall::AttachShared, static_cast<uint32_t>(number), word(at), protection));
}
int detach_shared(void* at) { return static_cast<int>(fast(SystemCall::DetachShared, word(at))); }
int close_shared(int number) { return static_cast<int>(fast(SystemCall::CloseShared, static_cast<uint32_t>(number))); }

int getrlimit(uint32_t resource, uint32_t* value) { return static_cast<int>(fast(SystemCall::GetLimit, resource, word(value))); }
int setrlimit(uint32_t resource, uint32_t value) { return static_cast<int>(fast(SystemCall::SetLimit, resource, value)); }

int memory_info(abi::MemoryInfo* info) { return static_cast<int>(fast(SystemCall::MemoryInfo, word(info))); }
int maps(int pid, char* buffer, size_t bytes) {
    return static_cast<int>(fast(SystemCall::Maps, static_cast<uint32_t>(pid), word(buffer), bytes));
}
