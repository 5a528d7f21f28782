#include "host/paging_driver.h"

#include <algorithm>
#include <utility>

#include "config.h"
#include "host/frames.h"
#include "host/paging.h"
#include "mm/paging/layout.h"
#include "mm/paging/pte.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frames.h"

namespace host {

namespace pt = mm::page_table;
namespace bits = mm::entry_bits;
using mm::Access;
using mm::PageSize;
using mm::Privilege;
using mm::Rights;
using mm::Scope;

namespace {

constexpr uint32_t kEntries = kPagesPerLargePage;
constexpr uint32_t kMarks = bits::kAccessed | bits::kDirty;
constexpr uint32_t kUserSlot = VirtAddr(mm::kUserBegin).directory_index();
constexpr uint32_t kSharedSlot = VirtAddr(mm::kSharedBegin).directory_index();
constexpr uint32_t kPieceSlotIndex = VirtAddr(mm::kPieceSlot).directory_index();
constexpr size_t kMostDirectories = 4;

/// The slots of the shared range that the kernel map fills.
constexpr bool is_window(uint32_t slot) {
    return slot == VirtAddr(mm::kKmapBegin).directory_index() || slot == VirtAddr(mm::kStacksBegin).directory_index();
}

uint32_t* words_of(FrameNumber frame) { return pointer_to<uint32_t>(VirtAddr(frame.address().value())); }

} // namespace

PagingDriver::PagingDriver(Source& source, std::string what)
    : source_(source), journal_(std::move(what)), frames_at_start_(mm::frames::in_use()) {
    spaces_.push_back({mm::kernel_directory(), {}});
    directories_.push_back(mm::kernel_directory());
    std::copy_n(words_of(mm::kernel_directory().frame), kEntries, kernel_words_.begin());
    for (uint32_t slot = kSharedSlot; slot < kEntries; ++slot) {
        if (slot == kPieceSlotIndex || !(kernel_words_[slot] & bits::kPresent) || is_window(slot)) continue;
        shared_.try_emplace(slot); // left by a driver before this one; its pages are unmapped
        --frames_at_start_;
    }
}

// --- Calls -------------------------------------------------------------------------------------------------------------------

size_t PagingDriver::create() {
    journal_.call("create()");
    const auto made = pt::create();
    journal_.answer(made.error());
    if (made.is_error()) {
        journal_.require(made.error() == Error::OutOfMemory, "create(): expected success or OutOfMemory, seen ", made.error());
        return check("after create() failed"), 0;
    }
    spaces_.push_back({made.value(), {}});
    directories_.push_back(made.value());
    const uint32_t* const kernel = words_of(mm::kernel_directory().frame);
    const uint32_t* const words = words_of(made.value().frame);
    for (uint32_t slot = kSharedSlot; slot < kEntries; ++slot) {
        if (slot != kPieceSlotIndex)
            journal_.require(((words[slot] ^ kernel[slot]) & ~kMarks) == 0, "create(): PDE ", slot, " should be the kernel's, and is not");
    }
    check("after create()");
    return spaces_.size() - 1;
}

void PagingDriver::destroy(size_t number) {
    journal_.call("destroy(", number == 0 ? "kernel" : number == active_ ? "the active directory" : "a directory", ")");
    const auto done = pt::destroy(spaces_[number].piece);
    journal_.answer(done.error());
    const Error expected = number == 0 ? Error::InvalidArgument : number == active_ ? Error::Busy : Error::None;
    journal_.require(done.error() == expected, "destroy(): expected ", expected, ", seen ", done.error());
    if (!done.is_error()) {
        spaces_[number].exists = false;
        spaces_[number].user.clear();
    }
    check("after destroy()");
}

void PagingDriver::activate(size_t number) {
    active_ = number;
    load_directory(spaces_[number].piece);
}

Error PagingDriver::call(const Request& request, bool short_of_memory) {
    const std::set<Error> expected = errors(request);
    take_events();
    journal_.call(request.text());
    const mm::PageDirectory directory = spaces_[request.directory].piece;
    const auto count = static_cast<size_t>(request.count);
    const auto done = request.verb == Request::Verb::Map     ? pt::map(directory, request.start, request.first, count, request.size, request.rights)
                      : request.verb == Request::Verb::Unmap ? pt::unmap(directory, request.start, count)
                                                             : pt::protect(directory, request.start, count, request.rights);
    journal_.answer(done.error());
    const bool excused = short_of_memory && done.error() == Error::OutOfMemory;
    if (!excused) {
        const bool right = expected.empty() ? !done.is_error() : expected.contains(done.error());
        journal_.require(right, "expected ", expected.empty() ? Error::None : *expected.begin(), ", seen ", done.error());
    }
    if (!done.is_error()) apply(request);
    check(done.is_error() ? "after a call that failed: nothing may have changed" : "after this call");
    if (!done.is_error()) check_events(request);
    return done.error();
}

/// The errors that the contract allows; none when the call must succeed.
std::set<Error> PagingDriver::errors(const Request& request) {
    std::set<Error> found;
    const auto size = static_cast<uint32_t>(request.size);
    if (request.count == 0) found.insert(Error::InvalidArgument);
    if (!is_aligned(request.start.value(), size)) found.insert(Error::Misaligned);
    const bool map = request.verb == Request::Verb::Map;
    if (map && !is_aligned(request.first.value(), size / kPageSize)) found.insert(Error::Misaligned);
    const bool fits = request.count <= kMaxFrames;
    const bool user = fits && request.start.value() >= mm::kUserBegin && request.end() <= mm::kUserEnd;
    const bool shared = fits && request.is_shared() && request.end() <= uint64_t{1} << 32 && request.directory == 0;
    if (request.count > 0 && !user && !shared) found.insert(Error::OutOfRange);
    if (request.verb != Request::Verb::Unmap) {
        if (request.rights.privilege == Privilege::User && (!fits || request.end() > mm::kUserEnd)) found.insert(Error::InvalidArgument);
        if (request.rights.scope == Scope::Global && request.start.value() < mm::kUserEnd) found.insert(Error::InvalidArgument);
    }
    if (map && (!fits || request.first.value() + request.bytes() / kPageSize > kMaxFrames)) found.insert(Error::OutOfRange);
    if (map && request.size == PageSize::Large && (!CONFIG_LARGE_PAGES || !fits || request.end() > mm::kSharedBegin))
        found.insert(Error::Unsupported);
    if (found.empty() && request.verb == Request::Verb::Protect && !all_present(request)) found.insert(Error::NotMapped);
    return found;
}

bool PagingDriver::all_present(const Request& request) {
    for (uint64_t page = request.start.value() / kPageSize; page < request.end() / kPageSize; ++page) {
        const ModelPage* const model = page_at(request.directory, static_cast<uint32_t>(page));
        if (!model || !model->present) return false;
    }
    return true;
}

// --- The model ---------------------------------------------------------------------------------------------------------------

std::map<uint32_t, ModelSlot>& PagingDriver::slots(const Request& request) {
    return request.is_shared() ? shared_ : spaces_[request.directory].user;
}

const ModelPage* PagingDriver::page_at(size_t directory, uint32_t page) const {
    const auto& all = page / kEntries >= kSharedSlot ? shared_ : spaces_[directory].user;
    const auto slot = all.find(page / kEntries);
    return slot == all.end() ? nullptr : &slot->second[page % kEntries];
}

void PagingDriver::apply(const Request& request) {
    auto& all = slots(request);
    const auto begin = static_cast<uint32_t>(request.start.value() / kPageSize);
    const auto end = static_cast<uint32_t>(request.end() / kPageSize);
    const bool map = request.verb == Request::Verb::Map;
    for (uint32_t slot = begin / kEntries; slot <= (end - 1) / kEntries; ++slot) {
        if (map) all.try_emplace(slot);
        const auto found = all.find(slot);
        if (found == all.end()) continue;
        ModelSlot& pages = found->second;
        const uint32_t first = std::max(begin, slot * kEntries) % kEntries;
        const uint32_t last = (std::min(end, (slot + 1) * kEntries) - 1) % kEntries;
        const bool whole = first == 0 && last == kEntries - 1;
        if (!whole || (map && request.size == PageSize::Small))
            for (ModelPage& page : pages) page.large = false;
        for (uint32_t i = first; i <= last; ++i) {
            ModelPage& page = pages[i];
            if (map) page = {true, request.size == PageSize::Large, request.first + (slot * kEntries + i - begin), request.rights};
            else if (request.verb == Request::Verb::Unmap) page = {};
            else page.rights = request.rights;
        }
        const bool empty = std::ranges::none_of(pages, &ModelPage::is_something);
        if (empty && !request.is_shared()) all.erase(found);
    }
}

void PagingDriver::swap_out(size_t directory, VirtAddr page, mm::SwapSlot slot) {
    auto& user = spaces_[directory].user;
    const auto pages = user.find(page.directory_index());
    if (pages == user.end()) return;
    ModelPage& model = pages->second[page.table_index()];
    if (!model.present || model.large) return;
    journal_.call("(the kernel puts slot ", slot.value(), " in the place of page ", page, ")");
    const uint32_t word = mm::Pte::swapped(slot).word();
    const mm::Pde pde = mm::Pde::from_word(words_of(spaces_[directory].piece.frame)[page.directory_index()]);
    words_of(pde.frame())[page.table_index()] = word;
    model = {};
    model.swap_entry = word;
    if (directory == active_) mm::tlb::invalidate_page(page);
    take_events();
    journal_.answer(Error::None);
}

void PagingDriver::use(VirtAddr begin, size_t pages) {
    for (size_t i = 0; i < pages; ++i) {
        const VirtAddr address(static_cast<uint32_t>(begin.value() + i * kPageSize));
        const Cached entries = walk(spaces_[active_].piece, address);
        if (!is_present(entries)) continue;
        uint32_t& pde = words_of(spaces_[active_].piece.frame)[address.directory_index()];
        const bool large = mm::Pde::from_word(pde).is_large_page();
        uint32_t& last = large ? pde : words_of(FrameNumber::containing(PhysAddr(pde)))[address.table_index()];
        pde |= bits::kAccessed;
        last |= bits::kAccessed | (pde & last & bits::kWritable ? bits::kDirty : 0);
        auto& all = address.value() >= mm::kSharedBegin ? shared_ : spaces_[active_].user;
        const auto slot = all.find(address.directory_index());
        if (slot != all.end()) {
            const uint32_t from = large ? 0 : address.table_index();
            for (uint32_t at = from; at < (large ? kEntries : from + 1); ++at) {
                slot->second[at].marks = last & kMarks;
                slot->second[at].marks_known = true;
            }
        }
        touch(address);
    }
}

// --- Comparing ---------------------------------------------------------------------------------------------------------------

void PagingDriver::check(const char* when) {
    tables_seen_ = 0;
    size_t directories = 0;
    for (size_t i = 0; i < spaces_.size(); ++i) {
        if (!spaces_[i].exists) continue;
        directories += i > 0;
        check_directory(i, when);
    }
    const size_t in_use = mm::frames::in_use() - frames_at_start_;
    journal_.require(in_use == directories + tables_seen_, when, ": ", in_use, " frames are in use; the directories and page tables that can be ",
                     "reached are ", directories + tables_seen_);
    check_tlb(when);
}

void PagingDriver::check_directory(size_t number, const char* when) {
    const uint32_t* const words = words_of(spaces_[number].piece.frame);
    for (uint32_t slot = 0; slot < kUserSlot; ++slot)
        journal_.require(((words[slot] ^ kernel_words_[slot]) & ~kMarks) == 0, when, ": the kernel's own PDE ", slot, " is another now");
    for (uint32_t slot = kUserSlot; slot < kSharedSlot; ++slot) {
        const auto model = spaces_[number].user.find(slot);
        check_slot(number, slot, words[slot], model == spaces_[number].user.end() ? nullptr : &model->second, when);
    }
    if (number > 0) return check_shared_copies(number, when);
    for (uint32_t slot = kSharedSlot; slot < kEntries; ++slot) {
        if (slot == kPieceSlotIndex) continue;
        const auto model = shared_.find(slot);
        if (is_window(slot))
            journal_.require(((words[slot] ^ kernel_words_[slot]) & ~kMarks) == 0, when, ": the kernel's own PDE ", slot, " is another now");
        else
            check_slot(0, slot, words[slot], model == shared_.end() ? nullptr : &model->second, when);
    }
}

/// Other directories share the kernel's page tables, or do not know them yet.
void PagingDriver::check_shared_copies(size_t number, const char* when) {
    const uint32_t* const words = words_of(spaces_[number].piece.frame);
    const uint32_t* const kernel = words_of(mm::kernel_directory().frame);
    for (uint32_t slot = kSharedSlot; slot < kEntries; ++slot) {
        if (slot == kPieceSlotIndex || words[slot] == 0) continue;
        journal_.require(((words[slot] ^ kernel[slot]) & ~kMarks) == 0, when, ": PDE ", slot, " of a directory is no copy of the kernel's");
    }
}

void PagingDriver::check_slot(size_t number, uint32_t slot, uint32_t pde, const ModelSlot* model, const char* when) {
    const VirtAddr address(slot << kLargePageShift);
    const mm::Pde entry = mm::Pde::from_word(pde);
    if (!model) {
        journal_.require(!entry.is_present(), when, ": nothing is mapped in the 4 MiB from ", address, " on, but their PDE is present");
        return;
    }
    journal_.require(entry.is_present(), when, ": the PDE of the 4 MiB from ", address, " on is missing");
    const bool large = (*model)[0].large;
    journal_.require(entry.is_large_page() == large, when, ": the PDE for ", address, large ? " should be a large page" : " should name a page table");
    if (large) {
        journal_.require((pde & bits::kLargeFrame) == (pde & bits::kFrame), when, ": the large page at ", address, " has address bits below 4 MiB set");
        return check_page(number, slot * kEntries, pde, 0, (*model)[0], when);
    }
    ++tables_seen_;
    const FrameNumber table = entry.frame();
    journal_.require(mm::zone_of(table) != mm::Zone::High && !is_free_now(table), when, ": the PDE for ", address, " names ", table,
                     ", which is no frame in use");
    const uint32_t* const words = words_of(table);
    for (uint32_t i = 0; i < kEntries; ++i) check_page(number, slot * kEntries + i, pde, words[i], (*model)[i], when);
}

/// What an entry says, by itself and by the PDE above it: the effective rights are the AND of both levels.
struct Entry {
    bool present;
    FrameNumber frame;
    Rights rights;
    uint32_t marks;
    bool pat;  ///< Bit 7 of a PTE, which nobody should set.
    uint32_t absent_word;  ///< All of a PTE that is not present.
};

static Entry decode(uint32_t pde, uint32_t pte, bool large) {
    const uint32_t word = large ? pde : pte;
    return {.present = (word & bits::kPresent) != 0,
            .frame = FrameNumber::containing(PhysAddr(word & (large ? bits::kLargeFrame : bits::kFrame))),
            .rights = bits::rights(large ? word : word & (pde | ~(bits::kWritable | bits::kUser))),
            .marks = word & kMarks,
            .pat = !large && (word & bits::kPageSize),
            .absent_word = large || (word & bits::kPresent) ? 0 : word};
}

static bool agrees(const Entry& entry, const ModelPage& model) {
    if (!entry.present || !model.present) return entry.present == model.present && entry.absent_word == model.swap_entry;
    return entry.frame == model.frame && entry.rights == model.rights && !entry.pat && (!model.marks_known || entry.marks == model.marks);
}

void PagingDriver::check_page(size_t number, uint32_t page, uint32_t pde, uint32_t pte, const ModelPage& model, const char* when) {
    const Entry entry = decode(pde, pte, model.large);
    if (agrees(entry, model)) return;
    const VirtAddr address(page << kPageShift);
    const std::string where = text(when, ": page ", address, number == 0 ? " of the kernel's directory" : "");
    journal_.require(entry.present == model.present, where, model.present ? " should be mapped, and is not" : " should not be mapped, and is");
    journal_.require(entry.absent_word == model.swap_entry, where, model.swap_entry ? " should have its swap entry, " : " should be empty, ",
                     VirtAddr(model.swap_entry), ", and its PTE is ", VirtAddr(entry.absent_word));
    journal_.require(entry.frame == model.frame, where, " should map ", model.frame, ", and maps ", entry.frame);
    journal_.require(entry.rights == model.rights, where, " should be ", show(model.rights), ", and is ", show(entry.rights));
    journal_.require(!entry.pat, where, " has bit 7 (PAT) of its PTE set");
    journal_.require(false, where, " should have kept its accessed and dirty bits ", model.marks >> 5, ", and has ", entry.marks >> 5);
}

/// What two entries mean for an address: the frame, and the rights.
static std::pair<uint32_t, uint32_t> effective(Cached entries, uint32_t address) {
    const bool large = mm::Pde::from_word(entries.pde).is_large_page();
    const uint32_t frame = large ? (entries.pde & bits::kLargeFrame) | (address & 0x3F'F000) : entries.pte & bits::kFrame;
    const uint32_t word = large ? entries.pde : entries.pte & (entries.pde | bits::kGlobal);
    return {frame, word & (bits::kWritable | bits::kUser | bits::kGlobal)};
}

/// Nothing that the CPU remembers may contradict the tables.
void PagingDriver::check_tlb(const char* when) {
    for (const auto& [address, cached] : remembered()) {
        const bool shared = address >= mm::kSharedBegin;
        const Cached now = walk(shared ? mm::kernel_directory() : mm::active_directory(), VirtAddr(address));
        const bool same = is_present(now) && effective(cached, address) == effective(now, address);
        journal_.require(same, when, ": the TLB still holds the old translation of ", VirtAddr(address));
    }
}

/// Few pages are forgotten one by one.
void PagingDriver::check_events(const Request& request) {
    for (const Event& event : take_events()) {
        if (event.kind == Event::Kind::InvalidatePage || request.bytes() / kPageSize > pt::kFullFlushPages) continue;
        journal_.require(false, "a call that changes ", request.bytes() / kPageSize, " pages flushed the whole TLB");
    }
}

void PagingDriver::check_translate(size_t number, VirtAddr address) {
    journal_.call("translate(", address, ")");
    const auto answer = pt::translate(spaces_[number].piece, address);
    journal_.answer(answer.error());
    const uint32_t page = address.value() >> kPageShift;
    ModelPage expected;
    if (address.value() < mm::kUserBegin) {
        const Cached entries = walk(mm::kernel_directory(), address);
        const bool large = mm::Pde::from_word(entries.pde).is_large_page();
        expected.present = is_present(entries);
        expected.large = large;
        expected.frame = FrameNumber(page);
        expected.rights = {Access::ReadWrite, Privilege::Supervisor, Scope::Global};
    } else if (const ModelPage* model = page_at(number, page)) {
        if (number > 0 && address.value() >= mm::kSharedBegin && !(words_of(spaces_[number].piece.frame)[page / kEntries] & bits::kPresent)) return;
        expected = *model;
    }
    if (!expected.present) {
        journal_.require(answer.error() == Error::NotMapped, "translate() of a page that is not mapped: expected NotMapped, seen ", answer.error());
        return;
    }
    journal_.require(!answer.is_error(), "translate() of a mapped page fails with ", answer.error());
    const mm::Translation seen = answer.value();
    const PhysAddr where = expected.frame.address() + address.page_offset();
    journal_.require(seen.address == where, "translate(", address, "): expected ", where, ", seen ", seen.address);
    journal_.require((seen.size == PageSize::Large) == expected.large, "translate(", address, "): the wrong page size");
    journal_.require(seen.rights == expected.rights, "translate(", address, "): expected ", show(expected.rights), ", seen ", show(seen.rights));
}

// --- At random ---------------------------------------------------------------------------------------------------------------

Request PagingDriver::random_request() {
    std::vector<bool> exists;
    for (const Directory& space : spaces_) exists.push_back(space.exists);
    return host::random_request(source_, exists);
}

/// Pages from `begin` on go to the swap area, up to the end of their page table. Often all around them is unmapped then, so that there
/// are page tables with swap entries alone.
void PagingDriver::swap_out_some(size_t number, VirtAddr begin) {
    const uint32_t table = align_down(begin.value(), kLargePageSize);
    const uint32_t room = (table + (kLargePageSize - 1) - begin.value()) / kPageSize + 1;
    const auto pages = static_cast<uint32_t>(source_.between(1, std::min(room, 40u)));
    const auto slot = static_cast<uint32_t>(source_.between(1, (1 << 24) - 64));
    for (uint32_t i = 0; i < pages; ++i) swap_out(number, begin + i * kPageSize, mm::SwapSlot(slot + i));
    if (source_.one_in(2)) return;
    const auto unmap = [&](VirtAddr start, uint32_t count) {
        if (count == 0) return;
        call({.verb = Request::Verb::Unmap, .directory = number, .start = start, .first = {}, .count = count, .rights = {}});
    };
    unmap(VirtAddr(table), (begin.value() - table) / kPageSize);
    unmap(begin + pages * kPageSize, room - pages);
}

void PagingDriver::step() {
    switch (source_.below(16)) {
    case 0:
        if (std::ranges::count(spaces_, true, &Directory::exists) < static_cast<std::ptrdiff_t>(kMostDirectories)) create();
        return;
    case 1: {
        const size_t number = source_.below(spaces_.size());
        if (spaces_[number].exists && source_.one_in(2)) destroy(number);
        return;
    }
    case 2: {
        const size_t number = source_.below(spaces_.size());
        if (spaces_[number].exists) activate(number);
        return;
    }
    case 3:
    case 4: return use(random_address(source_), source_.between(1, 20));
    case 5:
    case 6: {
        const size_t number = source_.below(spaces_.size());
        const VirtAddr address = source_.one_in(6) ? VirtAddr(static_cast<uint32_t>(source_.below(mm::kUserBegin))) : random_address(source_);
        if (spaces_[number].exists) check_translate(number, address + static_cast<uint32_t>(source_.below(kPageSize)));
        return;
    }
    case 7: {
        mm::frames::fail_after(source_.below(4));
        const Request request = random_request();
        call(request, true);
        return mm::frames::fail_never();
    }
    case 8: {
        const size_t number = source_.below(spaces_.size());
        const VirtAddr begin = random_address(source_);
        if (spaces_[number].exists && begin.value() < mm::kUserEnd) swap_out_some(number, begin);
        return;
    }
    default: call(random_request());
    }
}

void PagingDriver::finish() {
    activate(0);
    for (size_t i = spaces_.size(); i-- > 1;)
        if (spaces_[i].exists) destroy(i);
    const auto unmap = [this](uint32_t start, uint64_t bytes) {
        call({.verb = Request::Verb::Unmap, .directory = 0, .start = VirtAddr(start), .first = {}, .count = bytes / kPageSize, .rights = {}});
    };
    unmap(mm::kUserBegin, mm::kUserEnd - mm::kUserBegin);
    unmap(mm::kSharedBegin, 64 << 20);
    unmap(0xFFC0'0000, kLargePageSize);
}

} // namespace host
