#include "guest/numbered_spaces.h"

#include "lib/text.h"

namespace numbered_spaces {

using namespace mm;
using harness::Call;

namespace {
HARNESS_DATA AddressSpace* numbered[kSpaces];
HARNESS_DATA MemoryObject* objects[kObjects];
} // namespace

AddressSpace*& slot(Call& call, size_t i) {
    if (call.number(i) >= kSpaces) harness::bad_script("no such space", call.word(i));
    return numbered[call.number(i)];
}

AddressSpace* space(Call& call, size_t i) {
    if (!slot(call, i)) harness::bad_script("the space does not exist", call.word(i));
    return slot(call, i);
}

AddressSpace* peek(size_t number) { return numbered[number]; }

MemoryObject* object(Call& call, size_t i) {
    if (text_equal(call.word(i), "none")) return nullptr;
    if (call.number(i) >= kObjects || !objects[call.number(i)]) harness::bad_script("no such object", call.word(i));
    return objects[call.number(i)];
}

void set_object(Call& call, size_t i, MemoryObject* object) {
    if (call.number(i) >= kObjects) harness::bad_script("no such object", call.word(i));
    objects[call.number(i)] = object;
}

size_t number_of(const MemoryObject* object) {
    size_t number = 0;
    while (number < kObjects && (!object || objects[number] != object)) ++number;
    return number;
}

AddressRange range(Call& call, size_t i) {
    const VirtAddr begin = address(call, i);
    return {begin, begin + call.number(i + 1) * kPageSize};
}

Protection protection(Call& call, size_t i) {
    const char* const word = call.word(i);
    return {.read = word[0] == 'r', .write = word[1] == 'w', .execute = word[2] == 'x'};
}

MapRequest map_request(Call& call, size_t i) {
    const char* const place = call.word(i + 3);
    return {.pages = call.number(i),
            .protection = protection(call, i + 1),
            .sharing = text_equal(call.word(i + 2), "shared") ? Sharing::Shared : Sharing::Private,
            .place = text_equal(place, "fixed") ? MapPlace::Fixed : text_equal(place, "free") ? MapPlace::FixedIfFree : MapPlace::Anywhere,
            .hint = address(call, i + 4),
            .object = object(call, i + 5),
            .first_page = call.number(i + 6)};
}

} // namespace numbered_spaces
