/// @file
/// What a script can do with address spaces, memory objects, checked copies and page faults. Spaces and objects have numbers that the
/// script chooses. Address spaces are the kernel's own, not a lab's piece: here the kernel itself is tested.
#include <algorithm>

#include "guest/harness.h"
#include "guest/numbered_spaces.h"
#include "lib/format.h"
#include "lib/memory.h"
#include "lib/text.h"
#include "mm/fault/copy_on_write.h"
#include "mm/fault/page_fault.h"
#include "mm/object/memory_object.h"
#include "mm/report/reports.h"
#include "mm/space/address_space.h"
#include "mm/space/user_memory.h"

namespace {

using namespace mm;
using namespace numbered_spaces;
using harness::Call;

constexpr size_t kBuffer = 16384;
HARNESS_DATA uint8_t buffer[kBuffer];

size_t pages(Call& call, size_t i) { return call.number(i); }

// Spaces.

/// space.create SPACE RANDOM
void create(Call& call) {
    const Result<AddressSpace*> made = spaces::create(call.number(1), SpaceLimits{});
    slot(call, 0) = made.value();
    call.reply(made.error(), {made.is_error() ? 0 : spaces::directory(made.value()).frame.value()});
}

void destroy(Call& call) {
    spaces::destroy(space(call, 0));
    slot(call, 0) = nullptr;
    call.reply({});
}

/// space.fork SPACE CHILD
void fork(Call& call) {
    const Result<AddressSpace*> made = spaces::fork(space(call, 0), copy_on_write::share);
    slot(call, 1) = made.value();
    call.reply(made.error(), {made.is_error() ? 0 : spaces::directory(made.value()).frame.value()});
}

/// space.activate SPACE, or "none"
void activate(Call& call) {
    spaces::activate(text_equal(call.word(0), "none") ? nullptr : space(call, 0));
    call.reply({active_directory().frame.value()});
}

/// space.limits SPACE ADDRESS_SPACE RESIDENT STACK
void limits(Call& call) {
    spaces::limits(space(call, 0)) = {.address_space = pages(call, 1), .resident = pages(call, 2), .stack = pages(call, 3)};
    call.reply({});
}

// Areas.

/// space.map SPACE, and what map_request() reads
void map(Call& call) {
    AddressSpace* const target = space(call, 0);
    const MapRequest request = map_request(call, 1);
    call.enter_piece();
    const Result<VirtAddr> begin = spaces::map(target, request);
    call.leave_piece();
    call.reply(begin.error(), {begin.value().value()});
}

/// space.unmap SPACE BEGIN PAGES
void unmap(Call& call) {
    AddressSpace* const target = space(call, 0);
    const AddressRange where = range(call, 1);
    call.enter_piece();
    const Result<void> result = spaces::unmap(target, where);
    call.leave_piece();
    call.reply(result);
}

/// space.protect SPACE BEGIN PAGES PROTECTION
void protect(Call& call) { call.reply(spaces::protect(space(call, 0), range(call, 1), protection(call, 3))); }

/// space.touch SPACE BEGIN PAGES read|write: page faults of user code at each page, as far as they are resolved. The decisions' hows,
/// counted in their order (mm/fault/decision.h), and the last outcome.
void touch(Call& call) {
    AddressSpace* const target = space(call, 0);
    const AddressRange where = range(call, 1);
    const bool write = text_equal(call.word(3), "write");
    uint32_t counts[fault::kHows + 1] = {};
    for (VirtAddr page = where.begin; page < where.end; page = page + kPageSize) {
        const auto seen = page_table::translate(spaces::directory(target), page);
        if (!seen.is_error() && (!write || seen.value().rights.access == Access::ReadWrite)) continue; // the CPU would not ask
        const FaultInfo fault{.address = page, .instruction = VirtAddr(kUserBegin), .present = !seen.is_error(), .write = write,
                              .user = true, .reserved_bit = false};
        const fault::Decision decision = fault::handle(target, fault, page);
        ++counts[static_cast<size_t>(decision.how)];
        counts[fault::kHows] = static_cast<uint32_t>(decision.outcome);
        if (decision.outcome != fault::Outcome::Resolved) break;
    }
    call.reply(counts);
}

void discard(Call& call) { call.reply(spaces::discard(space(call, 0), range(call, 1))); }
void resolve(Call& call) { call.reply(spaces::resolve_page(space(call, 0), address(call, 1))); }
void is_resident(Call& call) { call.reply({spaces::is_resident(space(call, 0), address(call, 1))}); }

void heap(Call& call) { call.reply({spaces::heap_begin(space(call, 0)).value(), spaces::heap_end(space(call, 0)).value()}); }
void place_heap(Call& call) {
    spaces::place_heap(space(call, 0), address(call, 1));
    heap(call);
}
void set_heap_end(Call& call) { call.reply(spaces::set_heap_end(space(call, 0), address(call, 1))); }

void map_stack(Call& call) {
    const Result<VirtAddr> top = spaces::map_stack(space(call, 0));
    call.reply(top.error(), {top.value().value()});
}

/// space.place_image SPACE TEXT_PAGES DATA_PAGES
void place_image(Call& call) {
    const Result<VirtAddr> place = spaces::place_image(space(call, 0), pages(call, 1), pages(call, 2));
    call.reply(place.error(), {place.value().value()});
}

/// space.layout RANDOM: where image, heap, a mapping and the stack of such a space lie.
void layout(Call& call) {
    const Result<AddressSpace*> made = spaces::create(call.number(0), SpaceLimits{.stack = 1});
    if (made.is_error()) return call.reply(made.error());
    AddressSpace* const target = made.value();
    const VirtAddr image = spaces::place_image(target, 1, 1).value();
    const VirtAddr image_end = image + 0x1000'1000;
    spaces::place_heap(target, image_end);
    const VirtAddr stack = spaces::map_stack(target).value();
    const VirtAddr mapping = spaces::map(target, {.pages = 1, .protection = {.read = true}, .hint = {}}).value();
    call.reply({image.value(), spaces::heap_begin(target).value() - image_end.value(), mapping.value(), stack.value()});
    spaces::destroy(target);
}

// Views.

/// mapped, resident, shared, page tables, areas
void statistics(Call& call) {
    const SpaceStatistics now = spaces::statistics(space(call, 0));
    call.reply({now.mapped, now.resident, now.shared, now.page_tables, now.areas});
}

void line(Call& call) { call.reply({spaces::execute_line(space(call, 0)).value()}); }
void check_invariants(Call& call) { spaces::check_invariants(space(call, 0)); }
void maps(Call& call) { report::maps(space(call, 0)); }

/// Prints each area: `area BEGIN END rights kind sharing object first`.
void list(Call& call) {
    areas::for_each(spaces::areas_of(space(call, 0)), [](void*, const Area& area) {
        print("area {x8} {x8} {} {} {} {} {}\n", area.range.begin, area.range.end,
              (area.protection.read ? 4u : 0u) + (area.protection.write ? 2u : 0u) + (area.protection.execute ? 1u : 0u),
              static_cast<uint32_t>(area.kind), static_cast<uint32_t>(area.sharing), number_of(area.object), area.first_page);
    }, nullptr);
}

// Objects.

/// A file of the tests: word i of it is SEED + i. Its last bytes are there or not, as it says.
struct TestFile {
    uint32_t seed;
    uint32_t broken_page;  ///< Reading it fails.
    uint32_t reads;
    bool released;
};
TestFile files[kObjects];

Result<size_t> read_file(void* context, uint32_t position, void* to, size_t bytes) {
    const TestFile& file = *static_cast<TestFile*>(context);
    if (position / kPageSize == file.broken_page) return Error::DeviceError;
    for (size_t i = 0; i < bytes; ++i) {
        const uint32_t word = file.seed + (position + i) / 4;
        static_cast<uint8_t*>(to)[i] = static_cast<uint8_t>(word >> (position + i) % 4 * 8);
    }
    ++static_cast<TestFile*>(context)->reads;
    return bytes;
}

void release_file(void* context) { static_cast<TestFile*>(context)->released = true; }
void name_file(void*, char* text, size_t bytes) { format_into({text, bytes}, "/test/file"); }

/// object.shared OBJECT PAGES
void create_shared(Call& call) {
    const Result<MemoryObject*> made = create_shared_memory(call.number(1));
    set_object(call, 0, made.value());
    call.reply(made.error());
}

/// object.file OBJECT BYTES SEED BROKEN_PAGE
void create_file(Call& call) {
    TestFile& file = files[call.number(0)];
    file = {.seed = call.number(2), .broken_page = call.number(3), .reads = 0, .released = false};
    const Result<MemoryObject*> made = create_file_object({&file, read_file, release_file, name_file, call.number(1)});
    set_object(call, 0, made.value());
    call.reply(made.error());
}

/// object.release OBJECT: whoever made it lets it go. The number stays, so that areas can be told apart.
void release_object(Call& call) { release(*object(call, 0)); }
void references(Call& call) { call.reply({object(call, 0)->references}); }
/// object.reads OBJECT: how often a page was read, and whether the file was released.
void reads(Call& call) { call.reply({files[call.number(0)].reads, files[call.number(0)].released}); }

// Checked copies, in the active space.

void fill_buffer(size_t bytes, uint32_t seed) {
    if (bytes > kBuffer) harness::bad_script("the buffer is too small", "");
    for (size_t i = 0; i < bytes; ++i) buffer[i] = static_cast<uint8_t>(seed + i * 7);
}

/// copy.to ADDRESS BYTES SEED
void copy_to(Call& call) {
    fill_buffer(std::min<size_t>(call.number(1), kBuffer), call.number(2));
    call.reply(copy_to_user(address(call, 0), buffer, call.number(1)));
}

/// copy.from ADDRESS BYTES: the sum of the bytes. A huge count must fail before it fills the buffer.
void copy_from(Call& call) {
    const size_t bytes = call.number(1);
    memset(buffer, 0, kBuffer);
    const Result<void> result = copy_from_user(buffer, address(call, 0), bytes);
    if (result.is_error()) return call.reply(result);
    uint32_t sum = 0;
    for (size_t i = 0; i < std::min(bytes, kBuffer); ++i) sum += buffer[i];
    call.reply({sum});
}

/// copy.text ADDRESS ROOM: its length
void copy_text(Call& call) {
    const Result<size_t> length = copy_text_from_user({reinterpret_cast<char*>(buffer), call.number(1)}, address(call, 0));
    call.reply(length.error(), {length.value()});
}

/// copy.into SPACE ADDRESS BYTES SEED
void copy_into(Call& call) {
    fill_buffer(call.number(2), call.number(3));
    call.reply(spaces::copy_into(space(call, 0), address(call, 1), buffer, call.number(2)));
}

/// copy.write ADDRESS WORD, copy.read ADDRESS
void write_word(Call& call) { call.reply(write_user(address(call, 0), call.number(1))); }
void read_word(Call& call) {
    const Result<uint32_t> word = read_user<uint32_t>(address(call, 0));
    call.reply(word.error(), {word.value()});
}

/// fault.handle SPACE ADDRESS read|write|fetch user|kernel: the decision's outcome and reason
void handle_fault(Call& call) {
    const VirtAddr at = address(call, 1);
    AddressSpace* const target = text_equal(call.word(0), "none") ? nullptr : space(call, 0);
    const FaultInfo fault{.address = at,
                          .instruction = text_equal(call.word(2), "fetch") ? at : VirtAddr(kUserBegin),
                          .present = target && at >= VirtAddr(kUserBegin) && at < VirtAddr(kUserEnd) && spaces::is_resident(target, at),
                          .write = text_equal(call.word(2), "write"),
                          .user = text_equal(call.word(3), "user"),
                          .reserved_bit = false};
    const fault::Decision decision = fault::handle(target, fault, at);
    call.reply({static_cast<uint32_t>(decision.outcome), static_cast<uint32_t>(decision.reason)});
}

/// Faults, by outcome; kernel page tables that were taken over.
void fault_statistics(Call& call) {
    const fault::Counters& now = fault::counters();
    call.reply({now.faults(), now.of(fault::Outcome::Resolved), now.of(fault::Outcome::Retry), now.of(fault::Outcome::Signal),
                now.of(fault::Outcome::OutOfMemory), now.of(fault::How::KernelTable)});
}

HARNESS_VERB("space.create", create);
HARNESS_VERB("space.destroy", destroy);
HARNESS_VERB("space.fork", fork);
HARNESS_VERB("space.activate", activate);
HARNESS_VERB("space.limits", limits);
HARNESS_VERB("space.map", map);
HARNESS_VERB("space.unmap", unmap);
HARNESS_VERB("space.protect", protect);
HARNESS_VERB("space.touch", touch);
HARNESS_VERB("space.discard", discard);
HARNESS_VERB("space.resolve", resolve);
HARNESS_VERB("space.resident", is_resident);
HARNESS_VERB("space.heap", heap);
HARNESS_VERB("space.place_heap", place_heap);
HARNESS_VERB("space.set_heap_end", set_heap_end);
HARNESS_VERB("space.stack", map_stack);
HARNESS_VERB("space.place_image", place_image);
HARNESS_VERB("space.layout", layout);
HARNESS_VERB("space.statistics", statistics);
HARNESS_VERB("space.line", line);
HARNESS_VERB("space.check", check_invariants);
HARNESS_VERB("space.maps", maps);
HARNESS_VERB("space.list", list);
HARNESS_VERB("object.shared", create_shared);
HARNESS_VERB("object.file", create_file);
HARNESS_VERB("object.release", release_object);
HARNESS_VERB("object.references", references);
HARNESS_VERB("object.reads", reads);
HARNESS_VERB("copy.to", copy_to);
HARNESS_VERB("copy.from", copy_from);
HARNESS_VERB("copy.text", copy_text);
HARNESS_VERB("copy.into", copy_into);
HARNESS_VERB("copy.write", write_word);
HARNESS_VERB("copy.read", read_word);
HARNESS_VERB("fault.handle", handle_fault);
HARNESS_VERB("fault.statistics", fault_statistics);

} // namespace
