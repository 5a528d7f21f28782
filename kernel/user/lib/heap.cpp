#include "user/heap.h"

#include "abi/files.h"
#include "block_heap.h"
#include "user/memory.h"
#include "user/print.h"
#include "user/processes.h"
#include "user/system_call.h"
#include "user/text.h"

namespace {

void* extend(size_t bytes) {
    void* const begin = sbrk(static_cast<int>(bytes));
    return is_error(begin) ? nullptr : begin;
}

void* map(size_t bytes) {
    void* const begin = mmap(nullptr, bytes, abi::PROT_READ | abi::PROT_WRITE, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS);
    return is_error(begin) ? nullptr : begin;
}

void unmap(void* begin, size_t bytes) { munmap(begin, bytes); }

void damaged(const char* what, const void* block) {
    dprintf(abi::kStandardError, "heap: the block at %p is %s\n", block, what);
    abort();
}

constexpr HeapSource kSource = {extend, map, unmap, damaged};
constinit BlockHeap heap(kSource);

} // namespace

void* malloc(size_t bytes) { return heap.allocate(bytes); }

void* calloc(size_t count, size_t bytes) {
    size_t all;
    if (__builtin_mul_overflow(count, bytes, &all)) return nullptr;
    void* const block = malloc(all);
    if (block) memset(block, 0, all);
    return block;
}

void* realloc(void* block, size_t bytes) { return heap.resize(block, bytes); }
void free(void* block) { heap.release(block); }
HeapStatistics heap_statistics() { return heap.statistics(); }
bool check_heap() { return heap.check(); }
