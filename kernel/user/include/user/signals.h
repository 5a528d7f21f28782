/// @file
/// Signals: what a process is told, or ended by (abi/signals.h).
#pragma once

#include "abi/signals.h"

/// Called on this process's own stack. It may change the frame; the registers come back from there when it returns.
using SignalHandler = void (*)(int signal, abi::SignalFrame* frame);

/// Installs a handler; null gives the default back: the process ends. @return 0; -EINVAL
int signal(int number, SignalHandler handler);

/// "SIGSEGV", or "signal 99".
const char* signal_name(int number);
/// "segmentation fault", or "unknown signal".
const char* signal_meaning(int number);
