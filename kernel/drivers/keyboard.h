/// @file
/// The keyboard behind a PC's 8042 controller, US layout.
#pragma once

#include <optional>

/// Throws away what was typed before the boot.
void initialize_keyboard();

/// A character that was typed, if one was. Keys without a character (arrows, function keys) are passed over; letters with Ctrl
/// give the control characters 1 to 26.
std::optional<char> poll_keyboard();
