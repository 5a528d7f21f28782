/// @file
/// Fuzz target of lab 03-buddy.
#include "fuzz_frames.h"
#include "mm/physical/frame_allocator.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { return fuzz_frames(data, size, mm::kMaxOrder); }
