#include "user/system_call.h"

const char* error_text(int error) {
    switch (error < 0 ? -error : error) {
    case abi::EPERM: return "not allowed";
    case abi::ENOENT: return "no such file or folder";
    case abi::ESRCH: return "no such process";
    case abi::EINTR: return "interrupted by a signal";
    case abi::EIO: return "the disk does not answer, or the volume is damaged";
    case abi::E2BIG: return "too many arguments";
    case abi::ENOEXEC: return "no program";
    case abi::EBADF: return "no such open file, or not open for this";
    case abi::ECHILD: return "no such child";
    case abi::EAGAIN: return "too many processes";
    case abi::ENOMEM: return "out of memory";
    case abi::EACCES: return "access denied";
    case abi::EFAULT: return "bad address";
    case abi::EBUSY: return "in use";
    case abi::EEXIST: return "exists already";
    case abi::EISDIR: return "a folder";
    case abi::EINVAL: return "invalid argument";
    case abi::EMFILE: return "too many open files";
    case abi::ENOSPC: return "no space left on the volume";
    case abi::ESPIPE: return "not a file with positions";
    case abi::ENOSYS: return "no such system call";
    default: return "unknown error";
    }
}
