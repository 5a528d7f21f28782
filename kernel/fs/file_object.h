/// @file
/// What mappings of a file show: one memory object per node, however many map it.
#pragma once

#include "fs/node.h"
#include "lib/result.h"
#include "mm/object/memory_object.h"

namespace fs {

/// The object with the node's pages, with a reference for the caller. It keeps a reference to the node for as long as it lives.
/// @return Error::WrongKind (not a file), OutOfMemory
Result<mm::MemoryObject*> object_of(Node& node);

} // namespace fs
