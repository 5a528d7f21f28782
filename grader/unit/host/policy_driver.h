/// @file
/// Pages that come, are used and go, beside a model of every policy: whenever mm::policy names a victim, it must be the model's. Lab 10, tests and
/// fuzzer. What the piece asks of page_usage.h is answered here, and asked for must be pages that are in memory.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "host/journal.h"
#include "host/source.h"
#include "lib/address.h"
#include "mm/reclaim/policy.h"

namespace host {

/// A page in memory, as page_usage.h tells of it.
struct UsedPage {
    bool accessed = true;
    bool dirty = true;
    uint32_t owner = 0;
};

class PolicyDriver {
public:
    static constexpr uint32_t kFirstFrame = 0x200;
    static constexpr uint32_t kPages = 24;
    static constexpr uint32_t kOwners = 2;

    PolicyDriver(Source& source, std::string what);
    ~PolicyDriver();

    /// initialize(). The pages of before stay in memory, and are in no set.
    void begin(mm::policy::Kind kind);
    /// Page `number`, which is in memory or not.
    static FrameNumber frame(uint32_t number) { return FrameNumber(kFirstFrame + number); }

    void come(uint32_t number);
    void go(uint32_t number);
    void use(uint32_t number, bool writes = false);
    void make_clean(uint32_t number);
    /// page_out() for a frame in no set.
    void tell_of_stranger(uint32_t frame);
    /// choose_victim(), compared with the model. @return the page's number; nothing when there is none
    std::optional<uint32_t> choose();
    /// choose(), and the victim goes.
    std::optional<uint32_t> take();
    void tick();
    void pass_time(uint32_t owner, uint32_t ticks) { times_[owner] += ticks; }
    void set_time(uint32_t owner, uint32_t time) { times_[owner] = time; }
    /// From now on page_usage::clean() fails.
    void break_disk() { disk_works_ = false; }
    void check_count();

    /// One thing, chosen at random.
    void step();

    // What page_usage.h asks for.
    UsedPage& page_of(FrameNumber frame, const char* question);
    uint32_t time_of(uint32_t owner) const { return times_[owner]; }
    bool disk_works() const { return disk_works_; }
    size_t cleanings() const { return cleanings_; }
    void note_cleaning() { ++cleanings_; }

private:
    /// What the model knows of a page: its own copy of the bits.
    struct Twin {
        bool accessed = true;
        bool dirty = true;
        uint32_t owner = 0;
        uint8_t counter = 0x80;
        bool marked = false;
        uint32_t time = 0;
    };
    bool ask(uint32_t number);
    uint32_t age(uint32_t number) const;
    uint32_t model_victim();
    uint32_t model_of_clock();
    uint32_t model_of_aging() const;
    uint32_t model_of_lists();
    uint32_t model_of_working_set();
    size_t model_count() const { return order_.size() + active_.size(); }
    void forget(uint32_t number);

    Source& source_;
    Journal journal_;
    mm::policy::Kind kind_ = mm::policy::Kind::Fifo;
    std::map<uint32_t, UsedPage> pages_;   ///< In memory, by number.
    std::map<uint32_t, Twin> twins_;       ///< Those in the set.
    std::vector<uint32_t> order_, active_; ///< From the oldest, from the hand, from the tail.
    uint32_t times_[kOwners] = {};
    bool disk_works_ = true;
    size_t cleanings_ = 0;
};

} // namespace host
