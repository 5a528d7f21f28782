// Operations on pools (mm/heap/pool.h), for grader/tests/test_heap_kernel.py.

#include <cstddef>
#include <cstdint>

#include "guest/harness.h"
#include "mm/heap/pool.h"
#include "mm/physical/frames.h"

namespace {

using harness::Call;

constexpr size_t kPools = 4;
constinit mm::Pool pools[kPools];

mm::Pool& pool(const Call& call) {
    if (call.number(0) >= kPools) harness::bad_script("no such pool", call.word(0));
    return pools[call.number(0)];
}

/// pool.initialize POOL SIZE RESERVE
void initialize(Call& call) { call.reply(pool(call).initialize("pool", call.number(1), call.number(2))); }
HARNESS_VERB("pool.initialize", initialize);

/// pool.destroy POOL
void destroy(Call& call) { call.reply(pool(call).destroy()); }
HARNESS_VERB("pool.destroy", destroy);

/// pool.allocate POOL -> address
void allocate(Call& call) {
    const auto object = pool(call).allocate();
    if (object.is_error()) return call.reply(object.error());
    call.reply({address_of(object.value()).value()});
}
HARNESS_VERB("pool.allocate", allocate);

/// pool.free POOL ADDRESS
void free(Call& call) { call.reply(pool(call).free(pointer_to<void>(VirtAddr(call.number(1))))); }
HARNESS_VERB("pool.free", free);

/// pool.figures POOL -> in use, reserve, set aside
void figures(Call& call) {
    const mm::Pool& asked = pool(call);
    call.reply({static_cast<uint32_t>(asked.in_use()), static_cast<uint32_t>(asked.reserve()), static_cast<uint32_t>(asked.set_aside())});
}
HARNESS_VERB("pool.figures", figures);

/// pool.inject SIZE RESERVE -> frames that sufficed, 1 if anything was lost: initialize() with 0, 1, 2 ... allocations of frames that succeed
void inject(Call& call) {
    mm::Pool& tried = pools[kPools - 1];
    mm::slab::shrink();
    const size_t before = mm::frames::in_use();
    for (uint32_t n = 0; n < 500; ++n) {
        mm::frames::fail_after(n);
        const auto made = tried.initialize("injected", call.number(0), call.number(1));
        mm::frames::fail_never();
        const bool is_whole = made.is_error() ? made.error() == Error::OutOfMemory && tried.set_aside() == 0 : !tried.destroy().is_error();
        mm::slab::shrink();
        if (!is_whole || mm::frames::in_use() != before) return call.reply({n, 1});
        if (!made.is_error()) return call.reply({n, 0});
    }
    call.reply({500, 1});
}
HARNESS_VERB("pool.inject", inject);

} // namespace
