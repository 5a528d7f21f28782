/// @file
/// What a script can do to lab 02's piece, and to the machine around it: directories and pages through the contract; memory
/// through the MMU (read, write) and past it (peek, poke); frames for the tests' own use, and a limit on how many there are.
#include "arch/cpu.h"
#include "arch/i386/probe.h"
#include "guest/harness.h"
#include "lib/text.h"
#include "mm/paging/page_table.h"
#include "mm/paging/pte.h"
#include "mm/paging/tlb.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/frames.h"

namespace {

using namespace mm;

/// "kernel", "active", or the number of the frame that holds the directory.
PageDirectory directory(harness::Call& call, size_t i) {
    if (text_equal(call.word(i), "kernel")) return kernel_directory();
    if (text_equal(call.word(i), "active")) return active_directory();
    return {FrameNumber(call.number(i))};
}

VirtAddr address(harness::Call& call, size_t i) { return VirtAddr(call.number(i)); }

/// "ro" or "rw", "kernel" or "user", and "global" or nothing, joined by "-".
Rights rights(harness::Call& call, size_t i) {
    struct Name {
        const char* word;
        Rights rights;
    };
    static constexpr Name kNames[] = {
        {"ro-kernel", {Access::ReadOnly, Privilege::Supervisor, Scope::Local}},
        {"rw-kernel", {Access::ReadWrite, Privilege::Supervisor, Scope::Local}},
        {"ro-user", {Access::ReadOnly, Privilege::User, Scope::Local}},
        {"rw-user", {Access::ReadWrite, Privilege::User, Scope::Local}},
        {"ro-kernel-global", {Access::ReadOnly, Privilege::Supervisor, Scope::Global}},
        {"rw-kernel-global", {Access::ReadWrite, Privilege::Supervisor, Scope::Global}},
        {"ro-user-global", {Access::ReadOnly, Privilege::User, Scope::Global}},
        {"rw-user-global", {Access::ReadWrite, Privilege::User, Scope::Global}},
    };
    for (const Name& name : kNames) {
        if (text_equal(call.word(i), name.word)) return name.rights;
    }
    harness::bad_script("no such rights", call.word(i));
}

PageSize page_size(harness::Call& call, size_t i) {
    if (text_equal(call.word(i), "small")) return PageSize::Small;
    if (text_equal(call.word(i), "large")) return PageSize::Large;
    harness::bad_script("no such page size", call.word(i));
}

// The piece.

void create(harness::Call& call) {
    call.enter_piece();
    const auto result = page_table::create();
    call.leave_piece();
    call.reply(result.error(), {result.value().frame.value()});
}

void destroy(harness::Call& call) {
    const PageDirectory which = directory(call, 0);
    call.enter_piece();
    const auto result = page_table::destroy(which);
    call.leave_piece();
    call.reply(result);
}

/// paging.map DIRECTORY START FRAME COUNT SIZE RIGHTS
void map(harness::Call& call) {
    const PageDirectory which = directory(call, 0);
    const VirtAddr start = address(call, 1);
    const FrameNumber first(call.number(2));
    const size_t count = call.number(3);
    const PageSize size = page_size(call, 4);
    const Rights wanted = rights(call, 5);
    call.enter_piece();
    const auto result = page_table::map(which, start, first, count, size, wanted);
    call.leave_piece();
    call.reply(result);
}

/// paging.unmap DIRECTORY START COUNT
void unmap(harness::Call& call) {
    const PageDirectory which = directory(call, 0);
    const VirtAddr start = address(call, 1);
    const size_t count = call.number(2);
    call.enter_piece();
    const auto result = page_table::unmap(which, start, count);
    call.leave_piece();
    call.reply(result);
}

/// paging.protect DIRECTORY START COUNT RIGHTS
void protect(harness::Call& call) {
    const PageDirectory which = directory(call, 0);
    const VirtAddr start = address(call, 1);
    const size_t count = call.number(2);
    const Rights wanted = rights(call, 3);
    call.enter_piece();
    const auto result = page_table::protect(which, start, count, wanted);
    call.leave_piece();
    call.reply(result);
}

/// paging.translate DIRECTORY ADDRESS: physical address, page size, and rights as bits (1 write, 2 user, 4 global).
void translate(harness::Call& call) {
    const PageDirectory which = directory(call, 0);
    const VirtAddr at = address(call, 1);
    call.enter_piece();
    const auto result = page_table::translate(which, at);
    call.leave_piece();
    if (result.is_error()) return call.reply(result.error());
    const Translation found = result.value();
    call.reply({found.address.value(), static_cast<uint32_t>(found.size),
                (found.rights.access == Access::ReadWrite ? 1u : 0u) | (found.rights.privilege == Privilege::User ? 2u : 0u) |
                    (found.rights.scope == Scope::Global ? 4u : 0u)});
}

// The machine.

/// Makes CR3 point to the directory.
void activate(harness::Call& call) {
    Cpu::load_page_directory(directory(call, 0).frame.address());
    call.reply({active_directory().frame.value()});
}

void kernel(harness::Call& call) { call.reply({kernel_directory().frame.value()}); }

/// Whether these tables let the kernel read or write at `at`. Looked up by hand: the piece is what is being tested.
bool allows(PageDirectory tables, VirtAddr at, Access access) {
    const Pde pde = frame_memory(tables.frame).as<Pde>()[at.directory_index()];
    if (!pde.is_present() || pde.rights().access < access) return false;
    if (pde.is_large_page()) return true;
    const Pte pte = frame_memory(pde.frame()).as<Pte>()[at.table_index()];
    return pte.is_present() && pte.rights().access >= access;
}

/// The word at `at` through the MMU; false if no page is there. The shared range may be new to this directory: the access itself
/// then faults, and the kernel copies the entry (mm/paging/shared_range.h).
bool try_read(VirtAddr at, uint32_t& word) {
    if (i386::try_read(at, word)) return true;
    if (at.value() < kSharedBegin || !allows(kernel_directory(), at, Access::ReadOnly)) return false;
    word = *reinterpret_cast<volatile uint32_t*>(at.value());
    return true;
}

/// Reads a word through the MMU. No page there is an answer, not a crash.
void read(harness::Call& call) {
    uint32_t word = 0;
    if (!try_read(address(call, 0), word)) return call.reply(Error::NotMapped);
    call.reply({word});
}

/// Writes a word through the MMU, where the tables allow it.
void write(harness::Call& call) {
    const VirtAddr at = address(call, 0);
    const uint32_t word = call.number(1);
    uint32_t old = 0;
    const PageDirectory tables = at.value() < kSharedBegin ? active_directory() : kernel_directory();
    if (!try_read(at, old) || !allows(tables, at, Access::ReadWrite)) return call.reply(Error::NotMapped);
    *reinterpret_cast<volatile uint32_t*>(at.value()) = word;
    call.reply({});
}

/// paging.peek FRAME OFFSET: a word of a frame, whether or not it is mapped anywhere.
void peek(harness::Call& call) {
    const FrameMemory memory = frame_memory(FrameNumber(call.number(0)));
    call.reply({memory.as<uint32_t>()[call.number(1) / sizeof(uint32_t)]});
}

/// paging.swap DIRECTORY ADDRESS SLOT: writes a swap entry into the page table, as the kernel does when a page has gone to the swap area.
/// By hand: no function of the piece makes swap entries.
void swap(harness::Call& call) {
    const PageDirectory which = directory(call, 0);
    const VirtAddr page = address(call, 1);
    const Pde pde = frame_memory(which.frame).as<Pde>()[page.directory_index()];
    if (!pde.is_table()) return call.reply(Error::NotMapped);
    frame_memory(pde.frame()).as<Pte>()[page.table_index()] = Pte::swapped(SwapSlot(call.number(2)));
    if (which == active_directory()) tlb::invalidate_page(page);
    call.reply({});
}

/// paging.poke FRAME OFFSET WORD
void poke(harness::Call& call) {
    const FrameMemory memory = frame_memory(FrameNumber(call.number(0)));
    memory.as<volatile uint32_t>()[call.number(1) / sizeof(uint32_t)] = call.number(2);
    call.reply({});
}

// Frames.

/// A frame for the test's own use.
void frame(harness::Call& call) {
    const auto result = frames::allocate(Zone::Normal, Contents::Zeroed);
    call.reply(result.error(), {result.value().value()});
}

void release(harness::Call& call) { call.reply(frames::release(FrameNumber(call.number(0)))); }

void in_use(harness::Call& call) { call.reply({frames::in_use()}); }

/// frames.limit N: N more allocations succeed; frames.limit none: as many as there are frames.
void limit(harness::Call& call) {
    if (text_equal(call.word(0), "none")) frames::fail_never();
    else frames::fail_after(call.number(0));
    call.reply({});
}

/// Takes every free frame and gives them all back: from now on each one holds what a freed frame holds.
void soil(harness::Call& call) {
    FrameNumber last;
    uint32_t count = 0;
    for (;; ++count) {
        const auto taken = frames::allocate(Zone::Normal, Contents::Unspecified);
        if (taken.is_error()) break;
        frame_memory(taken.value()).as<uint32_t>()[0] = last.value();
        last = taken.value();
    }
    for (uint32_t i = 0; i < count; ++i) {
        const FrameNumber next(frame_memory(last).as<uint32_t>()[0]);
        if (frames::release(last).is_error()) harness::bad_script("a frame that was taken cannot be given back", "");
        last = next;
    }
    call.reply({count});
}

HARNESS_VERB("paging.create", create);
HARNESS_VERB("paging.destroy", destroy);
HARNESS_VERB("paging.map", map);
HARNESS_VERB("paging.unmap", unmap);
HARNESS_VERB("paging.protect", protect);
HARNESS_VERB("paging.translate", translate);
HARNESS_VERB("paging.activate", activate);
HARNESS_VERB("paging.kernel", kernel);
HARNESS_VERB("paging.read", read);
HARNESS_VERB("paging.write", write);
HARNESS_VERB("paging.swap", swap);
HARNESS_VERB("paging.peek", peek);
HARNESS_VERB("paging.poke", poke);
HARNESS_VERB("paging.frame", frame);
HARNESS_VERB("paging.release", release);
HARNESS_VERB("paging.in_use", in_use);
HARNESS_VERB("paging.soil", soil);
HARNESS_VERB("frames.limit", limit);

} // namespace
