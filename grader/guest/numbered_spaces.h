/// @file
/// The address spaces and memory objects of a script, by number, and what its words mean. For the operations on address spaces.
#pragma once

#include "guest/harness.h"
#include "mm/space/address_space.h"

namespace numbered_spaces {

inline constexpr size_t kSpaces = 32;
inline constexpr size_t kObjects = 16;

/// Where space number `argument i` is kept.
mm::AddressSpace*& slot(harness::Call& call, size_t i);
/// The space itself, which must exist.
mm::AddressSpace* space(harness::Call& call, size_t i);
/// Space number `number`, or null.
mm::AddressSpace* peek(size_t number);
/// The object by its number; null for "none".
mm::MemoryObject* object(harness::Call& call, size_t i);
/// What the number means from now on.
void set_object(harness::Call& call, size_t i, mm::MemoryObject* object);
/// The number of an object; kObjects for null.
size_t number_of(const mm::MemoryObject* object);

inline VirtAddr address(harness::Call& call, size_t i) { return VirtAddr(call.number(i)); }
/// BEGIN PAGES
mm::AddressRange range(harness::Call& call, size_t i);
/// "rw-"
mm::Protection protection(harness::Call& call, size_t i);
/// PAGES PROTECTION private|shared anywhere|fixed|free HINT OBJECT FIRST_PAGE, from argument i on.
mm::MapRequest map_request(harness::Call& call, size_t i);

} // namespace numbered_spaces
