/// @file
/// An address space for the labs whose piece resolves page faults: areas and pages in plain lists, every one of which a test can look at.
/// What the piece may ask of it (mm/space/fault_services.h) is answered strictly: a page that is shown where one is, outside of its area or
/// with more rights than that grants, and a frame without an owner, end in a panic.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "mm/object/memory_object.h"
#include "mm/space/address_space.h"
#include "mm/space/areas.h"

namespace host {

/// One page of 4 KiB that is present. A large page is 1024 of these.
struct ShownPage {
    FrameNumber frame{0};
    mm::Access access = mm::Access::ReadOnly;
    bool is_large = false;
    bool operator==(const ShownPage&) const = default;
};

} // namespace host

namespace mm {

struct areas::Set {
    std::vector<Area> list;  ///< Lowest address first.
};

class AddressSpace {
public:
    AddressSpace();
    ~AddressSpace();
    AddressSpace(const AddressSpace&) = delete;
    AddressSpace& operator=(const AddressSpace&) = delete;

    areas::Set areas;
    SpaceLimits limits;
    std::map<uint32_t, host::ShownPage> pages;    ///< By page number.
    std::map<uint32_t, FrameNumber> page_tables;  ///< By 4 MiB.
    size_t handed_over = 0;                       ///< Calls of copy_on_write::resolve_write().

    /// Pages in areas.
    size_t mapped() const;
    /// The area that holds the address, or null.
    const Area* find(VirtAddr address) const;
    /// Gives all frames back.
    void clear();
};

} // namespace mm

namespace host {

/// An object whose page `i` is filled with words of its own, or with zeros.
class TestObject {
public:
    TestObject(uint32_t pages, uint32_t word);
    ~TestObject();
    TestObject(const TestObject&) = delete;
    TestObject& operator=(const TestObject&) = delete;

    mm::MemoryObject object;             ///< First: the operations find the rest behind it.
    uint32_t word;                       ///< Page i holds word + i.
    uint32_t broken = UINT32_MAX;        ///< This page cannot be read.
    std::map<uint32_t, FrameNumber> frames;
    size_t reads = 0;
};

/// Takes the frame of zeros. After start_frames(), once.
void make_zero_frame();

/// The word that fills the frame; a Violation's text is left to who asks when it is not filled with one.
bool is_filled(FrameNumber frame, uint32_t word);

} // namespace host
