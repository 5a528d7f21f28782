/// @file
/// The calls by the names that abi/system_calls.h gives them, in its order.
#pragma once

#include <cstddef>

#include "abi/system_calls.h"

inline constexpr const char* kCallNames[] = {
    "Exit",       "GetPid",        "GetParent",    "Fork",         "Exec",         "Wait",        "Kill",     "Signal",
    "SignalReturn", "Yield",       "Sleep",        "Read",         "Write",        "Open",        "Close",    "Seek",
    "Remove",     "MakeFolder",    "ListFolder",   "FileSize",     "Break",        "MapMemory",   "UnmapMemory", "Protect",
    "Advise",     "Resident",      "CreateShared", "AttachShared", "DetachShared", "CloseShared", "GetLimit", "SetLimit",
    "MemoryInfo", "Maps",          "Processes",    "Uptime",       "Counters",     "ShutDown", "Debug",
};
static_assert(sizeof kCallNames / sizeof *kCallNames == static_cast<size_t>(abi::SystemCall::Count));
