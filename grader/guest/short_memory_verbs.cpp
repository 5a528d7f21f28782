// The account of promises, the choice when there is no memory left, and load control, as scripts see them. For the project's own tests.
#include "guest/harness.h"
#include "guest/numbered_spaces.h"
#include "mm/object/commit.h"
#include "mm/reclaim/load_control.h"
#include "mm/reclaim/oom.h"
#include "proc/oom.h"

namespace {

using harness::Call;
using namespace mm;

/// commit.policy never|heuristic|always
void policy(Call& call) {
    const Result<commit::Policy> wanted = commit::policy_of(call.word(0));
    if (wanted.is_error()) harness::bad_script("no such policy", call.word(0));
    commit::set_policy(wanted.value());
}

/// promised, most, limit, usable, reserve, slots, refused; and whether areas and shared memory add up to it, else the kernel panics
void account(Call& call) {
    spaces::check_promises();
    const commit::Statistics now = commit::statistics();
    call.reply({now.promised, now.most, now.limit, now.usable, now.reserve, now.slots, now.refused});
}

/// What one space was promised.
void promised(Call& call) { call.reply({spaces::statistics(numbered_spaces::space(call, 0)).promised}); }

/// oom.counters: asked, killed, frames reaped, frames at hand
void oom_counters(Call& call) {
    const proc::oom::Counters& now = proc::oom::counters();
    call.reply({now.asked, now.killed, now.reaped, oom::remains().free_frames});
}

/// load.counters: samples, overloads, holds, releases, turns, held, demand, capacity
void load_counters(Call& call) {
    const load_control::Counters& now = load_control::counters();
    call.reply({now.samples, now.overloads, now.holds, now.releases, now.turns, load_control::held, now.demand, now.capacity});
}

HARNESS_VERB("commit.policy", policy);
HARNESS_VERB("commit.account", account);
HARNESS_VERB("commit.promised", promised);
HARNESS_VERB("oom.counters", oom_counters);
HARNESS_VERB("load.counters", load_counters);

} // namespace
