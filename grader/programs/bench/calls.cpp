/// @file
/// System calls and switches between processes.
#include "bench.h"
#include "samples.h"

namespace {

using abi::SystemCall;

constexpr size_t kRounds = 500;

/// From the call of one process to the return of the other.
void measure_switch() {
    const int number = check("create_shared", create_shared(kPageBytes));
    void* const memory = attach_shared(number, nullptr, abi::PROT_READ | abi::PROT_WRITE);
    if (is_error(memory)) fail("attach_shared", -1);
    auto* const called_at = static_cast<volatile uint64_t*>(memory);
    *called_at = 0;
    const uint32_t overhead = clock_overhead();
    const int other = check("fork", fork());
    samples.clear();
    for (size_t i = 0; i < kRounds; ++i) {
        const bool is_profiled = other != 0 && i == kProfiledRound && is_wanted("yield");
        if (is_profiled) checkpoint("begin");
        *called_at = now();
        system_call::fast(SystemCall::Yield);
        const uint64_t here = now();
        if (is_profiled) checkpoint("end");
        if (i > 0) samples.add(static_cast<uint32_t>(here - *called_at) - overhead); // at first the other one only starts
    }
    if (other == 0) exit(0);
    check("wait", wait(other, nullptr));
    samples.print("yield");
    detach_shared(memory);
    close_shared(number);
}

} // namespace

void bench_calls() {
    measure("null-call", kRounds, [](size_t) { system_call::by_interrupt(SystemCall::GetPid); });
    if (system_call::has_sysenter()) measure("null-call-sysenter", kRounds, [](size_t) { system_call::by_sysenter(SystemCall::GetPid); });
    measure_switch();
}
