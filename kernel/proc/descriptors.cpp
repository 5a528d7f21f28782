#include "proc/descriptors.h"

#include <span>

#include "lib/panic.h"
#include "proc/console.h"

namespace proc::descriptors {

namespace {

/// The lowest index with nothing in it.
template <typename T>
Result<uint32_t> lowest_free(std::span<T* const> table) {
    for (uint32_t number = 0; number < table.size(); ++number) {
        if (table[number] == nullptr) return number;
    }
    return Error::LimitReached;
}

template <typename T>
Result<T*> look_up(std::span<T* const> table, uint32_t number) {
    if (number >= table.size() || table[number] == nullptr) return Error::BadHandle;
    return table[number];
}

/// Empties the slot before it drops the reference: releasing may do anything, and must not find the slot again.
template <typename T>
Result<void> close(std::span<T*> table, uint32_t number) {
    T* const object = TRY(look_up<T>(table, number));
    table[number] = nullptr;
    release(*object);
    return {};
}

template <typename T>
void share_all(std::span<T*> to, std::span<T* const> from) {
    for (size_t i = 0; i < from.size(); ++i) {
        KASSERT("a new process has no files yet", to[i] == nullptr);
        to[i] = from[i];
        if (to[i] != nullptr) retain(*to[i]);
    }
}

} // namespace

Result<void> open_standard(Process& process) {
    fs::Node& console = console::node();
    retain(console);
    const Result<fs::OpenFile*> opened = fs::open_file(&console, true, true);
    if (opened.is_error()) {
        release(console);
        return opened.error();
    }
    // One open file under three numbers, as a terminal's programs have it on Unix.
    for (uint32_t number = 0; number < 3; ++number) {
        KASSERT("a new process has no files yet", process.files[number] == nullptr);
        if (number > 0) retain(*opened.value());
        process.files[number] = opened.value();
    }
    return {};
}

void inherit(Process& child, const Process& parent) {
    share_all<fs::OpenFile>(child.files, parent.files);
    share_all<mm::MemoryObject>(child.shared, parent.shared);
}

void close_all(Process& process) {
    for (uint32_t number = 0; number < kMaxFiles; ++number) (void)close_file(process, number);
    for (uint32_t number = 0; number < kMaxShared; ++number) (void)close_shared(process, number);
}

Result<uint32_t> free_file(const Process& process) {
    const size_t allowed = process.limits.files < kMaxFiles ? process.limits.files : kMaxFiles;
    return lowest_free<fs::OpenFile>(std::span(process.files).first(allowed));
}

Result<fs::OpenFile*> file(const Process& process, uint32_t number) { return look_up<fs::OpenFile>(std::span(process.files), number); }

Result<void> close_file(Process& process, uint32_t number) { return close<fs::OpenFile>(std::span(process.files), number); }

Result<uint32_t> free_shared(const Process& process) { return lowest_free<mm::MemoryObject>(std::span(process.shared)); }

Result<mm::MemoryObject*> shared(const Process& process, uint32_t number) { return look_up<mm::MemoryObject>(std::span(process.shared), number); }

Result<void> close_shared(Process& process, uint32_t number) { return close<mm::MemoryObject>(std::span(process.shared), number); }

} // namespace proc::descriptors
