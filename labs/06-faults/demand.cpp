/// @file
/// Lab 06-faults: write your code here. The contract is kernel/mm/fault/demand.h; the handout beside this file leads the way.
/// Functions and types of your own go into the unnamed namespace.
#include "mm/fault/demand.h"

#include "config.h"
#include "lib/panic.h"
#include "lib/piece.h"
#include "mm/fault/copy_on_write.h"
#include "mm/object/memory_object.h"
#include "mm/paging/page_table.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"
#include "mm/space/address_space.h"
#include "mm/space/fault_services.h"

namespace mm::demand {

namespace {

// Helpers that the steps of the handout ask for:
// - step 2: why an area forbids an access, or Reason::None
// - step 3: show a frame whose reference you have, or give that back: spaces::add_page()
// - step 5: the Decision that an Error means; which page of the object an address shows
// - step 6: the neighbours of a page that was read
// - step 7: may a stack grow down to a page?
// - step 8: 4 MiB of zeros, if they fit

} // namespace

/// Step 2: which area, and does it allow the access? Step 4: is the page there already? Steps 3, 5 and 8: where do its contents come from?
/// Step 7: what lies in no area.
fault::Decision resolve(AddressSpace* /* space */, const FaultInfo& /* fault */, VirtAddr /* stack_pointer */) {
    not_implemented("06-faults", "resolve");
}

} // namespace mm::demand
