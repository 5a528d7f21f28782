#include "monitor/console_input.h"

#include "arch/cpu.h"
#include "drivers/keyboard.h"
#include "drivers/serial.h"
#include "lib/format.h"
#include "mm/physical/frame_cache.h"
#include "proc/scheduler.h"

namespace {

constexpr char kCtrlC = 3, kBell = 7, kBackspace = '\b', kCtrlU = 21, kDelete = 127;

/// Frames that the idle CPU clears between two looks at the keyboard: so few that nobody notices.
constexpr size_t kClearedAtATime = 4;

char read_byte() {
    for (;;) {
        if (const auto character = poll_serial()) return *character;
        if (const auto character = poll_keyboard()) return *character;
        proc::scheduler::yield(); // whoever is ready runs while nobody types
        if (mm::frame_cache::fill_zeroed(kClearedAtATime) > 0) continue;
        Cpu::idle(); // until a serial interrupt, or the timer's, which lets us look at the keyboard again
    }
}

/// A character; the escape sequences of arrows and other such keys are passed over.
char read_character() {
    constexpr char escape = 27;
    for (;;) {
        const char character = read_byte();
        if (character != escape) return character;
        const char second = read_byte();
        if (second != '[') return second;
        while (read_byte() < '@') {} // parameters; what ends the sequence lies above (ECMA-48, 5.4)
    }
}

void echo(char character) {
    const char text[2] = {character, 0};
    print("{}", text);
}

/// A line while it is typed.
class Line {
public:
    explicit Line(std::span<char> buffer) : buffer_(buffer) {}

    void add(char character) {
        const bool fits = length_ + 1 < buffer_.size();
        if (fits) buffer_[length_++] = character;
        echo(fits ? character : kBell);
    }
    void take_back() {
        if (length_ == 0) return;
        --length_;
        print("\b \b");
    }
    void clear() {
        while (length_ > 0) take_back();
    }
    void finish() {
        buffer_[length_] = 0;
        print("\n");
    }

private:
    std::span<char> buffer_;
    size_t length_ = 0;
};

} // namespace

void initialize_console_input() { enable_serial_input(); }

void read_line(std::span<char> buffer) {
    Line line(buffer);
    for (;;) {
        const char character = read_character();
        switch (character) {
        case '\r':
        case '\n': line.finish(); return;
        case kBackspace:
        case kDelete: line.take_back(); break;
        case kCtrlU: line.clear(); break;
        case kCtrlC:
            line.clear();
            line.finish();
            return;
        default:
            if (character >= ' ') line.add(character);
        }
    }
}
