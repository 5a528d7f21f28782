#include "pool.h"

#include "user/library.h"

extern "C" const char image_begin[];

namespace {

constexpr uint32_t kUserBegin = 0x1000'0000, kUserEnd = 0xC000'0000, kDataDistance = 0x1000'0000;
constexpr uint32_t kOwnBytes = 64 * kPageBytes; // more than the fuzzer's text or variables take

/// Edges of everything: the null page, the kernel's image and memory, the user range, the shared kernel range, the last byte.
constexpr uint32_t kEdges[] = {
    0, 1, 0x1000, 0x10'0000, 0x10'0FFF, 0x40'0000, kUserBegin - 1, kUserBegin - 4, kUserBegin, 0x1FFF'FFFF, 0x2000'0000, 0x7FFF'FFFF, 0x8000'0000,
    0xBEFF'F000, kUserEnd - 1, kUserEnd - 4, kUserEnd - 4096, kUserEnd, 0xC000'1000, 0xF040'0000, 0xF040'2000, 0xFFC0'0000, 0xFFFF'F000,
    0xFFFF'FFFC, 0xFFFF'FFFF,
};

constexpr const char* kPaths[] = {
    "/fuzz0", "/fuzz1.txt", "/fuzz/a", "/fuzz/b.bin", "/fuzz", "/bin", "/", "", "fuzz0", "/FUZZ1.TXT", "/none", "/none/a", "/fuzz/none", "/bin/none",
    "/fuzz/", "//", "/.", "/..", "/fuzz/..", "/fuzz/a/b", "/toolonganame", "/a.long", "/a b", "/*", "/\x01\xff", "/fuzz/toolonganame.text.more.than.fits",
};
constexpr const char* kPrograms[] = {"/bin/true", "/bin/false", "/bin/echo"};
constexpr const char* kNoPrograms[] = {"/bin/none", "/bin", "/fuzz0", "/fuzz1.txt", "", "/", "/toolonganame", "/fuzz/a"};

/// Lists of arguments for Exec; longer than it takes, not ended, with texts that are none.
char long_text[2000];
const char* const list_empty[] = {nullptr};
const char* const list_short[] = {"fuzzed", "one", "two", nullptr};
const char* const list_long[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", nullptr};
const char* const list_fat[] = {"fuzzed", long_text, nullptr};
const char* const list_bad[] = {"fuzzed", reinterpret_cast<const char*>(0x10'0000), nullptr};

uint32_t own_variables() { return reinterpret_cast<uint32_t>(image_begin) + kDataDistance; }

bool overlaps(uint64_t begin, uint64_t bytes, uint64_t other, uint64_t other_bytes) {
    return begin < other + other_bytes && other < begin + bytes;
}

} // namespace

bool Pool::is_own(uint32_t begin, uint32_t bytes) {
    const auto stack = reinterpret_cast<uint32_t>(__builtin_frame_address(0)) & ~0xFFFFu;
    return overlaps(begin, bytes, reinterpret_cast<uint32_t>(image_begin), kOwnBytes) || overlaps(begin, bytes, own_variables(), kOwnBytes) ||
           overlaps(begin, bytes, stack, 0x2'0000);
}

void Pool::add_region(uint32_t begin, uint32_t bytes) { regions_[random_.below(kRegions)] = {begin, bytes}; }

void Pool::add_shared(uint32_t number, uint32_t bytes) {
    if (number < kShared) shared_bytes_[number] = bytes;
}

/// Around an address: a byte off, a word across a page's end, the page before and behind.
uint32_t Pool::near(uint32_t address) {
    static constexpr int32_t kOffsets[] = {0, 0, 0, 1, -1, -4, -2, 4095, 4096, -4096, 4094};
    return address + static_cast<uint32_t>(random_.pick(kOffsets));
}

uint32_t Pool::address() {
    const Region& region = regions_[random_.below(kRegions)];
    switch (random_.below(16)) {
    case 0: return random_.pick(kEdges);
    case 1: return random_.word();
    case 2: return kUserBegin + random_.below(kUserEnd - kUserBegin);
    case 3: return reinterpret_cast<uint32_t>(image_begin) + random_.below(0x3000); // text and constants: not for writing
    case 4: return near(region.begin + region.bytes);
    case 5: return near(region.begin);
    case 6: return (reinterpret_cast<uint32_t>(__builtin_frame_address(0)) & ~0xFFFFu) - random_.below(0x3'0000); // the stack's lower end
    default: return region.bytes ? region.begin + random_.below(region.bytes) : random_.pick(kEdges);
    }
}

uint32_t Pool::page() {
    const uint32_t any = address();
    return random_.one_in(12) ? any : any & ~0xFFFu;
}

uint32_t Pool::length() {
    static constexpr uint32_t kLengths[] = {0, 1, 2, 4, 511, 512, 513, 4095, 4096, 4097, 8191, 8192, 12288};
    // More than there is memory, yet not too much to be tried: that takes as long as a thousand other calls.
    static constexpr uint32_t kLarge[] = {0x40'0000, 0x80'0000, 0x100'0000, 0x1000'0000, 0x7FFF'F000, 0x8000'0000};
    static constexpr uint32_t kHuge[] = {0xB000'0000, 0xC000'0000, 0xF000'0000, 0xFFFF'F000, 0xFFFF'F001, 0xFFFF'FFFF};
    if (random_.one_in(3000)) return random_.pick(kLarge);
    if (random_.one_in(24)) return random_.pick(kHuge);
    if (random_.one_in(3)) return random_.below(random_.one_in(16) ? 64 : 8) * kPageBytes;
    return random_.one_in(2) ? random_.below(9000) : random_.pick(kLengths);
}

uint32_t Pool::heap_end() {
    if (random_.one_in(2000)) return address();
    return random_.one_in(4) ? 0 : break_ + random_.below(0x4000) - 0x1000;
}

uint32_t Pool::path() { return random_.one_in(6) ? address() : reinterpret_cast<uint32_t>(random_.pick(kPaths)); }

uint32_t Pool::program_path(bool programs) {
    if (random_.one_in(6)) return address();
    return reinterpret_cast<uint32_t>(programs ? random_.pick(kPrograms) : random_.pick(kNoPrograms));
}

uint32_t Pool::argument_list() {
    if (long_text[0] == 0) memset(long_text, 'x', sizeof long_text - 1);
    static const char* const* const kLists[] = {list_empty, list_short, list_long, list_fat, list_bad};
    return random_.one_in(3) ? address() : reinterpret_cast<uint32_t>(random_.pick(kLists));
}

uint32_t Pool::file() {
    if (random_.one_in(16)) return random_.word();
    return random_.one_in(8) ? random_.below(20) : files_[random_.below(kFiles)];
}

uint32_t Pool::shared() { return random_.one_in(16) ? random_.word() : random_.below(random_.one_in(4) ? 10 : 3); }

uint32_t Pool::flags(const uint32_t* known, size_t count) {
    const uint32_t value = known[random_.below(count)];
    if (random_.one_in(30)) return random_.word();
    return random_.one_in(20) ? value ^ 1u << random_.below(32) : value;
}
