#include "user/signals.h"

#include "user/print.h"
#include "user/system_call.h"

extern "C" void return_from_signal();
static_assert(static_cast<int>(abi::SystemCall::SignalReturn) == 8, "return_from_signal in entry.S has the number");

namespace {

struct SignalText {
    int number;
    const char* name;
    const char* meaning;
};
constexpr SignalText kSignalTexts[] = {
    {abi::SIGILL, "SIGILL", "illegal instruction"},
    {abi::SIGTRAP, "SIGTRAP", "trap"},
    {abi::SIGBUS, "SIGBUS", "bus error"},
    {abi::SIGFPE, "SIGFPE", "arithmetic error"},
    {abi::SIGKILL, "SIGKILL", "killed"},
    {abi::SIGSEGV, "SIGSEGV", "segmentation fault"},
    {abi::SIGTERM, "SIGTERM", "terminated"},
};

const SignalText* find(int number) {
    for (const SignalText& text : kSignalTexts) {
        if (text.number == number) return &text;
    }
    return nullptr;
}

} // namespace

int signal(int number, SignalHandler handler) {
    using namespace system_call;
    return static_cast<int>(by_interrupt(abi::SystemCall::Signal, static_cast<uint32_t>(number), reinterpret_cast<uint32_t>(handler),
                                         reinterpret_cast<uint32_t>(&return_from_signal)));
}

const char* signal_name(int number) {
    static char other[24];
    if (const SignalText* text = find(number)) return text->name;
    snprintf(other, sizeof other, "signal %d", number);
    return other;
}

const char* signal_meaning(int number) {
    const SignalText* const text = find(number);
    return text ? text->meaning : "unknown signal";
}
