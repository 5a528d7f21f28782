#include "user/line_editor.h"

#include "user/text.h"

namespace {

constexpr char kEscape = 27, kDelete = 127;
constexpr char control_key(char letter) { return static_cast<char>(letter & 0x1F); }

} // namespace

void LineHistory::add(const char* line) {
    if (*line == 0 || (count_ > 0 && strcmp(line, this->line(1)) == 0)) return;
    strlcpy(lines_[added_ % kLines], line, kMaxLine);
    ++added_;
    if (count_ < kLines) ++count_;
}

void LineEditor::show(const char* text) { show(text, strlen(text)); }

void LineEditor::spaces(size_t count) {
    while (count-- > 0) show(" ", 1);
}

size_t LineEditor::width() const {
    const size_t prompt = strlen(prompt_);
    return prompt + 20 < kColumns ? kColumns - prompt : 20;
}

/// How many characters of the line the window shows.
size_t LineEditor::visible() const {
    const size_t rest = length_ - first_;
    return rest < width() ? rest : width();
}

/// Moves the window so that the cursor is in it, and draws all of it. It moves by more than a character, so that the next keys need not
/// draw it again.
void LineEditor::refresh() {
    const size_t step = width() / 4;
    if (cursor_ < first_) first_ = cursor_ > step ? cursor_ - step : 0;
    if (cursor_ > first_ + width()) first_ = cursor_ - width() + step;
    show("\r");
    show(prompt_);
    show(text_ + first_, visible());
    const bool at_end = shown_ <= visible() && cursor_ == first_ + visible();
    if (shown_ > visible()) spaces(shown_ - visible());
    shown_ = visible();
    if (at_end) return;
    show("\r");
    show(prompt_);
    show(text_ + first_, cursor_ - first_);
}

void LineEditor::redraw() {
    shown_ = 0;
    refresh();
}

void LineEditor::begin(const char* prompt) {
    prompt_ = prompt;
    length_ = cursor_ = first_ = shown_ = back_ = 0;
    text_[0] = 0;
    escape_ = Escape::None;
    show(prompt_);
}

void LineEditor::move_to(size_t position) {
    const size_t before = cursor_;
    cursor_ = position;
    if (position < first_ || position > first_ + width()) return refresh();
    for (size_t i = position; i < before; ++i) show("\b", 1);
    if (position > before) show(text_ + before, position - before);
}

void LineEditor::insert(char character) {
    if (length_ + 1 >= kMaxLine) return bell();
    memmove(text_ + cursor_ + 1, text_ + cursor_, length_ - cursor_ + 1);
    text_[cursor_++] = character;
    ++length_;
    if (cursor_ < length_ || cursor_ > first_ + width()) return refresh();
    show(&character, 1);
    if (shown_ < visible()) shown_ = visible();
}

void LineEditor::insert(const char* text) {
    for (; *text; ++text) insert(*text);
}

/// Takes the characters [begin, end) away; the cursor goes to where they were.
void LineEditor::erase(size_t begin, size_t end) {
    if (begin == end) return bell();
    const bool last_one = end == length_ && cursor_ == length_ && begin + 1 == end && begin > first_ && length_ - first_ <= width();
    memmove(text_ + begin, text_ + end, length_ - end + 1);
    length_ -= end - begin;
    cursor_ = begin;
    if (!last_one) return refresh();
    show("\b \b");
    shown_ = visible();
}

void LineEditor::replace(const char* line) {
    strlcpy(text_, line, kMaxLine);
    length_ = cursor_ = strlen(text_);
    first_ = 0;
    refresh();
}

void LineEditor::recall(size_t back) {
    if (!history_ || back > history_->count() || back == back_) return bell();
    if (back_ == 0) strlcpy(draft_, text_, kMaxLine);
    back_ = back;
    replace(back == 0 ? draft_ : history_->line(back));
}

size_t LineEditor::word_before() const {
    size_t at = cursor_;
    while (at > 0 && text_[at - 1] == ' ') --at;
    while (at > 0 && text_[at - 1] != ' ') --at;
    return at;
}

size_t LineEditor::word_behind() const {
    size_t at = cursor_;
    while (at < length_ && text_[at] == ' ') ++at;
    while (at < length_ && text_[at] != ' ') ++at;
    return at;
}

/// A key by the last letter of its escape sequence.
void LineEditor::key(char letter, bool with_control) {
    switch (letter) {
    case 'A': return recall(back_ + 1);
    case 'B': return back_ > 0 ? recall(back_ - 1) : bell();
    case 'C': return cursor_ == length_ ? bell() : move_to(with_control ? word_behind() : cursor_ + 1);
    case 'D': return cursor_ == 0 ? bell() : move_to(with_control ? word_before() : cursor_ - 1);
    case 'H': return move_to(0);
    case 'F': return move_to(length_);
    case '~':
        if (parameter_ == 1 || parameter_ == 7) return move_to(0);
        if (parameter_ == 4 || parameter_ == 8) return move_to(length_);
        if (parameter_ == 3) return erase(cursor_, cursor_ < length_ ? cursor_ + 1 : cursor_);
    }
}

/// ESC [ numbers letter (ECMA-48, 5.4), or ESC O letter.
void LineEditor::escape(char byte) {
    if (escape_ == Escape::Begun) {
        escape_ = byte == '[' || byte == 'O' ? Escape::Sequence : Escape::None;
        parameter_ = 0;
        has_modifier_ = false;
        return;
    }
    if (is_digit(byte)) {
        if (!has_modifier_ && parameter_ < 1000) parameter_ = parameter_ * 10 + static_cast<uint32_t>(byte - '0');
    } else if (byte == ';') {
        has_modifier_ = true;
    } else {
        escape_ = Escape::None;
        key(byte, has_modifier_);
    }
}

void LineEditor::clear_screen() {
    show("\x1b[H\x1b[2J");
    redraw();
}

void LineEditor::control(char byte) {
    switch (byte) {
    case control_key('A'): return key('H', false);
    case control_key('B'): return key('D', false);
    case control_key('D'): return erase(cursor_, cursor_ < length_ ? cursor_ + 1 : cursor_);
    case control_key('E'): return key('F', false);
    case control_key('F'): return key('C', false);
    case control_key('H'):
    case kDelete: return erase(cursor_ > 0 ? cursor_ - 1 : 0, cursor_);
    case control_key('K'): return erase(cursor_, length_);
    case control_key('L'): return clear_screen();
    case control_key('N'): return key('B', false);
    case control_key('P'): return key('A', false);
    case control_key('U'): return erase(0, cursor_);
    case control_key('W'): return erase(word_before(), cursor_);
    case '\t': return completer_ ? completer_(*this) : bell();
    case kEscape: escape_ = Escape::Begun;
    }
}

LineEditor::State LineEditor::finish(State state) {
    move_to(length_);
    show(state == State::GivenUp ? "^C\n" : "\n");
    if (state == State::GivenUp) text_[length_ = cursor_ = 0] = 0;
    if (state == State::Finished && history_) history_->add(text_);
    return state;
}

LineEditor::State LineEditor::type(char byte) {
    const bool line_feed_of_return = byte == '\n' && after_return_;
    after_return_ = byte == '\r';
    if (line_feed_of_return) return State::Editing;
    if (escape_ != Escape::None) {
        escape(byte);
    } else if (byte == '\r' || byte == '\n') {
        return finish(State::Finished);
    } else if (byte == control_key('C')) {
        return finish(State::GivenUp);
    } else if (byte == control_key('D') && length_ == 0) {
        return finish(State::EndOfInput);
    } else if (is_printable(byte)) {
        insert(byte);
    } else {
        control(byte);
    }
    return State::Editing;
}
