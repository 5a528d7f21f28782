/// @file
/// A line while it is typed: keys in, as a VT100 sends them; what the terminal must show out. No call of the kernel except in read_line().
///
/// | key | does |
/// |-----|------|
/// | left, right, Ctrl-B, Ctrl-F | one character; with Ctrl and an arrow one word |
/// | Home, End, Ctrl-A, Ctrl-E | to the begin, to the end |
/// | Backspace, Delete, Ctrl-D | take a character away, before or at the cursor |
/// | Ctrl-U, Ctrl-K, Ctrl-W | take away what is before the cursor, what is behind it, the word before it |
/// | up, down, Ctrl-P, Ctrl-N | earlier and later lines |
/// | Tab | whatever the program wants: completion |
/// | Ctrl-L | clears the screen |
/// | Ctrl-C | gives the line up |
/// | Ctrl-D on an empty line | the end of the input |
///
/// A line that is longer than the screen is wide moves sideways under the cursor. What is drawn uses nothing but backspaces, carriage
/// returns and spaces, which the plainest terminal knows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "user/print.h"

/// A line's most characters, zero byte included.
inline constexpr size_t kMaxLine = 512;

/// The lines that were typed before, the oldest forgotten first.
class LineHistory {
public:
    /// Adds a line, unless it is empty or the same as the last.
    void add(const char* line);
    /// How many lines there are.
    size_t count() const { return count_; }
    /// The line that was typed `back` lines ago: 1 is the last.
    const char* line(size_t back) const { return lines_[(added_ - back) % kLines]; }

private:
    static constexpr size_t kLines = 32;
    char lines_[kLines][kMaxLine] = {};
    size_t added_ = 0, count_ = 0;
};

class LineEditor {
public:
    enum class State : uint8_t { Editing, Finished, GivenUp, EndOfInput };
    /// Called for Tab. It may use insert() and redraw().
    using Completer = void (*)(LineEditor& editor);

    /// @param history    may be null
    /// @param completer  may be null: Tab rings the bell then
    constexpr LineEditor(TextWriter writer, void* context, LineHistory* history, Completer completer)
        : writer_(writer), context_(context), history_(history), completer_(completer) {}

    /// Shows the prompt and an empty line. The prompt must live as long as the line is edited.
    void begin(const char* prompt);
    /// One byte from the keyboard.
    State type(char byte);

    /// What has been typed, with a zero byte.
    const char* line() const { return text_; }
    size_t cursor() const { return cursor_; }

    /// Inserts at the cursor; rings the bell for what does not fit.
    void insert(const char* text);
    /// Draws prompt and line anew, on a line of the screen that is empty.
    void redraw();
    void bell() { show("\a"); }

private:
    enum class Escape : uint8_t { None, Begun, Sequence };
    static constexpr size_t kColumns = 79; ///< Of 80: some terminals wrap as soon as the last is written.

    void show(const char* text, size_t bytes) { writer_(context_, text, bytes); }
    void show(const char* text);
    void spaces(size_t count);
    size_t width() const;
    size_t visible() const;
    void refresh();
    void move_to(size_t position);
    void insert(char character);
    void erase(size_t begin, size_t end);
    void replace(const char* line);
    void recall(size_t back);
    size_t word_before() const;
    size_t word_behind() const;
    void escape(char byte);
    void key(char letter, bool with_control);
    void control(char byte);
    void clear_screen();
    State finish(State state);

    TextWriter writer_;
    void* context_;
    LineHistory* history_;
    Completer completer_;
    const char* prompt_ = "";
    char text_[kMaxLine] = {};
    size_t length_ = 0, cursor_ = 0;
    size_t first_ = 0;            ///< The character in the window's first column.
    size_t shown_ = 0;            ///< How many columns are drawn behind the prompt.
    size_t back_ = 0;             ///< Which line of the history is shown; 0: the new one.
    char draft_[kMaxLine] = {};   ///< The new line, while another is shown.
    Escape escape_ = Escape::None;
    uint32_t parameter_ = 0;      ///< The first number of an escape sequence.
    bool has_modifier_ = false;
    bool after_return_ = false;   ///< A line feed right behind a carriage return belongs to it.
};

/// Reads keys from the standard input until the line is finished. @return never State::Editing
LineEditor::State read_line(LineEditor& editor, const char* prompt);
/// Reads a line, without history. @return its length; -1 at the end of the input or when it was given up
int read_line(const char* prompt, char* buffer, size_t bytes);
