#include "mm/paging/frame_chain.h"

#include "lib/panic.h"

namespace mm {

size_t FrameChain::release_all() {
    const size_t released = count_;
    while (count_ > 0) {
        const Result<void> done = frames::release(pop());
        KASSERT("a frame that was allocated can be given back", !done.is_error());
    }
    return released;
}

} // namespace mm
