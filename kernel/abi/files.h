/// @file
/// Arguments of the file calls. Names and numbers are Linux's.
#pragma once

#include <cstdint>

namespace abi {

enum OpenFlags : uint32_t { O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0x40, O_TRUNC = 0x200, O_APPEND = 0x400 };
enum Whence : uint32_t { SEEK_SET = 0, SEEK_CUR = 1, SEEK_END = 2 };

/// One line of a folder.
struct FolderEntry {
    char name[16];
    uint32_t size;       ///< Bytes.
    uint32_t is_folder;
};

/// Files that are open when a program starts: all three are the console.
inline constexpr uint32_t kStandardInput = 0, kStandardOutput = 1, kStandardError = 2;

} // namespace abi
