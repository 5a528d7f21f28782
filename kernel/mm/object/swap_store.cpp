#include "mm/object/swap_store.h"

#include "lib/panic.h"

namespace mm::swap_store {

namespace {
constinit const SwapStore* registered = nullptr;
}

void set(const SwapStore& store) { registered = &store; }

bool is_set() { return registered; }

const SwapStore& get() {
    KASSERT("where there are swap slots, there is a swap area", registered);
    return *registered;
}

} // namespace mm::swap_store
