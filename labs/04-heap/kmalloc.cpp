/// @file
/// Lab 04-heap, second half: memory of any size. The contract is kernel/mm/heap/kmalloc.h; the handout beside this file leads the
/// way. Functions, types and variables of your own go into the unnamed namespace.
#include "mm/heap/kmalloc.h"

#include "config.h"
#include "lib/piece.h"

namespace mm {

/// Step 2: whole pages, from a run of frames or from vmalloc. Step 5: small blocks from caches. Refuse before you add anything to `bytes`.
Result<void*> kmalloc(size_t /* bytes */, CallSite /* site */) { not_implemented("04-heap", "kmalloc"); }

/// Step 2. A page begins at a multiple of every alignment that may be asked for.
Result<void*> kmalloc_aligned(size_t /* bytes */, size_t /* alignment */, CallSite /* site */) {
    not_implemented("04-heap", "kmalloc_aligned");
}

/// Step 6. The new block first, then the copy of the smaller size, then the end of the old block.
Result<void*> krealloc(void* /* block */, size_t /* bytes */, CallSite /* site */) { not_implemented("04-heap", "krealloc"); }

/// Step 2: null is fine; how did this block come about? Step 9: whatever is no block in use.
Result<void> kfree(void* /* block */, CallSite /* site */) { not_implemented("04-heap", "kfree"); }

} // namespace mm
