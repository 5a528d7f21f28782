/// @file
/// How pages leave memory: the policy's victims one after the other, private ones in batches. For the files of this folder.
#pragma once

#include <cstddef>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/reclaim/reclaim.h"

namespace mm::reclaim {

/// Written by the files of this folder, read by counters().
extern constinit Counters counts;

/// Whether there is a swap area: without one, only pages of files leave.
extern constinit bool swaps;

/// So many of the policy's victims leave, if they can. Each is out of the policy's set when the next one is chosen, so these are the victims that
/// would be chosen one by one; those that are private leave together, up to kBatch of them. One that cannot leave comes in
/// again, behind the others.
/// @param patience  victims that may be chosen in vain. SIZE_MAX for who is in need: as many as there are; but after a whole batch that could not
///                  leave, the swap area is full or broken, and pages that need no write leave instead.
/// @return how many have left
size_t take_victims(size_t count, size_t patience);

/// Whether the page, a pageable frame's, could leave at all: without a swap area only those of files can. The policy has no others.
bool may_ever_leave(FrameNumber frame);

/// This page leaves, whatever the policy says: a pageable frame. @return whether it could
bool take_page(FrameNumber frame);

} // namespace mm::reclaim
