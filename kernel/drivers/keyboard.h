/// @file
/// The keyboard behind a PC's 8042 controller, US layout.
#pragma once

#include <optional>

/// Throws away what was typed before the boot.
void initialize_keyboard();

/// A character that was typed, if one was. Letters with Ctrl give the control characters 1 to 26. The arrows, Home, End, Insert,
/// Delete and the Page keys give the escape sequences of a terminal, one character a call: ESC [ A for up, ESC [ 3 ~ for Delete.
/// Other keys without a character (function keys) are passed over.
std::optional<char> poll_keyboard();
