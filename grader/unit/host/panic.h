/// @file
/// How a panic looks to a test: an exception.
#pragma once

#include <stdexcept>
#include <string>

namespace host {

/// Thrown by panic(), and so by KASSERT and PANIC: `EXPECT_THROW(pool.free(nullptr), host::KernelPanic)`.
struct KernelPanic : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Thrown by not_implemented(): "lab 03-buddy: allocate() is not implemented".
struct NotImplemented : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Something is not as the contract says. The drivers throw it, since a fuzzer knows no test that could fail.
struct Violation : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// While one lives, a panic is expected, and does not print where it came from.
class PanicExpected {
public:
    PanicExpected();
    ~PanicExpected();
    PanicExpected(const PanicExpected&) = delete;
    PanicExpected& operator=(const PanicExpected&) = delete;
};

} // namespace host
