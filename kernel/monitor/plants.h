/// @file
/// Mistakes with memory, made on purpose, to see what the heap says about them. Also at boot: `plant=leak` on the command line.
#pragma once

/// Makes the mistake that `name` names, up to a space or the end: leak, overflow, use-after-free, double-free, foreign-free.
/// @return false when there is no such mistake
bool plant_mistake(const char* name);

/// Prints their names and what they do.
void list_plants();
