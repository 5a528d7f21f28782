/// @file
/// The tables that tell the CPU where its segments, tasks and handlers are.
#pragma once

namespace i386 {

/// Loads GDT, task state and IDT, and programs the interrupt controllers with every line masked. The first thing to do at
/// boot: before it, any exception is a triple fault, which resets the machine without a word.
void initialize_descriptor_tables();

/// Lets ring 3 enter at `entry` by `int 0x80`.
void set_system_call_gate(void (*entry)());

} // namespace i386
