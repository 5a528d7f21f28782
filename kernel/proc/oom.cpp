#include "proc/oom.h"

#include <algorithm>

#include "abi/signals.h"
#include "drivers/timer.h"
#include "lib/format.h"
#include "lib/panic.h"
#include "mm/reclaim/oom.h"
#include "mm/space/address_space.h"
#include "mm/space/pager.h"
#include "proc/process.h"

namespace proc::oom {

namespace {

using mm::oom::Size;
using mm::pager::Asker;

constexpr ProcessId kInit = 1;
constexpr size_t kShown = 5;  ///< Lines of the table.
constexpr uint32_t kKilled = 1u << abi::SIGKILL;

constinit Mode in_force = Mode::Choose;
constinit Counters counts;

struct Candidate {
    Process* process = nullptr;
    Size size;
    bool is_spared = false;  ///< Chosen only when there is nobody else.
};

/// Whether `left` is the better choice.
bool comes_before(const Candidate& left, const Candidate& right) {
    if (left.is_spared != right.is_spared) return right.is_spared;
    if (left.size.score() != right.size.score()) return left.size.score() > right.size.score();
    return left.process->pid > right.process->pid;
}

bool may_be_chosen(const Process& process) {
    return process.has_user_code() && process.pid != kInit && !(process.pending_signals & kKilled);
}

/// The best choices, best first.
struct Choice {
    Candidate best[kShown];
    size_t count = 0;

    void add(const Candidate& candidate) {
        size_t at = 0;
        while (at < count && comes_before(best[at], candidate)) ++at;
        if (at == kShown) return;
        count = std::min(count + 1, kShown);
        for (size_t i = count - 1; i > at; --i) best[i] = best[i - 1];
        best[at] = candidate;
    }
};

void consider(void* context, Process& process) {
    if (!may_be_chosen(process)) return;
    const bool is_inits = process.parent && process.parent->pid == kInit;
    static_cast<Choice*>(context)->add({&process, mm::oom::size_of(process.space), is_inits});
}

void say_why(Asker asker) {
    const mm::oom::Remains left = mm::oom::remains();
    print("\nout of memory: {} of {}[{}] needs a frame; {} frames are left, and ", asker == Asker::PageFault ? "a page fault" : "a system call",
          static_cast<const char*>(PrintableName(current()).text), current().pid, left.free_frames);
    if (left.slots == 0) print("there is no swap area\n");
    else print("{} of {} swap slots\n", left.free_slots, left.slots);
}

void say_who(const Choice& choice) {
    print("    PID RESIDENT  SWAPPED   TABLES    SCORE NAME\n");
    for (size_t i = 0; i < choice.count; ++i) {
        const Candidate& candidate = choice.best[i];
        print("  {5} {8} {8} {8} {8} {}{}\n", candidate.process->pid, candidate.size.resident, candidate.size.swapped, candidate.size.page_tables,
              candidate.size.score(), static_cast<const char*>(PrintableName(*candidate.process).text), candidate.is_spared ? " (spared)" : "");
    }
}

void say(Asker asker, const Choice& choice) {
    static constinit uint32_t last = 0;
    if (counts.killed > 0 && timer_ticks() - last < kQuietTicks) return print("out of memory again: ");
    last = timer_ticks();
    say_why(asker);
    say_who(choice);
}

/// Whether a system call of `self` may have the other killed, and need not answer that there is no memory.
bool is_worth_a_victim(const Process& self, const Candidate& victim) {
    if (victim.process == &self) return false;
    return !self.has_user_code() || victim.size.score() > kMuchMore * mm::oom::size_of(self.space).score();
}

/// The other process ends; its memory is there at once.
void make_end(Process& victim) {
    KASSERT("a process that can be seen can be killed", !kill(victim.pid, abi::SIGKILL).is_error());
    const size_t frames = mm::spaces::reap(victim.space);
    ++counts.killed;
    counts.reaped += frames;
    print("{}[{}] is killed; {} frames came back at once\n", static_cast<const char*>(PrintableName(victim).text), victim.pid, frames);
}

/// The process that asks ends: at once after a fault of its own code. After one of the kernel in its name the system call fails first.
void end_self() {
    const Process& self = current();
    KASSERT("who runs can be killed", !kill(self.pid, abi::SIGKILL).is_error());
    print("{}[{}] is killed: it needs the memory itself\n", static_cast<const char*>(PrintableName(self).text), self.pid);
}

/// @return whether it is worth while to begin again
bool find_memory(Asker asker) {
    const Process& self = current();
    if (in_force == Mode::Self || (self.pending_signals & kKilled)) return false;
    ++counts.asked;
    Choice choice;
    for_each(consider, &choice);
    if (choice.count == 0) return false;
    Process& victim = *choice.best[0].process;
    const bool is_self = &victim == &self;
    if (asker == Asker::SystemCall && !is_worth_a_victim(self, choice.best[0])) return false;
    say(asker, choice);
    if (is_self) end_self();
    else make_end(victim);
    return !is_self;
}

} // namespace

void initialize() { mm::pager::set_last_resort(find_memory); }

void set_mode(Mode mode) { in_force = mode; }
Mode mode() { return in_force; }
const Counters& counters() { return counts; }

} // namespace proc::oom
