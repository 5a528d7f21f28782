#include "monitor/plants.h"

#include <cstddef>
#include <cstdint>

#include "boot_information.h"
#include "boot_task.h"
#include "lib/format.h"
#include "lib/memory.h"
#include "lib/panic.h"
#include "lib/text.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/leaks.h"
#include "mm/heap/slab.h"

namespace {

constexpr size_t kLeakedBlocks = 12;
constexpr size_t kLeakedBytes = 100;

/// A list that somebody builds and forgets.
struct Node {
    Node* next;
    uint8_t data[kLeakedBytes - sizeof(Node*)];
};

/// The block's first byte, or no further: a kernel without memory for 100 bytes is no place for demonstrations.
uint8_t* must_allocate(size_t bytes, CallSite site = CallSite::here()) {
    const auto block = mm::kmalloc(bytes, site);
    if (block.is_error()) PANIC("no memory for a demonstration");
    return static_cast<uint8_t*>(block.value());
}

/// Each node leads to the one before; the caller of this drops the last.
Node* plant_leak() {
    Node* list = nullptr;
    for (size_t i = 0; i < kLeakedBlocks; ++i) {
        Node* const node = reinterpret_cast<Node*>(must_allocate(sizeof(Node)));
        node->next = list;
        list = node;
    }
    return list;
}

/// Where pointers to the leaked nodes may still lie on the stack, below what is in use.
[[gnu::noinline]] void clear_unused_stack() {
    volatile uint8_t unused[1024];
    for (size_t i = 0; i < sizeof unused; ++i) unused[i] = 0;
}

/// One byte too many, as a loop with <= writes it.
void plant_overflow() {
    volatile uint8_t* const block = must_allocate(30);
    for (size_t i = 0; i <= 30; ++i) block[i] = 'A';
    (void)mm::kfree(const_cast<uint8_t*>(block));
}

void plant_underflow() {
    volatile uint8_t* const block = must_allocate(30);
    block[-1] = 'A';
    (void)mm::kfree(const_cast<uint8_t*>(block));
}

/// Found when the block is handed out again, or by a sweep.
void plant_use_after_free() {
    volatile uint8_t* const block = must_allocate(64);
    (void)mm::kfree(const_cast<uint8_t*>(block));
    block[4] = 'A';
    mm::slab::check();
}

void plant_double_free() {
    uint8_t* const block = must_allocate(64);
    (void)mm::kfree(block);
    (void)mm::kfree(block);
}

void plant_foreign_free() {
    uint8_t* const block = must_allocate(64);
    (void)mm::kfree(block + 8);
    (void)mm::kfree(block);
}

void leak() {
    (void)mm::leaks::remember(); // without CONFIG_MEMORY_DEBUGGING nothing is told
    [[maybe_unused]] Node* const forgotten = plant_leak();
    clear_unused_stack();
    (void)mm::leaks::report();
}

struct Plant {
    const char* name;
    const char* what;
    void (*make)();
};

constexpr Plant kPlants[] = {
    {"leak", "allocate a list and forget it", leak},
    {"overflow", "write one byte behind a block", plant_overflow},
    {"underflow", "write one byte before a block", plant_underflow},
    {"use-after-free", "write to a block that was freed", plant_use_after_free},
    {"double-free", "free a block twice", plant_double_free},
    {"foreign-free", "free an address inside a block", plant_foreign_free},
};

void plant_at_boot() { plant_mistake(find_option(boot_information().command_line, "plant")); }

BOOT_TASK(plant, "plant", plant_at_boot);

} // namespace

bool plant_mistake(const char* name) {
    for (const Plant& plant : kPlants) {
        if (!text_is_word(name, plant.name)) continue;
        plant.make();
        return true;
    }
    return false;
}

void list_plants() {
    for (const Plant& plant : kPlants) print("  plant {-15} {}\n", plant.name, plant.what);
}
