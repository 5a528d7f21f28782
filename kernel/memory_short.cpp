#include "memory_short.h"

#include "boot_information.h"
#include "lib/format.h"
#include "lib/text.h"
#include "mm/object/commit.h"
#include "mm/reclaim/reclaim.h"
#include "mm/reclaim/swap_area.h"
#include "proc/oom.h"
#include "proc/suspension.h"

namespace {

namespace commit = mm::commit;

const char* option(const char* name) { return find_option(boot_information().command_line, name); }

/// Whether the option says `word`; without the option, whether that is what a machine that nobody plays with does.
bool is_wanted(const char* name, const char* word) {
    const char* const said = option(name);
    return said ? text_is_word(said, word) : !option("harness");
}

void choose_overcommit() {
    const char* const name = option("overcommit");
    if (!name) return commit::set_policy(option("harness") ? commit::Policy::Always : commit::Policy::Heuristic);
    const Result<commit::Policy> policy = commit::policy_of(name);
    if (policy.is_error()) print("overcommit: there are never, heuristic and always; taking heuristic\n");
    commit::set_policy(policy.is_error() ? commit::Policy::Heuristic : policy.value());
}

} // namespace

void prepare_for_short_memory() {
    const bool has_swap = mm::reclaim::is_initialized() && mm::swap_area::is_open();
    choose_overcommit();
    if (has_swap) commit::set_swap_slots(mm::swap_area::slots() - 1 - mm::swap_area::bad_slots()); // slot 0 is the header
    proc::oom::initialize();
    proc::oom::set_mode(is_wanted("oom", "choose") ? proc::oom::Mode::Choose : proc::oom::Mode::Self);
    if (has_swap && is_wanted("loadcontrol", "on")) proc::suspension::start();
}
