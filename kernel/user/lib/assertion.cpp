#include "user/assertion.h"

#include "abi/files.h"
#include "user/print.h"
#include "user/processes.h"

void assertion_failed(const char* claim, const char* condition, const char* file, int line) {
    dprintf(abi::kStandardError, "assertion failed: %s (%s) at %s:%d\n", claim, condition, file, line);
    abort();
}
