/// @file
/// What open() makes: a node, a position, and what may be done. Shared by a parent and its child after fork() (POSIX: open file
/// description).
#pragma once

#include "fs/node.h"

namespace fs {

struct OpenFile {
    Node* node;            ///< A reference of its own.
    uint32_t position;     ///< Of the next read or write, in bytes.
    bool readable;
    bool writable;
    uint32_t references;
    bool append = false;   ///< Every write goes to the end (abi::O_APPEND); who writes sees to it.
};

/// Wraps a node (and takes over the caller's reference to it).
/// @return Error::OutOfMemory; the reference stays the caller's then
Result<OpenFile*> open_file(Node* node, bool readable, bool writable);

inline void retain(OpenFile& file) { ++file.references; }
/// One owner fewer; the last one closes it.
void release(OpenFile& file);

/// Reads at the position, and moves it. @return as NodeOperations; Error::BadHandle when not readable, Error::WrongKind for a
/// folder
Result<size_t> read(OpenFile& file, void* buffer, size_t bytes);
Result<size_t> write(OpenFile& file, const void* buffer, size_t bytes);

} // namespace fs
