/// @file
/// shell: reads lines, runs programs from /bin, and says how they ended.
#include "commands.h"
#include "completion.h"
#include "user/library.h"
#include "words.h"

namespace {

constexpr const char* kPrompt = "faultline$ ";

constinit LineHistory history;

/// How a program ended, if there is anything to say.
void report(const char* name, int pid, uint32_t status, bool in_background) {
    const int killer = static_cast<int>(abi::signal_of(status));
    const uint32_t code = abi::exit_status_of(status);
    if (in_background) printf("[%d] ", pid);
    if (killer) {
        printf("%s was ended by %s: %s\n", name, signal_name(killer), signal_meaning(killer));
    } else if (code) {
        printf("%s ended with status %u\n", name, code);
    } else if (in_background) {
        printf("%s is done\n", name);
    }
}

/// The first child that has ended, without waiting for one.
bool find_ended(int self, abi::ProcessInfo& info) {
    for (uint32_t i = 0; process_info(i, &info) == 0; ++i) {
        if (info.parent == static_cast<uint32_t>(self) && info.state == abi::ProcessState::Zombie) return true;
    }
    return false;
}

/// Programs in the background that have ended since the last prompt.
void collect_ended() {
    const int self = getpid();
    abi::ProcessInfo info;
    while (find_ended(self, info)) {
        uint32_t status;
        if (wait(static_cast<int>(info.pid), &status) < 0) return;
        report(info.name, static_cast<int>(info.pid), status, true);
    }
}

/// A program's file: a name without a slash is one in /bin.
bool find_program(const char* name, char* path, size_t bytes) {
    snprintf(path, bytes, strchr(name, '/') ? "%s" : "/bin/%s", name);
    const int file = open(path, abi::O_RDONLY);
    if (file >= 0) close(file);
    return file >= 0;
}

void run_program(const Words& words) {
    char path[64];
    const char* const name = words.words[0];
    if (!find_program(name, path, sizeof path)) {
        printf("%s: no such program; help lists them\n", name);
        return;
    }
    const int child = spawn(path, words.words);
    if (child < 0) {
        printf("%s: %s\n", name, error_text(child));
        return;
    }
    if (words.in_background) {
        printf("[%d] %s runs in the background\n", child, name);
        return;
    }
    uint32_t status = 0;
    if (wait(child, &status) != child) return;
    if (abi::signal_of(status) == 0 && abi::exit_status_of(status) == kNotRunnable) return; // spawn() has said why
    report(name, child, status, false);
}

void run_line(const char* line) {
    Words words;
    if (const char* const problem = words.split(line)) {
        printf("shell: %s\n", problem);
    } else if (words.count == 0) {
        return;
    } else if (const Command* const command = find_command(words.words[0])) {
        command->run(words.words, words.count);
    } else {
        run_program(words);
    }
}

void to_output(void*, const char* text, size_t bytes) { write_all(abi::kStandardOutput, text, bytes); }

} // namespace

int main() {
    static constinit LineEditor editor(to_output, nullptr, &history, complete);
    printf("\nThe shell. help lists the commands, Tab completes them, the arrows bring lines back.\n");
    for (;;) {
        collect_ended();
        switch (read_line(editor, kPrompt)) {
        case LineEditor::State::Finished: run_line(editor.line()); break;
        case LineEditor::State::EndOfInput: return 0;
        default: break;
        }
    }
}
