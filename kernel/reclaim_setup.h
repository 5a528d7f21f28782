/// @file
/// What the command line says about memory that is short.
///
/// - `policy=NAME`: fifo, clock (the default), aging, two-lists, working-set or own (mm/reclaim/policy.h). Without a swap area, this word makes the
///   kernel take pages of files when memory is short.
/// - `torture=N`: a page is taken after every N-th frame that was allocated (mm/reclaim/reclaim.h).
#pragma once

/// Begins to reclaim pages, where there is a swap area. Once, at boot, before the first address space.
void start_reclaim();
