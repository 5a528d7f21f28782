/// @file
/// Restarting the machine.
#pragma once

/// Resets the CPU and all devices. Memory is kept, the firmware boots again.
[[noreturn]] void restart_machine();
