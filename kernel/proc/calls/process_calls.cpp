// Processes: their life, their signals, their time.
#include <cstddef>

#include "abi/process.h"
#include "fs/volume.h"
#include "lib/text.h"
#include "mm/space/user_memory.h"
#include "proc/calls/arguments.h"
#include "proc/calls/calls.h"
#include "proc/process.h"
#include "proc/scheduler.h"
#include "proc/signals.h"

namespace proc::calls {

namespace {

/// The texts of a new program's arguments, copied out of the memory that is about to go.
struct ProgramArguments {
    char texts[kMaxArgumentBytes];
    const char* begins[kMaxArguments];
    size_t count = 0;

    /// @return Error::BadAddress; Error::NoSpace when there are too many, or too long ones
    Result<void> copy(VirtAddr list) {
        size_t used = 0;
        for (;; ++count) {
            const VirtAddr text(TRY(mm::read_user<uint32_t>(list + static_cast<uint32_t>(count * sizeof(uint32_t)))));
            if (text == VirtAddr(0)) return {};
            if (count == kMaxArguments) return Error::NoSpace;
            const Result<size_t> length = mm::copy_text_from_user(std::span(texts).subspan(used), text);
            if (length.is_error()) return length.error() == Error::OutOfRange ? Error::NoSpace : length.error();
            begins[count] = &texts[used];
            used += length.value() + 1;
        }
    }
};

constexpr uint32_t kAnyChild = UINT32_MAX;

} // namespace

Result<uint32_t> exit(const Arguments& arguments) { proc::exit(abi::exited(arguments[0])); }

Result<uint32_t> get_pid(const Arguments&) { return current().pid; }

Result<uint32_t> get_parent(const Arguments&) {
    const Process* const parent = current().parent;
    return parent == nullptr ? 0 : parent->pid;
}

Result<uint32_t> fork(const Arguments&) { return TRY(proc::fork()); }

Result<uint32_t> execute(const Arguments& arguments) {
    char path[fs::kMaxPath];
    ProgramArguments texts;
    TRY(copy_path(path, arguments[0]));
    TRY(texts.copy(VirtAddr(arguments[1])));
    TRY(proc::execute(path, std::span(texts.begins, texts.count)));
    return current().frame().registers.eax; // the new program's
}

Result<uint32_t> wait(const Arguments& arguments) {
    const uint32_t child = arguments[0];
    const VirtAddr status(arguments[1]);
    const bool wants_status = status != VirtAddr(0);
    // Before a child is forgotten whose end nobody would hear of.
    if (wants_status) TRY(mm::prepare_user_write(status, sizeof(uint32_t)));
    const Ended ended = TRY(child == kAnyChild ? wait_any() : proc::wait(child));
    if (wants_status) TRY(mm::write_user(status, ended.wait_status));
    return ended.pid;
}

Result<uint32_t> kill(const Arguments& arguments) {
    TRY(proc::kill(arguments[0], static_cast<int>(arguments[1])));
    return 0;
}

Result<uint32_t> signal(const Arguments& arguments) {
    TRY(signals::set_handler(static_cast<int>(arguments[0]), arguments[1], arguments[2]));
    return 0;
}

Result<uint32_t> signal_return(const Arguments&) {
    TRY(signals::return_from_handler(current().frame()));
    return current().frame().registers.eax; // what the handler interrupted had there
}

Result<uint32_t> yield(const Arguments&) {
    scheduler::yield();
    return 0;
}

Result<uint32_t> sleep(const Arguments& arguments) {
    TRY(scheduler::sleep(arguments[0]));
    return 0;
}

} // namespace proc::calls
