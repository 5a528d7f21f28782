// Page replacement, as operations of a script: the policy of lab 10-replace in force over numbered spaces.
#include "guest/harness.h"
#include "guest/numbered_spaces.h"
#include "mm/reclaim/policy.h"
#include "mm/reclaim/reclaim.h"
#include "mm/space/reverse_map.h"
#include "mm/space/user_memory.h"

namespace {

using harness::Call;
using namespace mm;
using numbered_spaces::address;

/// Victims of the operation that is being performed: their pages.
constexpr size_t kMaxVictims = 64;
struct Victims {
    uint32_t count;
    uint32_t pages[kMaxVictims];
};
HARNESS_DATA Victims victims;

/// reclaim takes pages while the piece's clock may run: the guest's memory is open here, since no piece is on the stack.
void note_victim(FrameNumber frame) {
    if (victims.count < kMaxVictims) victims.pages[victims.count++] = reverse_map::page_of(frame).value();
}

/// replace.policy KIND FRAMES: begins with a policy (0 to 4), which has FRAMES frames for user memory
void set_policy(Call& call) {
    const Result<void> begun = policy::initialize(static_cast<policy::Kind>(call.number(0)));
    reclaim::set_limit(call.number(1));
    reclaim::set_victim_listener(note_victim);
    call.reply(begun);
}

/// replace.use r|w ADDRESS...: reads or writes a word of each page of the active space; the victims that had to go for it
void use(Call& call) {
    const bool writes = call.word(0)[0] == 'w';
    victims.count = 0;
    for (size_t i = 1; i < call.count(); ++i) {
        const VirtAddr page = address(call, i);
        const Error error = writes ? write_user(page, page.value()).error() : read_user<uint32_t>(page).error();
        if (error != Error::None) return call.reply(error);
    }
    call.reply({victims.pages, victims.count});
}

/// replace.tick N: so many ticks of the policy
void tick(Call& call) {
    for (uint32_t i = 0; i < call.number(0); ++i) {
        call.enter_piece();
        policy::tick();
        call.leave_piece();
    }
}

HARNESS_VERB("replace.policy", set_policy);
HARNESS_VERB("replace.use", use);
HARNESS_VERB("replace.tick", tick);

} // namespace
