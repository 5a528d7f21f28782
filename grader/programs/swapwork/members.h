/// @file
/// Processes that wait for one another.
#pragma once

#include <cstddef>
#include <cstdint>

inline constexpr size_t kMaxMembers = 16;

/// A page of shared memory in which every member says how far it is. Attach it before the first fork().
class Members {
public:
    /// This process is member 0. @param page  where the shared memory shall lie
    explicit Members(uint32_t page);

    /// fork(): the child is the next member, and prints "member NUMBER PID". @return the child's process number, 0 in the child
    int add();
    /// Waits until as many members as `all` have called it as often as this one.
    void meet(size_t all);
    /// This member comes to no meeting any more.
    void leave();

    size_t me() const { return me_; }
    size_t count() const { return count_; }

private:
    volatile uint32_t* meetings_;
    size_t me_ = 0, count_ = 1;
};

/// Waits for all children. @return how many did not end with status 0
uint32_t children_that_failed();
