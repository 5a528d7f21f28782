// How processes begin and end. What can fail comes first; from the moment a process is in the list of all nothing does.
#include "abi/signals.h"
#include "fs/volume.h"
#include "lib/panic.h"
#include "lib/random.h"
#include "mm/fault/copy_on_write.h"
#include "mm/paging/kernel_stacks.h"
#include "mm/space/pager.h"
#include "proc/descriptors.h"
#include "proc/process.h"
#include "proc/process_table.h"
#include "proc/program.h"
#include "proc/scheduler.h"
#include "proc/signals.h"

namespace proc {

namespace {

/// The first thing that a new process does.
void start_user_code() {
    scheduler::finish_switch();
    Process& self = current();
    i386::cancel_return_work();
    if (self.pending_signals) signals::deliver(self.frame());
    i386::enter_user_mode(&self.frame());
}

/// A record and a kernel stack, for a child of the current process.
Result<Process*> create() {
    Process& parent = current();
    if (parent.children >= parent.limits.children) return Error::LimitReached;
    Process* const child = TRY(process_table::take());
    const Result<VirtAddr> stack = mm::kernel_stacks::allocate();
    if (stack.is_error()) {
        process_table::give_back(*child);
        return stack.error();
    }
    child->kernel_stack_top = stack.value();
    child->context = i386::prepare_stack(stack.value(), start_user_code);
    child->space_limits = parent.space_limits;
    return child;
}

/// Undoes create(), for a process that nobody has seen.
void discard(Process& child) {
    mm::kernel_stacks::free(child.kernel_stack_top);
    process_table::give_back(child);
}

/// From here on it lives.
ProcessId begin(Process& child) {
    Process& parent = current();
    process_table::add(child);
    child.parent = &parent;
    child.next_sibling = parent.first_child;
    parent.first_child = &child;
    ++parent.children;
    scheduler::make_ready(child);
    return child.pid;
}

Result<LoadedProgram> load(const char* path, std::span<const char* const> arguments, const mm::SpaceLimits& limits) {
    fs::Node* const file = TRY(fs::open(path));
    ProgramFault why = ProgramFault::None;
    const Result<LoadedProgram> loaded = load_program(*file, arguments, next_random(), limits, &why);
    fs::release(*file);
    return loaded;
}

void copy_signal_handling(Process& child, const Process& parent) {
    for (size_t i = 0; i < abi::kSignals; ++i) child.handlers[i] = parent.handlers[i];
    child.signal_restorer = parent.signal_restorer;
    child.in_handler = parent.in_handler;
}

void reset_signal_handling(Process& process) {
    for (uint32_t& handler : process.handlers) handler = 0;
    process.signal_restorer = 0;
    process.in_handler = false;
}

void unlink_from_family(Process& child) {
    Process** link = &child.parent->first_child;
    while (*link != &child) link = &(*link)->next_sibling;
    *link = child.next_sibling;
}

/// Children that have ended lie at the end of the list in the order in which they did: the first to end is the first to be waited for.
void move_to_end_of_family(Process& child) {
    unlink_from_family(child);
    Process** link = &child.parent->first_child;
    while (*link) link = &(*link)->next_sibling;
    *link = &child;
    child.next_sibling = nullptr;
}

/// Nobody will wait for the children of `parent` any more: the living ones go without a parent, the others go now.
void release_children(Process& parent) {
    for (Process* child = parent.first_child; child;) {
        Process* const next = child->next_sibling;
        child->parent = nullptr;
        child->is_orphan = true;
        if (child->state == abi::ProcessState::Zombie) process_table::give_back(*child);
        child = next;
    }
    parent.first_child = nullptr;
}

/// The child's number and status; the child is gone then.
Ended collect(Process& child) {
    const Ended ended{child.pid, child.wait_status};
    unlink_from_family(child);
    process_table::give_back(child);
    return ended;
}

/// Waits for a child that `fits`.
template <typename Fits>
Result<Ended> wait_for(Fits fits) {
    Process& self = current();
    for (;;) {
        bool is_there = false;
        for (Process* child = self.first_child; child; child = child->next_sibling) {
            if (!fits(*child)) continue;
            is_there = true;
            if (child->state == abi::ProcessState::Zombie) return collect(*child);
        }
        if (!is_there) return Error::NoChild;
        TRY(scheduler::block(self.child_ended));
    }
}

} // namespace

namespace {

Result<ProcessId> try_spawn(const char* path, std::span<const char* const> arguments) {
    Process& child = *TRY(create());
    const Result<void> opened = descriptors::open_standard(child);
    if (opened.is_error()) {
        discard(child);
        return opened.error();
    }
    const Result<LoadedProgram> loaded = load(path, arguments, child.space_limits);
    if (loaded.is_error()) {
        descriptors::close_all(child);
        discard(child);
        return loaded.error();
    }
    child.space = loaded.value().space;
    set_name(child, path);
    i386::prepare_user_frame(child.frame(), loaded.value().entry, loaded.value().stack);
    return begin(child);
}

} // namespace

Result<ProcessId> spawn(const char* path, std::span<const char* const> arguments) {
    return mm::pager::with_memory([&] { return try_spawn(path, arguments); });
}

Result<ProcessId> fork() {
    Process& parent = current();
    if (!parent.has_user_code()) return Error::InvalidArgument;
    Process& child = *TRY(create());
    const Result<mm::AddressSpace*> space = mm::spaces::fork(parent.space, mm::copy_on_write::share);
    if (space.is_error()) {
        discard(child);
        return space.error();
    }
    child.space = space.value();
    child.limits = parent.limits;
    set_name(child, parent.name);
    descriptors::inherit(child, parent);
    copy_signal_handling(child, parent);
    child.frame() = parent.frame();
    i386::flatten_data_segments(child.frame());
    child.frame().registers.eax = 0;
    return begin(child);
}

Result<void> execute(const char* path, std::span<const char* const> arguments) {
    Process& self = current();
    if (!self.has_user_code()) return Error::InvalidArgument;
    const LoadedProgram loaded = TRY(load(path, arguments, self.space_limits));
    mm::AddressSpace* const old = self.space;
    self.space = loaded.space;
    mm::spaces::activate(loaded.space);
    mm::spaces::destroy(old);
    set_name(self, path);
    reset_signal_handling(self);
    i386::prepare_user_frame(self.frame(), loaded.entry, loaded.stack);
    i386::reload_user_registers();
    return {};
}

void exit(uint32_t wait_status) {
    Process& self = current();
    KASSERT("process 0 does not end", self.has_user_code());
    descriptors::close_all(self);
    mm::AddressSpace* const space = self.space;
    self.space = nullptr;
    mm::spaces::activate(nullptr);
    mm::spaces::destroy(space);
    release_children(self);
    self.wait_status = wait_status;
    self.state = abi::ProcessState::Zombie;
    if (self.parent) {
        --self.parent->children;
        move_to_end_of_family(self);
        scheduler::wake_all(self.parent->child_ended);
    }
    scheduler::leave();
}

void bury(Process& process) {
    mm::kernel_stacks::free(process.kernel_stack_top);
    if (process.is_orphan) process_table::give_back(process);
}

Result<Ended> wait(ProcessId child) {
    return wait_for([&](const Process& process) { return process.pid == child; });
}

Result<Ended> wait_any() {
    return wait_for([](const Process&) { return true; });
}

Result<void> kill(ProcessId pid, int signal) {
    if (signal <= 0 || signal >= abi::kSignals) return Error::InvalidArgument;
    Process* const process = find(pid);
    if (!process || (!process->has_user_code() && process->state != abi::ProcessState::Zombie)) return Error::NotFound;
    if (process->state == abi::ProcessState::Zombie) return {};
    process->pending_signals |= 1u << signal;
    if (process == &current()) i386::request_return_work();
    scheduler::wake(*process);
    return {};
}

} // namespace proc
