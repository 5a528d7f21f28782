/// @file
/// write [-a] FILE WORD...: makes a file of one line, or with -a adds the line at the file's end.
#include "user/library.h"

namespace {

int write_words(const char* path, uint32_t flags, char** words) {
    const int file = open(path, abi::O_WRONLY | abi::O_CREAT | flags);
    if (file < 0) return file;
    char line[1100]; // the arguments of a program have up to 1024 bytes
    line[0] = 0;
    for (char** word = words; *word; ++word) {
        if (word > words) strlcat(line, " ", sizeof line);
        strlcat(line, *word, sizeof line);
    }
    strlcat(line, "\n", sizeof line);
    const int result = write_all(file, line, strlen(line));
    close(file);
    return result;
}

} // namespace

int main(int argc, char** argv) {
    const bool append = argc > 1 && strcmp(argv[1], "-a") == 0;
    char** const words = argv + (append ? 2 : 1);
    if (argc < 2 || !words[0] || !words[1]) {
        printf("usage: write [-a] FILE WORD...\n");
        return 2;
    }
    const int error = write_words(words[0], append ? abi::O_APPEND : abi::O_TRUNC, words + 1);
    if (error < 0) printf("write: %s: %s\n", words[0], error_text(error));
    return error < 0 ? 1 : 0;
}
