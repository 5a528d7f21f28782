/// @file
/// All processes with user code, in one place where the host reads it while the machine stands still (grader/labs/family_view.py): whose
/// page directories there are, how each one's faults went, and which frames belong to memory objects. With these the host counts for
/// every frame who shows it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace programs_guest {

inline constexpr size_t kMaxMembers = 160;
inline constexpr size_t kMaxObjectFrames = 1024;

/// mm::fault::Counters, every figure a word.
struct FaultWords {
    uint32_t outcomes[4];
    uint32_t hows[10];
    uint32_t stack_growths, neighbours;
};

struct Member {
    uint32_t pid, parent;
    uint32_t directory;                ///< Frame number of the page directory.
    uint32_t resident, page_tables;    ///< SpaceStatistics.
    FaultWords faults;
};

/// All of them at one moment. The host reads the words in this order.
struct FamilyView {
    uint32_t member_count;             ///< All there are; the first kMaxMembers are shown.
    uint32_t frame_count;              ///< Frames of objects that any of them maps; the first kMaxObjectFrames are shown.
    uint32_t zero_frame;
    uint32_t frames_in_use;
    FaultWords faults;                 ///< Of everybody since the boot.
    Member members[kMaxMembers];
    uint32_t object_frames[kMaxObjectFrames];  ///< Twice the frame's number, plus 1 for shared memory.
};

/// The latest one.
extern FamilyView family;

/// Fills in `family`.
void look_at_family();

} // namespace programs_guest
