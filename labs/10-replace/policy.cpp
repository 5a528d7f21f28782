/// @file
/// Lab 10-replace: which page leaves when memory is short. The contract is mm/reclaim/policy.h.
#include "mm/reclaim/policy.h"

#include "lib/piece.h"

namespace mm::policy {

Result<void> initialize(Kind) { not_implemented("10-replace", "initialize"); }

void page_in(FrameNumber) { not_implemented("10-replace", "page_in"); }

void page_out(FrameNumber) { not_implemented("10-replace", "page_out"); }

Result<FrameNumber> choose_victim() { not_implemented("10-replace", "choose_victim"); }

void tick() { not_implemented("10-replace", "tick"); }

size_t count() { not_implemented("10-replace", "count"); }

} // namespace mm::policy
