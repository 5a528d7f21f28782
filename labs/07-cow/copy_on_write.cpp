/// @file
/// Lab 07-cow: fork() without copying. The contract is mm/fault/copy_on_write.h.
#include "mm/fault/copy_on_write.h"

#include "lib/piece.h"

namespace mm::copy_on_write {

Result<void> share(AddressSpace*, AddressSpace*, const Area&) { not_implemented("07-cow", "share"); }

fault::Decision resolve_write(AddressSpace*, const Area&, VirtAddr) { not_implemented("07-cow", "resolve_write"); }

} // namespace mm::copy_on_write
