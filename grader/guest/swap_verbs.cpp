// The swap area's slots, as operations of a script: the piece of lab 09-swap at work on numbered spaces.
#include "guest/harness.h"
#include "guest/numbered_spaces.h"
#include "mm/paging/page_table.h"
#include "mm/reclaim/swap.h"

namespace {

using harness::Call;
using namespace mm;
using numbered_spaces::address, numbered_spaces::space;

FrameNumber frame_at(Call& call, AddressSpace* target, size_t i) {
    const Result<Translation> seen = page_table::translate(spaces::directory(target), address(call, i));
    if (seen.is_error()) harness::bad_script("no page there", call.word(i));
    return FrameNumber::containing(seen.value().address);
}

/// swap.out SPACE ADDRESS...: swap_out() for the frames of these pages; how many are out
void swap_out(Call& call) {
    AddressSpace* const target = space(call, 0);
    FrameNumber frames[harness::kMaxArguments];
    for (size_t i = 1; i < call.count(); ++i) frames[i - 1] = frame_at(call, target, i);
    call.enter_piece();
    const size_t out = swap::swap_out({frames, call.count() - 1});
    call.leave_piece();
    call.reply({static_cast<uint32_t>(out)});
}

/// swap.statistics: slots, free, copies, pages out, clean, pages in, hits, read ahead
void statistics(Call& call) {
    call.enter_piece();
    const swap::Statistics s = swap::statistics();
    call.leave_piece();
    call.reply({static_cast<uint32_t>(s.slots), static_cast<uint32_t>(s.free), static_cast<uint32_t>(s.copies), s.pages_out, s.clean_out,
                s.pages_in, s.cache_hits, s.read_ahead});
}

HARNESS_VERB("swap.out", swap_out);
HARNESS_VERB("swap.statistics", statistics);

} // namespace
