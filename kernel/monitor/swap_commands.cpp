#include "lib/format.h"
#include "mm/reclaim/reclaim.h"
#include "mm/report/reports.h"
#include "monitor/command.h"

namespace {

Result<void> show(const Words&) {
    mm::report::swap();
    return {};
}

Result<void> take(const Words& words) {
    if (!mm::reclaim::is_initialized()) return Error::Unsupported;
    print("{} frames given back\n", mm::reclaim::take_pages(TRY(words.number(0))));
    return {};
}

Result<void> limit(const Words& words) {
    if (!mm::reclaim::is_initialized()) return Error::Unsupported;
    const uint32_t pages = TRY(words.number(0));
    if (pages > 0 && pages < mm::reclaim::kLeastForPrograms) return Error::InvalidArgument;
    mm::reclaim::set_limit(pages);
    return {};
}

constexpr Command kCommands[] = {
    {"swap", "", "the swap area, the policy, and what the reclaimer did", show},
    {"swap out", "PAGES", "take so many pages out of memory now", take},
    {"swap limit", "PAGES", "let programs have so many pages of memory (16 or more; 0: all)", limit},
};

} // namespace

std::span<const Command> swap_commands() { return kCommands; }
