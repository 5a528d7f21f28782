/// @file
/// A line of the shell, taken apart.
#pragma once

#include <cstddef>

#include "user/line_editor.h"

/// As many as the kernel lets a program have.
inline constexpr size_t kMaxWords = 16;

/// `echo "two words" three &`: words between spaces; quotes keep spaces together; a last `&` asks for the background.
struct Words {
    char text[kMaxLine];
    const char* words[kMaxWords + 1] = {};   ///< A null at the end.
    size_t count = 0;
    bool in_background = false;

    /// @return null, or what is wrong with the line
    const char* split(const char* line);
};
