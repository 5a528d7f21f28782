/// @file
/// Running out of memory everywhere: `space.starve OPERATION ARGUMENT...` performs one operation on an address space with 0 allocations
/// of frames allowed, then 1, then 2, until it succeeds. After each failure the space, and the frames in use, must be as they were.
#include "guest/harness.h"
#include "guest/numbered_spaces.h"
#include "lib/text.h"
#include "mm/heap/slab.h"
#include "mm/physical/frames.h"
#include "mm/fault/copy_on_write.h"
#include "mm/fault/page_fault.h"
#include "mm/space/present_pages.h"
#include "mm/space/user_memory.h"

namespace {

using namespace mm;
using namespace numbered_spaces;
using harness::Call;

constexpr size_t kMostFailures = 5000; ///< No operation here needs so many frames.

/// Everything that a failure must not change, stirred into a few numbers.
struct Books {
    size_t frames;
    SpaceStatistics statistics;
    uint32_t heap_end;
    uint32_t areas;
    uint32_t pages;

    bool operator==(const Books& other) const {
        return frames == other.frames && statistics.mapped == other.statistics.mapped &&
               statistics.resident == other.statistics.resident && statistics.shared == other.statistics.shared &&
               heap_end == other.heap_end && areas == other.areas && pages == other.pages;
    }
};

void stir(uint32_t& sum, uint32_t word) { sum = (sum ^ word) * 0x0100'0193; } // FNV-1a by words

/// Whether the books say what may be written: a fork() that fails may leave pages read-only, which costs a fault each and nothing else.
enum class WriteRights : uint8_t { Count, Ignore };

Books books_of(const AddressSpace* target, WriteRights rights) {
    slab::shrink();
    Books books{.frames = frames::in_use(),
                .statistics = spaces::statistics(target),
                .heap_end = spaces::heap_end(target).value(),
                .areas = 0,
                .pages = 0};
    // A large page that has been split still shows the same memory, and has one more page table.
    books.frames -= books.statistics.page_tables;
    areas::for_each(spaces::areas_of(target), [](void* sum, const Area& area) {
        for (const uint32_t word : {area.range.begin.value(), area.range.end.value(), uint32_t{area.protection.read},
                                    uint32_t{area.protection.write}, uint32_t{area.protection.execute}, area.first_page})
            stir(*static_cast<uint32_t*>(sum), word);
    }, &books.areas);
    spaces::for_each_present(spaces::directory(target), {VirtAddr(kUserBegin), VirtAddr(kUserEnd)},
                             [&](const spaces::PresentPage& page) {
        for (uint32_t i = 0; i < page.pages(); ++i) {
            stir(books.pages, page.address.value() + i * kPageSize);
            stir(books.pages, page.frame.value() + i);
            if (rights == WriteRights::Count) stir(books.pages, page.rights.access == Access::ReadWrite);
            stir(books.pages, page.rights.privilege == Privilege::User);
        }
    });
    return books;
}

struct Attempt {
    Error error;
    uint32_t value;
};

template <typename T>
Attempt attempt_of(const Result<T>& result) {
    if constexpr (requires { result.value().value(); }) return {result.error(), result.value().value()};
    else return {result.error(), 0};
}

/// A page fault of user code.
Attempt fault_at(AddressSpace* target, VirtAddr at, bool write) {
    const FaultInfo fault{.address = at, .instruction = VirtAddr(kUserBegin), .present = spaces::is_resident(target, at), .write = write,
                          .user = true, .reserved_bit = false};
    const fault::Decision decision = fault::handle(target, fault, at);
    if (decision.outcome == fault::Outcome::OutOfMemory) return {Error::OutOfMemory, 0};
    return {decision.outcome == fault::Outcome::Resolved ? Error::None : Error::InvalidArgument, static_cast<uint32_t>(decision.how)};
}

Attempt attempt(Call& call) {
    const char* const operation = call.word(0);
    AddressSpace* const target = space(call, 1);
    if (text_equal(operation, "map")) return attempt_of(spaces::map(target, map_request(call, 2)));
    if (text_equal(operation, "unmap")) return attempt_of(spaces::unmap(target, range(call, 2)));
    if (text_equal(operation, "protect")) return attempt_of(spaces::protect(target, range(call, 2), protection(call, 4)));
    if (text_equal(operation, "discard")) return attempt_of(spaces::discard(target, range(call, 2)));
    if (text_equal(operation, "heap")) return attempt_of(spaces::set_heap_end(target, address(call, 2)));
    if (text_equal(operation, "stack")) return attempt_of(spaces::map_stack(target));
    if (text_equal(operation, "read")) return fault_at(target, address(call, 2), false);
    if (text_equal(operation, "write")) return fault_at(target, address(call, 2), true);
    if (text_equal(operation, "into")) return attempt_of(spaces::copy_into(target, address(call, 2), "hello", 6));
    if (text_equal(operation, "resolve")) return attempt_of(spaces::resolve_page(target, address(call, 2)));
    if (text_equal(operation, "fork")) {
        const Result<AddressSpace*> child = spaces::fork(target, copy_on_write::share);
        if (!child.is_error()) slot(call, 2) = child.value();
        return {child.error(), 0};
    }
    harness::bad_script("no such operation", operation);
}

/// Answers how often it failed, after how many failures something had changed, and the operation's value.
void starve(Call& call) {
    const AddressSpace* const target = space(call, 1);
    const WriteRights rights = text_equal(call.word(0), "fork") ? WriteRights::Ignore : WriteRights::Count;
    const Books before = books_of(target, rights);
    uint32_t changed = 0;
    for (uint32_t failures = 0; failures < kMostFailures; ++failures) {
        frames::fail_after(failures);
        const Attempt made = attempt(call);
        frames::fail_never();
        spaces::check_invariants(target);
        if (made.error == Error::None) return call.reply({failures, changed, made.value});
        if (made.error != Error::OutOfMemory) return call.reply(made.error);
        changed += !(books_of(target, rights) == before);
    }
    call.reply(Error::LimitReached);
}

HARNESS_VERB("space.starve", starve);

} // namespace
