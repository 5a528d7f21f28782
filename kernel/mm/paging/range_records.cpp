#include "mm/paging/range_records.h"

#include <cstdint>
#include <new>

#include "lib/panic.h"
#include "mm/paging/virtual_ranges.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"

namespace mm::range_records {

namespace {

/// A record that is not in use.
struct FreeRecord {
    FreeRecord* next;
};

/// A frame of records: this, then the records. Its address is that of any of them, rounded down.
struct Page {
    Page* previous;
    Page* next;
    FreeRecord* free;
    uint32_t used;
    alignas(VirtualRange) uint8_t records[];
};

constexpr size_t kRecords = (kPageSize - sizeof(Page)) / sizeof(VirtualRange);

Page* with_room = nullptr;   ///< The pages that have a free record.
size_t page_count = 0;

Page* page_of(void* record) { return pointer_to<Page>(VirtAddr(align_down(address_of(record).value(), kPageSize))); }

void link(Page* page) {
    page->previous = nullptr;
    page->next = with_room;
    if (with_room) with_room->previous = page;
    with_room = page;
}

void unlink(Page* page) {
    (page->previous ? page->previous->next : with_room) = page->next;
    if (page->next) page->next->previous = page->previous;
}

void put(Page* page, void* record) { page->free = new (record) FreeRecord{page->free}; }

Result<void> add_page() {
    Page* const page = static_cast<Page*>(TRY(pages::get_free_page()));
    page->free = nullptr;
    page->used = 0;
    for (size_t i = kRecords; i-- > 0;) put(page, page->records + i * sizeof(VirtualRange));
    link(page);
    ++page_count;
    return {};
}

} // namespace

Result<VirtualRange*> take() {
    if (!with_room) TRY(add_page());
    Page* const page = with_room;
    FreeRecord* const record = page->free;
    page->free = record->next;
    ++page->used;
    if (!page->free) unlink(page);
    return new (record) VirtualRange;
}

void give_back(VirtualRange* record) {
    Page* const page = page_of(record);
    if (!page->free) link(page);
    put(page, record);
    if (--page->used > 0) return;
    unlink(page);
    --page_count;
    const Result<void> done = pages::free(page);
    KASSERT("a frame of records can be given back", !done.is_error());
}

size_t frames() { return page_count; }

} // namespace mm::range_records
