/// @file
/// Families of address spaces, and numbered pages like an object's, that come and go through mm::swap. After each call everything is compared:
/// what each page holds, wherever it is; entries, copies, references, counts, frames in use, the TLB. Lab 09, tests and fuzzer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "host/journal.h"
#include "host/source.h"
#include "host/swap_space.h"
#include "mm/reclaim/swap.h"

namespace host {

/// A page that no space has: a frame with a reference, or an entry of a slot.
struct SwapThing {
    uint32_t word;
    FrameNumber frame;
    mm::SwapSlot slot;
};

class SwapDriver {
public:
    static constexpr size_t kPages = 40;
    static constexpr size_t kNone = SIZE_MAX;

    /// Makes a swap area, and initializes the piece. Once in a process.
    SwapDriver(Source& source, std::string what, uint32_t slots, std::set<uint32_t> bad = {});

    /// One call, or one access, chosen at random.
    void step();
    /// Destroys everything, and looks whether all slots are free.
    void finish();

    // Pages are numbers below kPages.
    size_t create();
    size_t fork(size_t parent);
    void destroy(size_t space);
    void activate(size_t space);
    /// Writes to pages, as user code does: they become present and own; shared ones are copied.
    void store(size_t space, size_t first, size_t count = 1);
    /// Reads pages, as user code does.
    void load(size_t space, size_t first, size_t count = 1);
    void unmap(size_t space, size_t page);
    /// swap_out(). @return how many are out
    size_t out(size_t space, size_t first, size_t count = 1);
    size_t out(const std::vector<FrameNumber>& frames);
    /// swap_in() of a page with a swap entry, with so many frames.
    Error in(size_t space, size_t page, size_t frames = SIZE_MAX);
    /// clean(), and what its caller does afterwards.
    Error clean(size_t space, size_t page);
    size_t shrink(size_t count);

    size_t make_thing();
    Error store_thing(size_t thing, bool changed);
    Error load_thing(size_t thing, size_t frames = SIZE_MAX);
    size_t share_thing(size_t thing);
    void release_thing(size_t thing);

    mm::AddressSpace& space(size_t number) { return *spaces_.at(number); }
    mm::Pte entry(size_t space, size_t page) const;
    FrameNumber frame(size_t space, size_t page) const { return entry(space, page).frame(); }
    /// Compares everything.
    void check();

private:
    struct Count {
        uint32_t entries = 0;
        uint32_t word = 0;
    };

    static VirtAddr address(size_t page);
    uint32_t* place(size_t space, size_t page) const;
    void set_known();
    void forget_page(size_t space, size_t page);
    void bring(size_t space, size_t page);
    void add_word(std::map<uint32_t, Count>& counts, uint32_t place, uint32_t word, const char* what) const;
    void check_slots(const std::map<uint32_t, Count>& slots, std::map<uint32_t, Count>& frames);
    void check_frames(const std::map<uint32_t, Count>& frames) const;
    void check_tlb() const;

    Source& source_;
    Journal journal_;
    std::map<size_t, std::unique_ptr<mm::AddressSpace>> spaces_;
    std::map<std::pair<size_t, size_t>, uint32_t> words_;  ///< What each page of each space is filled with.
    std::map<size_t, SwapThing> things_;
    size_t next_space_ = 0, next_thing_ = 0;
    size_t active_ = kNone;
    size_t frames_at_start_;
    size_t checks_ = 0;
};

} // namespace host
