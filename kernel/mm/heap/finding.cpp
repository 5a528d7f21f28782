#include "mm/heap/finding.h"

#include "lib/format.h"
#include "lib/panic.h"
#include "mm/heap/slab.h"
#include "mm/heap/unscanned.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_memory.h"

namespace mm {

const char* finding_name(FindingKind kind) {
    switch (kind) {
    case FindingKind::Overflow: return "overflow";
    case FindingKind::Underflow: return "underflow";
    case FindingKind::UseAfterFree: return "use after free";
    case FindingKind::DoubleFree: return "double free";
    case FindingKind::ForeignFree: return "foreign free";
    }
    return "unknown finding";
}

namespace findings {

namespace {

constexpr int64_t kRow = 16;          // bytes in a line of the dump
constexpr int64_t kMargin = kRedZone; // what the dump may show on either side of an object

// Objects that were damaged are not kept alive by what is said about them.
UNSCANNED Finding last[kMaxKept];
constinit size_t reported = 0;
constinit Reaction reaction = Reaction::GoOn;

int64_t number_of(const void* address) { return address_of(address).value(); }
const uint8_t* byte_at(int64_t address) { return pointer_to<uint8_t>(VirtAddr(static_cast<uint32_t>(address))); }

/// Whether memory is there: a finding may come from a heap that has lost its way.
bool is_readable(int64_t address) {
    if (address < static_cast<int64_t>(kPageSize)) return false; // page 0 is not mapped
    if (is_identity_address(byte_at(address))) return true;
    struct Search {
        int64_t address;
        bool found;
    } search{address, false};
    vmalloc::for_each([](void* context, const vmalloc::Area& area) {
        Search& search = *static_cast<Search*>(context);
        const int64_t begin = number_of(area.address), end = begin + static_cast<int64_t>(area.pages * kPageSize);
        if (!area.is_freed && begin <= search.address && search.address < end) search.found = true;
    }, &search);
    return search.found;
}

/// One line of the dump; bytes outside [begin, end) are left out.
void print_row(int64_t row, int64_t begin, int64_t end) {
    constexpr char kDigits[] = "0123456789abcdef";
    print("      {x8}:", static_cast<uint32_t>(row));
    for (int64_t at = row; at < row + kRow && at < end; ++at) {
        char digits[] = "  ";
        if (begin <= at) digits[0] = kDigits[*byte_at(at) >> 4], digits[1] = kDigits[*byte_at(at) & 15];
        print(" {}", digits);
    }
    print("\n");
}

/// The bytes around the damage, as far as they are the object's or its red zones'.
void print_bytes(const Finding& finding) {
    const int64_t object = number_of(finding.object), damage = number_of(finding.damage);
    const int64_t begin = object - kMargin, end = object + static_cast<int64_t>(finding.size) + kMargin;
    if (damage < begin || damage >= end || !is_readable(begin) || !is_readable(end - 1)) return;
    const int64_t middle = damage & ~(kRow - 1);
    for (int64_t row = middle - kRow; row <= middle + kRow; row += kRow) {
        if (row + kRow > begin && row < end) print_row(row, begin, end);
    }
}

/// Where the damage lies, counted from the object's first byte.
void print_damage(const Finding& finding) {
    const int64_t offset = number_of(finding.damage) - number_of(finding.object);
    const auto size = static_cast<int64_t>(finding.size);
    if (offset < 0)
        print("  byte {} is damaged: {} before the object's first\n", offset, -offset);
    else if (offset >= size)
        print("  byte {} is damaged: {} behind the object's last\n", offset, offset - size + 1);
    else
        print("  byte {} of it was written after it was freed\n", offset);
    print_bytes(finding);
}

void print_site([[maybe_unused]] const char* what, [[maybe_unused]] CallSite site) {
#if CONFIG_MEMORY_DEBUGGING
    if (site.function) print("  {} {}() at {}:{}\n", what, site.function, site.file, site.line);
#endif
}

void print_finding(const Finding& finding) {
    print("heap: {}: ", finding_name(finding.kind));
    if (!finding.cache)
        print("{x8} is no object of the heap's\n", address_of(finding.object));
    else if (finding.kind == FindingKind::ForeignFree)
        print("{x8} is not where an object of this cache begins; it lies in cache \"{}\"\n", address_of(finding.object), finding.cache);
    else
        print("object {x8}, {} bytes, cache \"{}\"\n", address_of(finding.object), finding.size, finding.cache);
    if (finding.damage) print_damage(finding);
    print_site("allocated in", finding.allocated);
    print_site("freed in", finding.freed);
    print_site("found in", finding.found);
}

} // namespace

void report(const Finding& finding) {
    last[reported++ % kMaxKept] = finding;
    print_finding(finding);
    if (reaction == Reaction::Panic) PANIC("the heap has a finding, and the command line says panic_on_finding");
}

void set_reaction(Reaction what) { reaction = what; }

size_t count() { return reported; }

const Finding& kept(size_t i) { return last[reported > kMaxKept ? (reported + i) % kMaxKept : i]; }

} // namespace findings
} // namespace mm
