/// @file
/// Lab 05-spaces: write your code here. The contract is kernel/mm/space/areas.h; the handout beside this file leads the way.
/// Functions, types and variables of your own go into the unnamed namespace.
#include "mm/space/areas.h"

#include "lib/piece.h"

namespace mm::areas {

/// The areas of one address space: a list, a tree, whatever finds an address quickly.
struct Set {};

Result<Set*> create() { not_implemented("05-spaces", "create"); }

void destroy(Set* /* set */) { not_implemented("05-spaces", "destroy"); }

Result<void> insert(Set* /* set */, const Area& /* area */) { not_implemented("05-spaces", "insert"); }

Result<void> remove(Set* /* set */, AddressRange /* range */, Visit /* removed */, void* /* context */) {
    not_implemented("05-spaces", "remove");
}

Result<void> protect(Set* /* set */, AddressRange /* range */, Protection /* protection */, Visit /* changed */, void* /* context */) {
    not_implemented("05-spaces", "protect");
}

const Area* find(const Set* /* set */, VirtAddr /* address */) { not_implemented("05-spaces", "find"); }

const Area* find_from(const Set* /* set */, VirtAddr /* address */) { not_implemented("05-spaces", "find_from"); }

Result<VirtAddr> place(const Set* /* set */, const Placement& /* placement */) { not_implemented("05-spaces", "place"); }

void for_each(const Set* /* set */, Visit /* visit */, void* /* context */) { not_implemented("05-spaces", "for_each"); }

size_t count(const Set* /* set */) { not_implemented("05-spaces", "count"); }

} // namespace mm::areas
