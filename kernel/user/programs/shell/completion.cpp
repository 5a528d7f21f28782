#include "completion.h"

#include "commands.h"
#include "user/files.h"
#include "user/print.h"
#include "user/text.h"

namespace {

constexpr size_t kMaxCandidate = 40;

/// What the candidates have in common, and how many there are.
class Candidates {
public:
    explicit Candidates(const char* begin) : begin_(begin), length_(strlen(begin)) {}

    void add(const char* name, const char* end) {
        if (strncmp(name, begin_, length_) != 0) return;
        char candidate[kMaxCandidate];
        strlcpy(candidate, name, sizeof candidate);
        strlcat(candidate, end, sizeof candidate);
        if (count_++ == 0) {
            strlcpy(common_, candidate, sizeof common_);
            return;
        }
        size_t same = 0;
        while (common_[same] && common_[same] == candidate[same]) ++same;
        common_[same] = 0;
    }
    size_t count() const { return count_; }
    /// What may be added to the word.
    const char* rest() const { return count_ > 0 ? common_ + length_ : ""; }

private:
    const char* begin_;
    size_t length_;
    size_t count_ = 0;
    char common_[kMaxCandidate] = {};
};

/// The word before the cursor: for a file, its folder and its name.
struct Word {
    char folder[kMaxLine];
    char name[kMaxLine];
    bool is_first;
};

void find_word(const LineEditor& editor, Word& word) {
    char text[kMaxLine];
    strlcpy(text, editor.line(), editor.cursor() + 1);
    char* const space = strrchr(text, ' ');
    const char* const begin = space ? space + 1 : text;
    word.is_first = true;
    for (const char* at = text; at < begin; ++at) {
        if (!is_space(*at)) word.is_first = false;
    }
    const char* const slash = strrchr(begin, '/');
    const size_t folder = slash ? static_cast<size_t>(slash - begin) + 1 : 0;
    strlcpy(word.folder, folder ? begin : "/", folder ? folder + 1 : sizeof word.folder);
    strlcpy(word.name, begin + folder, sizeof word.name);
}

/// Calls visit(name, what follows it when it is the only one) for all that the word may become.
template <typename Visit>
void for_each_name(const Word& word, const Visit& visit) {
    if (word.is_first) {
        for (size_t i = 0; command_name(i); ++i) visit(command_name(i), " ");
    }
    abi::FolderEntry entry;
    const char* const folder = word.is_first ? kProgramFolder : word.folder;
    for (uint32_t i = 0; list_folder(folder, i, &entry) == 0; ++i) visit(entry.name, entry.is_folder ? "/" : " ");
}

void list(const Word& word) {
    const size_t length = strlen(word.name);
    printf("\n");
    for_each_name(word, [&](const char* name, const char*) {
        if (strncmp(name, word.name, length) == 0) printf("%s  ", name);
    });
    printf("\n");
}

} // namespace

void complete(LineEditor& editor) {
    static Word word; // too large for the stack of a careful program
    find_word(editor, word);
    Candidates candidates(word.name);
    for_each_name(word, [&](const char* name, const char* end) { candidates.add(name, end); });
    if (*candidates.rest()) return editor.insert(candidates.rest());
    if (candidates.count() < 2) return editor.bell();
    list(word);
    editor.redraw();
}
