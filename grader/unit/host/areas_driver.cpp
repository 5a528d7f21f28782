#include "host/areas_driver.h"

#include <algorithm>

#include "host/heap.h"
#include "mm/paging/page_table.h"

namespace host {

using mm::AddressRange;
using mm::Area;
using mm::areas::Placement;

namespace {

constexpr uint32_t kBase = 0x2000'0000;  ///< Most ranges lie in these pages.
constexpr uint32_t kPages = 96;

uint32_t page_of(VirtAddr address) { return address.value() / kPageSize; }
VirtAddr address_of_page(uint32_t page) { return VirtAddr(page * static_cast<uint32_t>(kPageSize)); }

mm::MemoryObject* object(uint64_t number) { return number < 3 ? nullptr : pointer_to<mm::MemoryObject>(VirtAddr(0xE000'0000 + 64 * static_cast<uint32_t>(number))); }

std::vector<Error> range_errors(AddressRange range) {
    std::vector<Error> errors;
    if (range.begin == range.end) errors.push_back(Error::InvalidArgument);
    if (range.begin.page_offset() != 0 || range.end.page_offset() != 0) errors.push_back(Error::Misaligned);
    if (range.end < range.begin || range.begin.value() < mm::kUserBegin || range.end.value() > mm::kUserEnd) errors.push_back(Error::OutOfRange);
    return errors;
}

std::string range_text(AddressRange range) { return text(range.begin, "-", range.end); }

/// The part of an area that lies in a range, with the object's page that belongs to it.
Area cut(const Area& area, AddressRange range) {
    Area piece = area;
    piece.range = {std::max(area.range.begin, range.begin), std::min(area.range.end, range.end)};
    if (area.object) piece.first_page += page_of(piece.range.begin) - page_of(area.range.begin);
    return piece;
}

} // namespace

bool same(const Area& left, const Area& right) {
    return left.range == right.range && left.protection == right.protection && left.kind == right.kind && left.sharing == right.sharing &&
           left.object == right.object && left.first_page == right.first_page;
}

std::string area_text(const Area& area) {
    const auto flag = [](bool is_set, const char* letter) { return is_set ? letter : "-"; };
    return text(area.range.begin, "-", area.range.end, " ", flag(area.protection.read, "r"), flag(area.protection.write, "w"), flag(area.protection.execute, "x"),
                area.sharing == mm::Sharing::Shared ? " shared" : " private", " kind ", static_cast<unsigned>(area.kind), " object ", address_of(area.object), " page ",
                area.first_page);
}

// PageModel

bool PageModel::is_free(uint32_t begin, uint32_t end) const {
    const auto next = pages_.lower_bound(begin);
    return next == pages_.end() || next->first >= end;
}

bool PageModel::is_full(uint32_t begin, uint32_t end) const {
    return static_cast<size_t>(std::distance(pages_.lower_bound(begin), pages_.lower_bound(end))) == end - begin;
}

void PageModel::add(const Area& area) {
    for (uint32_t page = page_of(area.range.begin); page < page_of(area.range.end); ++page) pages_[page] = cut(area, {address_of_page(page), address_of_page(page + 1)});
}

void PageModel::remove(uint32_t begin, uint32_t end) { pages_.erase(pages_.lower_bound(begin), pages_.lower_bound(end)); }

void PageModel::protect(uint32_t begin, uint32_t end, mm::Protection protection) {
    for (auto at = pages_.lower_bound(begin); at != pages_.lower_bound(end); ++at) at->second.protection = protection;
}

std::vector<Area> PageModel::areas() const {
    std::vector<Area> all;
    for (const auto& [page, area] : pages_) {
        if (!all.empty() && mm::continues(all.back(), area)) all.back().range.end = area.range.end;
        else all.push_back(area);
    }
    return all;
}

// AreasDriver

AreasDriver::AreasDriver(Source& source, std::string what) : source_(source), journal_(std::move(what)) {
    const auto first = mm::areas::create(); // caches for all sets are made
    journal_.require(!first.is_error() && first.value(), "create(): expected success, seen ", first.error());
    mm::areas::destroy(first.value());
    objects_at_start_ = heap::in_use();
    const auto made = mm::areas::create();
    journal_.require(!made.is_error() && made.value(), "create(): expected success, seen ", made.error());
    set_ = made.value();
}

AreasDriver::~AreasDriver() { heap::fail_never(); }

bool AreasDriver::has_failed() { return std::exchange(has_failed_, false); }

template <typename Call>
auto AreasDriver::with_little_memory(Call call) {
    is_short_ = memory_ != SIZE_MAX;
    if (is_short_) heap::fail_after(memory_);
    memory_ = SIZE_MAX;
    const auto result = call();
    heap::fail_never();
    return result;
}

/// An error of those expected (none: success), or no memory where that may be.
void AreasDriver::judge(Error seen, const std::vector<Error>& expected, bool may_need_memory) {
    journal_.answer(seen);
    if (is_short_ && seen == Error::OutOfMemory && may_need_memory) {
        has_failed_ = true;
        journal_.require(shown_.empty(), "it failed, and called its visitor");
        return check_list();
    }
    if (expected.empty()) return journal_.require(seen == Error::None, "expected success, seen ", seen);
    journal_.require(std::ranges::find(expected, seen) != expected.end(), "expected ", expected.front(), ", seen ", seen);
    journal_.require(shown_.empty(), "it failed, and called its visitor");
    check_list();
}

void AreasDriver::insert(const Area& area) {
    journal_.call("insert(", area_text(area), ")");
    shown_.clear();
    auto errors = range_errors(area.range);
    if (errors.empty() && !model_.is_free(page_of(area.range.begin), page_of(area.range.end))) errors.push_back(Error::Exists);
    const Error seen = with_little_memory([&] { return mm::areas::insert(set_, area).error(); });
    judge(seen, errors, true);
    if (seen != Error::None) return;
    model_.add(area);
    check_list();
}

std::vector<Area> AreasDriver::parts(AddressRange range) const {
    std::vector<Area> found;
    for (const Area& area : model_.areas())
        if (area.range.overlaps(range)) found.push_back(cut(area, range));
    return found;
}

void AreasDriver::compare_shown(const std::vector<Area>& expected) {
    if (std::ranges::equal(expected, shown_, same)) return;
    for (size_t i = 0; i < std::max(expected.size(), shown_.size()); ++i) {
        const std::string wanted = i < expected.size() ? area_text(expected[i]) : "no more", seen = i < shown_.size() ? area_text(shown_[i]) : "no more";
        journal_.require(wanted == seen, "the visitor was shown, as number ", i, ": ", seen, "; expected: ", wanted);
    }
}

namespace {

void remember(void* context, const Area& area) { static_cast<std::vector<Area>*>(context)->push_back(area); }

} // namespace

void AreasDriver::remove(AddressRange range) {
    journal_.call("remove(", range_text(range), ")");
    shown_.clear();
    const auto errors = range_errors(range);
    const auto expected = errors.empty() ? parts(range) : std::vector<Area>();
    const bool splits = expected.size() == 1 && expected[0].range == range && model_.has(page_of(range.begin) - 1) && model_.has(page_of(range.end));
    const Error seen = with_little_memory([&] { return mm::areas::remove(set_, range, remember, &shown_).error(); });
    judge(seen, errors, splits);
    if (seen != Error::None) return;
    compare_shown(expected);
    model_.remove(page_of(range.begin), page_of(range.end));
    check_list();
}

void AreasDriver::protect(AddressRange range, mm::Protection protection) {
    journal_.call("protect(", range_text(range), protection.read ? ", r" : ", -", protection.write ? "w" : "-", protection.execute ? "x)" : "-)");
    shown_.clear();
    auto errors = range_errors(range);
    if (errors.empty() && !model_.is_full(page_of(range.begin), page_of(range.end))) errors.push_back(Error::NotMapped);
    std::vector<Area> expected;
    if (errors.empty()) expected = parts(range);
    std::erase_if(expected, [=](const Area& area) { return area.protection == protection; });
    for (Area& area : expected) area.protection = protection;
    const Error seen = with_little_memory([&] { return mm::areas::protect(set_, range, protection, remember, &shown_).error(); });
    judge(seen, errors, !expected.empty());
    if (seen != Error::None) return;
    compare_shown(expected);
    model_.protect(page_of(range.begin), page_of(range.end), protection);
    check_list();
}

void AreasDriver::compare_found(const char* function, const Area* expected, const Area* seen) {
    if ((!expected && !seen) || (expected && seen && same(*expected, *seen))) return;
    journal_.require(false, function, "(): expected ", expected ? area_text(*expected) : "null", ", seen ", seen ? area_text(*seen) : "null");
}

void AreasDriver::find(VirtAddr address) {
    journal_.call("find(", address, ") and find_from()");
    const auto all = model_.areas();
    const auto next = std::ranges::find_if(all, [=](const Area& area) { return address < area.range.end; });
    const Area* const seen_next = mm::areas::find_from(set_, address);
    const Area* const seen = mm::areas::find(set_, address);
    compare_found("find_from", next == all.end() ? nullptr : &*next, seen_next);
    compare_found("find", next != all.end() && next->range.begin <= address ? &*next : nullptr, seen);
}

void AreasDriver::place(const Placement& it) {
    journal_.call("place(", it.pages, " pages, alignment ", it.alignment, ", window ", range_text(it.window), ", hint ", it.hint, ", random ", it.random, ", ", it.guard_pages,
                  " guard pages)");
    auto errors = range_errors(it.window);
    if (it.pages == 0 || it.alignment < kPageSize || (it.alignment & (it.alignment - 1)) != 0) errors.push_back(Error::InvalidArgument);
    std::vector<VirtAddr> possible; // from the highest down
    const int64_t first = page_of(it.window.begin), end = page_of(it.window.end), size = static_cast<int64_t>(std::min<size_t>(it.pages, 1 << 21));
    const int64_t guard = static_cast<int64_t>(std::min<size_t>(it.guard_pages, 1 << 21));
    for (int64_t page = end - size; errors.empty() && page >= first; --page) {
        const VirtAddr begin = address_of_page(static_cast<uint32_t>(page));
        const auto low = static_cast<uint32_t>(std::max<int64_t>(page - guard, 0));
        if (begin.value() % it.alignment == 0 && model_.is_free(low, static_cast<uint32_t>(page + size + guard))) possible.push_back(begin);
    }
    if (errors.empty() && possible.empty()) errors.push_back(Error::OutOfMemory);
    const auto seen = mm::areas::place(set_, it);
    shown_.clear();
    is_short_ = false;
    judge(seen.error(), errors, false);
    if (seen.is_error()) return;
    const bool takes_hint = std::ranges::find(possible, it.hint) != possible.end();
    const VirtAddr expected = takes_hint ? it.hint : possible[it.random % possible.size()];
    journal_.require(seen.value() == expected, "expected ", expected, takes_hint ? " (the hint)" : "", ", seen ", seen.value(), "; ", possible.size(), " begins are possible");
}

void AreasDriver::check_list() {
    std::vector<Area> seen;
    mm::areas::for_each(set_, remember, &seen);
    const auto expected = model_.areas();
    for (size_t i = 0; !std::ranges::equal(expected, seen, same) && i < std::max(expected.size(), seen.size()); ++i) {
        const std::string wanted = i < expected.size() ? area_text(expected[i]) : "no more", is = i < seen.size() ? area_text(seen[i]) : "no more";
        journal_.require(wanted == is, "for_each() shows, as number ", i, ": ", is, "; expected: ", wanted);
    }
    journal_.require(mm::areas::count(set_) == seen.size(), "count() says ", mm::areas::count(set_), ", for_each() shows ", seen.size());
}

AddressRange AreasDriver::random_range() {
    if (source_.one_in(16)) {
        constexpr uint32_t kEdges[] = {0, 0x1000, mm::kUserBegin - 0x1000, mm::kUserBegin, mm::kUserBegin + 0x1000, kBase + 0x123, mm::kUserEnd - 0x1000, mm::kUserEnd,
                                       mm::kUserEnd + 0x1000, 0xFFFF'F000, 0xFFFF'FFFF};
        return {VirtAddr(kEdges[source_.below(std::size(kEdges))]), VirtAddr(kEdges[source_.below(std::size(kEdges) - 1)])};
    }
    const auto first = static_cast<uint32_t>(source_.below(kPages)), length = static_cast<uint32_t>(source_.below(source_.one_in(4) ? 40 : 8));
    const uint32_t begin = kBase / kPageSize + first;
    return {address_of_page(begin), address_of_page(begin + length)};
}

Area AreasDriver::random_area() {
    const AddressRange range = random_range();
    const auto bits = source_.below(8);
    Area area{.range = range, .protection = {(bits & 1) != 0, (bits & 2) != 0, false}};
    area.kind = source_.one_in(6) ? mm::AreaKind::Heap : mm::AreaKind::Mapping;
    area.sharing = source_.one_in(5) ? mm::Sharing::Shared : mm::Sharing::Private;
    area.object = object(source_.below(5));
    // Pages of an object mostly lie where those before and behind them expect it, so that areas can be merged.
    if (area.object) area.first_page = page_of(range.begin) + (source_.one_in(4) ? 1 : 0);
    return area;
}

Placement AreasDriver::random_placement() {
    Placement it;
    it.pages = source_.one_in(20) ? static_cast<uint32_t>(source_.word()) : source_.below(12);
    it.alignment = source_.one_in(20) ? source_.below(9000) : kPageSize << (source_.one_in(2) ? 0 : source_.below(5));
    const uint32_t first = kBase / kPageSize + static_cast<uint32_t>(source_.below(60));
    it.window = source_.one_in(20) ? random_range() : AddressRange{address_of_page(first), address_of_page(first + static_cast<uint32_t>(source_.below(60)))};
    if (it.window.begin < it.window.end && it.window.pages() > 1000) it.window.end = it.window.begin + 100 * kPageSize;
    if (source_.one_in(3)) it.hint = source_.one_in(8) ? VirtAddr(static_cast<uint32_t>(source_.word())) : random_range().begin;
    it.random = static_cast<uint32_t>(source_.one_in(2) ? source_.below(20) : source_.word());
    it.guard_pages = source_.one_in(30) ? static_cast<uint32_t>(source_.word()) : source_.below(4);
    return it;
}

void AreasDriver::step() {
    if (source_.one_in(8)) limit_memory(source_.below(3));
    switch (source_.below(12)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4: return insert(random_area());
    case 5:
    case 6: return remove(random_range());
    case 7:
    case 8: return protect(random_range(), {true, source_.one_in(2), false});
    case 9: {
        const auto all = model_.areas(); // just one area, or the two around a border
        if (all.empty()) return;
        const size_t i = source_.below(all.size());
        const AddressRange range{all[i].range.begin, all[std::min(i + source_.below(2), all.size() - 1)].range.end};
        return source_.one_in(3) ? remove(range) : protect(range, {true, source_.one_in(2), false});
    }
    case 10: return find(source_.one_in(6) ? VirtAddr(static_cast<uint32_t>(source_.word())) : VirtAddr(random_range().begin.value() - static_cast<uint32_t>(source_.below(3)) + 1));
    default: return place(random_placement());
    }
}

void AreasDriver::finish() {
    check_list();
    journal_.call("destroy()");
    mm::areas::destroy(set_);
    set_ = nullptr;
    journal_.require(heap::in_use() == objects_at_start_, "the set is destroyed, and the heap has ", heap::in_use(), " objects in use; at the start there were ",
                     objects_at_start_);
}

} // namespace host
