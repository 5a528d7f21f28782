#include "proc/process_table.h"

#include <new>

#include "lib/panic.h"
#include "mm/heap/slab.h"

namespace proc {

namespace process_table {

namespace {

constexpr ProcessId kLastNumber = 0x7FFF'FFFF; ///< System calls return numbers as positive integers.

mm::slab::Cache* records = nullptr;
Process* by_number[kMaxProcesses];   ///< Indexed by the number's remainder: no two living processes share one.
Process* first = nullptr;            ///< The list of all, in order of their numbers.
size_t process_count = 0;
ProcessId next_number = 0;

Process*& slot_of(ProcessId pid) { return by_number[pid % kMaxProcesses]; }

ProcessId free_number() {
    while (slot_of(next_number)) next_number = next_number == kLastNumber ? 1 : next_number + 1;
    return next_number;
}

/// The link that points, or would point, to the process of this number.
Process** link_to(ProcessId pid) {
    Process** link = &first;
    while (*link && (*link)->pid < pid) link = &(*link)->next_by_number;
    return link;
}

bool contains(const Process& process) { return slot_of(process.pid) == &process; }

} // namespace

Result<Process*> take() {
    if (process_count == kMaxProcesses) return Error::LimitReached;
    if (!records) records = TRY(mm::slab::create({.name = "process", .size = sizeof(Process)}));
    return new (TRY(mm::slab::allocate(records))) Process;
}

void add(Process& process) {
    const ProcessId number = free_number();
    next_number = number == kLastNumber ? 1 : number + 1;
    add_as(process, number);
}

void add_as(Process& process, ProcessId number) {
    KASSERT("the number of a process is free", !slot_of(number));
    process.pid = number;
    slot_of(process.pid) = &process;
    Process** const link = link_to(process.pid);
    process.next_by_number = *link;
    *link = &process;
    ++process_count;
}

void give_back(Process& process) {
    if (contains(process)) {
        *link_to(process.pid) = process.next_by_number;
        slot_of(process.pid) = nullptr;
        --process_count;
    }
    const Result<void> done = mm::slab::free(records, &process);
    KASSERT("the record of a process goes back once", !done.is_error());
}

} // namespace process_table

using namespace process_table;

Process* find(ProcessId pid) {
    Process* const process = slot_of(pid);
    return process && process->pid == pid ? process : nullptr;
}

void for_each(void (*visit)(void* context, Process& process), void* context) {
    for (Process* process = first; process;) {
        Process* const next = process->next_by_number;
        visit(context, *process);
        process = next;
    }
}

size_t count() { return process_count; }

} // namespace proc
