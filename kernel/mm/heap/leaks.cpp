// Leaks by call site: who has allocated more than was freed since remember()?
#include "mm/heap/leaks.h"

#include <algorithm>
#include <cstdint>

#include "config.h"
#include "lib/format.h"
#include "mm/heap/slab.h"

namespace mm::leaks {

#if CONFIG_MEMORY_DEBUGGING

namespace {

/// What one call site has in use.
struct Use {
    CallSite site;
    size_t objects = 0;
    size_t bytes = 0;
};

/// Sums by call site. Fixed in size: what looks for leaks must not need memory. Sites beyond that share one entry.
struct Table {
    static constexpr size_t kSites = 256;
    Use uses[kSites + 1];
    size_t count = 0;
    bool is_full() const { return count == kSites; }

    /// The entry of a site, made when it is missing; the shared one when there is no room.
    Use& of(const CallSite& site) {
        for (size_t i = 0; i < count; ++i) {
            if (uses[i].site == site) return uses[i];
        }
        if (is_full()) return uses[kSites];
        uses[count] = {site, 0, 0};
        return uses[count++];
    }
    void clear() { *this = {}; }
};

constinit Table remembered, now;

void sum_up(Table& table) {
    table.clear();
    slab::for_each_object([](void* context, const slab::Object& object) {
        Use& use = static_cast<Table*>(context)->of(object.allocated);
        ++use.objects;
        use.bytes += object.size;
    }, &table);
}

size_t difference(size_t more, size_t less) { return more > less ? more - less : 0; }

/// Leaves in `now` what has been added since remember().
void subtract_remembered() {
    for (size_t i = 0; i <= Table::kSites; ++i) {
        const bool is_shared = i == Table::kSites;
        if (!is_shared && i >= now.count) continue;
        const Use& before = is_shared ? remembered.uses[i] : remembered.of(now.uses[i].site);
        now.uses[i].objects = difference(now.uses[i].objects, before.objects);
        now.uses[i].bytes = difference(now.uses[i].bytes, before.bytes);
    }
}

void print_use(const Use& use, bool is_shared) {
    print("{8} bytes in {5} objects  ", use.bytes, use.objects);
    if (is_shared)
        print("at other places: there are more than {}\n", Table::kSites);
    else if (use.site.function)
        print("{}() at {}:{}\n", use.site.function, use.site.file, use.site.line);
    else
        print("at an unknown place\n");
}

} // namespace

Result<void> remember() {
    sum_up(remembered);
    return {};
}

Result<size_t> report() {
    sum_up(now);
    subtract_remembered();
    std::sort(now.uses, now.uses + now.count, [](const Use& left, const Use& right) {
        return left.bytes != right.bytes ? left.bytes > right.bytes : left.objects > right.objects;
    });
    size_t objects = 0;
    for (size_t i = 0; i <= Table::kSites; ++i) {
        const Use& use = now.uses[i];
        if (use.objects == 0) continue;
        print_use(use, i == Table::kSites);
        objects += use.objects;
    }
    return objects;
}

#else

Result<void> remember() { return Error::Unsupported; }
Result<size_t> report() { return Error::Unsupported; }

#endif

} // namespace mm::leaks
