/// @file
/// Files as memory: what mmap and exec map.
#pragma once

#include "fs/node.h"
#include "lib/result.h"
#include "mm/object/memory_object.h"

namespace fs {

/// The object that shows a file's pages, with a reference for the caller. Whoever maps the same file meanwhile gets the same
/// object. It holds a reference to the node as long as it lives. After the file was written or cut, who asks gets a new object:
/// mappings from before go on showing the file as they have read it.
/// @return Error::WrongKind for what is no file; InvalidArgument for an empty file; OutOfMemory
Result<mm::MemoryObject*> object_of(Node& node);

} // namespace fs
