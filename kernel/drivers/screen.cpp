#include "drivers/screen.h"

#include <cstddef>
#include <cstdint>

#include "arch/i386/ports.h"
#include "lib/format.h"

namespace {

constexpr size_t kColumns = 80, kLines = 25, kTabStop = 8;
constexpr uint16_t kBlank = 0x0700 | ' '; // light grey on black
constexpr char kEscape = 27;
constexpr uint16_t kCrtcIndex = 0x3D4, kCrtcData = 0x3D5;
constexpr uint8_t kCursorHigh = 0x0E, kCursorLow = 0x0F;

/// Each cell is a character and its colours. Identity mapped, as all memory below 1 MiB but page 0.
volatile uint16_t* const cells = reinterpret_cast<volatile uint16_t*>(0xB8000);

size_t line = 0, column = 0;

void clear_line(size_t which) {
    for (size_t i = 0; i < kColumns; ++i) cells[which * kColumns + i] = kBlank;
}

void scroll() {
    for (size_t i = 0; i < (kLines - 1) * kColumns; ++i) cells[i] = cells[i + kColumns];
    clear_line(kLines - 1);
}

void next_line() {
    column = 0;
    if (line + 1 < kLines)
        ++line;
    else
        scroll();
}

/// Where we are in an escape sequence: ESC [ numbers letter (ECMA-48, 5.4).
enum class Escape : uint8_t { None, Begun, Sequence };
constinit Escape escape = Escape::None;

/// What a terminal would do at the last letter, as far as programs here ask for it: to the corner, and clear.
void finish_escape(char letter) {
    escape = Escape::None;
    if (letter == 'H') line = column = 0;
    if (letter != 'J') return;
    for (size_t i = 0; i < kLines; ++i) clear_line(i);
}

/// Whether `character` belongs to an escape sequence, and is not shown.
bool follow_escape(char character) {
    if (character == kEscape) {
        escape = Escape::Begun;
    } else if (escape == Escape::Begun) {
        escape = character == '[' ? Escape::Sequence : Escape::None;
    } else if (escape == Escape::Sequence) {
        const bool is_parameter = character >= ' ' && character < '@';
        if (!is_parameter) finish_escape(character);
    } else {
        return false;
    }
    return true;
}

void put(char character) {
    if (follow_escape(character)) return;
    switch (character) {
    case '\a': return; // no bell
    case '\n': next_line(); return;
    case '\r': column = 0; return;
    case '\b':
        if (column > 0) --column;
        return;
    case '\t': column = (column / kTabStop + 1) * kTabStop; break;
    default: cells[line * kColumns + column++] = static_cast<uint16_t>(0x0700 | static_cast<uint8_t>(character));
    }
    if (column >= kColumns) next_line();
}

void move_cursor() {
    const size_t position = line * kColumns + column;
    i386::out_byte(kCrtcIndex, kCursorHigh);
    i386::out_byte(kCrtcData, static_cast<uint8_t>(position >> 8));
    i386::out_byte(kCrtcIndex, kCursorLow);
    i386::out_byte(kCrtcData, static_cast<uint8_t>(position));
}

void write(const char* text, size_t length) {
    for (size_t i = 0; i < length; ++i) put(text[i]);
    move_cursor();
}

} // namespace

void initialize_screen() {
    for (size_t i = 0; i < kLines; ++i) clear_line(i);
    move_cursor();
    add_console(write);
}
