#include "arch/cpu.h"
#include "config.h"
#include "lib/format.h"
#include "mm/paging/page_table.h"
#include "mm/report/reports.h"
#include "monitor/command.h"

namespace {

Result<void> show_memory_map(const Words&) {
    mm::report::memory_map();
    return {};
}

/// Page tables need paging.
Result<void> check_paging() {
    if (CONFIG_PAGING) return {};
    print("This kernel was built without CONFIG_PAGING: every address is a physical one.\n");
    return Error::Unsupported;
}

Result<void> show_page_tables(const Words& words) {
    TRY(check_paging());
    if (words.count() == 0)
        mm::report::page_tables(mm::active_directory());
    else
        mm::report::walk(mm::active_directory(), VirtAddr(TRY(words.number(0))));
    return {};
}

Result<void> translate(const Words& words) {
    TRY(check_paging());
    const VirtAddr address(TRY(words.number(0)));
    const mm::Translation found = TRY(mm::page_table::translate(mm::active_directory(), address));
    print("{x8} -> {x8}  page of {} KiB, {}, {}{}\n", address, found.address, static_cast<uint32_t>(found.size) / 1024,
          found.rights.access == mm::Access::ReadWrite ? "writable" : "read-only",
          found.rights.privilege == mm::Privilege::User ? "user" : "kernel only",
          found.rights.scope == mm::Scope::Global ? ", global" : "");
    return {};
}

/// Pages of the user range are the user's and local, those of the shared range the kernel's and global.
mm::Rights usual_rights(VirtAddr address, mm::Access access) {
    const bool user = address.value() < mm::kUserEnd;
    return {access, user ? mm::Privilege::User : mm::Privilege::Supervisor, user ? mm::Scope::Local : mm::Scope::Global};
}

Result<void> map(const Words& words) {
    TRY(check_paging());
    const VirtAddr address(TRY(words.number(0)));
    const FrameNumber frame(TRY(words.number(1)));
    if (words.count() > 2 && !words.is(2, "rw") && !words.is(2, "ro")) return Error::InvalidArgument;
    const auto access = words.is(2, "ro") ? mm::Access::ReadOnly : mm::Access::ReadWrite;
    TRY(mm::page_table::map(mm::active_directory(), address, frame, 1, mm::PageSize::Small, usual_rights(address, access)));
    mm::report::walk(mm::active_directory(), address);
    return {};
}

Result<void> unmap(const Words& words) {
    TRY(check_paging());
    const VirtAddr address(TRY(words.number(0)));
    TRY(mm::page_table::unmap(mm::active_directory(), address, 1));
    mm::report::walk(mm::active_directory(), address);
    return {};
}

Result<void> read_memory(const Words& words) {
    const VirtAddr address(TRY(words.number(0)));
    uint32_t word;
    if (!Cpu::try_read(address, word)) return Error::NotMapped;
    print("{x8}: {x8}\n", address, word);
    return {};
}

/// Not probed: a page fault here is a lesson, too.
Result<void> write_memory(const Words& words) {
    const uint32_t address = TRY(words.number(0));
    const uint32_t word = TRY(words.number(1));
    *reinterpret_cast<volatile uint32_t*>(address) = word;
    return {};
}

constexpr Command kCommands[] = {
    {"memmap", "", "the memory map and what is reserved of it", show_memory_map},
    {"pagetables", "[ADDRESS]", "all pages, or the walk for one address", show_page_tables},
    {"translate", "ADDRESS", "the physical address behind a virtual one", translate},
    {"map", "ADDRESS FRAME [rw|ro]", "map a page", map},
    {"unmap", "ADDRESS", "unmap a page", unmap},
    {"read", "ADDRESS", "the word at a virtual address", read_memory},
    {"write", "ADDRESS WORD", "change it; a page fault if it must not be", write_memory},
};

} // namespace

std::span<const Command> memory_commands() { return kCommands; }
