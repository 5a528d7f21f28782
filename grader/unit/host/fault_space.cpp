#include "host/fault_space.h"

#include <algorithm>
#include <cstring>

#include "lib/format.h"
#include "lib/panic.h"
#include "mm/fault/copy_on_write.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"
#include "mm/space/fault_services.h"

namespace {

using namespace mm;
using host::ShownPage;
using host::TestObject;

constexpr Order kLargeOrder{10};
constexpr uint32_t kSlotPages = 1024;

FrameNumber zeros{0};
std::map<uint32_t, AddressSpace*> directories;  ///< Made-up frame numbers of page directories.
uint32_t next_directory = 0x8'0000;

uint32_t page_number(VirtAddr address) { return address.value() / kPageSize; }
uint32_t slot_number(VirtAddr address) { return address.value() / kLargePageSize; }

void must_release(FrameNumber frame) { KASSERT("a page has a reference of its frame", !frames::release(frame).is_error()); }

bool has_pages(const AddressSpace& space, uint32_t slot) {
    const auto first = space.pages.lower_bound(slot * kSlotPages);
    return first != space.pages.end() && first->first < (slot + 1) * kSlotPages;
}

TestObject& whole(MemoryObject& object) { return reinterpret_cast<TestObject&>(object); }

Result<FrameNumber> shared_frame(FrameNumber frame) {
    frames::share(frame);
    return frame;
}

Result<FrameNumber> object_page(MemoryObject& object, size_t index) {
    TestObject& self = whole(object);
    if (index >= object.pages) return Error::OutOfRange;
    if (const auto found = self.frames.find(static_cast<uint32_t>(index)); found != self.frames.end()) return shared_frame(found->second);
    const FrameNumber frame = TRY(frames::allocate(Zone::Normal, Contents::Unspecified));
    ++self.reads;
    if (index == self.broken) {
        must_release(frame);
        return Error::DeviceError;
    }
    fill_frame(frame, self.word + static_cast<uint32_t>(index));
    self.frames[static_cast<uint32_t>(index)] = frame;
    return shared_frame(frame);
}

Result<FrameNumber> object_page_at_hand(MemoryObject& object, size_t index) {
    if (index >= object.pages) return Error::OutOfRange;
    const auto found = whole(object).frames.find(static_cast<uint32_t>(index));
    return found == whole(object).frames.end() ? Result<FrameNumber>(Error::NotFound) : shared_frame(found->second);
}

void object_name(const MemoryObject&, char* text, size_t bytes) { format_into({text, bytes}, "a test's object"); }
void object_destroy(MemoryObject&) { PANIC("the test still holds the object: a reference too many was given back"); }

constexpr ObjectOperations kOperations{object_name, object_page, object_page_at_hand, object_destroy, nullptr};

} // namespace

namespace mm {

AddressSpace::AddressSpace() { directories[next_directory++] = this; }
AddressSpace::~AddressSpace() {
    std::erase_if(directories, [this](const auto& one) { return one.second == this; });
}

size_t AddressSpace::mapped() const {
    size_t sum = 0;
    for (const Area& area : areas.list) sum += area.range.pages();
    return sum;
}

const Area* AddressSpace::find(VirtAddr address) const { return areas::find(&areas, address); }

void AddressSpace::clear() {
    for (const auto& [number, page] : pages) {
        if (!page.is_large) must_release(page.frame);
        else if (number % kSlotPages == 0) KASSERT("a large page has a reference of its run", !frames::release_run(page.frame, kLargeOrder).is_error());
    }
    for (const auto& [slot, table] : page_tables) must_release(table);
    pages.clear();
    page_tables.clear();
    areas.list.clear();
}

namespace areas {

const Area* find_from(const Set* set, VirtAddr address) {
    const auto found = std::ranges::find_if(set->list, [=](const Area& area) { return address < area.range.end; });
    return found == set->list.end() ? nullptr : &*found;
}

const Area* find(const Set* set, VirtAddr address) {
    const Area* const next = find_from(set, address);
    return next && next->range.contains(address) ? next : nullptr;
}

} // namespace areas

namespace page_table {

Result<Translation> translate(PageDirectory directory, VirtAddr address) {
    const auto found = directories.find(directory.frame.value());
    KASSERT("translate() gets a page directory", found != directories.end());
    const auto page = found->second->pages.find(page_number(address));
    if (page == found->second->pages.end()) return Error::NotMapped;
    const ShownPage& shown = page->second;
    return Translation{shown.frame.address() + address.page_offset(), shown.is_large ? PageSize::Large : PageSize::Small,
                       {shown.access, Privilege::User, Scope::Local}};
}

} // namespace page_table

namespace spaces {

FrameNumber zero_frame() { return zeros; }
const areas::Set* areas_of(const AddressSpace* space) { return &space->areas; }
SpaceLimits& limits(AddressSpace* space) { return space->limits; }
const Area* find_area(AddressSpace* space, VirtAddr address) { return areas::find(&space->areas, address); }
bool is_resident(const AddressSpace* space, VirtAddr address) { return space->pages.contains(page_number(address)); }

PageState page_state(const AddressSpace* space, VirtAddr address) {
    const auto page = space->pages.find(page_number(address));
    if (page == space->pages.end()) return PageState::Absent;
    return page->second.access == Access::ReadWrite ? PageState::Writable : PageState::ReadOnly;
}

PageDirectory directory(const AddressSpace* space) {
    const auto found = std::ranges::find_if(directories, [=](const auto& one) { return one.second == space; });
    return {FrameNumber(found->first)};
}

SpaceStatistics statistics(const AddressSpace* space) {
    SpaceStatistics figures{};
    figures.mapped = space->mapped();
    figures.resident = space->pages.size();
    figures.page_tables = space->page_tables.size() + 1;
    figures.areas = space->areas.list.size();
    return figures;
}

Result<void> grow_stack(AddressSpace* space, const Area& stack, VirtAddr begin) {
    const auto found = std::ranges::find_if(space->areas.list, [&](const Area& area) { return &area == &stack; });
    KASSERT("grow_stack() gets an area of the space", found != space->areas.list.end());
    KASSERT("a stack grows down to the begin of a page", begin.page_offset() == 0 && begin < stack.range.begin);
    KASSERT("what a stack grows over is free", begin >= VirtAddr(kUserBegin) && areas::find_from(&space->areas, begin) == &stack);
    if (space->mapped() + AddressRange{begin, stack.range.begin}.pages() > space->limits.address_space) return Error::LimitReached;
    // Elsewhere from now on: who goes on using the old area is caught.
    std::vector<Area> moved(space->areas.list);
    moved[static_cast<size_t>(found - space->areas.list.begin())].range.begin = begin;
    space->areas.list.swap(moved);
    return {};
}

SlotContents slot_contents(const AddressSpace* space, VirtAddr address) {
    const uint32_t slot = slot_number(address);
    if (space->page_tables.contains(slot)) return SlotContents::PageTable;
    return has_pages(*space, slot) ? SlotContents::LargePage : SlotContents::Empty;
}

Result<FrameNumber> page_table_for(AddressSpace* space, VirtAddr address) {
    const auto found = space->page_tables.find(slot_number(address));
    if (found != space->page_tables.end()) return found->second;
    KASSERT("where a large page is there is no page table", !has_pages(*space, slot_number(address)));
    return space->page_tables[slot_number(address)] = TRY(frames::allocate(Zone::Normal, Contents::Zeroed));
}

Result<void> add_page(AddressSpace* space, const Area& area, VirtAddr page, FrameNumber frame, PageSize size, Access access) {
    const uint32_t bytes = static_cast<uint32_t>(size), count = bytes / kPageSize;
    KASSERT("a page begins at a multiple of its size", page.value() % bytes == 0);
    KASSERT("a page lies in its area", area.range.begin <= page && page.value() - area.range.begin.value() + bytes <= area.range.end.value() - area.range.begin.value());
    KASSERT("a page grants no more than its area", access == Access::ReadOnly || area.protection.write);
    for (uint32_t i = 0; i < count; ++i) KASSERT("a page is added where none is", !space->pages.contains(page_number(page) + i));
    const FrameInfo& info = frame_table::info(frame);
    KASSERT("a page shows a frame that somebody has", info.use == FrameUse::Allocated && info.references > 0);
    KASSERT("a page shows a frame, or a run, of its size", info.order == (size == PageSize::Large ? kLargeOrder.value() : 0));
    if (space->pages.size() + count > space->limits.resident) return Error::LimitReached;
    if (size == PageSize::Small) TRY(page_table_for(space, page));
    else KASSERT("a large page takes the place of no page table", !space->page_tables.contains(slot_number(page)));
    for (uint32_t i = 0; i < count; ++i) space->pages[page_number(page) + i] = {frame + i, access, size == PageSize::Large};
    return {};
}

} // namespace spaces

fault::Decision copy_on_write::resolve_write(AddressSpace* space, const Area& area, VirtAddr page) {
    ++space->handed_over;
    KASSERT("resolve_write() gets the begin of a page in a private area that may be written",
            page.page_offset() == 0 && area.range.contains(page) && area.sharing == Sharing::Private && area.protection.write);
    const auto found = space->pages.find(page_number(page));
    KASSERT("resolve_write() gets a page that is present and read-only", found != space->pages.end() && found->second.access == Access::ReadOnly);
    const FrameNumber old = found->second.frame;
    found->second.access = Access::ReadWrite;
    if (frame_table::info(old).references == 1) return fault::resolved(fault::How::LastOwner);
    const Result<FrameNumber> copy = frames::allocate(Zone::High, Contents::Unspecified);
    if (copy.is_error()) {
        found->second.access = Access::ReadOnly;
        return fault::out_of_memory();
    }
    copy_frame(copy.value(), old);
    found->second.frame = copy.value();
    must_release(old);
    return fault::resolved(fault::How::Copied);
}

} // namespace mm

namespace host {

TestObject::TestObject(uint32_t pages, uint32_t first) : object{.operations = &kOperations, .references = 1, .pages = pages}, word(first) {}

TestObject::~TestObject() {
    for (const auto& [index, frame] : frames) (void)frames::release(frame);
}

void make_zero_frame() { zeros = frames::allocate(Zone::Normal, Contents::Zeroed).value(); }

bool is_filled(FrameNumber frame, uint32_t word) {
    const FrameMemory memory = frame_memory(frame);
    return std::all_of(memory.as<uint32_t>(), memory.as<uint32_t>() + kPageSize / 4, [=](uint32_t one) { return one == word; });
}

} // namespace host
