#include "lib/format.h"
#include "lib/text.h"
#include "mm/heap/finding.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/leaks.h"
#include "mm/heap/slab.h"
#include "mm/report/reports.h"
#include "monitor/command.h"
#include "monitor/plants.h"

namespace {

Result<void> show_caches(const Words&) {
    mm::report::slabinfo();
    return {};
}

Result<void> check(const Words&) {
    const size_t before = mm::findings::count();
    mm::slab::check();
    print("{} findings, {} since the boot\n", mm::findings::count() - before, mm::findings::count());
    return {};
}

Result<void> shrink(const Words&) {
    print("{} frames given back\n", mm::slab::shrink());
    return {};
}

Result<void> allocate(const Words& words) {
    const uint32_t bytes = TRY(words.number(0));
    const uint32_t alignment = words.count() > 1 ? TRY(words.number(1)) : uint32_t{mm::kHeapAlignment};
    print("{x8}, {} bytes\n", address_of(TRY(mm::kmalloc_aligned(bytes, alignment))), bytes);
    return {};
}

Result<void> resize(const Words& words) {
    const VirtAddr address(TRY(words.number(0)));
    const uint32_t bytes = TRY(words.number(1));
    print("{x8}, {} bytes\n", address_of(TRY(mm::krealloc(pointer_to<void>(address), bytes))), bytes);
    return {};
}

Result<void> free(const Words& words) {
    const VirtAddr address(TRY(words.number(0)));
    return mm::kfree(pointer_to<void>(address));
}

/// A number that may be negative.
Result<uint32_t> signed_number(const char* text) {
    return *text == '-' ? Result<uint32_t>(-TRY(parse_number(text + 1))) : parse_number(text);
}

/// Changes one byte that belongs to nobody, or to somebody else.
Result<void> spoil(const Words& words) {
    const VirtAddr address(TRY(words.number(0)));
    const uint32_t offset = TRY(signed_number(words.word(1)));
    auto* const byte = pointer_to<volatile uint8_t>(address + offset);
    *byte = *byte ^ 0xFF;
    print("the byte at {x8} is now {x}\n", address + offset, *byte);
    return {};
}

Result<void> show_leaks(const Words&) {
    print("{} objects more than remembered\n", TRY(mm::leaks::report()));
    return {};
}

Result<void> remember(const Words&) { return mm::leaks::remember(); }

Result<void> show_unreachable(const Words&) {
    print("{} unreachable objects\n", TRY(mm::leaks::find_unreachable(mm::leaks::Action::Report)));
    return {};
}

Result<void> collect(const Words&) {
    TRY(mm::leaks::find_unreachable(mm::leaks::Action::Collect));
    return {};
}

Result<void> plant(const Words& words) {
    if (words.count() > 0 && plant_mistake(words.word(0))) return {};
    list_plants();
    return {};
}

constexpr Command kCommands[] = {
    {"slabinfo", "", "caches, their objects and frames", show_caches},
    {"heap check", "", "look through all objects for damage", check},
    {"heap shrink", "", "give frames without objects back", shrink},
    {"heap spoil", "ADDRESS OFFSET", "damage a byte (OFFSET may be -1)", spoil},
    {"kmalloc", "BYTES [ALIGNMENT]", "a block of memory", allocate},
    {"krealloc", "ADDRESS BYTES", "change its size", resize},
    {"kfree", "ADDRESS", "give it back", free},
    {"leaks remember", "", "count from here", remember},
    {"leaks unreachable", "", "objects that no pointer leads to", show_unreachable},
    {"leaks collect", "", "the same, and free them", collect},
    {"leaks", "", "what is in use, by call site", show_leaks},
    {"plant", "[MISTAKE]", "a mistake with memory (alone: a list)", plant},
};

} // namespace

std::span<const Command> heap_commands() { return kCommands; }
