#include "arch/symbols.h"

#include <cstddef>

#include "lib/image.h"

// The section .symbols: see kernel/tools/symbols.py, which writes it.
extern "C" const uint32_t symbols_begin[], symbols_end[];

namespace {

/// One function: its address, and where its name begins, counted in bytes from the table's beginning.
struct Entry {
    uint32_t address;
    uint32_t name;
};

struct Table {
    const Entry* entries;
    size_t count;
};

/// A word with the number of entries, the entries sorted by address, the names.
Table table() {
    if (&symbols_begin[0] == &symbols_end[0]) return {nullptr, 0};
    return {reinterpret_cast<const Entry*>(symbols_begin + 1), symbols_begin[0]};
}

/// Entries at or below `address`: the last of them is the one that holds it.
size_t entries_up_to(Table table, uint32_t address) {
    size_t begin = 0, end = table.count;
    while (begin < end) {
        const size_t middle = (begin + end) / 2;
        if (table.entries[middle].address <= address)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

} // namespace

CodeLocation find_symbol(VirtAddr address) {
    const uint32_t at = address.value();
    if (at < image::text_begin() || at >= image::text_end()) return {nullptr, 0};
    const Table symbols = table();
    const size_t found = entries_up_to(symbols, at);
    if (found == 0) return {nullptr, 0};
    const Entry& entry = symbols.entries[found - 1];
    return {reinterpret_cast<const char*>(symbols_begin) + entry.name, at - entry.address};
}
