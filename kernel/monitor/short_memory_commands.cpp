#include <cstddef>
#include <span>

#include "config.h"
#include "lib/format.h"
#include "mm/object/commit.h"
#include "mm/reclaim/load_control.h"
#include "monitor/command.h"
#include "proc/oom.h"
#include "proc/process.h"

namespace {

namespace commit = mm::commit;
namespace load_control = mm::load_control;
namespace oom = proc::oom;

void line(const char* what, size_t figure) { print("{-32} {9}\n", what, figure); }

/// overcommit [never|heuristic|always]
Result<void> overcommit(const Words& words) {
    if (!CONFIG_PAGING) return Error::Unsupported;
    if (words.count() > 0) commit::set_policy(TRY(commit::policy_of(words.word(0))));
    const commit::Statistics account = commit::statistics();
    print("overcommit: {}\n", commit::policy_name(commit::policy()));
    line("pages promised", account.promised);
    line("  most at one time", account.most);
    line("limit, for the policy never", account.limit);
    line("  usable frames", account.usable);
    line("  reserve for the kernel", account.reserve);
    line("  slots of the swap area", account.slots);
    line("requests refused", account.refused);
    return {};
}

/// oom [choose|self]
Result<void> out_of_memory(const Words& words) {
    if (words.is(0, "choose")) oom::set_mode(oom::Mode::Choose);
    else if (words.is(0, "self")) oom::set_mode(oom::Mode::Self);
    else if (words.count() > 0) return Error::InvalidArgument;
    const oom::Counters& counts = oom::counters();
    print("without memory ends: {}\n", oom::mode() == oom::Mode::Choose ? "the process with the highest score" : "the process that asks");
    line("times without memory", counts.asked);
    line("processes killed for others", counts.killed);
    line("  frames that came back at once", counts.reaped);
    return {};
}

void show_load_of_processes() {
    print("  PID WORKING SET  SWAP-INS A MILLION  SUSPENDED NAME\n");
    proc::for_each(
        [](void*, proc::Process& process) {
            if (!process.space) return;
            const mm::LoadNotes& notes = mm::spaces::load_notes(process.space);
            print("{5} {11} {19} {4} times {} {}\n", process.pid, notes.working_set, notes.fault_rate, notes.holds,
                  static_cast<const char*>(proc::PrintableName(process).text), notes.is_held ? "(now)" : "");
        },
        nullptr);
}

/// loadcontrol [on|off]
Result<void> control_load(const Words& words) {
    if (!load_control::is_initialized()) {
        print("no load control: there is no swap area, or loadcontrol=off is on the command line\n");
        return Error::Unsupported;
    }
    if (words.is(0, "on") || words.is(0, "off")) load_control::set_on(words.is(0, "on"));
    else if (words.count() > 0) return Error::InvalidArgument;
    const load_control::Counters& counts = load_control::counters();
    print("load control: {}\n", load_control::is_on() ? "on" : "off");
    line("pages in working sets", counts.demand);
    line("  frames for them", counts.capacity);
    line("samples", counts.samples);
    line("  that found too much demand", counts.overloads);
    line("processes suspended", counts.holds);
    line("  let go on, there was room", counts.releases);
    line("  let go on, it was their turn", counts.turns);
    line("  still suspended", load_control::held);
    show_load_of_processes();
    return {};
}

constexpr Command kCommands[] = {
    {"overcommit", "[never|heuristic|always]", "the account of promised memory, and which policy keeps it", overcommit},
    {"oom", "[choose|self]", "who ends when there is no memory left", out_of_memory},
    {"loadcontrol", "[on|off]", "working sets, and who is suspended", control_load},
};

} // namespace

std::span<const Command> short_memory_commands() { return kCommands; }
