#include "host/heap_driver.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "config.h"
#include "host/arena.h"
#include "host/frames.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frames.h"

namespace host {

namespace slab = mm::slab;
using mm::Finding;
using mm::FindingKind;

namespace {

constexpr bool kDebugging = CONFIG_MEMORY_DEBUGGING;
constexpr size_t kMostBytes = 600 * 1024;  // in use at one time, so that memory never runs short by itself
constexpr size_t kMostBlocks = 250;
constexpr size_t kMostCaches = 6;
constexpr uint8_t kConstructedByte = 0xC7;

size_t findings_seen = 0;

/// What the constructor sees of the driver's blocks: it takes no context.
const std::map<uint32_t, size_t>* blocks_in_use = nullptr;
bool constructed_in_use = false;

/// The first block that shares a byte with [begin, begin + size), or the end.
std::map<uint32_t, size_t>::const_iterator overlapping(const std::map<uint32_t, size_t>& extents, uint32_t begin, size_t size) {
    auto next = extents.lower_bound(begin);
    if (next != extents.begin()) {
        const auto before = std::prev(next);
        if (before->first + before->second > begin) return before;
    }
    return next != extents.end() && next->first < begin + size ? next : extents.end();
}

/// One constructor per size, since it has to know how much it may write.
template <size_t kSize>
void construct(void* object) {
    if (blocks_in_use && overlapping(*blocks_in_use, address_of(object).value(), kSize) != blocks_in_use->end()) constructed_in_use = true;
    std::memset(object, kConstructedByte, kSize);
}

struct Constructor {
    size_t size;
    void (*run)(void*);
};
constexpr std::array kConstructors = {Constructor{24, construct<24>}, Constructor{100, construct<100>}, Constructor{640, construct<640>}};

bool is_held(void* address) {
    if (mm::vmalloc::contains(address)) return false; // an area goes back at once
    return mm::is_identity_address(address) && !is_free_now(mm::identity_frame(address));
}

} // namespace

std::vector<void*> strange_addresses() {
    std::vector<void*> all;
    for (const uint32_t address : {8u, 0x1000u, 0x10'0000u, 0x123'4560u, 0x1BF'F000u, 0xFFF'F000u, 0x1000'0000u, 0x1000'0FF8u, 0x2FFF'FFF8u,
                                   kVmallocWindow, kVmallocWindow + 0x10u, kVmallocWindowEnd - 8, 0x4000'0000u, 0x7FFF'F000u, 0xC000'0000u,
                                   0xC123'4560u, 0xF000'0000u, 0xFFFF'F000u, 0xFFFF'FFF8u, 0xFFFF'FFFFu})
        all.push_back(pointer_to<void>(VirtAddr(address)));
    return all;
}

std::vector<Finding> new_findings() {
    std::vector<Finding> found;
    const size_t count = mm::findings::count();
    const size_t kept = std::min(count, mm::findings::kMaxKept);
    for (size_t i = kept - std::min(kept, count - findings_seen); i < kept; ++i) found.push_back(mm::findings::kept(i));
    findings_seen = count;
    return found;
}

CallSite site([[maybe_unused]] uint32_t number) {
#if CONFIG_MEMORY_DEBUGGING
    return {"caller", "driver", number};
#else
    return {};
#endif
}

HeapDriver::HeapDriver(Source& source, std::string what) : source_(source), journal_(std::move(what)) {
    slab::shrink();
    frames_at_start_ = mm::frames::in_use();
    blocks_in_use = &extents_;
    new_findings();
}

void HeapDriver::step() {
    short_of_memory_ = source_.one_in(12);
    if (short_of_memory_) mm::frames::fail_after(source_.below(4));
    switch (source_.below(20)) {
    case 0: create(); break;
    case 1: destroy(); break;
    case 2: shrink(); break;
    case 3: free_badly(); break;
    case 4: damage(); break;
    case 5:
    case 6: reallocate(); break;
    case 7:
    case 8:
    case 9:
    case 10: allocate_object(); break;
    case 11:
    case 12:
    case 13: allocate_block(); break;
    default: free_one();
    }
    mm::frames::fail_never();
    short_of_memory_ = false;
    journal_.require(!constructed_in_use, "a constructor ran on an object that is in use");
    if (++steps_ % 64 == 0) check_all();
}

/// Small ones most of the time.
size_t HeapDriver::random_size() {
    switch (source_.below(8)) {
    case 0: return source_.between(4097, 100'000);
    case 1: return source_.between(1000, 4200);
    case 2: return size_t{1} << source_.below(13);
    default: return source_.between(1, 300);
    }
}

/// Whether an error is one that the state of memory excuses.
bool HeapDriver::may_fail(Error error) { return short_of_memory_ && error == Error::OutOfMemory; }

void HeapDriver::create() {
    if (caches_.size() == kMostCaches) return;
    auto cache = std::make_unique<Cache>();
    cache->name = std::make_unique<std::string>("cache " + std::to_string(next_name_++));
    cache->constructed = source_.one_in(3);
    const Constructor constructor = kConstructors[source_.below(kConstructors.size())];
    cache->size = cache->constructed ? constructor.size : std::min<size_t>(random_size(), mm::kMaxObjectSize);
    cache->alignment = source_.one_in(2) ? mm::kHeapAlignment : size_t{1} << source_.below(source_.one_in(8) ? 13 : 8);
    journal_.call("create(\"", *cache->name, "\", ", cache->size, " bytes, alignment ", cache->alignment, cache->constructed ? ", constructor)" : ")");
    const auto made = slab::create({cache->name->c_str(), cache->size, cache->alignment, cache->constructed ? constructor.run : nullptr});
    journal_.answer(made.error());
    if (may_fail(made.error())) return;
    journal_.require(!made.is_error() && made.value() != nullptr, "create() of a cache: expected success, seen ", made.error());
    cache->piece = made.value();
    caches_.push_back(std::move(cache));
    expect_no_finding();
}

void HeapDriver::destroy() {
    if (caches_.empty()) return;
    const size_t index = source_.below(caches_.size());
    Cache& cache = *caches_[index];
    journal_.call("destroy(\"", *cache.name, "\"), which has ", cache.in_use, " objects in use");
    const auto done = slab::destroy(cache.piece);
    journal_.answer(done.error());
    const Error expected = cache.in_use > 0 ? Error::Busy : Error::None;
    journal_.require(done.error() == expected, "destroy(): expected ", expected, ", seen ", done.error());
    if (!done.is_error()) caches_.erase(caches_.begin() + static_cast<std::ptrdiff_t>(index));
    expect_no_finding();
}

void HeapDriver::allocate_object() {
    if (caches_.empty() || blocks_.size() >= kMostBlocks || held_bytes_ >= kMostBytes) return;
    Cache& cache = *caches_[source_.below(caches_.size())];
    const uint32_t number = next_site_++;
    journal_.call("slab::allocate(\"", *cache.name, "\")");
    const auto got = slab::allocate(cache.piece, site(number));
    if (got.is_error()) {
        journal_.answer(got.error());
        journal_.require(may_fail(got.error()), "allocate() fails with ", got.error(), " although memory is left");
        return;
    }
    journal_.answer(address_of(got.value()));
    Block block{got.value(), cache.size, kConstructedByte, &cache, number};
    ++cache.in_use;
    const size_t alignment = std::max(cache.alignment, mm::kHeapAlignment);
    if (cache.constructed) check_contents(block, "when it is handed out, which must be in its constructed state");
    added(block, alignment);
}

void HeapDriver::allocate_block() {
    if (blocks_.size() >= kMostBlocks || held_bytes_ >= kMostBytes) return;
    const size_t size = random_size();
    const uint32_t number = next_site_++;
    const bool aligned = source_.one_in(3);
    const size_t alignment = aligned ? size_t{1} << source_.below(13) : mm::kHeapAlignment;
    if (aligned) journal_.call("kmalloc_aligned(", size, ", ", alignment, ")");
    else journal_.call("kmalloc(", size, ")");
    const auto got = aligned ? mm::kmalloc_aligned(size, alignment, site(number)) : mm::kmalloc(size, site(number));
    if (got.is_error()) {
        journal_.answer(got.error());
        journal_.require(may_fail(got.error()), "it fails with ", got.error(), " although memory is left");
        return;
    }
    journal_.answer(address_of(got.value()));
    added({got.value(), size, 0, nullptr, number}, std::max(alignment, mm::kHeapAlignment));
}

/// A new block: aligned, where no other is, and the heap has nothing to complain about.
void HeapDriver::added(const Block& block, size_t alignment) {
    const uint32_t address = address_of(block.address).value();
    journal_.require(block.address != nullptr, "success, and a null pointer");
    journal_.require(is_aligned(address, static_cast<uint32_t>(alignment)), VirtAddr(address), " is no multiple of ", alignment);
    const auto other = overlapping(extents_, address, block.size);
    journal_.require(other == extents_.end(), VirtAddr(address), ", ", block.size, " bytes, overlaps a block in use at ",
                     VirtAddr(other == extents_.end() ? 0 : other->first), ", ", other == extents_.end() ? 0 : other->second, " bytes");
    expect_no_finding();
    Block mine = block;
    mine.fill = static_cast<uint8_t>(0x10 + block.site % 0x50);
    std::memset(mine.address, mine.fill, mine.size);
    extents_[address] = block.size;
    held_bytes_ += block.size;
    blocks_.push_back(mine);
}

HeapDriver::Block HeapDriver::remove(size_t index) {
    const Block block = blocks_[index];
    blocks_[index] = blocks_.back();
    blocks_.pop_back();
    extents_.erase(address_of(block.address).value());
    held_bytes_ -= block.size;
    return block;
}

void HeapDriver::check_contents(const Block& block, const char* when) {
    const auto* const bytes = static_cast<const uint8_t*>(block.address);
    const auto* const bad = std::find_if(bytes, bytes + block.size, [&](uint8_t byte) { return byte != block.fill; });
    journal_.require(bad == bytes + block.size, "block ", address_of(block.address), ", ", block.size, " bytes: byte ", bad - bytes,
                     " is not what its owner wrote, seen ", when);
}

void HeapDriver::reallocate() {
    std::vector<size_t> candidates;
    for (size_t i = 0; i < blocks_.size(); ++i)
        if (!blocks_[i].cache) candidates.push_back(i);
    if (candidates.empty()) return;
    const size_t index = candidates[source_.below(candidates.size())];
    const Block old = blocks_[index];
    const size_t size = random_size();
    const uint32_t number = next_site_++;
    check_contents(old, "before krealloc()");
    journal_.call("krealloc(", address_of(old.address), " of ", old.size, " bytes, ", size, ")");
    const auto got = mm::krealloc(old.address, size, site(number));
    if (got.is_error()) {
        journal_.answer(got.error());
        journal_.require(may_fail(got.error()), "krealloc() fails with ", got.error(), " although memory is left");
        check_contents(old, "after a krealloc() that failed");
        return expect_no_finding();
    }
    journal_.answer(address_of(got.value()));
    remove(index);
    const Block moved{got.value(), std::min(size, old.size), old.fill, nullptr, number};
    check_contents(moved, "after krealloc(), as far as both sizes go");
    added({got.value(), size, 0, nullptr, number}, mm::kHeapAlignment);
}

Error HeapDriver::give_back(Cache* cache, void* address, uint32_t number) {
    if (cache) journal_.call("slab::free(\"", *cache->name, "\", ", address_of(address), ")");
    else journal_.call("kfree(", address_of(address), ")");
    const Error error = cache ? slab::free(cache->piece, address, site(number)).error() : mm::kfree(address, site(number)).error();
    journal_.answer(error);
    return error;
}

void HeapDriver::free_one() {
    if (blocks_.empty()) return;
    const Block block = remove(source_.below(blocks_.size()));
    check_contents(block, "when it is freed");
    if (block.cache) --block.cache->in_use;
    if (block.cache && block.cache->constructed) std::memset(block.address, kConstructedByte, block.size);
    const Error error = give_back(block.cache, block.address, next_site_++);
    journal_.require(error == Error::None, "free of a block in use: expected success, seen ", error);
    expect_no_finding();
    if (source_.one_in(6)) refuse(block.cache, block.address, "which was freed a moment ago", true);
}

/// A free that must be refused.
void HeapDriver::free_badly() {
    Cache* const cache = caches_.empty() || source_.one_in(2) ? nullptr : caches_[source_.below(caches_.size())].get();
    if (blocks_.empty() || source_.one_in(3)) {
        const auto strange = strange_addresses();
        void* const address = strange[source_.below(strange.size())];
        if (overlapping(extents_, address_of(address).value(), 1) != extents_.end()) return; // vmalloc gave it to the heap
        return refuse(cache, address, "which is no address of the heap's", false);
    }
    const Block& block = blocks_[source_.below(blocks_.size())];
    if (cache != block.cache) refuse(cache, block.address, "which belongs to another cache", false);
    else if (block.size > 1) refuse(cache, static_cast<uint8_t*>(block.address) + source_.between(1, block.size - 1), "which is inside a block", false);
    check_contents(block, "after a free that was refused");
}

void HeapDriver::refuse(Cache* cache, void* address, const char* why, bool was_object) {
    const uint32_t number = next_site_++;
    const bool held = was_object && is_held(address);
    const Error error = give_back(cache, address, number);
    journal_.require(error == Error::NotAllocated, "free of ", address_of(address), ", ", why, ": expected NotAllocated, seen ", error);
    const auto found = new_findings();
    if (!kDebugging) return journal_.require(found.empty(), "a finding without memory debugging");
    journal_.require(found.size() == 1, "free of ", address_of(address), ", ", why, ": expected one finding, seen ", found.size());
    const FindingKind expected = held ? FindingKind::DoubleFree : FindingKind::ForeignFree;
    const bool either = was_object && !held; // the heap may still hold its memory
    journal_.require(found[0].kind == expected || (either && found[0].kind == FindingKind::DoubleFree), "free of ", address_of(address), ", ", why,
                     ": expected the finding \"", mm::finding_name(expected), "\", seen \"", mm::finding_name(found[0].kind), "\"");
    journal_.require(found[0].object == address, "the finding is about ", address_of(found[0].object), ", not about what was freed");
    journal_.require(found[0].found == site(number), "the finding does not name the call that freed");
}

void HeapDriver::expect_no_finding() {
    const auto found = new_findings();
    if (!found.empty()) journal_.require(false, "a finding without a cause: ", mm::finding_name(found[0].kind), " of ", address_of(found[0].object));
}

/// Writes where nobody may, as a careless owner does, and frees the block: the heap must notice.
void HeapDriver::damage() {
    if (!kDebugging || blocks_.empty()) return;
    const Block block = remove(source_.below(blocks_.size()));
    if (block.cache) --block.cache->in_use;
    if (block.cache && block.cache->constructed) std::memset(block.address, kConstructedByte, block.size);
    const bool behind = source_.one_in(2);
    const size_t offset = source_.below(mm::kRedZone);
    auto* const bytes = static_cast<uint8_t*>(block.address);
    uint8_t* const wrong = behind ? bytes + block.size + offset : bytes - 1 - offset;
    *wrong = static_cast<uint8_t>(~*wrong);
    const uint32_t number = next_site_++;
    journal_.call("the owner of ", address_of(block.address), ", ", block.size, " bytes, writes byte ", wrong - bytes);
    const Error error = give_back(block.cache, block.address, number);
    journal_.require(error == Error::None, "free of a block with a damaged red zone: expected success, seen ", error);
    const auto found = new_findings();
    journal_.require(found.size() == 1, "a red zone was damaged: expected one finding, seen ", found.size());
    const FindingKind expected = behind ? FindingKind::Overflow : FindingKind::Underflow;
    journal_.require(found[0].kind == expected, "expected the finding \"", mm::finding_name(expected), "\", seen \"", mm::finding_name(found[0].kind), "\"");
    journal_.require(found[0].object == block.address && found[0].damage == wrong && found[0].size == block.size, "the finding says object ",
                     address_of(found[0].object), ", ", found[0].size, " bytes, damage at ", address_of(found[0].damage), "; expected damage at ",
                     address_of(wrong));
    journal_.require(found[0].allocated == site(block.site), "the finding does not name the call that allocated the block");
    journal_.require(found[0].found == site(number), "the finding does not name the call that freed it");
    const std::string cache = found[0].cache ? found[0].cache : "(null)";
    journal_.require(block.cache ? cache == *block.cache->name : cache.starts_with("kmalloc"), "the finding says cache \"", cache, "\"");
}

void HeapDriver::shrink() {
    const size_t before = mm::frames::in_use();
    journal_.call("slab::shrink()");
    const size_t given_back = slab::shrink();
    journal_.answer(given_back);
    journal_.require(before - mm::frames::in_use() == given_back, "shrink() says ", given_back, " frames; ", before - mm::frames::in_use(), " went back");
    const size_t again = slab::shrink();
    journal_.require(again == 0, "shrink() right after shrink() gives ", again, " more frames back");
    expect_no_finding();
}

void HeapDriver::check_all() {
    for (const Block& block : blocks_) check_contents(block, "at a look at all blocks");
    journal_.call("slab::check()");
    const size_t damaged = slab::check();
    journal_.require(damaged == 0, "check() finds ", damaged, " objects damaged; none is");
    expect_no_finding();
    std::map<void*, mm::slab::Object> shown;
    bool twice = false;
    struct Context {
        std::map<void*, mm::slab::Object>& shown;
        bool& twice;
    } context{shown, twice};
    slab::for_each_object([](void* to, const mm::slab::Object& object) {
        auto& seen = *static_cast<Context*>(to);
        if (!seen.shown.emplace(object.address, object).second) seen.twice = true;
    }, &context);
    journal_.require(!twice, "for_each_object() shows an object twice");
    journal_.require(!kDebugging || shown.size() == blocks_.size(), "for_each_object() shows ", shown.size(), " objects; ", blocks_.size(), " are in use");
    for (const Block& block : blocks_) {
        if (!kDebugging) break;
        const auto found = shown.find(block.address);
        journal_.require(found != shown.end(), "for_each_object() does not show ", address_of(block.address));
        journal_.require(found->second.size == block.size, "for_each_object() says that ", address_of(block.address), " has ", found->second.size,
                         " bytes; it has ", block.size);
        journal_.require(found->second.allocated == site(block.site), "for_each_object(): the call site of ", address_of(block.address), " is wrong");
    }
    for (const auto& cache : caches_) {
        struct Search {
            const char* name;
            size_t seen;
            mm::slab::Statistics figures;
        } search{cache->name->c_str(), 0, {}};
        slab::for_each_cache([](void* to, const mm::slab::Statistics& figures) {
            Search& search = *static_cast<Search*>(to);
            if (figures.name == search.name) ++search.seen, search.figures = figures;
        }, &search);
        journal_.require(search.seen == 1, "for_each_cache() shows \"", *cache->name, "\" ", search.seen, " times");
        journal_.require(search.figures.in_use == cache->in_use && search.figures.object_size == cache->size &&
                             search.figures.capacity >= cache->in_use, "for_each_cache() says of \"", *cache->name, "\": ", search.figures.in_use,
                         " of ", search.figures.capacity, " objects in use, each of ", search.figures.object_size, " bytes; in use are ", cache->in_use,
                         " of ", cache->size, " bytes");
    }
}

void HeapDriver::finish() {
    check_all();
    while (!blocks_.empty()) free_one();
    while (!caches_.empty()) destroy();
    shrink();
    journal_.require(mm::frames::in_use() == frames_at_start_, "all is freed, and ", mm::frames::in_use(), " frames are in use; at the start there were ",
                     frames_at_start_);
    blocks_in_use = nullptr;
}

} // namespace host
