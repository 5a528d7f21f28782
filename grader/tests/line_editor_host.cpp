// A line editor whose keys come from a pipe: after every key, what it showed, and the line with its cursor.
#include "user/files.h"
#include "user/line_editor.h"
#include "user/print.h"

namespace {

/// In hexadecimal: what is shown has control characters in it.
void show(void*, const char* text, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) printf("%02x", static_cast<unsigned char>(text[i]));
}

void complete(LineEditor& editor) { editor.insert("tab"); }

} // namespace

int main() {
    static LineHistory history;
    static LineEditor editor(show, nullptr, &history, complete);
    char key;
    printf("show ");
    editor.begin("prompt> ");
    for (;;) {
        printf("\n");
        if (read(0, &key, 1) != 1) return 0;
        printf("show ");
        const LineEditor::State state = editor.type(key);
        printf("\nline %d %u %s", static_cast<int>(state), static_cast<uint32_t>(editor.cursor()), editor.line());
        if (state != LineEditor::State::Editing) {
            printf("\nshow ");
            editor.begin("prompt> ");
        }
    }
}
