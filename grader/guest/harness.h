/// @file
/// The grader's guest: runs inside the kernel under test, reads a script of operations, performs them on the student's piece and
/// reports each one on the serial line. It judges nothing: what is right is decided on the host.
///
/// The script is the boot module "script": a text of one operation per line, `VERB ARGUMENT...`. An argument is a number
/// (decimal or 0x), a word, or `$7`: the first value of the result of operation 7 (`$7+4096` and `$7-1` as well). After each
/// operation one record is sent:
///
///     =3 ok 0x1234 t=57            operation 3 returned 0x1234; the piece ran for 57 ticks
///     =4 error OutOfMemory t=31    operation 4 returned an error
///     =5 bad ...                   the script itself is wrong: the grader's fault
///
/// The guest's own memory (HARNESS_DATA) is read-only while the piece runs, so that a piece that writes where it should not is
/// caught in the act. The records are out of reach anyhow: what has been sent has been sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "lib/result.h"
#include "mm/physical/zone.h"

/// Puts a variable of the guest into the protected pages. It must need no constructor, and starts as zero.
#define HARNESS_DATA [[gnu::section(".harness,\"aw\",@nobits#")]]

namespace harness {

inline constexpr size_t kMaxOperations = 4096;
inline constexpr size_t kMaxLine = 200;
inline constexpr size_t kMaxArguments = 24;

/// One operation while it is being performed.
class Call {
public:
    Call(const char* const* words, size_t count) : words_(words), count_(count) {}
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    /// Arguments after the verb.
    size_t count() const { return count_; }
    /// Argument i as it stands in the script.
    const char* word(size_t i) const;
    /// Argument i as a number, `$N` resolved.
    uint32_t number(size_t i) const;
    /// Argument i as a zone: dma, normal, high, or its number.
    mm::Zone zone(size_t i) const;

    /// Call directly before the piece's function: starts the clock and protects the guest's memory. What that costs is known
    /// exactly and does not count.
    void enter_piece();
    /// Call directly after it: stops the clock and opens the guest's memory. Several pairs in one operation add up.
    void leave_piece();
    /// Ticks of the piece so far in this operation.
    uint64_t ticks() const;
    /// Sends the record: a success with values, or an error. Once per operation; without it a plain `ok` is sent.
    void reply(std::initializer_list<uint32_t> values) { reply(std::span<const uint32_t>(values.begin(), values.size())); }
    void reply(std::span<const uint32_t> values);
    void reply(Error error, std::initializer_list<uint32_t> values = {});
    /// The record of a Result<void>.
    void reply(Result<void> result) { reply(result.error()); }

    bool has_replied() const { return replied_; }

private:
    void finish_record();

    const char* const* words_;
    size_t count_;
    bool replied_ = false;
};

/// An operation by its name: an entry of the linker section .harness_verbs.
struct Verb {
    const char* name;
    void (*perform)(Call& call);
};

/// Stops the run: the script asks for something that does not exist. The grader's own fault.
[[noreturn]] void bad_script(const char* why, const char* what);

} // namespace harness

#define HARNESS_JOIN_(a, b) a##b
#define HARNESS_JOIN(a, b) HARNESS_JOIN_(a, b)
/// Registers a verb: `HARNESS_VERB("frames.allocate", allocate);`
#define HARNESS_VERB(name, function)                                  \
    [[gnu::used, gnu::section(".harness_verbs")]] static const harness::Verb HARNESS_JOIN(harness_verb_, __LINE__) = {name, function}

// Where the grader's debugger stops.
extern "C" {
/// Before every operation.
void harness_operation(uint32_t number);
/// At every `checkpoint NAME` of the script.
void harness_checkpoint(const char* name);
/// After the last operation.
void harness_finished();
}
