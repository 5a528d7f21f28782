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
    }
    return "(not an Error)";
}
