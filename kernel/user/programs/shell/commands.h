/// @file
/// The shell's own commands.
#pragma once

#include <cstddef>
#include <cstdint>

/// One command, or what help says about a program.
struct Command {
    const char* name;
    const char* arguments;
    const char* what;
    int (*run)(const char* const* words, size_t count);   ///< Null for programs. @return the status
};

/// Where programs are.
inline constexpr const char* kProgramFolder = "/bin";

/// The shell's own command of this name, or null.
const Command* find_command(const char* name);
/// The name of command number `index`, or null past the last.
const char* command_name(size_t index);
