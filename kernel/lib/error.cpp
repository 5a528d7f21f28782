#include "lib/result.h"

const char* error_name(Error error) {
    switch (error) {
    case Error::None: return "None";
    case Error::OutOfMemory: return "OutOfMemory";
    case Error::Unsupported: return "Unsupported";
    case Error::InvalidArgument: return "InvalidArgument";
    case Error::Misaligned: return "Misaligned";
    case Error::OutOfRange: return "OutOfRange";
    case Error::NotAllocated: return "NotAllocated";
    case Error::NotMapped: return "NotMapped";
    case Error::Busy: return "Busy";
    case Error::DeviceError: return "DeviceError";
    case Error::NotFound: return "NotFound";
    case Error::Exists: return "Exists";
    case Error::NoSpace: return "NoSpace";
    case Error::BadFormat: return "BadFormat";
    case Error::BadAddress: return "BadAddress";
    case Error::LimitReached: return "LimitReached";
    case Error::Interrupted: return "Interrupted";
    case Error::AccessDenied: return "AccessDenied";
    case Error::WrongKind: return "WrongKind";
    case Error::BadHandle: return "BadHandle";
    case Error::NoChild: return "NoChild";
    }
    return "(not an Error)";
}
