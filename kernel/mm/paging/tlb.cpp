#include "mm/paging/tlb.h"

#include "arch/cpu.h"

namespace mm::tlb {

namespace {

constinit Counters all;

} // namespace

// Not inline: the grader counts calls by a breakpoint on each, and a submission's object holds no privileged instruction.

void invalidate_page(VirtAddr address) {
    ++all.pages;
    Cpu::invalidate_page(address);
}

void flush() {
    ++all.flushes;
    Cpu::load_page_directory(Cpu::page_directory());
}

void flush_including_global() {
    ++all.flushes_with_global;
    Cpu::flush_including_global();
}

void switch_to(PhysAddr directory) {
    if (Cpu::page_directory() == directory) return keep_directory();
    ++all.switches;
    Cpu::load_page_directory(directory);
}

void keep_directory() { ++all.switches_without; }

const Counters& counters() { return all; }

} // namespace mm::tlb
