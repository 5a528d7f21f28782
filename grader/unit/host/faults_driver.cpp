#include "host/faults_driver.h"

#include <algorithm>

#include "config.h"
#include "host/frames.h"
#include "mm/fault/demand.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/space/fault_services.h"

namespace host {

namespace {

using mm::Access;
using mm::Area;
using mm::fault::Decision;
using mm::fault::How;
using mm::fault::Outcome;
using mm::fault::Reason;

constexpr uint32_t kBase = 0x3000'0000, kRange = 600;  // pages in which random areas lie
constexpr uint32_t kSlotPages = 1024;
constexpr FrameNumber kNewFrame{0};

constexpr VirtAddr address_of_page(uint32_t page) { return VirtAddr(page * kPageSize); }
constexpr uint32_t page_of(VirtAddr address) { return address.value() / kPageSize; }

constexpr const char* kOutcomeNames[] = {"Resolved", "Retry", "Signal", "OutOfMemory"};
constexpr const char* kReasonNames[] = {"None", "NullPointer", "KernelAddress", "NotMapped", "GuardPage", "NotReadable",
                                        "NotWritable", "NotExecutable", "PastEnd", "Device", "StackLimit"};
constexpr const char* kHowNames[] = {"None", "KernelTable", "ZeroFrame", "Zeroed", "LargePage", "ObjectPage", "ObjectCopy", "Copied", "LastOwner", "SwappedIn"};

std::string text_of(const Decision& decision) {
    std::string words = kOutcomeNames[static_cast<size_t>(decision.outcome)];
    if (decision.reason != Reason::None) words += std::string(", ") + kReasonNames[static_cast<size_t>(decision.reason)];
    if (decision.how != How::None) words += std::string(" by ") + kHowNames[static_cast<size_t>(decision.how)];
    if (decision.stack_grew) words += ", the stack grew";
    return decision.neighbours ? words + ", " + std::to_string(decision.neighbours) + " neighbours" : words;
}

bool same(const Decision& left, const Decision& right) {
    return left.outcome == right.outcome && left.reason == right.reason && left.how == right.how && left.stack_grew == right.stack_grew &&
           left.neighbours == right.neighbours;
}

std::string page_text(const std::map<uint32_t, ShownPage>& pages, uint32_t number) {
    const auto found = pages.find(number);
    if (found == pages.end()) return "absent";
    const ShownPage& page = found->second;
    return std::string(page.frame == mm::spaces::zero_frame() ? "the zero frame" : page.frame == kNewFrame ? "a new frame" : "frame " + std::to_string(page.frame.value())) +
           (page.access == Access::ReadWrite ? ", writable" : ", read-only") + (page.is_large ? ", 4 MiB" : "");
}

bool starts_slot(uint32_t page) { return page % kSlotPages == 0; }

} // namespace

FaultsDriver::FaultsDriver(Source& source, std::string what) : source_(source), journal_(std::move(what)), frames_at_start_(mm::frames::in_use()) {
    space_.emplace();
}

TestObject& FaultsDriver::object(uint32_t pages, uint32_t word) { return objects_.emplace_back(pages, word); }

// What demand.h wants

FaultsDriver::Expected FaultsDriver::only(const Decision& decision) {
    Expected expected;
    expected.decision = decision;
    return expected;
}

FaultsDriver::Expected FaultsDriver::expect(uint32_t address, Touch touch, Who who, uint32_t stack_pointer) const {
    if (const Area* area = space_->find(VirtAddr(address))) return expect_in(*area, address / kPageSize, touch, who);
    std::optional<Area> grown;
    Expected growth = expect_growth(address, stack_pointer, grown);
    if (!grown) return growth;
    Expected expected = expect_in(*grown, address / kPageSize, touch, who);
    expected.decision.stack_grew = true;
    expected.stack_begin = address / kPageSize;
    expected.stack_end = page_of(grown->range.end);
    return expected;
}

FaultsDriver::Expected FaultsDriver::expect_growth(uint32_t address, uint32_t stack_pointer, std::optional<Area>& grown) const {
    const uint32_t page = address / kPageSize;
    const Area* const next = mm::areas::find_from(&space_->areas, VirtAddr(address));
    if (!next || next->kind != mm::AreaKind::Stack || uint64_t{address} + mm::demand::kBelowStackPointer < stack_pointer)
        return only(mm::fault::signal(next && page_of(next->range.begin) == page + 1 ? Reason::GuardPage : Reason::NotMapped));
    Area stack = *next;
    stack.range.begin = address_of_page(page);
    if (stack.range.pages() > space_->limits.stack) return only(mm::fault::signal(Reason::StackLimit));
    if (stack.range.begin <= VirtAddr(mm::kUserBegin) || space_->find(address_of_page(page - 1)))
        return only(mm::fault::signal(Reason::GuardPage));
    if (space_->mapped() + page_of(next->range.begin) - page > space_->limits.address_space)
        return only(mm::fault::out_of_memory());
    grown = stack;
    return {};
}

FaultsDriver::Expected FaultsDriver::expect_in(const Area& area, uint32_t page, Touch touch, Who who) const {
    const auto refused = [](Reason reason) { return only(mm::fault::signal(reason)); };
    const bool write = touch == Touch::Write;
    if (area.protection == mm::Protection{}) return refused(Reason::NotReadable);
    if (write && !area.protection.write) return refused(Reason::NotWritable);
    if (touch == Touch::Fetch && who == Who::User && !area.protection.execute) return refused(Reason::NotExecutable);
    const auto found = space_->pages.find(page);
    if (found == space_->pages.end()) return area.object ? expect_object(area, page, write) : expect_zeros(area, page, write);
    if (!write || area.sharing == mm::Sharing::Shared || found->second.access == Access::ReadWrite)
        return only(mm::fault::retry());
    const bool is_last = mm::frame_table::info(found->second.frame).references == 1;
    Expected expected = only(mm::fault::out_of_memory());
    expected.hands_over = true;
    if (!is_last && memory_ == 0) return expected;
    expected.decision = mm::fault::resolved(is_last ? How::LastOwner : How::Copied);
    expected.pages[page] = {is_last ? found->second.frame : kNewFrame, Access::ReadWrite};
    return expected;
}

/// One small page, if there is room for it, and frames: those that it needs already, and a page table.
FaultsDriver::Expected FaultsDriver::shown(Expected expected, uint32_t page, ShownPage small, How how) const {
    expected.needs += mm::spaces::slot_contents(&*space_, address_of_page(page)) == mm::spaces::SlotContents::Empty;
    if (space_->pages.size() + 1 > space_->limits.resident || expected.needs > memory_) {
        expected.decision = mm::fault::out_of_memory();
        return expected;
    }
    expected.decision = mm::fault::resolved(how);
    expected.pages[page] = small;
    return expected;
}

FaultsDriver::Expected FaultsDriver::expect_zeros(const Area& area, uint32_t page, bool write) const {
    Expected expected = only({});
    expected.word = 0;
    if (!write) return shown(std::move(expected), page, {mm::spaces::zero_frame(), Access::ReadOnly}, How::ZeroFrame);
    expected.needs = 1;
    const uint32_t first = page / kSlotPages * kSlotPages;
    const bool fits = page_of(area.range.begin) <= first && first + kSlotPages <= page_of(area.range.end);
    const bool is_empty = mm::spaces::slot_contents(&*space_, address_of_page(page)) == mm::spaces::SlotContents::Empty;
    const bool has_room = space_->pages.size() + kSlotPages <= space_->limits.resident;
    if (CONFIG_LARGE_PAGES && fits && is_empty && has_room && memory_ > 0 && has_free_run(Order(10))) {
        for (uint32_t i = 0; i < kSlotPages; ++i) expected.pages[first + i] = {kNewFrame, Access::ReadWrite, true};
        expected.decision = mm::fault::resolved(How::LargePage);
        return expected;
    }
    return shown(std::move(expected), page, {kNewFrame, Access::ReadWrite}, How::Zeroed);
}

FaultsDriver::Expected FaultsDriver::expect_object(const Area& area, uint32_t page, bool write) const {
    const auto& source = reinterpret_cast<const TestObject&>(*area.object);
    const uint32_t index = area.first_page + page - page_of(area.range.begin);
    Expected expected = only({});
    expected.word = source.word + index;
    const auto loaded = source.frames.find(index);
    const bool is_new = loaded == source.frames.end();
    expected.needs = is_new;
    if (index >= source.object.pages) expected.decision = mm::fault::signal(Reason::PastEnd);
    else if (is_new && memory_ == 0) expected.decision = mm::fault::out_of_memory();
    else if (is_new && index == source.broken) expected.decision = mm::fault::signal(Reason::Device);
    if (expected.decision.outcome != Outcome::Signal || expected.decision.reason != Reason::None) return expected;
    const FrameNumber frame = is_new ? kNewFrame : loaded->second;
    const bool is_shared = area.sharing == mm::Sharing::Shared;
    if (write && !is_shared) {
        ++expected.needs;
        return shown(std::move(expected), page, {kNewFrame, Access::ReadWrite}, How::ObjectCopy);
    }
    expected = shown(std::move(expected), page, {frame, is_shared && area.protection.write ? Access::ReadWrite : Access::ReadOnly}, How::ObjectPage);
    if (!is_shared && expected.decision.outcome == Outcome::Resolved) add_neighbours(expected, area, page);
    return expected;
}

void FaultsDriver::add_neighbours(Expected& expected, const Area& area, uint32_t page) const {
    const auto& source = reinterpret_cast<const TestObject&>(*area.object);
    const uint32_t first = page / mm::demand::kNeighbourhood * mm::demand::kNeighbourhood;
    for (uint32_t other = std::max(first, page_of(area.range.begin)); other < std::min<uint32_t>(first + mm::demand::kNeighbourhood, page_of(area.range.end)); ++other) {
        const auto loaded = source.frames.find(area.first_page + other - page_of(area.range.begin));
        if (other == page || loaded == source.frames.end() || space_->pages.contains(other)) continue;
        if (space_->pages.size() + expected.pages.size() >= space_->limits.resident) return;
        expected.pages[other] = {loaded->second, Access::ReadOnly};
        ++expected.decision.neighbours;
    }
}

// One fault

Decision FaultsDriver::fault(uint32_t address, Touch touch, Who who, uint32_t stack_pointer) {
    constexpr const char* kTouches[] = {"read", "write", "fetch"};
    journal_.call("a ", kTouches[static_cast<size_t>(touch)], " of ", VirtAddr(address), " by ", who == Who::User ? "user code" : "the kernel", ", ESP ", VirtAddr(stack_pointer),
                  memory_ == SIZE_MAX ? std::string() : ", " + std::to_string(memory_) + " frames can be had");
    const Expected expected = expect(address, touch, who, stack_pointer);
    const auto before = space_->pages;
    const size_t handed_over = space_->handed_over;
    const FaultInfo info{.address = VirtAddr(address),
                         .instruction = VirtAddr(touch == Touch::Fetch ? address : address ^ kPageSize),
                         .present = source_.one_in(2),
                         .write = touch == Touch::Write,
                         .user = who == Who::User,
                         .reserved_bit = false};
    if (memory_ != SIZE_MAX) mm::frames::fail_after(memory_);
    const Decision seen = mm::demand::resolve(&*space_, info, VirtAddr(stack_pointer));
    mm::frames::fail_never();
    memory_ = SIZE_MAX;
    journal_.answer(text_of(seen));
    compare(expected, seen, before);
    journal_.require(space_->handed_over - handed_over == (expected.hands_over ? 1u : 0u), "resolve_write() was called ", space_->handed_over - handed_over,
                     " times; expected: ", expected.hands_over ? "once" : "never");
    if (seen.how == How::ObjectPage) compare_object_page(address / kPageSize);
    check_references();
    return seen;
}

/// A copy with the right contents is not enough.
void FaultsDriver::compare_object_page(uint32_t page) {
    const Area& area = *space_->find(address_of_page(page));
    const auto& source = reinterpret_cast<const TestObject&>(*area.object);
    const FrameNumber frame = source.frames.at(area.first_page + page - page_of(area.range.begin));
    journal_.require(space_->pages.at(page).frame == frame, "page ", address_of_page(page), " shows frame ", space_->pages.at(page).frame.value(), "; the object's is ", frame.value());
}

void FaultsDriver::compare(const Expected& expected, const Decision& seen, const std::map<uint32_t, ShownPage>& before) {
    journal_.require(same(expected.decision, seen), "expected ", text_of(expected.decision), "; seen ", text_of(seen));
    compare_pages(expected, before);
    if (!expected.stack_begin) return;
    const Area* const stack = space_->find(address_of_page(*expected.stack_begin));
    journal_.require(stack && page_of(stack->range.begin) == *expected.stack_begin && page_of(stack->range.end) == expected.stack_end,
                     "the stack should have grown down to ", address_of_page(*expected.stack_begin));
}

void FaultsDriver::compare_pages(const Expected& expected, const std::map<uint32_t, ShownPage>& before) {
    auto wanted = before;
    for (const auto& [number, page] : expected.pages) wanted[number] = page;
    for (const auto& [number, page] : wanted) {
        const auto found = space_->pages.find(number);
        const bool is_new = page.frame == kNewFrame;
        const bool fits = found != space_->pages.end() && found->second.access == page.access && found->second.is_large == page.is_large &&
                          (is_new ? found->second.frame != mm::spaces::zero_frame() : found->second.frame == page.frame);
        if (!fits) journal_.require(false, "page ", address_of_page(number), " should be ", page_text(wanted, number), "; it is ", page_text(space_->pages, number));
        const bool must_be_filled = is_new && expected.word && (!page.is_large || number % 97 == 0);
        if (must_be_filled && !is_filled(found->second.frame, *expected.word)) journal_.require(false, "page ", address_of_page(number), " should hold ", *expected.word, " in each word");
    }
    for (const auto& [number, page] : space_->pages)
        if (!wanted.contains(number)) journal_.require(false, "page ", address_of_page(number), " is ", page_text(space_->pages, number), ", and nobody has asked for it");
}

/// Every frame in use has just as many references as there are pages, objects and others that hold it.
void FaultsDriver::check_references() {
    std::map<uint32_t, uint32_t> owners = others_;
    size_t frames = 0;
    ++owners[mm::spaces::zero_frame().value()];
    for (const auto& [number, page] : space_->pages)
        if (!page.is_large || starts_slot(number)) ++owners[page.frame.value()];
    for (const auto& [number, page] : space_->pages) frames += page.is_large && !starts_slot(number);
    for (const TestObject& source : objects_)
        for (const auto& [index, frame] : source.frames) ++owners[frame.value()];
    for (const auto& [slot, table] : space_->page_tables) ++owners[table.value()];
    for (const auto& [frame, count] : owners) {
        const uint32_t references = mm::frame_table::info(FrameNumber(frame)).references;
        if (references != count) journal_.require(false, "frame ", frame, " has ", references, " references; ", count, " hold it");
        ++frames;
    }
    const size_t in_use = mm::frames::in_use() - frames_at_start_ + 1;  // the zero frame was there before
    journal_.require(in_use == frames, in_use, " frames are in use; ", frames, " can be found: the others are lost");
}

void FaultsDriver::share_with_others(uint32_t address) {
    ShownPage& page = space_->pages.at(address / kPageSize);
    if (page.is_large) return;
    mm::frames::share(page.frame);
    ++others_[page.frame.value()];
    page.access = Access::ReadOnly;
}

void FaultsDriver::finish() {
    journal_.call("everything goes");
    space_->clear();
    for (const auto& [frame, count] : others_)
        for (uint32_t i = 0; i < count; ++i) (void)mm::frames::release(FrameNumber(frame));
    others_.clear();
    objects_.clear();
    journal_.require(mm::frames::in_use() == frames_at_start_, mm::frames::in_use(), " frames are in use at the end, ", frames_at_start_, " at the start");
}

// At random

void FaultsDriver::add_random_area() {
    const auto pages = static_cast<uint32_t>(source_.one_in(12) ? kSlotPages + source_.below(kSlotPages) : source_.between(1, 20));
    const uint32_t first = pages > kSlotPages ? (kBase + 0x0400'0000) / kPageSize + static_cast<uint32_t>(source_.below(kSlotPages))
                                              : kBase / kPageSize + static_cast<uint32_t>(source_.below(kRange));
    Area area{.range = {address_of_page(first), address_of_page(first + pages)}, .protection = {true, !source_.one_in(4), false}};
    if (source_.one_in(8)) area.protection = source_.one_in(2) ? mm::Protection{} : mm::Protection{true, false, true};
    if (source_.one_in(3)) area.kind = mm::AreaKind::Stack;
    else if (!source_.one_in(3) && pages < kSlotPages) {
        area.object = &objects_[source_.below(objects_.size())].object;
        area.first_page = static_cast<uint32_t>(source_.below(6));
        area.sharing = source_.one_in(3) ? mm::Sharing::Shared : mm::Sharing::Private;
    }
    auto& list = space_->areas.list;
    if (std::ranges::any_of(list, [&](const Area& other) { return other.range.overlaps(area.range); })) return;
    list.insert(std::ranges::find_if(list, [&](const Area& other) { return area.range.begin < other.range.begin; }), area);
}

/// What a program, or another one, does to the memory in between.
void FaultsDriver::change_something() {
    if (objects_.empty()) {
        for (const uint32_t pages : {24u, 9u}) objects_.emplace_back(pages, static_cast<uint32_t>(source_.word()));
        objects_.back().broken = 5;
    }
    if (space_->areas.list.size() < 24) return add_random_area();
    const size_t resident = space_->pages.size();
    space_->limits.resident = source_.one_in(3) ? resident + source_.below(20) : kMaxFrames;
    space_->limits.stack = source_.between(2, 40);
    space_->limits.address_space = source_.one_in(4) ? space_->mapped() + source_.below(20) : kMaxFrames;
    if (resident == 0) return;
    const auto chosen = std::next(space_->pages.begin(), static_cast<std::ptrdiff_t>(source_.below(resident)));
    const Area* const area = space_->find(address_of_page(chosen->first));
    if (area && area->sharing == mm::Sharing::Private) share_with_others(chosen->first * kPageSize);
}

uint32_t FaultsDriver::random_address() {
    const auto& list = space_->areas.list;
    if (list.empty() || source_.one_in(10)) return kBase + static_cast<uint32_t>(source_.below(kRange * kPageSize));
    const Area& area = list[source_.below(list.size())];
    const uint32_t pages = static_cast<uint32_t>(area.range.pages());
    return area.range.begin.value() + static_cast<uint32_t>(source_.below((pages + 2) * kPageSize)) - (source_.one_in(3) ? 3 * kPageSize : 0);
}

void FaultsDriver::step() {
    if (source_.one_in(8)) return change_something();
    const uint32_t address = random_address();
    const auto touch = static_cast<Touch>(source_.below(3));
    const Who who = source_.one_in(3) ? Who::Kernel : Who::User;
    const uint32_t stack_pointer = source_.one_in(2) ? address + static_cast<uint32_t>(source_.below(68)) : static_cast<uint32_t>(source_.word());
    if (source_.one_in(6)) limit_memory(source_.below(4));
    fault(address, touch, who, stack_pointer);
}

} // namespace host
