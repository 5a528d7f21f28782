/// @file
/// What a driver did last, to be shown when something is wrong.
#pragma once

#include <deque>
#include <string>

#include "host/panic.h"
#include "host/text.h"

namespace host {

/// The last calls in words. `require()` is how a driver says what should be true.
class Journal {
public:
    /// @param what  where the calls come from: "seed 7"
    explicit Journal(std::string what) : what_(std::move(what)) {}

    /// Notes a call before it is made.
    template <typename... T>
    void call(const T&... values) {
        ++count_;
        calls_.push_back(text(values...));
        if (calls_.size() > kShown) calls_.pop_front();
    }
    /// What the call answered.
    template <typename... T>
    void answer(const T&... values) { calls_.back() += " = " + text(values...); }

    /// @throws Violation with the values as its text, and the last calls
    template <typename... T>
    void require(bool condition, const T&... values) const {
        if (condition) return;
        std::string message = text(values...) + "\n  the last of " + std::to_string(count_) + " calls (" + what_ + "):";
        for (const std::string& call : calls_) message += "\n    " + call;
        throw Violation(message);
    }

private:
    static constexpr size_t kShown = 8;
    std::string what_;
    std::deque<std::string> calls_;
    size_t count_ = 0;
};

} // namespace host
