/// @file
/// Stopping and restarting the machine.
#pragma once

/// Resets the CPU and all devices. Memory is kept, the firmware boots again.
[[noreturn]] void restart_machine();

/// Ends an emulated machine: Bochs and QEMU are told in their own ways. A real one says that it may be switched off, and stays there.
[[noreturn]] void shut_down_machine();
