/// @file
/// Reading memory that may not be there, for reports about a kernel that is already broken.
#pragma once

#include <cstdint>

#include "lib/address.h"

extern "C" bool probe_word(uint32_t address, uint32_t* word);
extern "C" char probe_word_access[];
extern "C" char probe_word_failed[];

namespace i386 {

/// Reads the word at `address` into `word`. False, and no fault, when no page is mapped there.
inline bool try_read(VirtAddr address, uint32_t& word) { return probe_word(address.value(), &word); }

} // namespace i386
