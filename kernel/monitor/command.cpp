#include "monitor/command.h"

#include "lib/text.h"

Words::Words(char* line) {
    while (*line && count_ < kMaxWords) {
        while (*line == ' ') *line++ = 0;
        if (*line) words_[count_++] = line;
        while (*line && *line != ' ') ++line;
    }
    *line = 0;
}

bool Words::is(size_t index, const char* word) const { return index < count_ && text_equal(words_[index], word); }

Result<uint32_t> Words::number(size_t index) const { return parse_number(word(index)); }
