#include "user/files.h"
#include "user/line_editor.h"
#include "user/text.h"

namespace {

void to_output(void*, const char* text, size_t bytes) { write_all(abi::kStandardOutput, text, bytes); }

} // namespace

/// One byte at a time: what is typed ahead belongs to whoever reads the console next, perhaps another program.
LineEditor::State read_line(LineEditor& editor, const char* prompt) {
    editor.begin(prompt);
    for (;;) {
        char byte;
        if (read(abi::kStandardInput, &byte, 1) <= 0) return LineEditor::State::EndOfInput;
        const LineEditor::State state = editor.type(byte);
        if (state != LineEditor::State::Editing) return state;
    }
}

int read_line(const char* prompt, char* buffer, size_t bytes) {
    LineEditor editor(to_output, nullptr, nullptr, nullptr);
    if (read_line(editor, prompt) != LineEditor::State::Finished) return -1;
    const size_t length = strlcpy(buffer, editor.line(), bytes);
    return static_cast<int>(length < bytes ? length : bytes - 1);
}
