// fork's sharing and the write fault, as operations of a script: calls the piece of lab 07-cow on numbered spaces.
#include "guest/harness.h"
#include "guest/numbered_spaces.h"
#include "mm/fault/copy_on_write.h"
#include "mm/space/areas.h"

namespace {

using harness::Call;
using namespace mm;
using numbered_spaces::address, numbered_spaces::space;

/// cow.write SPACE PAGE: outcome, how
void resolve_write(Call& call) {
    AddressSpace* const target = space(call, 0);
    const Area* const area = areas::find(spaces::areas_of(target), address(call, 1));
    if (!area) harness::bad_script("no area there", call.word(1));
    call.enter_piece();
    const fault::Decision decision = copy_on_write::resolve_write(target, *area, address(call, 1));
    call.leave_piece();
    call.reply({static_cast<uint32_t>(decision.outcome), static_cast<uint32_t>(decision.how)});
}

HARNESS_VERB("cow.write", resolve_write);

} // namespace
