// A program's own image: where it lies, and what is in it when it starts. `image wait` stays until somebody ends it.
#include <cstddef>
#include <cstdint>

#include "debug.h"
#include "user/print.h"
#include "user/processes.h"
#include "user/text.h"

namespace {

constexpr uint32_t kInitial = 0x600DF00D;
constexpr size_t kBssBytes = 3 * 4096 + 123;

const uint32_t constants[] = {1, 2, 3, kInitial};
uint32_t variable = kInitial;
char zeros[kBssBytes];
const uint32_t* volatile relocated = &constants[3];
uint32_t* volatile relocated_variable = &variable;

uint32_t word(const void* address) { return reinterpret_cast<uint32_t>(address); }

size_t bytes_not_zero() {
    size_t wrong = 0;
    for (const char& byte : zeros) wrong += byte != 0;
    return wrong;
}

} // namespace

int main(int argc, char** argv) {
    printf("text %x constants %x variables %x zeros %x stack %x\n", word(reinterpret_cast<const void*>(&main)), word(constants), word(&variable),
           word(zeros), word(&argc));
    printf("not zero %u\n", static_cast<unsigned>(bytes_not_zero()));
    printf("variable %x, by pointers %x %x\n", variable, *relocated, *relocated_variable);
    variable = static_cast<uint32_t>(getpid());
    zeros[kBssBytes - 1] = 1;
    checkpoint("started");
    while (argc > 1 && strcmp(argv[1], "wait") == 0) yield();
    return variable == static_cast<uint32_t>(getpid()) ? 0 : 1;
}
