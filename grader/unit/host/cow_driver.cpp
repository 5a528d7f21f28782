#include "host/cow_driver.h"

#include <algorithm>

#include "host/frames.h"
#include "host/paging.h"
#include "mm/fault/copy_on_write.h"
#include "mm/paging/pte.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/space/fault_services.h"

namespace host {

namespace bits = mm::entry_bits;
using mm::Area;
using mm::fault::How;
using mm::fault::Outcome;

namespace {

constexpr uint32_t kMarks = bits::kAccessed | bits::kDirty;
constexpr size_t kMostSpaces = 6;

uint32_t number_of(VirtAddr page) { return page.value() / kPageSize; }
VirtAddr page_at(uint32_t number) { return VirtAddr(number * static_cast<uint32_t>(kPageSize)); }
bool is_shared(const Area& area) { return area.sharing == mm::Sharing::Shared; }
bool grants(const Area& area) { return area.protection.read || area.protection.write || area.protection.execute; }

bool is_filled(FrameNumber frame, uint32_t word) {
    const mm::FrameMemory memory = mm::frame_memory(frame);
    return std::all_of(memory.as<uint32_t>(), memory.as<uint32_t>() + kPageSize / 4, [=](uint32_t one) { return one == word; });
}

} // namespace

CowDriver::CowDriver(Source& source, std::string what, std::vector<Area> areas)
    : source_(source), journal_(std::move(what)), areas_(std::move(areas)), frames_at_start_(mm::frames::in_use()) {
    object_frame_ = mm::frames::allocate(mm::Zone::High, mm::Contents::Unspecified).value();
    mm::fill_frame(object_frame_, words_[object_frame_.value()] = 0x0B1E'C700);
    words_[mm::spaces::zero_frame().value()] = 0;
    load_directory(mm::kernel_directory());
}

// --- Spaces and accesses ---------------------------------------------------------------------------------------------------

size_t CowDriver::create() {
    CowSpace& made = spaces_[next_];
    made.space = std::make_unique<mm::AddressSpace>();
    made.space->areas.list = areas_;
    return next_++;
}

const Area& CowDriver::area_of(VirtAddr page) const {
    const auto found = std::ranges::find_if(areas_, [=](const Area& area) { return area.range.contains(page); });
    journal_.require(found != areas_.end(), "the test asks for ", page, ", which is in no area");
    return *found;
}

void CowDriver::show(size_t number, VirtAddr page, Shows what) {
    const Area& area = area_of(page);
    CowSpace& one = spaces_.at(number);
    FrameNumber frame = what == Shows::Zeros ? mm::spaces::zero_frame() : object_frame_;
    if (what == Shows::Own) {
        frame = mm::frames::allocate(mm::Zone::High, mm::Contents::Unspecified).value();
        mm::fill_frame(frame, words_[frame.value()] = static_cast<uint32_t>(source_.word()));
    } else {
        mm::frames::share(frame);
    }
    const bool may_write = area.protection.write && (what == Shows::Own || is_shared(area));
    const auto shown = mm::spaces::add_page(one.space.get(), area, page, frame, mm::PageSize::Small, may_write ? mm::Access::ReadWrite : mm::Access::ReadOnly);
    journal_.require(!shown.is_error(), "the test has no memory for a page");
    *entry_of(*one.space, page) |= static_cast<uint32_t>(source_.below(4)) * bits::kAccessed;
    one.pages[number_of(page)] = {frame, may_write, *entry_of(*one.space, page) & kMarks, true};
}

void CowDriver::activate(size_t number) {
    active_ = number;
    load_directory(number == kNone ? mm::kernel_directory() : spaces_.at(number).space->directory);
}

void CowDriver::touch_all() {
    if (active_ == kNone) return;
    for (const auto& [page, shown] : spaces_.at(active_).pages) touch(page_at(page));
}

void CowDriver::store(size_t number, VirtAddr page, uint32_t word) {
    CowPage& shown = spaces_.at(number).pages.at(number_of(page));
    if (!shown.is_writable && !write(number, page)) return;
    if (number == active_) touch(page);
    mm::fill_frame(shown.frame, words_[shown.frame.value()] = word);
    check();
}

void CowDriver::forget_page(size_t number, uint32_t page) {
    CowSpace& one = spaces_.at(number);
    const FrameNumber frame = one.pages.at(page).frame;
    (void)mm::page_table::unmap(one.space->directory, page_at(page), 1);
    one.pages.erase(page);
    --one.space->resident;
    journal_.require(!mm::frames::release(frame).is_error(), "space ", number, " shows ", frame, " at ", page_at(page), " and has no reference of it");
}

void CowDriver::destroy(size_t number) {
    journal_.call("space ", number, " goes");
    if (active_ == number) activate(kNone);
    CowSpace& one = spaces_.at(number);
    while (!one.pages.empty()) forget_page(number, one.pages.begin()->first);
    journal_.require(one.space->resident == 0, "all pages of space ", number, " are gone, and it counts ", one.space->resident, " more");
    spaces_.erase(number);
    check();
}

// --- The piece -------------------------------------------------------------------------------------------------------------

size_t CowDriver::tables_needed(size_t parent) const {
    size_t count = 0;
    uint32_t last = ~0u;
    for (const auto& [page, shown] : spaces_.at(parent).pages) {
        if (is_shared(area_of(page_at(page)))) continue; // may need one, or not
        count += page / kPagesPerLargePage != last;
        last = page / kPagesPerLargePage;
    }
    return count;
}

/// One call of share(). @return whether it had memory
bool CowDriver::share_area(size_t parent, size_t child, const Area& area, size_t frames) {
    CowSpace& from = spaces_.at(parent);
    CowSpace& to = spaces_.at(child);
    journal_.call("share(space ", parent, ", space ", child, ", ", area.range.begin, "-", area.range.end, is_shared(area) ? " shared)" : ")");
    if (frames != SIZE_MAX) mm::frames::fail_after(frames);
    const Result<void> done = mm::copy_on_write::share(from.space.get(), to.space.get(), area);
    mm::frames::fail_never();
    journal_.answer(done.error());
    journal_.require(!done.is_error() || (done.error() == Error::OutOfMemory && frames != SIZE_MAX), "share(): expected success, seen ", done.error());
    to.is_torn |= done.is_error();
    for (auto& [number, page] : from.pages) {
        if (!area.range.contains(page_at(number))) continue;
        const uint32_t* const entry = entry_of(*to.space, page_at(number));
        const bool is_shown = entry && (*entry & bits::kPresent);
        if (!is_shared(area) && is_shown) page.is_writable = false;
        // Without memory a part may be shown, and pages of the parent may be read-only.
        if (done.is_error() && !is_shown && !is_shared(area)) page.is_writable &= (*entry_of(*from.space, page_at(number)) & bits::kWritable) != 0;
        if (is_shown || (!is_shared(area) && !done.is_error())) to.pages[number] = {page.frame, is_shared(area) && page.is_writable, 0, false};
    }
    check();
    return !done.is_error();
}

size_t CowDriver::fork(size_t parent, size_t frames) {
    const size_t child = create();
    const size_t needed = tables_needed(parent);
    bool went_well = true;
    for (const Area& area : areas_) {
        const size_t before = mm::frames::in_use();
        went_well = share_area(parent, child, area, frames);
        if (frames != SIZE_MAX) frames -= mm::frames::in_use() - before;
        if (!went_well) break;
    }
    journal_.require(went_well || frames < needed, "share() had a frame for each page table that it needs, and failed");
    if (went_well) return child;
    destroy(child);
    return kNone;
}

bool CowDriver::write(size_t number, VirtAddr page, size_t frames) {
    CowSpace& one = spaces_.at(number);
    CowPage& shown = one.pages.at(number_of(page));
    const FrameNumber old = shown.frame;
    const bool is_alone = owners(old) == 1;
    const size_t before = mm::frames::in_use(), requests = frame_requests();
    journal_.call("resolve_write(space ", number, ", ", page, ")");
    if (frames != SIZE_MAX) mm::frames::fail_after(frames);
    const mm::fault::Decision done = mm::copy_on_write::resolve_write(one.space.get(), area_of(page), page);
    mm::frames::fail_never();
    journal_.answer("outcome ", static_cast<unsigned>(done.outcome), ", how ", static_cast<unsigned>(done.how));
    const bool failed = !is_alone && frames == 0;
    const Outcome expected = failed ? Outcome::OutOfMemory : Outcome::Resolved;
    journal_.require(done.outcome == expected, "resolve_write(): ", old, " has ", owners(old), " owners: expected outcome ", static_cast<unsigned>(expected));
    if (!failed) {
        const How how = is_alone ? How::LastOwner : How::Copied;
        journal_.require(done.how == how, "resolve_write(): ", old, " has ", owners(old), " owners: expected how ", static_cast<unsigned>(how));
        if (is_alone) journal_.require(frame_requests() == requests, "the last owner needs no frame, and resolve_write() asked for one");
        const uint32_t* const entry = entry_of(*one.space, page);
        shown = {entry ? FrameNumber(*entry / kPageSize) : old, true, 0, false};
        if (!is_alone) words_[shown.frame.value()] = words_.at(old.value());
    }
    const size_t wanted = before + (!failed && !is_alone);
    journal_.require(mm::frames::in_use() == wanted, "resolve_write(): ", wanted, " frames should be in use afterwards, and ", mm::frames::in_use(), " are");
    check();
    return !failed;
}

// --- Comparing -------------------------------------------------------------------------------------------------------------

uint32_t CowDriver::owners(FrameNumber frame) const {
    uint32_t count = frame == mm::spaces::zero_frame() || frame == object_frame_;
    for (const auto& [number, one] : spaces_)
        count += static_cast<uint32_t>(std::ranges::count_if(one.pages, [=](const auto& page) { return page.second.frame == frame; }));
    return count;
}

void CowDriver::check_space(size_t number) {
    const CowSpace& one = spaces_.at(number);
    size_t present = 0;
    for (uint32_t slot = mm::kUserBegin / kLargePageSize; slot < mm::kUserEnd / kLargePageSize; ++slot) {
        const VirtAddr begin(slot * static_cast<uint32_t>(kLargePageSize));
        const uint32_t* const table = entry_of(*one.space, begin);
        if (!table) continue;
        size_t in_table = 0;
        for (uint32_t i = 0; i < kPagesPerLargePage; ++i) {
            if (!(table[i] & bits::kPresent)) continue;
            ++in_table;
            journal_.require(one.pages.contains(slot * kPagesPerLargePage + i), "space ", number, " shows a page at ", begin + i * kPageSize, ", where none should be");
        }
        journal_.require(in_table > 0 || one.is_torn, "space ", number, " has a page table for ", begin, ", and no page there");
        present += in_table;
    }
    journal_.require(one.space->resident == present, "space ", number, " has ", present, " pages present, and counts ", one.space->resident);
    for (const auto& [page, wanted] : one.pages) {
        const uint32_t* const entry = entry_of(*one.space, page_at(page));
        journal_.require(entry && (*entry & bits::kPresent), "space ", number, " should show ", wanted.frame, " at ", page_at(page), ", and shows nothing");
        const mm::Pte pte = mm::Pte::from_word(*entry);
        journal_.require(pte.frame() == wanted.frame, "space ", number, " should show ", wanted.frame, " at ", page_at(page), ", and shows ", pte.frame());
        const bool is_writable = pte.rights().access == mm::Access::ReadWrite, is_users = pte.rights().privilege == mm::Privilege::User;
        journal_.require(is_writable == wanted.is_writable, "space ", number, ": the page at ", page_at(page), " should be ", wanted.is_writable ? "writable" : "read-only",
                         ", and is not; its frame has ", owners(wanted.frame), " owners");
        journal_.require(is_users == grants(area_of(page_at(page))), "space ", number, ": the page at ", page_at(page), " has the wrong privilege");
        journal_.require(pte.rights().scope == mm::Scope::Local, "space ", number, ": the page at ", page_at(page), " is global");
        if (wanted.has_marks)
            journal_.require((pte.word() & kMarks) == wanted.marks, "space ", number, ": the accessed and dirty bits at ", page_at(page), " have changed");
    }
}

void CowDriver::check_tlb() {
    if (active_ == kNone) return;
    for (const auto& [page, cached] : remembered()) {
        if (page < mm::kUserBegin || page >= mm::kUserEnd) continue;
        const Cached now = walk(spaces_.at(active_).space->directory, VirtAddr(page));
        const bool is_same = is_present(now) && now.pte / kPageSize == cached.pte / kPageSize && !(cached.pte & ~now.pte & bits::kWritable);
        journal_.require(is_same, "the TLB still leads from ", VirtAddr(page), " to ", FrameNumber(cached.pte / kPageSize),
                         cached.pte & bits::kWritable ? " (writable)" : "", ", and the page tables do not");
    }
}

void CowDriver::check_frames() {
    std::map<uint32_t, uint32_t> wanted{{mm::spaces::zero_frame().value(), 1}, {object_frame_.value(), 1}};
    for (const auto& [number, one] : spaces_)
        for (const auto& [page, shown] : one.pages) ++wanted[shown.frame.value()];
    for (const auto& [frame, count] : wanted) {
        const uint32_t seen = mm::frame_table::info(FrameNumber(frame)).references;
        journal_.require(seen == count, FrameNumber(frame), " has ", count, " owners, and ", seen, " references");
        journal_.require(is_filled(FrameNumber(frame), words_.at(frame)), FrameNumber(frame), " does not hold any more what was written to it");
    }
}

void CowDriver::check() {
    for (const auto& [number, one] : spaces_) check_space(number);
    check_tlb();
    check_frames();
}

// --- Chance ----------------------------------------------------------------------------------------------------------------

void CowDriver::step() {
    if (spaces_.empty()) {
        const size_t first = create();
        for (const Area& area : areas_)
            for (uint32_t page = number_of(area.range.begin); page < number_of(area.range.end); page += 1 + static_cast<uint32_t>(source_.below(3)))
                show(first, page_at(page), is_shared(area) ? Shows::Object : static_cast<Shows>(source_.below(3)));
    }
    auto one = spaces_.begin();
    std::advance(one, source_.below(spaces_.size()));
    const size_t number = one->first;
    switch (source_.below(12)) {
    case 0:
    case 1:
        if (spaces_.size() < kMostSpaces) fork(number, source_.one_in(4) ? source_.below(3) : SIZE_MAX);
        return;
    case 2: return destroy(number);
    case 3: return activate(source_.one_in(5) ? kNone : number);
    case 4: return touch_all();
    default: {
        if (one->second.pages.empty()) return;
        auto page = one->second.pages.begin();
        std::advance(page, source_.below(one->second.pages.size()));
        const VirtAddr at = page_at(page->first);
        if (!area_of(at).protection.write) return;
        if (page->second.is_writable || is_shared(area_of(at)) || !source_.one_in(4)) {
            if (page->second.is_writable || !is_shared(area_of(at))) store(number, at, static_cast<uint32_t>(source_.word()));
        } else {
            write(number, at, source_.one_in(2) ? 0 : SIZE_MAX);
        }
    }
    }
}

void CowDriver::finish() {
    while (!spaces_.empty()) destroy(spaces_.begin()->first);
    (void)mm::frames::release(object_frame_);
    journal_.require(mm::frames::in_use() == frames_at_start_, "all spaces are gone, and ", mm::frames::in_use(), " frames are in use; at the start there were ",
                     frames_at_start_);
}

} // namespace host
