// Page faults and fork's sharing, as operations of a script: calls the pieces of labs 06-faults and 07-cow on numbered spaces.
#include "guest/harness.h"
#include "guest/numbered_spaces.h"
#include "lib/text.h"
#include "mm/fault/demand.h"
#include "mm/fault/page_fault.h"

namespace {

using harness::Call;
using namespace mm;
using numbered_spaces::address, numbered_spaces::space;

/// ADDRESS read|write|fetch user|kernel PRESENT, from argument i on.
FaultInfo fault_info(Call& call, size_t i) {
    const VirtAddr at = address(call, i);
    return {.address = at,
            .instruction = text_equal(call.word(i + 1), "fetch") ? at : VirtAddr(kUserBegin),
            .present = call.number(i + 3) != 0,
            .write = text_equal(call.word(i + 1), "write"),
            .user = text_equal(call.word(i + 2), "user"),
            .reserved_bit = false};
}

void reply(Call& call, const fault::Decision& decision) {
    call.reply({static_cast<uint32_t>(decision.outcome), static_cast<uint32_t>(decision.reason), static_cast<uint32_t>(decision.how),
                decision.stack_grew, decision.neighbours});
}

/// fault.resolve SPACE ADDRESS read|write|fetch user|kernel PRESENT STACK_POINTER: outcome, reason, how, stack grew, neighbours
void resolve(Call& call) {
    AddressSpace* const target = space(call, 0);
    const FaultInfo fault = fault_info(call, 1);
    const VirtAddr stack_pointer = address(call, 5);
    call.enter_piece();
    const fault::Decision decision = demand::resolve(target, fault, stack_pointer);
    call.leave_piece();
    reply(call, decision);
}

HARNESS_VERB("fault.resolve", resolve);

} // namespace
