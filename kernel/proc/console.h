/// @file
/// The console as a file: what programs print goes to all consoles (lib/format.h), what is typed on the serial line or the keyboard can be
/// read, unedited: line editing is the programs' own business. Keys without a character come as the escape sequences of a VT100.
#pragma once

#include <cstddef>

#include "fs/node.h"

namespace proc::console {

/// Has arriving characters wake who waits for them. Once, before the first program that reads.
void initialize();

/// The one node.
fs::Node& node();

/// Where text goes that programs print, in place of the consoles: for tests that are linked with the kernel. Null: the consoles.
void set_sink(void (*sink)(const char* text, size_t bytes));

} // namespace proc::console
