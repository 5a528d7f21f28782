/// @file
/// Calls of map(), unmap() and protect(), as they are made and shown; and random ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "host/source.h"
#include "mm/paging/page_table.h"

namespace host {

/// A request to map(), unmap() or protect().
struct Request {
    enum class Verb { Map, Unmap, Protect } verb;
    size_t directory;  ///< Of the driver's directories: 0 is the kernel's.
    VirtAddr start;
    FrameNumber first;
    uint64_t count;
    mm::PageSize size = mm::PageSize::Small;
    mm::Rights rights;

    uint64_t bytes() const { return count * static_cast<uint32_t>(size); }
    uint64_t end() const { return start.value() + bytes(); }
    bool is_shared() const { return start.value() >= mm::kSharedBegin; }
    std::string text() const;
};

std::string show(mm::Rights rights);

/// Few neighbourhoods, so that requests meet: both ends of the user range, both ends of the shared one.
VirtAddr random_address(Source& source);

/// A request to one of the directories that exist, `exists` says of each number. Most are what the contract allows, and some are not.
Request random_request(Source& source, const std::vector<bool>& exists);

} // namespace host
