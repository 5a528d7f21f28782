/// @file
/// Two sides want to know whether a page was used since *they* last asked: the policy (page_usage.h) and load control (load_control.h); and a
/// space at its own limit asks now and then (give_one_page() in mm/space/pageable.h). The CPU has one accessed bit, which whoever asks must
/// clear. So who clears it leaves notes for the others in bits that are free for software (Intel SDM 3A, table 4-6: bits 9 to 11):
///
///     the CPU sets accessed          policy sees a use            load control sees a use
///     policy asks, and clears it     note for load control        sees it still
///     load control asks, and clears  sees it still                note for the policy
///     a space that is full asks      note for the policy          note for load control
#pragma once

#include <cstdint>

#include "mm/paging/pte.h"

namespace mm::usage_notes {

inline constexpr uint32_t kForPolicy = 1u << 10;
inline constexpr uint32_t kForSample = 1u << 11;
static_assert((kForPolicy | kForSample) & entry_bits::kAvailable);

constexpr bool has_any(Pte entry, uint32_t bits) { return entry.word() & bits; }

/// What the policy would see, and what load control would.
constexpr bool is_used_for_policy(Pte entry) { return has_any(entry, entry_bits::kAccessed | kForPolicy); }
constexpr bool is_used_in_sample(Pte entry) { return has_any(entry, entry_bits::kAccessed | kForSample); }

/// Load control asks. The translation must be forgotten afterwards if the entry's space is active.
/// @return whether the page was used
inline bool take_for_sample(Pte& entry) {
    if (!is_used_in_sample(entry)) return false;
    const uint32_t note = entry.is_accessed() ? kForPolicy : 0;
    entry = Pte::from_word((entry.word() & ~(entry_bits::kAccessed | kForSample)) | note);
    return true;
}

/// A space that is full asks. The translation must be forgotten afterwards, as above; `for_sample` as below.
/// @return whether the accessed bit was set
inline bool take_for_space(Pte& entry, uint32_t for_sample) {
    if (!entry.is_accessed()) return false;
    entry = Pte::from_word((entry.word() & ~entry_bits::kAccessed) | kForPolicy | for_sample);
    return true;
}

/// The word of an entry after the policy has asked. `for_sample` is kForSample if somebody takes samples, else 0.
constexpr uint32_t taken_for_policy(Pte entry, uint32_t for_sample) {
    const uint32_t note = entry.is_accessed() ? for_sample : 0;
    return (entry.word() & ~(entry_bits::kAccessed | kForPolicy)) | note;
}

} // namespace mm::usage_notes
