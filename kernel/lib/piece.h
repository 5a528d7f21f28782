/// @file
/// What a stub calls where the student's code will be.
#pragma once

/// Reports "lab 02-paging: map() is not implemented" on the console and stops the machine. The grader stops here too,
/// and says the same sentence in the test's verdict.
/// @param lab       the lab's folder name, such as "02-paging"
/// @param function  the function's name without parentheses, such as "map"
[[noreturn]] void not_implemented(const char* lab, const char* function);
