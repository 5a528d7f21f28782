/// @file
/// Commands of the monitor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lib/result.h"

/// The words of a line.
class Words {
public:
    static constexpr size_t kMaxWords = 8;

    /// Cuts `line` up in place; words after the eighth are left out.
    explicit Words(char* line);

    size_t count() const { return count_; }
    /// Word `index`, or "" when there are not so many.
    const char* word(size_t index) const { return index < count_ ? words_[index] : ""; }
    bool is(size_t index, const char* word) const;
    /// Word `index` as a decimal or 0x number.
    Result<uint32_t> number(size_t index) const;

private:
    const char* words_[kMaxWords] = {};
    size_t count_ = 0;
};

/// One command of the monitor.
struct Command {
    const char* name;      ///< One word or two: "zones", "frame alloc".
    const char* arguments; ///< As help prints them.
    const char* what;
    /// Runs it. `words` begins behind the name. An error is printed by the caller.
    Result<void> (*run)(const Words& words);
};

/// Frames, zones and runs: who has them, taking some and giving them back.
std::span<const Command> frame_commands();

/// Looking at memory, and changing what is mapped.
std::span<const Command> memory_commands();

/// Memory that is contiguous in virtual addresses only, and device memory.
std::span<const Command> vmalloc_commands();

/// Swap and reclaim.
std::span<const Command> swap_commands();

/// The heap: caches, blocks, findings, leaks.
std::span<const Command> heap_commands();

/// Disks, files and folders.
std::span<const Command> file_commands();

/// What is done when memory is short: promises, the choice of a victim, load control.
std::span<const Command> short_memory_commands();

/// Processes: looking at them, running programs, the scheduler's figures.
std::span<const Command> process_commands();
