#include "drivers/keyboard.h"

#include <cstddef>
#include <cstdint>

#include "arch/i386/ports.h"

namespace {

constexpr uint16_t kData = 0x60, kStatus = 0x64;
constexpr uint8_t kOutputFull = 0x01; // status: a byte waits for us
constexpr uint8_t kNoDevice = 0xFF;

// Scan codes of set 1, to which the controller translates. A released key sends its code with bit 7 set; keys that the PC/AT
// added send 0xE0 first.
constexpr uint8_t kReleased = 0x80, kExtended = 0xE0;
constexpr uint8_t kCtrl = 0x1D, kLeftShift = 0x2A, kRightShift = 0x36;

constexpr char kPlain[] = "\0\x1b"
                          "1234567890-=\b\tqwertyuiop[]\n\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
constexpr char kShifted[] = "\0\x1b"
                            "!@#$%^&*()_+\b\tQWERTYUIOP{}\n\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";
static_assert(sizeof(kPlain) == sizeof(kShifted) && kPlain[0x1C] == '\n' && kPlain[0x2C] == 'z' && kPlain[0x39] == ' ');

/// Keys without a character: what a VT100 sends for them (DEC, "VT100 User Guide", chapter 3; the last five as on a VT220).
struct Sequence {
    uint8_t code; ///< After 0xE0.
    const char* text;
};
constexpr Sequence sequences[] = {
    {0x48, "\x1b[A"},  {0x50, "\x1b[B"},  {0x4D, "\x1b[C"},  {0x4B, "\x1b[D"},  {0x47, "\x1b[H"},
    {0x4F, "\x1b[F"},  {0x52, "\x1b[2~"}, {0x53, "\x1b[3~"}, {0x49, "\x1b[5~"}, {0x51, "\x1b[6~"},
};
constexpr uint8_t kKeypadEnter = 0x1C, kKeypadSlash = 0x35; // after 0xE0, too

bool shift = false, ctrl = false, extended = false;
const char* rest = ""; // of a sequence that was begun

/// Follows the keys that only change others. True when `code` is one of them. Right Ctrl is the left one after 0xE0; a Shift after
/// 0xE0 is none: the keyboard brackets its grey keys with it while Num Lock is on.
bool is_modifier(uint8_t code, bool after_prefix) {
    const bool down = !(code & kReleased);
    const uint8_t key = code & ~kReleased;
    if (key == kLeftShift || key == kRightShift)
        shift = after_prefix ? shift : down;
    else if (key == kCtrl)
        ctrl = down;
    else
        return false;
    return true;
}

std::optional<char> character_of(uint8_t code) {
    if (code >= sizeof(kPlain) - 1) return std::nullopt; // a released key, too
    const char character = shift ? kShifted[code] : kPlain[code];
    if (character == 0) return std::nullopt;
    const bool letter = kPlain[code] >= 'a' && kPlain[code] <= 'z';
    return ctrl && letter ? static_cast<char>(character & 0x1F) : character;
}

/// The key that sent 0xE0 and `code`: its character, or the first of its sequence.
std::optional<char> extended_character_of(uint8_t code) {
    if (code == kKeypadEnter || code == kKeypadSlash) return kPlain[code];
    for (const Sequence& sequence : sequences) {
        if (sequence.code != code) continue;
        rest = sequence.text + 1;
        return sequence.text[0];
    }
    return std::nullopt;
}

bool has_byte() {
    const uint8_t status = i386::in_byte(kStatus);
    return status != kNoDevice && (status & kOutputFull);
}

} // namespace

void initialize_keyboard() {
    constexpr unsigned buffered = 32; // more than any controller keeps; a broken one must not hold us up
    for (unsigned i = 0; i < buffered && has_byte(); ++i) i386::in_byte(kData);
}

std::optional<char> poll_keyboard() {
    if (*rest) return *rest++;
    while (has_byte()) {
        const uint8_t code = i386::in_byte(kData);
        const bool was_extended = extended;
        extended = code == kExtended;
        if (extended || is_modifier(code, was_extended)) continue;
        if (const auto character = was_extended ? extended_character_of(code) : character_of(code)) return character;
    }
    return std::nullopt;
}
