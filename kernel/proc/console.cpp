#include "proc/console.h"

#include "drivers/keyboard.h"
#include "drivers/serial.h"
#include "lib/format.h"
#include "proc/scheduler.h"

namespace proc::console {

namespace {

void (*sink)(const char* text, size_t bytes) = nullptr;
constinit WaitQueue readers;

/// How long a reader sleeps when nothing wakes it: the keyboard is only looked at.
constexpr uint32_t kTicksBetweenLooks = 1;

std::optional<char> poll() {
    if (const auto character = poll_serial()) return character;
    return poll_keyboard();
}

/// All that was typed, as far as it fits; waits for the first character.
Result<size_t> read(fs::Node&, uint32_t, void* buffer, size_t bytes) {
    auto* const text = static_cast<char*>(buffer);
    size_t count = 0;
    while (count < bytes) {
        if (const auto character = poll()) {
            text[count++] = *character;
            continue;
        }
        if (count > 0) break;
        TRY(scheduler::block(readers, kTicksBetweenLooks));
    }
    return count;
}

Result<size_t> write(fs::Node&, uint32_t, const void* buffer, size_t bytes) {
    const auto* const text = static_cast<const char*>(buffer);
    if (sink)
        sink(text, bytes);
    else
        print_text(text, bytes);
    return bytes;
}

Result<void> truncate(fs::Node&, uint32_t) { return Error::WrongKind; }

void destroy(fs::Node&) {} // the console's own reference stays for ever

constexpr fs::NodeOperations operations = {read, write, truncate, destroy};
constinit fs::Node the_console = {&operations, fs::NodeKind::Console, 1, 0, nullptr};

void wake_readers() { scheduler::wake_all(readers); }

} // namespace

fs::Node& node() { return the_console; }

void set_sink(void (*where)(const char* text, size_t bytes)) { sink = where; }

void initialize() {
    set_serial_listener(wake_readers);
    enable_serial_input();
}

} // namespace proc::console
