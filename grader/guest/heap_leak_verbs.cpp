// Objects that somebody forgets, or holds in an odd place, for grader/tests/test_heap_leaks.py. The lines that end in `// at:NAME` are
// found by the test, which expects them in the reports.
//
// Whatever is planted is also noted as its complement: a note that leads nowhere, so it keeps nothing alive.

#include <cstddef>
#include <cstdint>

#include "guest/harness.h"
#include "lib/text.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/leaks.h"
#include "mm/heap/slab.h"

namespace heap_leak_guest {

using harness::Call;

constexpr size_t kMaxNotes = 512;
constexpr size_t kNotesALine = 16;

HARNESS_DATA uint32_t notes[kMaxNotes];
HARNESS_DATA size_t note_count;

void* root = nullptr; ///< Kernel data: what this leads to is reached.

struct Node {
    Node* next;
    Node* previous;
    uint32_t data[3];
};

void* note(void* object) {
    if (note_count == kMaxNotes) harness::bad_script("too many objects", "");
    notes[note_count++] = ~address_of(object).value();
    return object;
}

/// A block, noted. Without memory there is nothing to test.
void* must(const Result<void*>& made) {
    if (made.is_error()) harness::bad_script("no memory for a planted object", error_name(made.error()));
    return note(made.value());
}

// What can be planted. Each returns the one pointer that leads to it all.

void* plant_chain(size_t count) {
    Node* list = nullptr;
    for (size_t i = 0; i < count; ++i) {
        Node* const node = static_cast<Node*>(must(mm::kmalloc(sizeof(Node)))); // at:plant_chain
        *node = {list, nullptr, {}};
        list = node;
    }
    return list;
}

void* plant_cycle(size_t count) {
    Node* const first = static_cast<Node*>(must(mm::kmalloc(sizeof(Node)))); // at:plant_cycle
    *first = {first, first, {}};
    for (size_t i = 1; i < count; ++i) {
        Node* const node = static_cast<Node*>(must(mm::kmalloc(sizeof(Node)))); // at:plant_cycle_rest
        *node = {first, first->previous, {}};
        first->previous->next = node;
        first->previous = node;
    }
    return first;
}

/// A large block whose words lead to small ones: a table of pointers.
void* plant_table(size_t count) {
    void** const table = static_cast<void**>(must(mm::kmalloc(count * 64))); // at:plant_table
    for (size_t i = 0; i < count * 64 / sizeof(void*); ++i) table[i] = nullptr;
    for (size_t i = 0; i < count; ++i) table[i * 16 + 15] = must(mm::kmalloc_aligned(40, 64)); // at:plant_table_rest
    return table;
}

mm::slab::Cache* plain = nullptr;
mm::slab::Cache* constructed = nullptr;

void construct(void* object) { *static_cast<uint32_t*>(object) = 0; }

mm::slab::Cache* must_create(const mm::slab::Description& description) {
    const auto made = mm::slab::create(description);
    if (made.is_error()) harness::bad_script("no memory for a cache", "");
    return made.value();
}

/// Objects of caches, each of which leads to the one before.
void* plant_objects(mm::slab::Cache* cache, size_t count) {
    Node* list = nullptr;
    for (size_t i = 0; i < count; ++i) {
        Node* const node = static_cast<Node*>(must(mm::slab::allocate(cache))); // at:plant_objects
        *node = {list, nullptr, {}};
        list = node;
    }
    return list;
}

void* plant(const Call& call) {
    const size_t count = call.number(1);
    if (!plain) plain = must_create({"plain", sizeof(Node)});
    if (!constructed) constructed = must_create({.name = "constructed", .size = sizeof(Node), .construct = construct});
    if (text_equal(call.word(0), "chain")) return plant_chain(count);
    if (text_equal(call.word(0), "cycle")) return plant_cycle(count);
    if (text_equal(call.word(0), "table")) return plant_table(count);
    if (text_equal(call.word(0), "objects")) return plant_objects(plain, count);
    if (text_equal(call.word(0), "constructed")) return plant_objects(constructed, count);
    harness::bad_script("nothing that can be planted", call.word(0));
}

/// The planted pointers may still lie on the stack, below what is in use.
[[gnu::noinline]] void clear_unused_stack() {
    volatile uint8_t unused[2048];
    for (size_t i = 0; i < sizeof unused; ++i) unused[i] = 0;
}

/// The complement of the pointer: no word in memory leads to what was planted.
[[gnu::noinline]] uint32_t plant_hidden(const Call& call) { return ~address_of(plant(call)).value(); }

uint32_t find() {
    const auto found = mm::leaks::find_unreachable(mm::leaks::Action::Report);
    return found.is_error() ? ~0u : static_cast<uint32_t>(found.value());
}

/// leak.forget WHAT COUNT: nothing leads to it
void forget(Call& call) {
    plant_hidden(call);
    clear_unused_stack();
}
HARNESS_VERB("leak.forget", forget);

/// leak.root WHAT COUNT OFFSET: kernel data leads to that byte of it
void hold_by_root(Call& call) {
    const uint32_t hidden = plant_hidden(call);
    clear_unused_stack();
    root = pointer_to<void>(VirtAddr(~hidden + call.number(2)));
}
HARNESS_VERB("leak.root", hold_by_root);

/// leak.drop: kernel data leads nowhere any more
void drop(Call&) { root = nullptr; }
HARNESS_VERB("leak.drop", drop);

/// leak.stack WHAT COUNT -> unreachable objects while a variable on the stack leads to it
void hold_by_stack(Call& call) {
    const uint32_t hidden = plant_hidden(call);
    clear_unused_stack();
    void* volatile held = pointer_to<void>(VirtAddr(~hidden));
    const uint32_t found = find();
    if (held == nullptr) return; // it is read: the variable stays until here
    held = nullptr;
    clear_unused_stack();
    call.reply({found});
}
HARNESS_VERB("leak.stack", hold_by_stack);

/// leak.register WHAT COUNT -> unreachable objects while EBX alone leads to it
void hold_by_register(Call& call) {
    uint32_t result = plant_hidden(call);
    clear_unused_stack();
    asm volatile("push %%ebx\n\t"
                 "mov %%eax, %%ebx\n\t"
                 "xor %%eax, %%eax\n\t"
                 "not %%ebx\n\t"
                 "call *%1\n\t"
                 "xor %%ebx, %%ebx\n\t"
                 "pop %%ebx"
                 : "+a"(result)
                 : "D"(&find)
                 : "ecx", "edx", "memory");
    call.reply({result});
}
HARNESS_VERB("leak.register", hold_by_register);

/// leak.find report|collect -> unreachable objects
void find_all(Call& call) {
    const auto action = text_equal(call.word(0), "collect") ? mm::leaks::Action::Collect : mm::leaks::Action::Report;
    const auto found = mm::leaks::find_unreachable(action);
    if (found.is_error()) return call.reply(found.error());
    call.reply({static_cast<uint32_t>(found.value())});
}
HARNESS_VERB("leak.find", find_all);

/// leak.notes FROM -> complements of planted addresses, up to sixteen
void show_notes(Call& call) {
    uint32_t line[kNotesALine] = {};
    const size_t from = call.number(0);
    for (size_t i = 0; i < kNotesALine && from + i < note_count; ++i) line[i] = notes[from + i];
    call.reply({line[0], line[1], line[2], line[3], line[4], line[5], line[6], line[7], line[8], line[9], line[10], line[11], line[12],
                line[13], line[14], line[15]});
}
HARNESS_VERB("leak.notes", show_notes);

/// leak.remember
void remember(Call& call) { call.reply(mm::leaks::remember()); }
HARNESS_VERB("leak.remember", remember);

/// leak.report -> objects more than remembered
void report(Call& call) {
    const auto found = mm::leaks::report();
    if (found.is_error()) return call.reply(found.error());
    call.reply({static_cast<uint32_t>(found.value())});
}
HARNESS_VERB("leak.report", report);

} // namespace heap_leak_guest
