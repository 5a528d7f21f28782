/// @file
/// Families of address spaces that fork, write and go, beside a model: after each call of mm::copy_on_write every page of every space, every
/// count, every frame's contents and the TLB are compared. Lab 07, tests and fuzzer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "host/cow_space.h"
#include "host/journal.h"
#include "host/source.h"

namespace host {

/// A page as the contract wants it.
struct CowPage {
    FrameNumber frame;
    bool is_writable;
    uint32_t marks;  ///< Accessed and dirty,
    bool has_marks;  ///< if the contract says what they are.
};

/// One space and the pages that it should have.
struct CowSpace {
    std::unique_ptr<mm::AddressSpace> space;
    std::map<uint32_t, CowPage> pages;  ///< By page number.
    bool is_torn = false;               ///< share() had no memory for it: a page table may have no page yet.
};

/// What a page shows before anybody forks.
enum class Shows { Own, Zeros, Object };

class CowDriver {
public:
    /// All spaces get these areas.
    CowDriver(Source& source, std::string what, std::vector<mm::Area> areas);

    /// One call, or one access, chosen at random.
    void step();
    /// Destroys all spaces, and compares the frames with the start.
    void finish();

    size_t create();
    /// Makes a page present. Own pages are writable where the area is.
    void show(size_t space, VirtAddr page, Shows what);
    /// spaces::fork(), with share() for each area. @return the child's number, or kNone: with at most `frames` frames there was no memory
    size_t fork(size_t parent, size_t frames = SIZE_MAX);
    /// resolve_write(). @return whether it had memory
    bool write(size_t space, VirtAddr page, size_t frames = SIZE_MAX);
    /// The space's user code writes: through the TLB, and if need be resolve_write(). Fills the page with the word.
    void store(size_t space, VirtAddr page, uint32_t word);
    void destroy(size_t space);
    void activate(size_t space);
    /// The CPU reads and writes each present page of the active space, and remembers the translations.
    void touch_all();

    mm::AddressSpace& space(size_t number) { return *spaces_.at(number).space; }
    const std::map<uint32_t, CowPage>& pages(size_t number) { return spaces_.at(number).pages; }

    static constexpr size_t kNone = SIZE_MAX;

private:
    bool share_area(size_t parent, size_t child, const mm::Area& area, size_t frames);
    size_t tables_needed(size_t parent) const;
    const mm::Area& area_of(VirtAddr page) const;
    void forget_page(size_t space, uint32_t page);
    void check();
    void check_space(size_t number);
    void check_tlb();
    void check_frames();
    uint32_t owners(FrameNumber frame) const;

    Source& source_;
    Journal journal_;
    std::vector<mm::Area> areas_;
    std::map<size_t, CowSpace> spaces_;
    size_t next_ = 0;
    size_t active_ = kNone;
    FrameNumber object_frame_;
    std::map<uint32_t, uint32_t> words_;  ///< What each frame is filled with.
    size_t frames_at_start_;
};

} // namespace host
