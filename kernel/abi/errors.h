/// @file
/// The errors of system calls, returned as negative numbers. Names and numbers are Unix's.
#pragma once

namespace abi {

enum ErrorNumber : int {
    EPERM = 1, ENOENT = 2, ESRCH = 3, EINTR = 4, EIO = 5, E2BIG = 7, ENOEXEC = 8, EBADF = 9, ECHILD = 10, EAGAIN = 11, ENOMEM = 12,
    EACCES = 13, EFAULT = 14, EBUSY = 16, EEXIST = 17, EISDIR = 21, EINVAL = 22, EMFILE = 24, ENOSPC = 28, ESPIPE = 29, ENOSYS = 38,
};

} // namespace abi
