/// @file
/// What a person types, on the serial line or on the keyboard.
#pragma once

#include <cstddef>
#include <span>

/// Gets ready to read. Interrupts must be enabled for it to work; the timer must run, as the keyboard is polled with its help.
void initialize_console_input();

/// Reads a line and echoes it. Backspace takes back a character, Ctrl-U the line, Ctrl-C gives up (the line is then empty);
/// characters that do not fit are answered with a bell. The CPU sleeps between characters.
/// @param line  receives the text and a zero byte at its end
void read_line(std::span<char> line);
