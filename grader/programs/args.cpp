// What the kernel left on the stack of a new program: arguments, their order, the end, alignment.
#include <cstdint>

#include "user/print.h"
#include "user/text.h"

int main(int argc, char** argv) {
    const auto stack = reinterpret_cast<uint32_t>(argv) - sizeof(uint32_t);  // argc lies right below argv[0]
    printf("argc %d, aligned %s, end %s\n", argc, stack % 16 == 0 ? "yes" : "no", argv[argc] == nullptr ? "null" : "something");
    const char* expected = reinterpret_cast<const char*>(argv + argc + 1);
    for (int i = 0; i < argc; ++i) {
        printf("%d [%s]%s\n", i, argv[i], argv[i] == expected ? "" : " not behind the one before");
        expected = argv[i] + strlen(argv[i]) + 1;
    }
    return argc;
}
