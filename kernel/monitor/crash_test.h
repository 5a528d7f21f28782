/// @file
/// Doing wrong on purpose, to see what the kernel says.
#pragma once

/// Runs the crash test that `name` names, up to a space or the end: "null", "stack" ... It does not come back when the kernel
/// catches the mistake, which is the point.
/// @return false when there is no such test; true when the mistake went unnoticed
bool run_crash_test(const char* name);

/// Prints the tests' names and what they do.
void list_crash_tests();
