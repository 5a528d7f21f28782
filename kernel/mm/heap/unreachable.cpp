// Objects that nothing leads to: a conservative mark and sweep.
//
// 1. List all objects in use, sorted by address. The list lies in memory of its own, not in the heap: nothing may be allocated or
//    freed while the heap is walked.
// 2. Mark: take every word of the roots for a pointer. An object that one points into is reached; it goes onto a chain of
//    objects whose own words are still to be looked at. The chain runs through the list, so however long a chain of objects
//    is, no stack overflows.
// 3. Sweep: what was not reached is printed, and freed if that is wished.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "config.h"
#include "lib/format.h"
#include "lib/panic.h"
#include "lib/text.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/leaks.h"
#include "mm/heap/slab.h"
#include "mm/heap/unscanned.h"
#include "mm/paging/kernel_map.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frames.h"

namespace mm::leaks {

#if CONFIG_MEMORY_DEBUGGING

extern "C" const char kernel_data_begin[], kernel_data_end[], kernel_bss_begin[], kernel_bss_end[]; // link.ld

namespace {

/// An object, and where it stands: not reached, or reached, with the number of the next object whose words are to be looked at.
struct Entry {
    uint32_t address;
    uint32_t size;
    uint32_t next;

    static constexpr uint32_t kNotReached = ~0u, kEnd = ~0u - 1;
    bool contains(uint32_t word) const { return word - address < size; }
    bool is_reached() const { return next != kNotReached; }
};
static_assert(sizeof(Entry) == 12);

/// The list of all objects. Its memory is a page, or vmalloc's.
class ObjectList {
public:
    Result<void> fill();
    void mark(uint32_t begin, uint32_t end);
    void mark_reached();
    Entry* find(uint32_t word) const;
    Entry* find_first_byte(uint32_t address) const;
    Result<void> give_back();
    size_t count() const { return count_; }
    const Entry& operator[](size_t i) const { return entries_[i]; }

private:
    static void add(void* context, const slab::Object& object);
    bool is_page() const { return room_ * sizeof(Entry) <= kPageSize; }

    Entry* entries_ = nullptr;
    size_t count_ = 0;
    size_t room_ = 0;
    uint32_t to_do_ = 0;  ///< First of the chain of objects that are reached and not yet looked at.
};

/// Not a root: it holds the address of every object. One at a time: interrupts do not use the heap.
UNSCANNED ObjectList objects;

void ObjectList::add(void* context, const slab::Object& object) {
    ObjectList& list = *static_cast<ObjectList*>(context);
    if (list.count_ < list.room_)
        list.entries_[list.count_++] = {address_of(object.address).value(), static_cast<uint32_t>(object.size), Entry::kNotReached};
}

Result<void> ObjectList::fill() {
    *this = {};
    to_do_ = Entry::kEnd;
    slab::for_each_object([](void* context, const slab::Object&) { ++*static_cast<size_t*>(context); }, &room_);
    if (room_ == 0) return {};
    void* const memory = TRY(is_page() ? pages::get_free_page() : vmalloc::allocate(room_ * sizeof(Entry)));
    entries_ = static_cast<Entry*>(memory);
    slab::for_each_object(add, this);
    std::sort(entries_, entries_ + count_, [](const Entry& left, const Entry& right) { return left.address < right.address; });
    return {};
}

Result<void> ObjectList::give_back() {
    if (entries_ == nullptr) return {};
    return is_page() ? pages::free(entries_, Order(0)) : vmalloc::free(entries_);
}

/// The object that the word points into.
Entry* ObjectList::find(uint32_t word) const {
    Entry* const behind = std::upper_bound(entries_, entries_ + count_, word,
                                           [](uint32_t value, const Entry& entry) { return value < entry.address; });
    return behind > entries_ && behind[-1].contains(word) ? behind - 1 : nullptr;
}

/// The object that begins at this address.
Entry* ObjectList::find_first_byte(uint32_t address) const {
    Entry* const at = std::lower_bound(entries_, entries_ + count_, address,
                                       [](const Entry& entry, uint32_t value) { return entry.address < value; });
    return at < entries_ + count_ && at->address == address ? at : nullptr;
}

/// Takes every word of [begin, end) for a pointer.
void ObjectList::mark(uint32_t begin, uint32_t end) {
    if (count_ == 0) return;
    const uint32_t lowest = entries_[0].address, span = entries_[count_ - 1].address + entries_[count_ - 1].size - lowest;
    for (uint32_t at = align_up(begin, 4); at + 4 <= end; at += 4) {
        const uint32_t word = *pointer_to<const uint32_t>(VirtAddr(at));
        if (word - lowest >= span) continue;
        Entry* const entry = find(word);
        if (!entry || entry->is_reached()) continue;
        entry->next = to_do_;
        to_do_ = static_cast<uint32_t>(entry - entries_);
    }
}

/// Looks at the words of objects that are reached, and of those that they lead to, until there are no more.
void ObjectList::mark_reached() {
    while (to_do_ != Entry::kEnd) {
        const Entry& entry = entries_[to_do_];
        to_do_ = entry.next;
        mark(entry.address, entry.address + entry.size);
    }
}

uint32_t number_of(const char* symbol) { return address_of(symbol).value(); }

void show_boot_stack(VirtAddr here, void (*show)(VirtAddr begin, VirtAddr end)) {
    KASSERT("the kernel runs on its guarded stack", here >= boot_stack().begin && here < boot_stack().end);
    show(here, boot_stack().end);
}

constinit StackFinder find_stacks = show_boot_stack;

/// @param stack  the lowest word of the running stack that counts
void mark_from_roots(uint32_t stack) {
    objects.mark(number_of(kernel_data_begin), number_of(kernel_data_end));
    objects.mark(number_of(kernel_bss_begin), number_of(kernel_bss_end));
    find_stacks(VirtAddr(stack), [](VirtAddr begin, VirtAddr end) { objects.mark(begin.value(), end.value()); });
    objects.mark_reached();
}

// What becomes of an object that was not reached: kept in its entry in place of the size, which nobody needs after the marking.
constexpr uint32_t kKeep = 0;   // its cache has a constructor: only an owner can give it back
constexpr uint32_t kBlock = 1;  // kfree(); any other value is the address of the cache

uint32_t owner_of(const slab::Object& object) {
    if (object.owner) return address_of(object.owner).value();
    return text_after(object.cache, "kmalloc") ? kBlock : kKeep;
}

void show_unreachable(void* context, const slab::Object& object) {
    Entry* const entry = objects.find_first_byte(address_of(object.address).value());
    if (!entry || entry->is_reached()) return;
    ++*static_cast<size_t*>(context);
    entry->size = owner_of(object);
    const CallSite& site = object.allocated;
    print("unreachable: {x8}, {} bytes, cache \"{}\", allocated in {}() at {}:{}\n", address_of(object.address), object.size,
          object.cache, site.function ? site.function : "?", site.file ? site.file : "?", site.line);
}

Result<void> collect(const Entry& entry) {
    void* const object = pointer_to<void>(VirtAddr(entry.address));
    if (entry.size == kKeep) return Error::Unsupported;
    if (entry.size == kBlock) return kfree(object);
    return slab::free(pointer_to<slab::Cache>(VirtAddr(entry.size)), object);
}

size_t collect_unreachable() {
    size_t freed = 0;
    for (size_t i = 0; i < objects.count(); ++i) {
        if (!objects[i].is_reached() && !collect(objects[i]).is_error()) ++freed;
    }
    return freed;
}

/// @param stack  the lowest word of the stack that counts
Result<size_t> sweep(uint32_t stack, Action action) {
    TRY(objects.fill());
    mark_from_roots(stack);
    size_t found = 0;
    slab::for_each_object(show_unreachable, &found);
    if (action == Action::Collect && found > 0) print("{} of {} unreachable objects freed\n", collect_unreachable(), found);
    TRY(objects.give_back());
    return found;
}

} // namespace

Result<size_t> find_unreachable(Action action) {
    __builtin_unwind_init(); // saves the registers that may hold a caller's pointers in this frame, above ESP
    uint32_t stack;
    asm volatile("mov %%esp, %0" : "=r"(stack));
    return sweep(stack, action);
}

void set_stack_finder(StackFinder finder) { find_stacks = finder; }

#else

Result<size_t> find_unreachable(Action) { return Error::Unsupported; }
void set_stack_finder(StackFinder) {}

#endif

} // namespace mm::leaks
