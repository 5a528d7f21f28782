// Running user programs from a script. See harness.h for the script, and grader/labs/programs.py for the host's side.
//
// What programs print does not go to the serial line: it is kept on the guest's protected pages, and the record of the operation that
// ran them carries it as words, four bytes each, so no text can look like a record. A program that asks for it (grader/programs/debug.h)
// stops the machine at a checkpoint, where the host finds what the kernel says about the process in programs_guest::view.
//
// While programs run the piece may run at any time, so its clock runs and the guest's memory is closed; what the kernel calls back into
// the guest opens it and closes it again.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "guest/family_view.h"
#include "guest/harness.h"
#include "guest/program_view.h"
#include "guest/swap_view.h"
#include "lib/format.h"
#include "lib/memory.h"
#include "lib/text.h"
#include "fs/volume.h"
#include "mm/heap/slab.h"
#include "mm/paging/kernel_stacks.h"
#include "mm/paging/tlb.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frames.h"
#include "mm/space/swap_services.h"
#include "mm/space/user_memory.h"
#include "proc/calls/calls.h"
#include "proc/console.h"
#include "proc/process.h"
#include "proc/program.h"
#include "proc/scheduler.h"
#include "proc/system_calls.h"
#include "programs/debug_calls.h"
#include "swap_device.h"

namespace programs_guest {
namespace {

using harness::Call;

constexpr size_t kMaxOutput = 16 * 1024;
constexpr size_t kMaxCheckpointName = 32;

HARNESS_DATA char output[kMaxOutput];  ///< What programs have printed since the last record.
HARNESS_DATA uint32_t output_bytes;    ///< All of it; the first kMaxOutput bytes are kept.
HARNESS_DATA Call* running;            ///< The operation that lets programs run.
HARNESS_DATA char checkpoint_name[kMaxCheckpointName];

/// Words for one record.
uint32_t record[4 + kMaxOutput / sizeof(uint32_t)];

/// The kernel has called the guest: stops the piece's clock and opens the guest's memory, until the end of the block.
class Interruption {
public:
    Interruption() : call_(running) {
        if (call_) call_->leave_piece();
    }
    ~Interruption() {
        if (call_) call_->enter_piece();
    }
    Interruption(const Interruption&) = delete;
    Interruption& operator=(const Interruption&) = delete;

private:
    Call* call_;
};

void collect(const char* text, size_t bytes) {
    const Interruption interruption;
    const size_t room = output_bytes < kMaxOutput ? kMaxOutput - output_bytes : 0;
    memcpy(output + output_bytes, text, std::min(bytes, room));
    output_bytes += bytes;
}

/// A word of printable characters.
bool is_name(const char* name) {
    if (!*name) return false;
    for (; *name; ++name) {
        if (*name <= ' ' || *name > '~') return false;
    }
    return true;
}

Result<uint32_t> reach_checkpoint(VirtAddr name) {
    const Interruption interruption;
    TRY(mm::copy_text_from_user(checkpoint_name, name));
    if (!is_name(checkpoint_name)) return Error::InvalidArgument;
    look_at(proc::current());
    look_at_family();
    look_at_swap(*running);
    harness_checkpoint(checkpoint_name);
    return uint32_t{0};
}

/// Frames in use when the heap holds none that it could give back.
uint32_t frames_without_caches() {
    mm::frames::fail_never();
    mm::slab::shrink();
    mm::vmalloc::purge();
    return mm::frames::in_use();
}

/// No optimiser makes a loop of this: what the call returned is still needed.
[[gnu::noinline]] uint32_t fill_stack(uint32_t depth) {
    volatile uint32_t local[16] = {depth};
    return depth < UINT32_MAX ? fill_stack(depth + 1) + local[0] : depth;
}

/// A system call that can have so many frames and no more, and what it returned. Its own arguments follow the number of frames.
Result<uint32_t> starved(proc::system_calls::Handler call, const proc::system_calls::Arguments& arguments) {
    proc::system_calls::Arguments own = arguments;
    own.registers.ebx = arguments[2];
    own.registers.ecx = arguments[3];
    mm::frames::fail_after(arguments[1]);
    const Result<uint32_t> result = call(own);
    mm::frames::fail_never();
    return result;
}

void forget_translations(VirtAddr begin, uint32_t pages) {
    if (pages == kEverything) return mm::tlb::flush();
    for (uint32_t i = 0; i < pages; ++i) mm::tlb::invalidate_page(begin + i * kPageSize);
}

Result<uint32_t> fail_swap_of(VirtAddr page) {
    const mm::SwapSlot slot = mm::spaces::swap_entry(proc::current().space, page);
    if (slot == mm::SwapSlot(0)) return Error::NotFound;
    char rule[20];
    format_into(rule, "slot:{}", slot.value());
    TRY(set_swap_faults(rule));
    return uint32_t{0};
}

/// abi::SystemCall::Debug.
Result<uint32_t> debug(const proc::system_calls::Arguments& arguments) {
    switch (static_cast<DebugCall>(arguments[0])) {
    case DebugCall::Checkpoint: return reach_checkpoint(VirtAddr(arguments[1]));
    case DebugCall::FramesInUse: return static_cast<uint32_t>(mm::frames::in_use());
    case DebugCall::CheckInvariants: mm::spaces::check_invariants(proc::current().space); return uint32_t{0};
    case DebugCall::FailAfter: mm::frames::fail_after(arguments[1]); return uint32_t{0};
    case DebugCall::FailNever: return frames_without_caches();
    case DebugCall::StarvedFork: return starved(proc::calls::fork, arguments);
    case DebugCall::StarvedExec: return starved(proc::calls::execute, arguments);
    case DebugCall::ForgetTranslations:
        forget_translations(VirtAddr(arguments[1]), arguments[2]);
        return uint32_t{0};
    case DebugCall::OverflowStack: return fill_stack(0);
    case DebugCall::FailSwapOf: return fail_swap_of(VirtAddr(align_down(arguments[1], kPageSize)));
    case DebugCall::HealSwap: TRY(set_swap_faults("")); return uint32_t{0};
    }
    return Error::InvalidArgument;
}

/// From here to the end of the block programs may run.
class Running {
public:
    explicit Running(Call& call) : call_(call) {
        proc::console::set_sink(collect);
        proc::system_calls::set_debug_handler(debug);
        running = &call;
        call.enter_piece();
    }
    ~Running() {
        call_.leave_piece();
        running = nullptr;
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

private:
    Call& call_;
};

/// Sends `head`, how many bytes were printed, and the text.
void reply_with_output(Call& call, std::span<const uint32_t> head) {
    uint32_t* at = std::copy(head.begin(), head.end(), record);
    *at++ = output_bytes;
    const size_t kept = std::min<size_t>(output_bytes, kMaxOutput);
    const size_t words = (kept + sizeof(uint32_t) - 1) / sizeof(uint32_t);
    if (words > 0) at[words - 1] = 0;
    memcpy(at, output, kept);
    output_bytes = 0;
    call.reply(std::span<const uint32_t>(record, head.size() + 1 + words));
}

void reply_with_text(Call& call, const char* text, size_t bytes) {
    record[0] = bytes;
    const size_t words = (bytes + sizeof(uint32_t) - 1) / sizeof(uint32_t);
    if (words > 0) record[words] = 0;
    memcpy(record + 1, text, bytes);
    call.reply(std::span<const uint32_t>(record, 1 + words));
}

/// Arguments of the script become arguments of a program; `$7` becomes a number.
struct Arguments {
    const char* texts[proc::kMaxArguments + 1];  // one too many may be asked for
    char numbers[proc::kMaxArguments + 1][12];
    char path[fs::kMaxPath];
    size_t count = 0;

    Arguments(Call& call) {
        if (call.count() > proc::kMaxArguments + 1) harness::bad_script("too many arguments for a program", call.word(0));
        for (; count < call.count(); ++count) {
            const char* const word = call.word(count);
            texts[count] = word;
            if (word[0] != '$') continue;
            format_into(numbers[count], "{x}", call.number(count));
            texts[count] = numbers[count];
        }
        format_into(path, "{}{}", call.word(0)[0] == '/' ? "" : "/bin/", call.word(0));
    }
    std::span<const char* const> span() const { return {texts, count}; }
};

proc::Process& process(Call& call, size_t argument) {
    proc::Process* const found = proc::find(call.number(argument));
    if (!found || !found->has_user_code()) harness::bad_script("no process with user code", call.word(argument));
    return *found;
}

/// program.run NAME ARGUMENT... -> pid, wait status, bytes of output, output
void run(Call& call) {
    const Arguments arguments(call);
    Result<proc::Ended> ended = Error::None;
    {
        const Running section(call);
        const Result<proc::ProcessId> pid = proc::spawn(arguments.path, arguments.span());
        ended = pid.is_error() ? Result<proc::Ended>(pid.error()) : proc::wait(pid.value());
    }
    if (ended.is_error()) return call.reply(ended.error());
    const uint32_t head[] = {ended.value().pid, ended.value().wait_status};
    reply_with_output(call, head);
}

/// program.start NAME ARGUMENT... -> pid. It runs when a later operation lets it.
void start(Call& call) {
    const Arguments arguments(call);
    Result<proc::ProcessId> pid = Error::None;
    {
        const Running section(call);
        pid = proc::spawn(arguments.path, arguments.span());
    }
    if (pid.is_error()) return call.reply(pid.error());
    call.reply({pid.value()});
}

/// program.starve NAME ARGUMENT... -> attempts, those that left frames behind, those that failed for another reason than memory.
/// Starts a program with no frame to be had, then with one, and so on until it starts; then waits for its end.
void starve(Call& call) {
    const Arguments arguments(call);
    uint32_t attempts = 0, leaks = 0, strange = 0;
    for (bool is_done = false; !is_done; ++attempts) {
        const uint32_t before = frames_without_caches();
        const Running section(call);
        mm::frames::fail_after(attempts);
        const Result<proc::ProcessId> pid = proc::spawn(arguments.path, arguments.span());
        mm::frames::fail_never();
        is_done = !pid.is_error() && !proc::wait(pid.value()).is_error();
        if (pid.is_error() && pid.error() != Error::OutOfMemory) ++strange;
        if (frames_without_caches() != before) ++leaks;
    }
    call.reply({attempts, leaks, strange});
}

/// program.wait PID -> pid, wait status, bytes of output, output (everybody's)
void wait(Call& call) {
    const proc::ProcessId pid = call.number(0);
    Result<proc::Ended> ended = Error::None;
    {
        const Running section(call);
        ended = proc::wait(pid);
    }
    if (ended.is_error()) return call.reply(ended.error());
    const uint32_t head[] = {ended.value().pid, ended.value().wait_status};
    reply_with_output(call, head);
}

/// program.yield TIMES -> bytes of output, output. Everybody who is ready runs, so many times.
void yield(Call& call) {
    const uint32_t times = call.number(0);
    {
        const Running section(call);
        for (uint32_t i = 0; i < times; ++i) proc::scheduler::yield();
    }
    reply_with_output(call, {});
}

/// program.stacks: the most bytes that a process's kernel stack has been used for, and what each has.
void stacks(Call& call) {
    call.reply({static_cast<uint32_t>(mm::kernel_stacks::deepest_use()), mm::kernel_stacks::kPages * kPageSize});
}

/// program.kill PID SIGNAL
void kill(Call& call) { call.reply(proc::kill(call.number(0), static_cast<int>(call.number(1)))); }

/// program.load PATH -> Error, ProgramFault. Reads a program and forgets it again.
void load(Call& call) {
    static const char* const arguments[] = {"loaded"};
    proc::ProgramFault fault = proc::ProgramFault::None;
    const Result<fs::Node*> node = fs::open(call.word(0));
    if (node.is_error()) return call.reply(node.error());
    call.enter_piece();
    const auto loaded = proc::load_program(*node.value(), arguments, 0, {}, &fault);
    if (!loaded.is_error()) mm::spaces::destroy(loaded.value().space);
    call.leave_piece();
    fs::release(*node.value());
    call.reply({static_cast<uint32_t>(loaded.error()), static_cast<uint32_t>(fault)});
}

/// program.maps PID -> bytes, text
void maps(Call& call) {
    const proc::Process& shown = process(call, 0);
    call.enter_piece();
    const size_t bytes = write_maps(shown.space, view.maps, kMaxMapsBytes);
    call.leave_piece();
    reply_with_text(call, view.maps, std::min({bytes, kMaxMapsBytes, kMaxOutput}));
}

/// program.areas PID -> seven words for each area (AreaWords)
void areas(Call& call) {
    const proc::Process* const shown = proc::find(call.number(0));
    if (!shown || !shown->has_user_code()) return call.reply(Error::NotFound); // it could not be started
    call.enter_piece();
    const size_t count = list_areas(shown->space, view.areas, kMaxAreas);
    call.leave_piece();
    const auto* const words = reinterpret_cast<const uint32_t*>(view.areas);
    call.reply(std::span<const uint32_t>(words, std::min(count, kMaxAreas) * (sizeof(AreaWords) / sizeof(uint32_t))));
}

/// program.look PID NAME: stops the machine with the process in programs_guest::view.
void look(Call& call) {
    look_at(process(call, 0));
    look_at_family();
    look_at_swap(call);
    harness_checkpoint(call.word(1));
}

/// swap.look NAME: stops the machine with all processes and the swap area in view; there need be no process.
void look_at_all(Call& call) {
    look_at_family();
    look_at_swap(call);
    harness_checkpoint(call.word(0));
}

/// program.ps -> pid, parent, state for each process, in order of their numbers
void ps(Call& call) {
    size_t count = 0;
    proc::for_each(
        [](void* context, proc::Process& shown) {
            size_t& at = *static_cast<size_t*>(context);
            const bool is_kernels = !shown.has_user_code() && shown.state != abi::ProcessState::Zombie;
            if (is_kernels && shown.pid != 0) return; // a thread of its own, such as the reclaimer's
            if (at + 3 > std::size(record)) return;
            record[at++] = shown.pid;
            record[at++] = shown.parent ? shown.parent->pid : 0;
            record[at++] = static_cast<uint32_t>(shown.state);
        },
        &count);
    call.reply(std::span<const uint32_t>(record, count));
}

/// program.suspended -> pid of a process that load control has suspended
void suspended(Call& call) {
    proc::ProcessId found = 0;
    proc::for_each(
        [](void* pid, proc::Process& seen) {
            if (seen.state == abi::ProcessState::Suspended) *static_cast<proc::ProcessId*>(pid) = seen.pid;
        },
        &found);
    call.reply(found ? Error::None : Error::NotFound, {found});
}

/// program.child PID -> pid of a child that has not ended
void child(Call& call) {
    const proc::Process* at = process(call, 0).first_child;
    while (at && at->state == abi::ProcessState::Zombie) at = at->next_sibling;
    call.reply(at ? Error::None : Error::NotFound, {at ? at->pid : 0});
}

/// program.frames -> frames in use
void frames(Call& call) { call.reply({static_cast<uint32_t>(mm::frames::in_use())}); }

/// program.check PID: areas, page tables and counts agree, or the kernel panics.
void check(Call& call) { mm::spaces::check_invariants(process(call, 0).space); }

HARNESS_VERB("program.run", run);
HARNESS_VERB("program.start", start);
HARNESS_VERB("program.starve", starve);
HARNESS_VERB("program.wait", wait);
HARNESS_VERB("program.yield", yield);
HARNESS_VERB("program.stacks", stacks);
HARNESS_VERB("program.kill", kill);
HARNESS_VERB("program.load", load);
HARNESS_VERB("program.maps", maps);
HARNESS_VERB("program.areas", areas);
HARNESS_VERB("program.look", look);
HARNESS_VERB("swap.look", look_at_all);
HARNESS_VERB("program.ps", ps);
HARNESS_VERB("program.suspended", suspended);
HARNESS_VERB("program.child", child);
HARNESS_VERB("program.frames", frames);
HARNESS_VERB("program.check", check);

} // namespace
} // namespace programs_guest
