/// @file
/// Lab 05-spaces: write your code here. The contract is kernel/mm/space/areas.h; the handout beside this file leads the way.
/// Functions, types and variables of your own go into the unnamed namespace.
#include "mm/space/areas.h"

#include "lib/panic.h"
#include "lib/piece.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/slab.h"
#include "mm/paging/page_table.h"

namespace mm::areas {

namespace {

// Step 2: a node that holds an Area, and helpers that most functions begin with:
// - is this range one? Begin and end aligned, not empty, not wrapping, in [kUserBegin, kUserEnd)
// - the lowest area that ends above an address
//
// A slab cache for the nodes of all sets is made by the first create(); a pointer to it is the only variable of this file:
// constinit slab::Cache* nodes = nullptr;

} // namespace

/// The areas of one address space: a list, a tree, whatever finds an address quickly. All state lies in here: there are many sets.
struct Set {};

/// Step 2. Takes memory for the set; null or half a set is no answer, Error::OutOfMemory is.
Result<Set*> create() { not_implemented("05-spaces", "create"); }

/// Step 2. All nodes go back to the heap, then the set itself.
void destroy(Set* /* set */) { not_implemented("05-spaces", "destroy"); }

/// Step 2: refuse, find the place, link a node. Step 3: merge with the left neighbour, the right one, or both.
Result<void> insert(Set* /* set */, const Area& /* area */) { not_implemented("05-spaces", "insert"); }

/// Step 4: whole areas, heads, tails, and the hole that makes two areas of one: the only case that needs memory.
Result<void> remove(Set* /* set */, AddressRange /* range */, Visit /* removed */, void* /* context */) {
    not_implemented("05-spaces", "remove");
}

/// Step 5: look for holes; take the memory; split at both ends; change and show; merge.
Result<void> protect(Set* /* set */, AddressRange /* range */, Protection /* protection */, Visit /* changed */, void* /* context */) {
    not_implemented("05-spaces", "protect");
}

/// Step 2, and step 8: quickly.
const Area* find(const Set* /* set */, VirtAddr /* address */) { not_implemented("05-spaces", "find"); }

/// Step 2, and step 8: quickly.
const Area* find_from(const Set* /* set */, VirtAddr /* address */) { not_implemented("05-spaces", "find_from"); }

/// Step 6: the hint if it is possible; else count the possible begins from above, then take number `random` modulo that count.
Result<VirtAddr> place(const Set* /* set */, const Placement& /* placement */) { not_implemented("05-spaces", "place"); }

/// Step 2: lowest address first.
void for_each(const Set* /* set */, Visit /* visit */, void* /* context */) { not_implemented("05-spaces", "for_each"); }

/// Step 2.
size_t count(const Set* /* set */) { not_implemented("05-spaces", "count"); }

} // namespace mm::areas
