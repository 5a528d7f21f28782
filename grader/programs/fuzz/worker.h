/// @file
/// One process that makes random calls, and the children that it comes to have.
#pragma once

#include <cstdint>

#include "abi/system_calls.h"
#include "pool.h"
#include "random.h"

class Worker {
public:
    /// @param depth  0 for those that the fuzzer itself has started
    Worker(Random random, unsigned depth) : random_(random), pool_(random_.branch()), depth_(depth) {}

    /// Makes so many calls, or fewer when the kernel has enough; waits for all children, and exits.
    [[noreturn]] void run(unsigned calls);

private:
    static constexpr size_t kChildren = 4;
    static constexpr unsigned kMostDepth = 2, kChildsCalls = 40;

    struct Request {
        abi::SystemCall call;
        uint32_t arguments[6];
    };

    Request choose();
    uint32_t argument(unsigned kind);
    void keep_going(Request& request);
    void keep_range_harmless(Request& request);
    uint32_t make(const Request& request);
    void learn(const Request& request, uint32_t result);
    void became_child();
    void forget_child(uint32_t pid);
    bool is_child(uint32_t pid) const;

    Random random_;
    Pool pool_;
    unsigned depth_;
    unsigned calls_left_ = 0;
    uint32_t children_[kChildren] = {};
    size_t child_count_ = 0;
};
