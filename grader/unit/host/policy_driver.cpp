#include "host/policy_driver.h"

#include <algorithm>
#include <utility>

#include "mm/reclaim/page_usage.h"

namespace host {

namespace {

using mm::policy::Kind;

PolicyDriver* current = nullptr;

constexpr const char* kNames[] = {"Fifo", "Clock", "Aging", "TwoLists", "WorkingSet", "Own"};

const char* name(Kind kind) { return kNames[static_cast<unsigned>(kind)]; }

void rotate(std::vector<uint32_t>& list) { std::rotate(list.begin(), list.begin() + 1, list.end()); }

void remove(std::vector<uint32_t>& list, uint32_t number) { std::erase(list, number); }

} // namespace

PolicyDriver::PolicyDriver(Source& source, std::string what) : source_(source), journal_(std::move(what)) { current = this; }
PolicyDriver::~PolicyDriver() { current = nullptr; }

UsedPage& PolicyDriver::page_of(FrameNumber frame, const char* question) {
    const auto at = pages_.find(frame.value() - kFirstFrame);
    journal_.require(at != pages_.end(), "page_usage::", question, " is asked about ", frame, ", which holds no page in memory");
    return at->second;
}

void PolicyDriver::begin(Kind kind) {
    kind_ = kind;
    journal_.call("initialize(", name(kind), ")");
    const Error error = mm::policy::initialize(kind).error();
    journal_.require(error == Error::None, "initialize() answers ", error);
    twins_.clear();
    order_.clear();
    active_.clear();
    check_count();
}

void PolicyDriver::come(uint32_t number) {
    const uint32_t owner = number % kOwners;
    pages_[number] = {.accessed = false, .dirty = true, .owner = owner};
    journal_.call("page_in(", frame(number), ")");
    mm::policy::page_in(frame(number));
    pages_[number].accessed = true; // by the access that it came for
    twins_[number] = {.owner = owner, .time = times_[owner]};
    order_.push_back(number);
    check_count();
}

void PolicyDriver::go(uint32_t number) {
    pages_.erase(number); // the frame may be somebody else's already
    forget(number);
    journal_.call("page_out(", frame(number), ")");
    mm::policy::page_out(frame(number));
    check_count();
}

void PolicyDriver::forget(uint32_t number) {
    twins_.erase(number);
    remove(order_, number);
    remove(active_, number);
}

void PolicyDriver::use(uint32_t number, bool writes) {
    UsedPage& page = pages_.at(number);
    journal_.call(writes ? "(write " : "(read ", frame(number), ")");
    page.accessed = true;
    page.dirty |= writes;
    if (const auto twin = twins_.find(number); twin != twins_.end()) {
        twin->second.accessed = true;
        twin->second.dirty = page.dirty;
    }
}

void PolicyDriver::make_clean(uint32_t number) {
    pages_.at(number).dirty = false;
    twins_.at(number).dirty = false;
}

void PolicyDriver::tell_of_stranger(uint32_t frame) {
    journal_.call("page_out(", FrameNumber(frame), "), which is in no set");
    mm::policy::page_out(FrameNumber(frame));
    check_count();
}

std::optional<uint32_t> PolicyDriver::choose() {
    journal_.call("choose_victim()");
    cleanings_ = 0;
    const Result<FrameNumber> seen = mm::policy::choose_victim();
    if (model_count() == 0) {
        journal_.require(seen.error() == Error::NotFound, "choose_victim() answers ", seen.error(), ", not NotFound, without a page in the set");
        return {};
    }
    journal_.require(!seen.is_error(), "choose_victim() answers ", seen.error(), " with ", model_count(), " pages in the set");
    const uint32_t number = seen.value().value() - kFirstFrame;
    journal_.answer(seen.value());
    journal_.require(twins_.contains(number), name(kind_), ": the victim is ", seen.value(), ", which is not in the set");
    if (kind_ == Kind::Own) return number;
    const uint32_t wanted = model_victim();
    journal_.require(number == wanted, name(kind_), ": the victim is ", seen.value(), ", expected ", frame(wanted));
    journal_.require(cleanings_ <= mm::policy::kCleaningsPerSearch, name(kind_), ": ", cleanings_, " pages were cleaned in one search");
    for (const auto& [other, twin] : twins_) {
        const UsedPage& page = pages_.at(other);
        journal_.require(page.dirty == twin.dirty, name(kind_), ": ", frame(other), page.dirty ? " is dirty, expected clean" : " is clean, expected dirty");
        journal_.require(page.accessed == twin.accessed, name(kind_), ": the accessed bit of ", frame(other), page.accessed ? " is still set" : " was cleared",
                         ", other than the rules say");
    }
    check_count();
    return number;
}

std::optional<uint32_t> PolicyDriver::take() {
    const std::optional<uint32_t> victim = choose();
    if (victim) go(*victim);
    return victim;
}

void PolicyDriver::tick() {
    journal_.call("tick()");
    mm::policy::tick();
    if (kind_ == Kind::Own) return;
    if (kind_ != Kind::Aging) {
        for (const auto& [number, twin] : twins_)
            journal_.require(pages_.at(number).accessed == twin.accessed, name(kind_), ": tick() has cleared the accessed bit of ", frame(number));
        return;
    }
    for (const uint32_t number : order_) twins_[number].counter = static_cast<uint8_t>(twins_[number].counter / 2 + (ask(number) ? 128 : 0));
}

void PolicyDriver::check_count() {
    const size_t seen = mm::policy::count();
    journal_.require(seen == model_count(), "count() is ", seen, ", expected ", model_count());
}

void PolicyDriver::step() {
    const uint32_t number = static_cast<uint32_t>(source_.below(kPages));
    const bool present = pages_.contains(number);
    switch (source_.below(10)) {
    case 0: case 1: case 2:
        if (present) use(number, source_.one_in(3));
        else come(number);
        break;
    case 3: case 4:
        if (!present) come(number);
        break;
    case 5:
        if (present && source_.one_in(2)) go(number);
        break;
    case 6: choose(); break;
    case 7:
        if (model_count() > 4) take();
        break;
    case 8: tick(); break;
    default:
        pass_time(static_cast<uint32_t>(source_.below(kOwners)), static_cast<uint32_t>(source_.below(60)));
        if (source_.one_in(20)) begin(static_cast<Kind>(source_.below(mm::policy::kKinds)));
        if (source_.one_in(30)) set_time(0, times_[0] / 2);
    }
}

// The model.

bool PolicyDriver::ask(uint32_t number) { return std::exchange(twins_[number].accessed, false); }

uint32_t PolicyDriver::age(uint32_t number) const {
    const Twin& twin = twins_.at(number);
    return std::max(times_[twin.owner], twin.time) - twin.time;
}

uint32_t PolicyDriver::model_victim() {
    switch (kind_) {
    case Kind::Fifo: return order_.front();
    case Kind::Clock: return model_of_clock();
    case Kind::Aging: return model_of_aging();
    case Kind::TwoLists: return model_of_lists();
    default: return model_of_working_set();
    }
}

uint32_t PolicyDriver::model_of_clock() {
    while (ask(order_.front())) rotate(order_);
    return order_.front();
}

uint32_t PolicyDriver::model_of_aging() const {
    return *std::ranges::min_element(order_, {}, [&](uint32_t number) { return twins_.at(number).counter; });
}

uint32_t PolicyDriver::model_of_lists() {
    const auto move_front = [](std::vector<uint32_t>& from, std::vector<uint32_t>& to) {
        const uint32_t number = from.front();
        from.erase(from.begin());
        to.push_back(number);
    };
    for (;;) {
        while (3 * order_.size() < model_count()) move_front(active_, ask(active_.front()) ? active_ : order_);
        const uint32_t number = order_.front();
        if (!ask(number)) return number;
        bool& marked = twins_[number].marked;
        move_front(order_, marked ? active_ : order_);
        marked = !marked;
    }
}

uint32_t PolicyDriver::model_of_working_set() {
    size_t attempts = 0;
    for (size_t looked = 2 * order_.size(); looked > 0; --looked, rotate(order_)) {
        Twin& twin = twins_[order_.front()];
        if (ask(order_.front())) {
            twin.time = times_[twin.owner];
        } else if (age(order_.front()) > mm::policy::kWorkingSetWindow) {
            if (!twin.dirty) return order_.front();
            if (attempts++ < mm::policy::kCleaningsPerSearch && disk_works_) twin.dirty = false;
        }
    }
    const auto value = [&](uint32_t number) { return std::pair(!twins_.at(number).dirty, age(number)); };
    const uint32_t victim = *std::ranges::max_element(order_, {}, value); // the first of several
    while (order_.front() != victim) rotate(order_);
    return victim;
}

} // namespace host

// What the kernel tells a policy.
namespace mm::page_usage {

using host::current;

Usage of(FrameNumber frame) {
    const host::UsedPage& page = current->page_of(frame, "of()");
    return {.mappings = 1, .accessed = page.accessed, .dirty = page.dirty};
}

bool test_and_clear_accessed(FrameNumber frame) { return std::exchange(current->page_of(frame, "test_and_clear_accessed()").accessed, false); }

bool is_dirty(FrameNumber frame) { return current->page_of(frame, "is_dirty()").dirty; }

bool clean(FrameNumber frame) {
    host::UsedPage& page = current->page_of(frame, "clean()");
    current->note_cleaning();
    if (current->disk_works()) page.dirty = false;
    return current->disk_works();
}

uint32_t owner_time(FrameNumber frame) { return current->time_of(current->page_of(frame, "owner_time()").owner); }

} // namespace mm::page_usage
