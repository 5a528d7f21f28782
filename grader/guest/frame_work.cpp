#include "guest/frame_work.h"

#include "lib/text.h"
#include "mm/physical/frame_memory.h"
#include "mm/physical/frame_table.h"

namespace frames_guest {

HARNESS_DATA uint32_t owned[kMaxFrames / 32];

mm::Contents contents_of(harness::Call& call, size_t i) {
    if (text_equal(call.word(i), "zeroed")) return mm::Contents::Zeroed;
    if (text_equal(call.word(i), "unspecified")) return mm::Contents::Unspecified;
    harness::bad_script("neither zeroed nor unspecified", call.word(i));
}

Visit::Visit(const uint32_t* bitmap, const char* order) : bitmap_(bitmap) {
    while (size_ < mm::frame_table::frame_count()) size_ *= 2;
    visits_ = size_;
    if (text_equal(order, "descending")) step_ = size_ - 1, at_ = size_ - 1;
    else if (text_equal(order, "scattered")) step_ = 0x9E3779B1; // odd: each number comes once
    else if (text_equal(order, "odd")) step_ = 2, at_ = 1, visits_ = size_ / 2;
    else if (!text_equal(order, "ascending")) harness::bad_script("not an order", order);
}

bool Visit::next(FrameNumber& frame) {
    while (visits_ > 0) {
        // Large machines have long stretches without a frame of the guest.
        if (step_ == 1 && at_ % 32 == 0 && visits_ > 32 && bitmap_[at_ / 32] == 0) {
            at_ += 32, visits_ -= 32;
            continue;
        }
        const uint32_t here = at_;
        at_ = (at_ + step_) & (size_ - 1);
        --visits_;
        frame = FrameNumber(here);
        if (is_set(here)) return true;
    }
    return false;
}

Damage compare(FrameNumber frame, uint32_t word, size_t from) {
    Damage damage;
    const auto memory = mm::frame_memory(frame);
    for (size_t i = from / 4; i < kPageSize / 4; ++i) {
        const uint32_t seen = memory.as<uint32_t>()[i];
        if (seen == word) continue;
        if (damage.words++ == 0) damage.offset = static_cast<uint32_t>(i * 4), damage.seen = seen;
    }
    return damage;
}

} // namespace frames_guest
