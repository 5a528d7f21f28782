/// @file
/// Uses mm::areas at random, beside a model that knows every page by itself: lab 05, tests and fuzzer.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "host/journal.h"
#include "host/source.h"
#include "mm/space/areas.h"

namespace host {

bool same(const mm::Area& left, const mm::Area& right);
std::string area_text(const mm::Area& area);

/// What every page is, without areas: those are reckoned from it, merged.
class PageModel {
public:
    bool has(uint32_t page) const { return pages_.contains(page); }
    bool is_free(uint32_t begin, uint32_t end) const;
    bool is_full(uint32_t begin, uint32_t end) const;
    void add(const mm::Area& area);
    void remove(uint32_t begin, uint32_t end);
    void protect(uint32_t begin, uint32_t end, mm::Protection protection);
    std::vector<mm::Area> areas() const;

private:
    std::map<uint32_t, mm::Area> pages_;  ///< Each an area of one page.
};

class AreasDriver {
public:
    AreasDriver(Source& source, std::string what);
    AreasDriver(const AreasDriver&) = delete;
    AreasDriver& operator=(const AreasDriver&) = delete;
    ~AreasDriver();

    /// One call, chosen at random.
    void step();
    /// Destroys the sets, and compares the heap with the start.
    void finish();

    // One call each, with its answer compared. Used by the tests with numbers of their own.
    void insert(const mm::Area& area);
    void remove(mm::AddressRange range);
    void protect(mm::AddressRange range, mm::Protection protection);
    void find(VirtAddr address);
    /// Only for windows of some hundred pages: the model tries every begin.
    void place(const mm::areas::Placement& placement);
    /// for_each() and count() against the model.
    void check_list();

    /// The next call that needs memory gets so much and no more.
    void limit_memory(size_t requests) { memory_ = requests; }
    /// Whether a call has failed for want of memory since the last such question.
    bool has_failed();

private:
    mm::AddressRange random_range();
    mm::Area random_area();
    mm::areas::Placement random_placement();
    std::vector<mm::Area> parts(mm::AddressRange range) const;
    void judge(Error seen, const std::vector<Error>& expected, bool may_need_memory);
    void compare_shown(const std::vector<mm::Area>& expected);
    void compare_found(const char* function, const mm::Area* expected, const mm::Area* seen);

    template <typename Call>
    auto with_little_memory(Call call);

    Source& source_;
    Journal journal_;
    mm::areas::Set* set_ = nullptr;
    PageModel model_;
    std::vector<mm::Area> shown_;
    size_t objects_at_start_ = 0;
    size_t memory_ = SIZE_MAX;
    bool is_short_ = false;
    bool has_failed_ = false;
};

} // namespace host
