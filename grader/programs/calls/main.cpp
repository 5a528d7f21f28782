// Makes the system calls that a script asks for, and prints what each returned: calls FILE. It judges nothing.
//
//     text name "/note.txt"       a text in memory of this program; `name` is its address from now on
//     begin                       the next line is line 1
//     value end page+4096         an address or number by a name
//     MapMemory 0 4096 3 0x22 -1 0
//     Read file buffer 100        a call by its name, or by its number; up to six arguments
//     fast GetPid                 the same by SYSENTER
//     keep file                   the last result, by a name
//     show buffer 16              the bytes there
//     store buffer 0x55 16        fills them
//     word buffer page+8          writes a 32-bit word
//     child ... end               forks; the child performs the lines up to `end` and exits with 0
//     catch 15                    handles this signal: counts; 11 (SIGSEGV) also skips the instruction, if it is that of `store`
//     caught                      how often
//
// An argument is a number, or a name with an offset (`buffer+12`, `file-1`); `buffer` (64 KiB, writable) is there from the start. Every
// line that calls the kernel prints `#LINE RESULT` in hexadecimal; a child's lines print `##LINE RESULT`.
#include <cstddef>
#include <cstdint>

#include "call_names.h"
#include "user/library.h"

namespace {

constexpr size_t kMaxNames = 1024, kMaxWords = 8, kBufferBytes = 64 * 1024, kMaxScript = 64 * 1024, kTextBytes = 16 * 1024;

struct Name {
    const char* name;
    uint32_t value;
};

Name names[kMaxNames];
size_t name_count = 0;
alignas(kPageBytes) char buffer[kBufferBytes];
char script[kMaxScript];
char texts[kTextBytes];
size_t text_bytes = 0;
const char* mark = "#";  // of what is printed
uint32_t line_number = 0;
uint32_t caught = 0;

[[noreturn]] void bad_line(const char* why, const char* what) {
    printf("!%u %s: %s\n", line_number, why, what);
    exit(99);
}

void define(const char* name, uint32_t value) {
    for (size_t i = 0; i < name_count; ++i) {
        if (strcmp(names[i].name, name) != 0) continue;
        names[i].value = value; // a new value for an old name
        return;
    }
    if (name_count == kMaxNames) bad_line("too many names", name);
    names[name_count++] = {name, value};
}

uint32_t number(const char* word) {
    const bool negative = word[0] == '-';
    uint32_t value;
    if (!parse_number(word + negative, value)) bad_line("no number", word);
    return negative ? 0 - value : value;
}

/// A number, or a name with an offset.
uint32_t evaluate(const char* word) {
    if (is_digit(word[0]) || word[0] == '-') return number(word);
    size_t length = 0;
    while (word[length] != 0 && word[length] != '+' && word[length] != '-') ++length;
    for (size_t i = 0; i < name_count; ++i) {
        if (strlen(names[i].name) != length || strncmp(names[i].name, word, length) != 0) continue;
        const char* const offset = word + length + (word[length] == '+');
        return names[i].value + (*offset ? number(offset) : 0);
    }
    bad_line("no such name", word);
}

/// One line, split at its spaces in place.
struct Words {
    char* words[kMaxWords];
    size_t count = 0;

    explicit Words(char* line) {
        while (line != nullptr) {
            char* const word = strsep(&line, " ");
            if (*word == 0) continue;
            if (count == kMaxWords) bad_line("too many words", word);
            words[count++] = word;
        }
    }
    const char* operator[](size_t i) const { return i < count ? words[i] : ""; }
    uint32_t value(size_t i) const { return i < count ? evaluate(words[i]) : 0; }
};

uint32_t call_number(const char* name) {
    if (is_digit(name[0])) return number(name);
    for (uint32_t i = 0; i < sizeof kCallNames / sizeof *kCallNames; ++i) {
        if (strcmp(kCallNames[i], name) == 0) return i;
    }
    bad_line("no such call", name);
}

uint32_t make_call(const Words& words, size_t first) {
    const auto call = static_cast<abi::SystemCall>(call_number(words[first]));
    if (first > 0) return system_call::by_sysenter(call, words.value(first + 1), words.value(first + 2), words.value(first + 3));
    return system_call::system_call_with_six(call, words.value(1), words.value(2), words.value(3), words.value(4), words.value(5),
                                             words.value(6));
}

/// `text NAME "..."`: the rest of the line between the quotes.
void define_text(char* line) {
    strsep(&line, " ");
    char* const name = strsep(&line, " ");
    char* const begin = line == nullptr ? nullptr : strchr(line, '"');
    char* const end = begin == nullptr ? nullptr : strrchr(begin + 1, '"');
    if (end == nullptr) bad_line("no text", name);
    *end = 0;
    const size_t bytes = strlen(begin + 1) + 1;
    if (text_bytes + bytes > kTextBytes) bad_line("too much text", name);
    memcpy(texts + text_bytes, begin + 1, bytes);
    define(name, system_call::word(texts + text_bytes));
    text_bytes += bytes;
}

void show(const Words& words) {
    const auto* const bytes = reinterpret_cast<const volatile unsigned char*>(words.value(1));
    char line[256];
    size_t used = 0;
    for (uint32_t i = 0; i < words.value(2) && used + 3 < sizeof line; ++i) used += snprintf(line + used, sizeof line - used, "%02x", bytes[i]);
    printf("%s%u %s\n", mark, line_number, line);
}

/// A write that is not allowed is passed over: memset() writes by `rep stos`, which has two bytes.
void count_signal(int number, abi::SignalFrame* frame) {
    ++caught;
    if (number == abi::SIGSEGV) frame->eip += 2;
}

void perform(char* line, uint32_t& result) {
    if (strncmp(line, "text ", 5) == 0) return define_text(line);
    const Words words(line);
    if (words.count == 0) return;
    if (strcmp(words[0], "value") == 0) return define(words[1], words.value(2));
    if (strcmp(words[0], "keep") == 0) return define(words[1], result);
    if (strcmp(words[0], "show") == 0) return show(words);
    if (strcmp(words[0], "store") == 0) {
        memset(reinterpret_cast<void*>(words.value(1)), static_cast<int>(words.value(2)), words.count > 3 ? words.value(3) : 1);
        return;
    }
    if (strcmp(words[0], "word") == 0) {
        *reinterpret_cast<volatile uint32_t*>(words.value(1)) = words.value(2);
        return;
    }
    if (strcmp(words[0], "catch") == 0)
        result = static_cast<uint32_t>(signal(static_cast<int>(words.value(1)), count_signal));
    else if (strcmp(words[0], "caught") == 0)
        result = caught;
    else
        result = make_call(words, strcmp(words[0], "fast") == 0);
    printf("%s%u 0x%x\n", mark, line_number, result);
}

/// Performs all lines; those of a `child` block in the child, which ends there.
void perform_all() {
    uint32_t result = 0;
    bool skipping = false, in_child = false;
    char* rest = script;
    while (rest != nullptr) {
        char* const line = strsep(&rest, "\n");
        ++line_number;
        if (strcmp(line, "begin") == 0) {
            line_number = 0;
        } else if (strcmp(line, "end") == 0) {
            if (in_child) exit(0);
            skipping = false;
        } else if (skipping) {
            continue;
        } else if (strcmp(line, "child") == 0) {
            result = static_cast<uint32_t>(fork());
            in_child = result == 0;
            skipping = !in_child;
            if (in_child) mark = "##";
            if (skipping) printf("%s%u 0x%x\n", mark, line_number, result);
        } else {
            perform(line, result);
        }
    }
}

} // namespace

int main(int argc, char** argv) {
    const int file = open(argc > 1 ? argv[1] : "/calls.txt", abi::O_RDONLY);
    const int bytes = file < 0 ? file : read(file, script, kMaxScript - 1);
    if (bytes < 0) bad_line("no script", error_text(bytes));
    close(file);
    define("buffer", system_call::word(buffer));
    define("code", reinterpret_cast<uint32_t>(&perform_all));
    perform_all();
    return 0;
}
