/// @file
/// The kernel thread that takes pages out of memory before anybody must wait for it (Linux: kswapd).
#pragma once

namespace proc::reclaimer {

/// Makes it, and registers with mm/reclaim. Once, at boot.
void start();

} // namespace proc::reclaimer
