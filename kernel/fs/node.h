/// @file
/// A file as the kernel sees it, whatever holds its bytes: the FAT volume, the console. One node per file, however often it is
/// open; who opens it has a position of his own (open_file.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/result.h"

namespace mm {
struct MemoryObject;
}

namespace fs {

enum class NodeKind : uint8_t { File, Folder, Console };

struct Node;

/// What a kind of file can do. Buffers are kernel memory; who serves user code copies.
struct NodeOperations {
    /// Reads up to `bytes` bytes from `position` on. 0 at the end of the file. May block (a console).
    Result<size_t> (*read)(Node& node, uint32_t position, void* buffer, size_t bytes);
    /// Writes; a file grows as it must (a gap before `position` becomes zeros).
    /// @return how many bytes, perhaps fewer than asked when the volume is full; Error::NoSpace when it is none
    Result<size_t> (*write)(Node& node, uint32_t position, const void* buffer, size_t bytes);
    /// Cuts the file off, or lengthens it with zeros.
    Result<void> (*truncate)(Node& node, uint32_t bytes);
    /// The last reference is gone.
    void (*destroy)(Node& node);
    /// "/bin/shell", cut to `bytes`, with a zero byte: what maps and death messages show.
    void (*name)(const Node& node, char* text, size_t bytes) = nullptr;
};

/// One file that is open or mapped. Counted: retain() and release() below.
struct Node {
    const NodeOperations* operations;
    NodeKind kind;
    uint32_t references;            ///< 1 when it is handed out.
    uint32_t size;                  ///< Bytes; 0 for a console.
    mm::MemoryObject* object;       ///< What mappings of this file show, once somebody mapped it; else null. Not counted.
};

/// One more owner.
inline void retain(Node& node) { ++node.references; }
/// One owner fewer; the last one ends the node.
inline void release(Node& node) {
    if (--node.references == 0) node.operations->destroy(node);
}

} // namespace fs
