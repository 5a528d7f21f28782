#include "words.h"

#include "user/text.h"

namespace {

/// Copies one word without its quotes. @return what follows it, or null when a quote has no end
const char* copy_word(const char* from, char*& to) {
    bool quoted = false;
    for (; *from && (quoted || (!is_space(*from) && *from != '&')); ++from) {
        if (*from == '"') {
            quoted = !quoted;
        } else {
            *to++ = *from;
        }
    }
    *to++ = 0;
    return quoted ? nullptr : from;
}

} // namespace

/// The words need no more room than the line: each zero byte stands for a space, an & or the line's end.
const char* Words::split(const char* line) {
    char* to = text;
    for (;;) {
        while (is_space(*line)) ++line;
        if (*line == 0) break;
        if (in_background) return "& comes last";
        if (*line == '&') {
            in_background = true;
            ++line;
            continue;
        }
        if (count == kMaxWords) return "too many words";
        words[count++] = to;
        line = copy_word(line, to);
        if (!line) return "a quote without its end";
    }
    if (in_background && count == 0) return "nothing to run before &";
    words[count] = nullptr;
    return nullptr;
}
