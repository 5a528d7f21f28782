/// @file
/// Errors are values: `Result<T>` holds either a value or an `Error`, and `TRY` hands an error up to the caller.
#pragma once

#include <concepts>
#include <cstdint>
#include <utility>

/// Why an operation of the kernel failed. The names are part of the contracts: the grader compares them.
enum class Error : uint32_t {
    None = 0,         ///< Not an error; never returned by a failing function.
    OutOfMemory,      ///< No free frame (or no room in the caller's buffer) satisfies the request.
    Unsupported,      ///< A correct request that this implementation does not serve, such as an order above 0 in lab 01.
    InvalidArgument,  ///< The request contradicts itself: zero pages or bytes, an alignment that is no power of two, an unknown enumerator.
    Misaligned,       ///< An address or frame is not a multiple of the page size that was asked for.
    OutOfRange,       ///< An address, frame or range lies outside what the function manages, or wraps past the end.
    NotAllocated,     ///< The frame or object handed back is not one that is in use: freed twice, reserved, or never handed out.
    NotMapped,        ///< No page is mapped at (part of) the address range.
    Busy,             ///< The object is in use, such as the page directory that the CPU is walking right now.
    DeviceError,      ///< A device did not answer in time, or reported that it failed.
    NotFound,         ///< No file, folder, process or object has this name or number.
    Exists,           ///< The name or the place is taken.
    NoSpace,          ///< The volume, folder or table is full.
    BadFormat,        ///< A disk, file system or program is not what it says it is: damaged, foreign, or hostile.
    BadAddress,       ///< User code passed an address that it may not use itself.
    LimitReached,     ///< A resource limit of the process or of the system forbids it.
    Interrupted,      ///< A signal ended the wait.
    AccessDenied,     ///< The object is there, and its rights forbid the access.
    WrongKind,        ///< The object is of another kind: a folder where a file is wanted, a console that cannot seek.
    BadHandle,        ///< The number names no open file (or shared memory) of this process.
    NoChild,          ///< There is no (such) child to wait for.
};

/// The enumerator's name, for reports and records ("OutOfMemory").
const char* error_name(Error error);

/// Either a value of type T or the Error that kept it from being made.
template <typename T>
class [[nodiscard]] Result {
public:
    constexpr Result(T value) : value_(value) {}
    constexpr Result(Error error) : error_(error) {}

    constexpr bool is_error() const { return error_ != Error::None; }
    constexpr explicit operator bool() const { return !is_error(); }
    constexpr Error error() const { return error_; }
    /// The value. Only meaningful when `is_error()` is false.
    constexpr T value() const { return value_; }

private:
    T value_{};
    Error error_ = Error::None;
};

/// Success without a value, or an Error.
template <>
class [[nodiscard]] Result<void> {
public:
    constexpr Result() = default;
    constexpr Result(Error error) : error_(error) {}

    constexpr bool is_error() const { return error_ != Error::None; }
    constexpr explicit operator bool() const { return !is_error(); }
    constexpr Error error() const { return error_; }
    constexpr void value() const {}

private:
    Error error_ = Error::None;
};

/// `auto frame = TRY(allocate());` unwraps a Result, or returns its error from the enclosing function.
/// A statement expression (GNU extension, also in clang): the only macro of its kind in the kernel.
#define TRY(expression)                                     \
    ({                                                      \
        auto try_result_ = (expression);                    \
        if (try_result_.is_error()) return try_result_.error(); \
        try_result_.value();                                \
    })
