// Operations on lab 05-spaces: each function of areas.h on numbered sets, the memory behind them, and work on thousands of areas at
// once. See harness.h for the script that drives them.
//
// An area is five words everywhere: begin, end, attributes (kRead and its like), object, first page. An object is a number of the script's
// that is no address of anything: the piece compares it, and has no business behind it.
#include <cstddef>
#include <cstdint>

#include "arch/cpu.h"
#include "guest/harness.h"
#include "guest/random.h"
#include "lib/text.h"
#include "mm/heap/slab.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frames.h"
#include "mm/space/areas.h"

namespace areas_guest {
namespace {

using harness::Call;
using mm::Area;

constexpr uint32_t kRead = 1, kWrite = 2, kExecute = 4, kShared = 8, kKindShift = 4;
constexpr size_t kMaxSets = 512;
constexpr size_t kWords = 5;       ///< Of an area.
constexpr size_t kMaxShown = 24;   ///< Areas that a record holds; the digest is of all.
constexpr size_t kMaxBuckets = 64;

HARNESS_DATA mm::areas::Set* sets[kMaxSets];

/// In place of a record's first value: a visitor was called with another context than the one that came with it.
constexpr uint32_t kWrongContext = 0xC0FF'EE00;

/// What the piece shows, by visits or as an answer. It lies on the stack: opening the guest's memory for each visit would take longer than
/// the visit.
struct Shown {
    uint32_t count = 0;
    uint32_t digest = 0x811C'9DC5;
    bool has_strange_context = false;
    uint32_t words[kMaxShown * kWords];

    void note(const Area& area);
    void reply(Call& call, uint32_t first) const;
};
HARNESS_DATA Shown* showing;  ///< Where visit() notes what it is shown.

/// A visitor that reads the set in the middle of a change, as it may: see areas.nosy.
struct Nosy {
    mm::areas::Set* set;  ///< null: it reads nothing
    uint32_t address;
    uint32_t calls;
    uint32_t found;       ///< Calls in which find() knew the area at `address`, and for_each() showed a list in order.
};
HARNESS_DATA Nosy nosy;

HARNESS_DATA Call* active;

/// Calls the piece.
template <typename Work>
auto inside(Call& call, Work work) {
    active = &call;
    call.enter_piece();
    auto result = work();
    call.leave_piece();
    active = nullptr;
    return result;
}

/// While it lives, the guest works in the middle of the piece.
class Outside {
public:
    Outside() { active->leave_piece(); }
    ~Outside() { active->enter_piece(); }
    Outside(const Outside&) = delete;
    Outside& operator=(const Outside&) = delete;
};

// Arguments and answers

mm::areas::Set* set_argument(Call& call) {
    const uint32_t slot = call.number(0);
    if (slot >= kMaxSets || !sets[slot]) harness::bad_script("no such set", call.word(0));
    return sets[slot];
}

mm::AddressRange range_argument(Call& call, size_t i) { return {VirtAddr(call.number(i)), VirtAddr(call.number(i + 1))}; }

mm::Protection protection(uint32_t attributes) {
    return {(attributes & kRead) != 0, (attributes & kWrite) != 0, (attributes & kExecute) != 0};
}

Area make_area(mm::AddressRange range, uint32_t attributes, uint32_t object = 0, uint32_t first_page = 0) {
    return {.range = range,
            .protection = protection(attributes),
            .kind = mm::AreaKind((attributes >> kKindShift) & 3),
            .sharing = (attributes & kShared) != 0 ? mm::Sharing::Shared : mm::Sharing::Private,
            .object = reinterpret_cast<mm::MemoryObject*>(object),
            .first_page = first_page};
}

uint32_t attributes_of(const Area& area) {
    return (area.protection.read ? kRead : 0) | (area.protection.write ? kWrite : 0) | (area.protection.execute ? kExecute : 0) |
           (area.sharing == mm::Sharing::Shared ? kShared : 0) | static_cast<uint32_t>(area.kind) << kKindShift;
}

/// Notes an area, and stirs it into the digest (Fowler, Noll and Vo's way, word by word).
void Shown::note(const Area& area) {
    const uint32_t of_area[kWords] = {area.range.begin.value(), area.range.end.value(), attributes_of(area),
                                      reinterpret_cast<uint32_t>(area.object), area.first_page};
    for (size_t i = 0; i < kWords; ++i) {
        digest = (digest ^ of_area[i]) * 0x0100'0193;
        if (count < kMaxShown) words[count * kWords + i] = of_area[i];
    }
    ++count;
}

/// A record: `first`, how many areas, the digest of all, then the first ones word by word.
void Shown::reply(Call& call, uint32_t first) const {
    uint32_t values[3 + kMaxShown * kWords] = {has_strange_context ? kWrongContext : first, count, digest};
    const size_t known = kWords * (count < kMaxShown ? count : kMaxShown);
    for (size_t i = 0; i < known; ++i) values[3 + i] = words[i];
    call.reply(std::span<const uint32_t>(values, 3 + known));
}

struct Order {
    VirtAddr last;
    bool is_right;
    size_t count;
};

void check_order(void* context, const Area& area) {
    Order& order = *static_cast<Order*>(context);
    if (area.range.begin < order.last || area.range.end <= area.range.begin) order.is_right = false;
    order.last = area.range.end;
    ++order.count;
}

/// Reads the set from inside a visit: it runs as a part of the piece, and so may not write to the guest's memory.
bool reads_well(mm::areas::Set* set, uint32_t address) {
    Order order{VirtAddr(0), true, 0};
    mm::areas::for_each(set, check_order, &order);
    const Area* const area = mm::areas::find(set, VirtAddr(address));
    const Area* const next = mm::areas::find_from(set, VirtAddr(address));
    return order.is_right && area && area == next && area->range.contains(VirtAddr(address)) &&
           mm::areas::count(set) == order.count;
}

void visit(void* context, const Area& area) {
    if (context != showing) showing->has_strange_context = true;
    showing->note(area);
    if (!nosy.set) return;
    const bool well = reads_well(nosy.set, nosy.address);
    const Outside outside;
    ++nosy.calls;
    if (well) ++nosy.found;
}

/// Calls the piece with a visitor that notes what it is shown.
template <typename Work>
auto watching(Call& call, Shown& shown, Work work) {
    showing = &shown;
    return inside(call, work);
}

void reply_area(Call& call, const Area* area) {
    Shown shown;
    if (area) shown.note(*area);
    shown.reply(call, shown.count);
}

// One function of the piece each

/// areas.create SLOT
void create(Call& call) {
    const uint32_t slot = call.number(0);
    if (slot >= kMaxSets || sets[slot]) harness::bad_script("the slot is taken, or none", call.word(0));
    const auto made = inside(call, [] { return mm::areas::create(); });
    if (!made.is_error()) sets[slot] = made.value();
    call.reply(made.error(), {made.is_error() ? 0 : reinterpret_cast<uint32_t>(made.value())});
}

/// areas.destroy SLOT; nothing happens when create() has failed, as it was meant to
void destroy(Call& call) {
    const uint32_t slot = call.number(0);
    if (slot >= kMaxSets) harness::bad_script("no such slot", call.word(0));
    mm::areas::Set* const set = sets[slot];
    if (!set) return call.reply(Error::NotAllocated);
    sets[slot] = nullptr;
    inside(call, [=] { return mm::areas::destroy(set), 0; });
}

/// areas.create_row FIRST COUNT -> how many were created in the slots from FIRST on, the error that ended it
void create_row(Call& call) {
    const uint32_t first = call.number(0), count = call.number(1);
    if (first + count > kMaxSets) harness::bad_script("no such slots", call.word(1));
    uint32_t done = 0;
    Error error = Error::None;
    for (; done < count; ++done) {
        const auto made = inside(call, [] { return mm::areas::create(); });
        error = made.error();
        if (made.is_error()) break;
        sets[first + done] = made.value();
    }
    call.reply({done, static_cast<uint32_t>(error)});
}

/// areas.destroy_row FIRST COUNT -> how many there were to destroy
void destroy_row(Call& call) {
    const uint32_t first = call.number(0), count = call.number(1);
    if (first + count > kMaxSets) harness::bad_script("no such slots", call.word(1));
    uint32_t done = 0;
    for (uint32_t slot = first; slot < first + count; ++slot) {
        mm::areas::Set* const set = sets[slot];
        if (!set) continue;
        sets[slot] = nullptr;
        inside(call, [=] { return mm::areas::destroy(set), 0; });
        ++done;
    }
    call.reply({done});
}

/// areas.insert SLOT BEGIN END ATTRIBUTES OBJECT FIRST-PAGE
void insert(Call& call) {
    mm::areas::Set* const set = set_argument(call);
    const Area area = make_area(range_argument(call, 1), call.number(3), call.number(4), call.number(5));
    call.reply(inside(call, [&] { return mm::areas::insert(set, area); }));
}

/// areas.remove SLOT BEGIN END [silent] -> 0, then the parts shown; `silent` passes no visitor
void remove(Call& call) {
    mm::areas::Set* const set = set_argument(call);
    const auto range = range_argument(call, 1);
    const mm::areas::Visit visitor = call.count() > 3 ? nullptr : visit;
    Shown shown;
    const auto done = watching(call, shown, [&] { return mm::areas::remove(set, range, visitor, &shown); });
    if (done.is_error() && shown.count == 0) return call.reply(done.error());
    shown.reply(call, static_cast<uint32_t>(done.error()));
}

/// areas.protect SLOT BEGIN END ATTRIBUTES [silent] -> as areas.remove
void protect(Call& call) {
    mm::areas::Set* const set = set_argument(call);
    const auto range = range_argument(call, 1);
    const auto rights = protection(call.number(3));
    const mm::areas::Visit visitor = call.count() > 4 ? nullptr : visit;
    Shown shown;
    const auto done = watching(call, shown, [&] { return mm::areas::protect(set, range, rights, visitor, &shown); });
    if (done.is_error() && shown.count == 0) return call.reply(done.error());
    shown.reply(call, static_cast<uint32_t>(done.error()));
}

/// areas.find SLOT ADDRESS -> 0 or 1, then the area
void find(Call& call) {
    const mm::areas::Set* const set = set_argument(call);
    const VirtAddr address(call.number(1));
    reply_area(call, inside(call, [=] { return mm::areas::find(set, address); }));
}

/// areas.find_from SLOT ADDRESS -> 0 or 1, then the area
void find_from(Call& call) {
    const mm::areas::Set* const set = set_argument(call);
    const VirtAddr address(call.number(1));
    reply_area(call, inside(call, [=] { return mm::areas::find_from(set, address); }));
}

/// SLOT PAGES ALIGNMENT WINDOW-BEGIN WINDOW-END HINT RANDOM GUARD-PAGES
mm::areas::Placement placement_argument(Call& call) {
    return {.pages = call.number(1),
            .alignment = call.number(2),
            .window = range_argument(call, 3),
            .hint = VirtAddr(call.number(5)),
            .random = call.number(6),
            .guard_pages = call.number(7)};
}

/// areas.place (see placement_argument) -> begin
void place(Call& call) {
    const mm::areas::Set* const set = set_argument(call);
    const auto placement = placement_argument(call);
    const auto begin = inside(call, [&] { return mm::areas::place(set, placement); });
    call.reply(begin.error(), {begin.value().value()});
}

/// areas.list SLOT -> count(), then what for_each() shows
void list(Call& call) {
    const mm::areas::Set* const set = set_argument(call);
    Shown shown;
    const size_t count = watching(call, shown, [&] { return mm::areas::for_each(set, visit, &shown), mm::areas::count(set); });
    shown.reply(call, count);
}

/// areas.nosy SLOT ADDRESS, or areas.nosy off -> calls of visitors that have read the set since the last such line, and in how many of
/// them it read well
void make_nosy(Call& call) {
    const uint32_t calls = nosy.calls, found = nosy.found;
    nosy = {};
    if (!text_equal(call.word(0), "off")) nosy = {set_argument(call), call.number(1), 0, 0};
    call.reply({calls, found});
}

// Memory

/// areas.memory -> objects of the heap in use, frames in use once the heap keeps none that it does not need
void memory(Call& call) {
    mm::slab::shrink();
    mm::vmalloc::purge();
    uint32_t objects = 0;
    mm::slab::for_each_cache([](void* sum, const mm::slab::Statistics& cache) { *static_cast<uint32_t*>(sum) += cache.in_use; }, &objects);
    call.reply({objects, mm::frames::in_use()});
}

// Thousands of areas

/// Areas of `pages` pages at equal distances.
struct Row {
    uint32_t begin;
    uint32_t count;
    uint32_t pages;
    uint32_t distance;  ///< In pages.

    mm::AddressRange range(uint32_t i) const {
        const VirtAddr at(begin + i * distance * kPageSize);
        return {at, at + pages * kPageSize};
    }
};

/// SLOT BEGIN COUNT PAGES DISTANCE
Row row_argument(Call& call) { return {call.number(1), call.number(2), call.number(3), call.number(4)}; }

/// Which area of the row comes as number i.
uint32_t in_order(const char* order, uint32_t i, uint32_t count) {
    if (text_equal(order, "ascending")) return i;
    if (text_equal(order, "descending")) return count - 1 - i;
    if (!text_equal(order, "scattered")) harness::bad_script("no such order", order);
    return static_cast<uint32_t>(uint64_t{i} * 0x9E37'79B1 % count); // a prime: each comes once
}

/// areas.build (row) ATTRIBUTES ORDER -> how many were inserted, the error that ended it
void build(Call& call) {
    mm::areas::Set* const set = set_argument(call);
    const Row row = row_argument(call);
    const uint32_t attributes = call.number(5);
    const char* const order = call.word(6);
    uint32_t done = 0;
    Error error = Error::None;
    inside(call, [&] {
        for (; done < row.count && error == Error::None; done += error == Error::None) {
            const Area area = make_area(row.range(in_order(order, done, row.count)), attributes);
            error = mm::areas::insert(set, area).error();
        }
        return 0;
    });
    call.reply({done, static_cast<uint32_t>(error)});
}

/// A visitor that only counts.
void count_part(void* parts, const Area&) { ++*static_cast<uint32_t*>(parts); }

/// areas.clear (row) ORDER -> how many of the row's areas remove() took out one by one
void clear(Call& call) {
    mm::areas::Set* const set = set_argument(call);
    const Row row = row_argument(call);
    const char* const order = call.word(5);
    uint32_t done = 0;
    inside(call, [&] {
        for (uint32_t i = 0; i < row.count; ++i) {
            uint32_t parts = 0;
            const auto removed = mm::areas::remove(set, row.range(in_order(order, i, row.count)), count_part, &parts);
            if (!removed.is_error() && parts == 1) ++done;
        }
        return 0;
    });
    call.reply({done});
}

/// Ticks of `work`, and of a look at the clock.
template <typename Work>
uint32_t ticks_of(Work work) {
    const uint64_t before = Cpu::ticks();
    work();
    return static_cast<uint32_t>(Cpu::ticks() - before);
}

/// areas.cost (row) PROBES SEED -> ticks of that many find(), insert() and remove() in the row, and how many went wrong. The row's areas
/// are at least three pages apart, and areas of one page come and go in between.
void cost(Call& call) {
    mm::areas::Set* const set = set_argument(call);
    const Row row = row_argument(call);
    const uint32_t probes = call.number(5);
    harness::Random random(call.number(6));
    uint32_t find_ticks = 0, insert_ticks = 0, remove_ticks = 0, wrong = 0;
    inside(call, [&] {
        for (uint32_t i = 0; i < probes; ++i) {
            const auto range = row.range(random.below(row.count));
            const VirtAddr wanted = range.begin + random.below(row.pages * kPageSize);
            const Area area = make_area({range.end + kPageSize, range.end + 2 * kPageSize}, kRead);
            const Area* found = nullptr;
            Error inserted = Error::None, removed = Error::None;
            find_ticks += ticks_of([&] { found = mm::areas::find(set, wanted); });
            if (!found || found->range != range) ++wrong;
            insert_ticks += ticks_of([&] { inserted = mm::areas::insert(set, area).error(); });
            remove_ticks += ticks_of([&] { removed = mm::areas::remove(set, area.range, nullptr, nullptr).error(); });
            if (inserted != Error::None || removed != Error::None) ++wrong;
        }
        return 0;
    });
    call.reply({find_ticks, insert_ticks, remove_ticks, wrong});
}

/// areas.scatter SLOT PAGES ALIGNMENT WINDOW-BEGIN WINDOW-END SEED COUNT GUARD-PAGES BUCKETS -> in how many of COUNT calls place() failed or
/// left the window; then how many begins lie in each of BUCKETS equal parts of the window. SEED makes the random numbers.
void scatter(Call& call) {
    const mm::areas::Set* const set = set_argument(call);
    auto placement = placement_argument(call);
    const uint32_t count = call.number(6), buckets = call.number(8);
    harness::Random random(call.number(5));
    if (buckets == 0 || buckets > kMaxBuckets) harness::bad_script("too many buckets", call.word(8));
    uint32_t values[1 + kMaxBuckets] = {};
    const uint32_t size = (placement.window.end.value() - placement.window.begin.value()) / buckets;
    placement.hint = VirtAddr(0);
    inside(call, [&] {
        for (uint32_t i = 0; i < count; ++i) {
            placement.random = random.next();
            const auto begin = mm::areas::place(set, placement);
            const uint32_t bucket = (begin.value().value() - placement.window.begin.value()) / size;
            ++values[begin.is_error() || bucket >= buckets ? 0 : 1 + bucket];
        }
        return 0;
    });
    call.reply(std::span<const uint32_t>(values, 1 + buckets));
}

HARNESS_VERB("areas.create", create);
HARNESS_VERB("areas.destroy", destroy);
HARNESS_VERB("areas.create_row", create_row);
HARNESS_VERB("areas.destroy_row", destroy_row);
HARNESS_VERB("areas.insert", insert);
HARNESS_VERB("areas.remove", remove);
HARNESS_VERB("areas.protect", protect);
HARNESS_VERB("areas.find", find);
HARNESS_VERB("areas.find_from", find_from);
HARNESS_VERB("areas.place", place);
HARNESS_VERB("areas.list", list);
HARNESS_VERB("areas.nosy", make_nosy);
HARNESS_VERB("areas.memory", memory);
HARNESS_VERB("areas.build", build);
HARNESS_VERB("areas.clear", clear);
HARNESS_VERB("areas.cost", cost);
HARNESS_VERB("areas.scatter", scatter);

} // namespace
} // namespace areas_guest
