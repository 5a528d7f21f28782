/// @file
/// Calls mm::page_table at random, and compares all page tables with a model after each call: lab 02, tests and fuzzer.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "host/journal.h"
#include "host/paging_request.h"
#include "host/source.h"
#include "mm/paging/page_table.h"
#include "mm/paging/pte.h"

namespace host {

/// One page of 4 KiB, or a part of a large one, as the contract sees it.
struct ModelPage {
    bool present = false;
    bool large = false;
    FrameNumber frame;
    mm::Rights rights;
    uint32_t marks = 0;        ///< Accessed and dirty, as the CPU noted them,
    bool marks_known = false;  ///< if the contract says what they are.
    uint32_t swap_entry = 0;   ///< The word that the kernel put into the place of a page that is not present.

    bool is_something() const { return present || swap_entry != 0; }
};

/// The 1024 pages below one directory entry.
using ModelSlot = std::array<ModelPage, kPagesPerLargePage>;

class PagingDriver {
public:
    PagingDriver(Source& source, std::string what);

    /// One call, chosen at random, and everything compared.
    void step();
    /// Destroys all directories, unmaps the shared range.
    void finish();

    // For tests that choose themselves. Each compares everything afterwards.

    /// @return its number, or 0 when there was no memory
    size_t create();
    void destroy(size_t directory);
    /// The call, which must answer as the contract says: `short_of_memory` allows OutOfMemory.
    Error call(const Request& request, bool short_of_memory = false);
    /// CR3 points there from now on.
    void activate(size_t directory);
    /// The CPU uses each page of the range, and notes so in the entries: accessed, and dirty where it may write.
    void use(VirtAddr begin, size_t pages);
    /// The kernel puts a swap entry in the place of a small page; does nothing where none is.
    void swap_out(size_t directory, VirtAddr page, mm::SwapSlot slot);
    /// Compares page tables, frames in use, and what the TLB remembers with the model.
    void check(const char* when);
    void check_translate(size_t directory, VirtAddr address);

    const std::vector<mm::PageDirectory>& directories() const { return directories_; }

private:
    struct Directory {
        mm::PageDirectory piece;
        std::map<uint32_t, ModelSlot> user;
        bool exists = true;
    };
    void swap_out_some(size_t directory, VirtAddr begin);
    Request random_request();
    std::set<Error> errors(const Request& request);
    bool all_present(const Request& request);
    void apply(const Request& request);
    std::map<uint32_t, ModelSlot>& slots(const Request& request);
    const ModelPage* page_at(size_t directory, uint32_t page) const;
    void check_directory(size_t number, const char* when);
    void check_slot(size_t number, uint32_t slot, uint32_t pde, const ModelSlot* model, const char* when);
    void check_page(size_t number, uint32_t page, uint32_t pde, uint32_t pte, const ModelPage& model, const char* when);
    void check_shared_copies(size_t number, const char* when);
    void check_tlb(const char* when);
    void check_events(const Request& request);

    Source& source_;
    Journal journal_;
    std::vector<Directory> spaces_;
    std::vector<mm::PageDirectory> directories_;
    std::map<uint32_t, ModelSlot> shared_;  ///< A slot is here when it has a page table: for good.
    std::array<uint32_t, kPagesPerLargePage> kernel_words_;  ///< The kernel's directory at the start.
    size_t active_ = 0;
    size_t frames_at_start_;
    size_t tables_seen_ = 0;
};

} // namespace host
