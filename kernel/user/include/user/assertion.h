/// @file
/// ASSERT("what should be true, in English", condition): ends the program with status 134 when it is not.
#pragma once

[[noreturn]] void assertion_failed(const char* claim, const char* condition, const char* file, int line);

#define ASSERT(claim, ...) \
    do { \
        if (!(__VA_ARGS__)) assertion_failed(claim, #__VA_ARGS__, __FILE__, __LINE__); \
    } while (false)
