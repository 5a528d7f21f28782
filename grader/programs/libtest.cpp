/// @file
/// libtest PART SEED COUNT: exercises the user library at random, and prints every call with its result for the host to judge
/// (grader/tests/test_user_library.py). PART is format, text or heap. The same source runs on the host, under sanitizers.
#include "user/heap.h"
#include "user/print.h"
#include "user/processes.h"
#include "user/text.h"

namespace {

/// xorshift32 (Marsaglia, "Xorshift RNGs", 2003).
class Random {
public:
    explicit Random(uint32_t seed) : state_(seed ? seed : 1) {}
    uint32_t word() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 17;
        return state_ ^= state_ << 5;
    }
    uint32_t below(uint32_t limit) { return word() % limit; }
    bool one_in(uint32_t chances) { return below(chances) == 0; }

private:
    uint32_t state_;
};

/// A text that is put together without the functions under test.
struct Text {
    char bytes[64] = {};
    size_t length = 0;

    void add(char c) { bytes[length++] = c; }
    void add(const char* text) {
        while (*text) add(*text++);
    }
    void add_number(uint32_t number) {
        if (number >= 10) add_number(number / 10);
        add(static_cast<char>('0' + number % 10));
    }
};

void add_random(Text& text, Random& random, uint32_t most) {
    for (uint32_t i = random.below(most + 1); i > 0; --i) text.add("abAB01 ,"[random.below(8)]);
}

/// Numbers near the edges of the types as often as others.
uint64_t random_value(Random& random) {
    static constexpr uint64_t kEdges[] = {0, 1, 9, 10, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF'FFFF, 0x8000'0000, 0xFFFF'FFFF,
                                          0x7FFF'FFFF'FFFF'FFFF, 0x8000'0000'0000'0000, 0xFFFF'FFFF'FFFF'FFFF};
    if (random.one_in(2)) return kEdges[random.below(sizeof kEdges / sizeof *kEdges)];
    return (static_cast<uint64_t>(random.word()) << 32 | random.word()) >> random.below(64);
}

struct Conversion {
    char letter;
    const char* flags;
};
constexpr Conversion kConversions[] = {{'d', "-0+ "}, {'i', "-0+ "}, {'u', "-0"}, {'x', "-0#"}, {'X', "-0#"},
                                       {'o', "-0#"},  {'c', "-"},    {'s', "-"},  {'p', "-"}};
constexpr const char* kLengths[] = {"", "", "hh", "h", "l", "ll", "z", "t", "j"};

/// `%`, flags, width and precision.
void begin_format(Text& text, const Conversion& conversion, Random& random) {
    text.add('%');
    for (const char* flag = conversion.flags; *flag; ++flag) {
        if (random.one_in(3)) text.add(*flag);
    }
    if (random.one_in(2)) text.add_number(1 + random.below(20));
    if (conversion.letter != 'c' && conversion.letter != 'p' && random.one_in(3)) {
        text.add('.');
        if (!random.one_in(4)) text.add_number(random.below(15));
    }
}

/// One call of snprintf() with room for `bytes`; what comes, its length, and whether the byte behind the room stayed.
template <typename... T>
void try_format(const char* kind, uint32_t bytes, const char* format, uint64_t value, T... arguments) {
    char room[80];
    for (char& c : room) c = '#';
    const int length = snprintf(room, bytes, format, arguments...);
    const bool kept = room[bytes] == '#';
    room[bytes] = 0;
    printf("format|%s|%u|%s|%u:%u|%s|%d|%d\n", kind, bytes, format, static_cast<uint32_t>(value >> 32), static_cast<uint32_t>(value),
           bytes > 0 ? room : "", length, kept);
}

void format_case(Random& random) {
    const Conversion& conversion = kConversions[random.below(sizeof kConversions / sizeof *kConversions)];
    const uint64_t value = random_value(random);
    const uint32_t bytes = random.one_in(4) ? random.below(30) : 70;
    Text format;
    if (random.one_in(3)) add_random(format, random, 6);
    begin_format(format, conversion, random);
    switch (conversion.letter) {
    case 'c': format.add("c"); return try_format("c", bytes, format.bytes, 'a' + value % 26, static_cast<int>('a' + value % 26));
    case 's': {
        Text argument;
        add_random(argument, random, 20);
        format.add("s");
        return try_format(argument.bytes, bytes, format.bytes, 0, argument.bytes);
    }
    case 'p': {
        const auto address = static_cast<uint32_t>(value) | 1;
        format.add("p");
        return try_format("p", bytes, format.bytes, address, reinterpret_cast<void*>(static_cast<uintptr_t>(address)));
    }
    }
    const char* const length = kLengths[random.below(sizeof kLengths / sizeof *kLengths)];
    format.add(length);
    format.add(conversion.letter);
    format.add("%%");
    const bool is_long = *length == 'j' || (length[0] == 'l' && length[1] == 'l');
    if (is_long) return try_format("long", bytes, format.bytes, value, value);
    // As wide as the type is here; the host of a sanitized run has a wider one than the kernel's programs.
    const bool is_word = *length == 'l' || *length == 'z' || *length == 't';
    if (is_word) return try_format("word", bytes, format.bytes, value, static_cast<size_t>(value));
    try_format("int", bytes, format.bytes, value, static_cast<uint32_t>(value));
}

int sign(int number) { return number < 0 ? -1 : number > 0; }
long offset(const char* begin, const char* found) { return found ? found - begin : -1; }

void text_case(Random& random) {
    Text a, b;
    add_random(a, random, 20);
    add_random(b, random, random.one_in(2) ? 2 : 20);
    const uint32_t most = random.below(24);
    const char c = "aB0 ,x"[random.below(6)];
    char copy[24], joined[24] = "ab", moved[64];
    const size_t copied = strlcpy(copy, a.bytes, most), all = strlcat(joined, a.bytes, most);
    if (most == 0) copy[0] = 0;
    memcpy(moved, a.bytes, sizeof moved);
    const uint32_t from = random.below(20), to = random.below(20), bytes = random.below(20);
    memmove(moved + to, moved + from, bytes);
    for (char& byte : moved) byte = byte ? byte : '.';
    moved[40] = 0;
    uint32_t number = 77;
    const bool is_number = parse_number(b.bytes, number);
    printf("text|%s|%s|%u|%c|%u|%u|%d|%d|%d|%ld|%ld|%ld|%u|%s|%u|%s|%u,%u,%u|%s|%d:%u\n", a.bytes, b.bytes, most, c,
           static_cast<uint32_t>(strlen(a.bytes)), static_cast<uint32_t>(strnlen(a.bytes, most)), sign(strcmp(a.bytes, b.bytes)),
           sign(strncmp(a.bytes, b.bytes, most)), sign(memcmp(a.bytes, b.bytes, most)), offset(a.bytes, strchr(a.bytes, c)),
           offset(a.bytes, strrchr(a.bytes, c)), offset(a.bytes, strstr(a.bytes, b.bytes)), static_cast<uint32_t>(copied), copy,
           static_cast<uint32_t>(all), joined, from, to, bytes, moved, is_number, number);
}

constexpr uint32_t kSlots = 64;

struct Slot {
    unsigned char* block;
    uint32_t bytes;
    uint32_t pattern;
};
constinit Slot slots[kSlots] = {};

unsigned char pattern_at(uint32_t pattern, uint32_t index) {
    return static_cast<unsigned char>((pattern * 0x9E37'79B9u + index * 131) >> 7);
}

void fill(const Slot& slot) {
    for (uint32_t i = 0; i < slot.bytes; ++i) slot.block[i] = pattern_at(slot.pattern, i);
}

/// Whether the first `bytes` bytes still are what was written.
bool intact(const Slot& slot, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; ++i) {
        if (slot.block[i] != pattern_at(slot.pattern, i)) return false;
    }
    return true;
}

uint32_t random_bytes(Random& random) {
    const uint32_t kind = random.below(100);
    if (kind < 60) return random.below(200);
    if (kind < 90) return random.below(5000);
    return kind < 98 ? random.below(60'000) : 120'000 + random.below(40'000);
}

void say(const char* what, const Slot& slot, bool good) {
    printf("heap|%s|%lx|%u|%d\n", what, static_cast<unsigned long>(reinterpret_cast<uintptr_t>(slot.block)), slot.bytes, good);
}

void allocate(Slot& slot, Random& random) {
    slot.bytes = random_bytes(random);
    slot.pattern = random.word();
    bool good = true;
    if (random.one_in(4)) {
        slot.block = static_cast<unsigned char*>(calloc(slot.bytes, 1));
        for (uint32_t i = 0; slot.block && i < slot.bytes; ++i) good = good && slot.block[i] == 0;
    } else {
        slot.block = static_cast<unsigned char*>(malloc(slot.bytes));
    }
    if (slot.block) fill(slot);
    say("new", slot, good);
}

void resize(Slot& slot, Random& random) {
    const uint32_t before = slot.bytes, after = random_bytes(random);
    say("old", slot, intact(slot, before));
    auto* const moved = static_cast<unsigned char*>(realloc(slot.block, after));
    if (moved) {
        slot.block = moved;
        slot.bytes = after;
    }
    say("new", slot, intact(slot, before < slot.bytes ? before : slot.bytes));
    fill(slot);
}

void release(Slot& slot) {
    say("old", slot, intact(slot, slot.bytes));
    free(slot.block);
    slot.block = nullptr;
}

void heap_case(Random& random) {
    Slot& slot = slots[random.below(kSlots)];
    if (!slot.block) {
        allocate(slot, random);
    } else if (random.one_in(3)) {
        resize(slot, random);
    } else {
        release(slot);
    }
    if (random.one_in(16)) check_heap();
}

void end_heap() {
    HeapStatistics figures = heap_statistics();
    printf("figures|%u|%u\n", static_cast<uint32_t>(figures.blocks), static_cast<uint32_t>(figures.bytes));
    for (Slot& slot : slots) {
        if (slot.block) release(slot);
    }
    check_heap();
    figures = heap_statistics();
    // All of it is one free block again: what the heap took from the break can be had in one piece, below what is mapped on its own.
    void* const most = malloc(figures.break_bytes < 120'000 ? figures.break_bytes - 48 : 120'000);
    const bool whole = most && heap_statistics().break_bytes == figures.break_bytes;
    printf("end|%u|%u|%u|%d\n", static_cast<uint32_t>(figures.blocks), static_cast<uint32_t>(figures.bytes),
           static_cast<uint32_t>(figures.mapped_bytes), whole);
    free(most);
}

} // namespace

int main(int argc, char** argv) {
    uint32_t seed = 1, count = 1;
    if (argc != 4 || !parse_number(argv[2], seed) || !parse_number(argv[3], count)) {
        printf("usage: libtest format|text|heap SEED COUNT\n");
        return 2;
    }
    Random random(seed);
    const char part = argv[1][0];
    for (uint32_t i = 0; i < count; ++i) part == 'f' ? format_case(random) : part == 't' ? text_case(random) : heap_case(random);
    if (part == 'h') end_heap();
    return 0;
}
