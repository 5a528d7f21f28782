/// @file
/// Lab 06-faults: pages on demand. The contract is mm/fault/demand.h.
#include "mm/fault/demand.h"

#include "lib/piece.h"

namespace mm::demand {

fault::Decision resolve(AddressSpace*, const FaultInfo&, VirtAddr) { not_implemented("06-faults", "resolve"); }

} // namespace mm::demand
