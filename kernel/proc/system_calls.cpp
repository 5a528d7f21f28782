#include "proc/system_calls.h"

#include "abi/errors.h"
#include "abi/system_calls.h"
#include "arch/i386/user_mode.h"
#include "mm/space/pager.h"
#include "proc/calls/calls.h"

namespace proc::system_calls {

namespace {

using abi::SystemCall;

constexpr size_t kCount = static_cast<size_t>(SystemCall::Count);

Handler debug_handler = nullptr;

Result<uint32_t> debug(const Arguments& arguments) {
    return debug_handler ? debug_handler(arguments) : Result<uint32_t>(Error::Unsupported);
}

Result<uint32_t> no_such_call(const Arguments&) { return static_cast<uint32_t>(-abi::ENOSYS); }

/// Where a call's name for an error is not the usual one.
struct Exception {
    SystemCall call;
    Error error;
    int number;
};
constexpr Exception exceptions[] = {
    {SystemCall::Fork, Error::LimitReached, abi::EAGAIN},
    {SystemCall::Exec, Error::BadFormat, abi::ENOEXEC},
    {SystemCall::Exec, Error::WrongKind, abi::ENOEXEC},
    {SystemCall::Exec, Error::NoSpace, abi::E2BIG},
    {SystemCall::Kill, Error::NotFound, abi::ESRCH},
    {SystemCall::Maps, Error::NotFound, abi::ESRCH},
    {SystemCall::Open, Error::LimitReached, abi::EMFILE},
    {SystemCall::CreateShared, Error::LimitReached, abi::EMFILE},
    {SystemCall::Seek, Error::WrongKind, abi::ESPIPE},
    {SystemCall::Break, Error::Exists, abi::ENOMEM},
    {SystemCall::AttachShared, Error::Exists, abi::EINVAL},
    {SystemCall::DetachShared, Error::NotMapped, abi::EINVAL},
    {SystemCall::SetLimit, Error::AccessDenied, abi::EPERM},
    {SystemCall::ShutDown, Error::AccessDenied, abi::EPERM},
    {SystemCall::Debug, Error::Unsupported, abi::ENOSYS},
};

/// A handler whose errors have names of their own: a result that is -errno already.
template <SystemCall kCall, Handler kHandler>
Result<uint32_t> with_own_errors(const Arguments& arguments) {
    const Result<uint32_t> result = kHandler(arguments);
    for (const Exception& exception : exceptions) {
        if (exception.call == kCall && exception.error == result.error()) return static_cast<uint32_t>(-exception.number);
    }
    return result;
}

/// A handler that changes nothing when it fails: for want of memory it begins again, as long as pages can be taken out of it.
template <Handler kHandler>
Result<uint32_t> with_memory(const Arguments& arguments) {
    if (!mm::pager::get()) return kHandler(arguments);
    return mm::pager::with_memory([&] { return kHandler(arguments); });
}

/// All handlers by number; the one behind the last is for every number that is none.
struct Table {
    Handler handlers[kCount + 1] = {};

    constexpr Handler& operator[](SystemCall call) { return handlers[static_cast<size_t>(call)]; }
    constexpr bool is_complete() const {
        for (const Handler handler : handlers) {
            if (handler == nullptr) return false;
        }
        return true;
    }
};

constexpr Table make_table() {
    Table table;
    table[SystemCall::Exit] = calls::exit;
    table[SystemCall::GetPid] = calls::get_pid;
    table[SystemCall::GetParent] = calls::get_parent;
    table[SystemCall::Fork] = with_own_errors<SystemCall::Fork, with_memory<calls::fork>>;
    table[SystemCall::Exec] = with_own_errors<SystemCall::Exec, with_memory<calls::execute>>;
    table[SystemCall::Wait] = calls::wait;
    table[SystemCall::Kill] = with_own_errors<SystemCall::Kill, calls::kill>;
    table[SystemCall::Signal] = calls::signal;
    table[SystemCall::SignalReturn] = calls::signal_return;
    table[SystemCall::Yield] = calls::yield;
    table[SystemCall::Sleep] = calls::sleep;
    table[SystemCall::Read] = calls::read;
    table[SystemCall::Write] = calls::write;
    table[SystemCall::Open] = with_own_errors<SystemCall::Open, calls::open>;
    table[SystemCall::Close] = calls::close;
    table[SystemCall::Seek] = with_own_errors<SystemCall::Seek, calls::seek>;
    table[SystemCall::Remove] = calls::remove;
    table[SystemCall::MakeFolder] = calls::make_folder;
    table[SystemCall::ListFolder] = calls::list_folder;
    table[SystemCall::FileSize] = calls::file_size;
    table[SystemCall::Break] = with_own_errors<SystemCall::Break, with_memory<calls::move_break>>;
    table[SystemCall::MapMemory] = with_memory<calls::map_memory>;
    table[SystemCall::UnmapMemory] = with_memory<calls::unmap_memory>;
    table[SystemCall::Protect] = with_memory<calls::protect>;
    table[SystemCall::Advise] = calls::advise;
    table[SystemCall::Resident] = calls::resident;
    table[SystemCall::CreateShared] = with_own_errors<SystemCall::CreateShared, with_memory<calls::create_shared>>;
    table[SystemCall::AttachShared] = with_own_errors<SystemCall::AttachShared, with_memory<calls::attach_shared>>;
    table[SystemCall::DetachShared] = with_own_errors<SystemCall::DetachShared, calls::detach_shared>;
    table[SystemCall::CloseShared] = calls::close_shared;
    table[SystemCall::GetLimit] = calls::get_limit;
    table[SystemCall::SetLimit] = with_own_errors<SystemCall::SetLimit, calls::set_limit>;
    table[SystemCall::MemoryInfo] = calls::memory_info;
    table[SystemCall::Maps] = with_own_errors<SystemCall::Maps, calls::maps>;
    table[SystemCall::Processes] = calls::processes;
    table[SystemCall::Uptime] = calls::uptime;
    table[SystemCall::Counters] = calls::counters;
    table[SystemCall::ShutDown] = with_own_errors<SystemCall::ShutDown, calls::shut_down>;
    table[SystemCall::Debug] = with_own_errors<SystemCall::Debug, debug>;
    table[SystemCall::Count] = no_such_call;
    return table;
}

constexpr Table table = make_table();
static_assert(table.is_complete());

} // namespace

void initialize() {
    static constexpr i386::SystemCallTable entries = {table.handlers, kCount, error_number};
    i386::initialize_system_calls(entries);
}

int error_number(Error error) {
    switch (error) {
    case Error::None: return 0;
    case Error::OutOfMemory:
    case Error::LimitReached:
    case Error::NotMapped: return abi::ENOMEM;
    case Error::Unsupported:
    case Error::InvalidArgument:
    case Error::Misaligned:
    case Error::OutOfRange:
    case Error::NotAllocated: return abi::EINVAL;
    case Error::Busy: return abi::EBUSY;
    case Error::DeviceError:
    case Error::BadFormat: return abi::EIO;
    case Error::NotFound: return abi::ENOENT;
    case Error::Exists: return abi::EEXIST;
    case Error::NoSpace: return abi::ENOSPC;
    case Error::BadAddress: return abi::EFAULT;
    case Error::Interrupted: return abi::EINTR;
    case Error::AccessDenied: return abi::EACCES;
    case Error::WrongKind: return abi::EISDIR;
    case Error::BadHandle: return abi::EBADF;
    case Error::NoChild: return abi::ECHILD;
    }
    return abi::EINVAL;
}

void set_debug_handler(Handler handler) { debug_handler = handler; }

uint32_t count() { return i386::system_call_count(); }

} // namespace proc::system_calls
