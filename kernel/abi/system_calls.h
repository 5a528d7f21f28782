/// @file
/// System calls, as kernel and user programs both see them. This header includes nothing of the kernel.
///
/// `int 0x80`: number in EAX; arguments in EBX, ECX, EDX, ESI, EDI, EBP. The result comes back in EAX: 0 or a figure, or a negative
/// error (abi/errors.h). All other registers stay. SYSENTER (CPUID leaf 1, EDX bit 11) is faster and takes three arguments: number in
/// EAX, arguments in EBX, ECX, EDX; ESI holds the stack pointer and EDI the address to return to. ECX, EDX and the flags are lost, and
/// the data segments are flat afterwards; all else stays. (Intel SDM 2B, SYSENTER. Back it goes by IRET: SYSEXIT would lift the limit of
/// the code segment.)
///
/// Addresses and lengths are bytes. "path" is a text with a zero byte (fs/volume.h). Any address may be passed: what the caller could not
/// use itself is -EFAULT, and nothing has happened then except where a call says so. Memory that was promised, and that the kernel touches
/// for the caller, appears as when the caller touches it, the stack's as well; when there is none left the call returns -ENOMEM (user code
/// would be killed), and -EIO when it is a mapped file's that cannot be read (SIGBUS). Any call that needs memory of the kernel's own
/// may return -ENOMEM, any that reads the volume -EIO.
#pragma once

#include <cstddef>
#include <cstdint>

namespace abi {

enum class SystemCall : uint32_t {
    Exit = 0,         ///< (status). Does not return. The parent sees the lowest 8 bits.
    GetPid,           ///< () -> this process's number
    GetParent,        ///< () -> the parent's number; 0 when that is gone
    Fork,             ///< () -> the child's number; 0 in the child. EAGAIN, ENOMEM
    Exec,             ///< (path, arguments) -> does not return. `arguments` points to texts' addresses, a null at the end; the first is
                      ///< the program's name. ENOENT, ENOEXEC, ENOMEM, E2BIG, EFAULT; the old program goes on after an error
    Wait,             ///< (pid or -1, address of an int or 0) -> the number of the child that ended; waits for it. The int receives a
                      ///< status: abi/process.h. ECHILD, EINTR, EFAULT (no child is forgotten then)
    Kill,             ///< (pid, signal) -> 0. ESRCH, EINVAL
    Signal,           ///< (signal, handler, restorer) -> 0. The address of a function, or 0 for the default; handlers return to `restorer`,
                      ///< which calls SignalReturn (the user library brings it). abi/signals.h. EINVAL
    SignalReturn,     ///< () -> back to what a handler interrupted; called by the user library only. EINVAL when nothing was
    Yield,            ///< () -> 0, after everybody else who is ready
    Sleep,            ///< (milliseconds) -> 0. EINTR
    Read,             ///< (file, buffer, bytes) -> bytes read; 0 at the end. From the console: what was typed, at least one; waits for it.
                      ///< EBADF, EFAULT, EISDIR, EIO, EINTR. An error is returned when it comes first; after some bytes, these count
    Write,            ///< (file, buffer, bytes) -> bytes written. EBADF, EFAULT, ENOSPC, EIO; fewer bytes as with Read
    Open,             ///< (path, flags) -> a file number. abi/files.h. ENOENT, EISDIR, EMFILE, ENOSPC, EINVAL, EACCES
    Close,            ///< (file) -> 0. EBADF
    Seek,             ///< (file, offset, whence) -> the new position. EBADF, EINVAL, ESPIPE
    Remove,           ///< (path) -> 0. ENOENT, EISDIR, EBUSY (open or mapped), EACCES (marked read-only)
    MakeFolder,       ///< (path) -> 0. EEXIST, ENOSPC, EINVAL
    ListFolder,       ///< (path, index, address of a FolderEntry) -> 0. ENOENT past the last
    FileSize,         ///< (file) -> bytes. EBADF
    Break,            ///< (address) -> the break, moved there unless the address is 0. ENOMEM, EINVAL
    MapMemory,        ///< (address, bytes, protection, flags, file, offset) -> the begin. abi/memory.h. EINVAL, ENOMEM, EBADF, EACCES, EEXIST.
                      ///< Writing needs reading, and excludes execution: EINVAL. A file needs to be open for reading: EACCES. Shared
                      ///< mappings of files cannot be written to yet: EINVAL, or EACCES when the file is not open for writing either
    UnmapMemory,      ///< (address, bytes) -> 0. EINVAL, ENOMEM
    Protect,          ///< (address, bytes, protection) -> 0. EINVAL, ENOMEM (not mapped), EACCES (execution or writing on the wrong side of
                      ///< the line between code and data; writing to a shared mapping of a file)
    Advise,           ///< (address, bytes, advice) -> 0. EINVAL, ENOMEM
    Resident,         ///< mincore: (address, bytes, vector) -> 0; one byte a page, bit 0: present. EINVAL, ENOMEM, EFAULT
    CreateShared,     ///< (bytes) -> a number for shared memory; one owner, this process, and later its children. Frames are taken when it
                      ///< is attached. EINVAL, ENOMEM, EMFILE
    AttachShared,     ///< (number, address or 0, protection) -> the begin. EBADF, EINVAL, ENOMEM
    DetachShared,     ///< (address) -> 0; the area that begins there goes. EINVAL
    CloseShared,      ///< (number) -> 0; the memory goes with its last owner and its last attachment. EBADF
    GetLimit,         ///< (resource, address of a uint32_t) -> 0. abi/memory.h. EINVAL, EFAULT
    SetLimit,         ///< (resource, value) -> 0; never above what it was. Children inherit it. EINVAL, EPERM
    MemoryInfo,       ///< (address of a MemoryInfo) -> 0. EFAULT
    Maps,             ///< (pid, buffer, bytes) -> bytes of the text of the process's maps, cut to fit. ESRCH, EFAULT
    Processes,        ///< (index, address of a ProcessInfo) -> 0. ENOENT past the last
    Uptime,           ///< () -> milliseconds since the boot
    Counters,         ///< (address of a Counters) -> 0. abi/counters.h. EFAULT
    ShutDown,         ///< () -> stops the machine; process 1 and its children only. EPERM
    Debug,            ///< Whatever the kernel's tests make of it; ENOSYS in a kernel without them.
    Count,            ///< How many there are. ENOSYS from here on.
};

} // namespace abi
