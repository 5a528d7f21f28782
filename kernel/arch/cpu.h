/// @file
/// The seam between the kernel and the CPU: the kernel says `Cpu::invalidate_page(address)` and includes nothing below
/// arch/i386 for it. What a CPU must offer is written as a concept, so a port that lacks something fails here, by name.
#pragma once

#include <concepts>
#include <cstdint>

#include "arch/i386/cpu.h"
#include "lib/address.h"

/// What the kernel asks of a processor. All functions are static: there is one CPU.
template <typename T>
concept Architecture = requires(PhysAddr directory, VirtAddr address, void (*entry)(), uint32_t& word) {
    // Paging.
    { T::enable_paging(directory) } -> std::same_as<void>;       // first time, with every protection that is configured
    { T::load_page_directory(directory) } -> std::same_as<void>; // forgets all translations that are not global
    { T::page_directory() } -> std::same_as<PhysAddr>;
    { T::fault_address() } -> std::same_as<VirtAddr>; // of the last page fault
    { T::has_large_pages() } -> std::same_as<bool>;
    { T::has_global_pages() } -> std::same_as<bool>;
    { T::try_read(address, word) } -> std::same_as<bool>;         // false, and no fault, where nothing is mapped
    // Translations that the CPU remembers.
    { T::invalidate_page(address) } -> std::same_as<void>;
    { T::flush_including_global() } -> std::same_as<void>;
    // Time, interrupts, stacks.
    { T::ticks() } -> std::same_as<uint64_t>;
    { T::enable_interrupts() } -> std::same_as<void>;
    { T::disable_interrupts() } -> std::same_as<void>;
    { T::interrupts_are_on() } -> std::same_as<bool>;
    { T::idle() } -> std::same_as<void>;                       // sleeps until an interrupt, which it enables
    { T::halt_forever() } -> std::same_as<void>;               // never returns
    { T::run_on_stack(address, entry) } -> std::same_as<void>; // never returns
};

static_assert(Architecture<i386::Cpu>);

using Cpu = i386::Cpu;

/// Keeps interrupts off while it lives; afterwards they are as they were.
class InterruptsOff {
public:
    InterruptsOff() : were_on_(Cpu::interrupts_are_on()) { Cpu::disable_interrupts(); }
    ~InterruptsOff() {
        if (were_on_) Cpu::enable_interrupts();
    }
    InterruptsOff(const InterruptsOff&) = delete;
    InterruptsOff& operator=(const InterruptsOff&) = delete;

private:
    bool were_on_;
};
