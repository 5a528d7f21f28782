/// @file
/// What the fuzz targets have in common: a contract that is broken ends the program, so that libFuzzer keeps the input.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace host {

/// What the kernel prints is a test's log; thousands of inputs are not to fill the disk with it.
extern bool console_is_silent;

/// Carries out one input. Whatever it throws (a Violation, a KernelPanic) is printed, and the program ends.
template <typename Input>
int run_input(Input input) {
    console_is_silent = true;
    try {
        input();
        return 0;
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "@problem %s\n@end\n", problem.what());
        std::abort();
    }
}

} // namespace host
