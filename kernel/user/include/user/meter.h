/// @file
/// What something costs: memory and page faults of this process, before and after.
///
///     const Meter before = read_meter();
///     page[0] = 1;
///     print_cost("a page written", before, read_meter());     // +1 resident, +1 frame, 1 fault: zeroed frame
#pragma once

#include <cstdint>

#include "abi/counters.h"
#include "abi/process.h"

/// A kind of page fault, or what comes with one.
struct FaultName {
    const char* name;
    uint32_t abi::FaultCounts::*count;
};
/// What resolves page faults.
inline constexpr FaultName kFaultWays[] = {
    {"kernel page table", &abi::FaultCounts::kernel_tables},
    {"zero frame", &abi::FaultCounts::zero_frames},
    {"zeroed frame", &abi::FaultCounts::zeroed},
    {"large page", &abi::FaultCounts::large_pages},
    {"object's page", &abi::FaultCounts::object_pages},
    {"copy of an object's page", &abi::FaultCounts::object_copies},
    {"copy-on-write", &abi::FaultCounts::copied},
    {"last owner", &abi::FaultCounts::last_owner},
    {"swapped in", &abi::FaultCounts::swapped_in},
};

/// This process and the machine, at one moment.
struct Meter {
    abi::ProcessInfo process;
    abi::Counters machine;
};
/// Reads both. The first time may cost a page fault itself.
Meter read_meter();

/// The heading of print_cost()'s columns.
void print_cost_heading();
/// One line: how many pages of the process became resident, how many frames its page tables took, how many more frames of the whole
/// machine are in use, and how many page faults of the process there were, by what resolved them.
void print_cost(const char* what, const Meter& before, const Meter& after);
