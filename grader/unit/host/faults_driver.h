/// @file
/// Lets page faults happen at random in an address space (host/fault_space.h), and says what demand.h wants of each: lab 06, tests and
/// fuzzer.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "arch/fault_info.h"
#include "host/fault_space.h"
#include "host/journal.h"
#include "host/source.h"
#include "mm/fault/decision.h"

namespace host {

enum class Touch : uint8_t { Read, Write, Fetch };
enum class Who : uint8_t { User, Kernel };

class FaultsDriver {
public:
    FaultsDriver(Source& source, std::string what);
    FaultsDriver(const FaultsDriver&) = delete;
    FaultsDriver& operator=(const FaultsDriver&) = delete;

    /// One fault, or one change of areas, chosen at random.
    void step();
    /// Gives everything back, and counts the frames.
    void finish();

    mm::AddressSpace& space() { return *space_; }
    TestObject& object(uint32_t pages, uint32_t word);

    /// One fault; answer, areas, pages, contents and counts are compared with what demand.h says.
    mm::fault::Decision fault(uint32_t address, Touch touch, Who who = Who::User, uint32_t stack_pointer = 0);
    /// The next fault finds so many frames and no more.
    void limit_memory(size_t frames) { memory_ = frames; }
    /// Somebody else shows the frame of this page as well, and the page is read-only: as after fork().
    void share_with_others(uint32_t address);

private:
    /// What must come out of one fault.
    struct Expected {
        mm::fault::Decision decision;
        std::map<uint32_t, ShownPage> pages;       ///< That appear; frame 0 where it is a new one.
        std::optional<uint32_t> word;              ///< That fills each new frame.
        std::optional<uint32_t> stack_begin;
        uint32_t stack_end = 0;
        bool hands_over = false;
        size_t needs = 0;                          ///< Frames that must be had.
    };

    static Expected only(const mm::fault::Decision& decision);
    Expected expect(uint32_t address, Touch touch, Who who, uint32_t stack_pointer) const;
    Expected expect_in(const mm::Area& area, uint32_t page, Touch touch, Who who) const;
    Expected expect_zeros(const mm::Area& area, uint32_t page, bool write) const;
    Expected expect_object(const mm::Area& area, uint32_t page, bool write) const;
    Expected expect_growth(uint32_t address, uint32_t stack_pointer, std::optional<mm::Area>& grown) const;
    Expected shown(Expected expected, uint32_t page, ShownPage small, mm::fault::How how) const;
    void add_neighbours(Expected& expected, const mm::Area& area, uint32_t page) const;
    void compare(const Expected& expected, const mm::fault::Decision& seen, const std::map<uint32_t, ShownPage>& before);
    void compare_pages(const Expected& expected, const std::map<uint32_t, ShownPage>& before);
    void compare_object_page(uint32_t page);
    void check_references();

    void add_random_area();
    void change_something();
    uint32_t random_address();

    Source& source_;
    Journal journal_;
    size_t frames_at_start_;
    std::optional<mm::AddressSpace> space_;
    std::deque<TestObject> objects_;
    std::map<uint32_t, uint32_t> others_;  ///< References that other spaces hold, by frame.
    size_t memory_ = SIZE_MAX;
};

} // namespace host
