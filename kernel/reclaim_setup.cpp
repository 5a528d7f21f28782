#include "reclaim_setup.h"

#include "boot_information.h"
#include "lib/format.h"
#include "lib/text.h"
#include "mm/reclaim/reclaim.h"
#include "mm/reclaim/swap_area.h"

namespace {

using mm::policy::Kind;

Kind kind_of(const char* wanted) {
    for (unsigned i = 0; i < mm::policy::kKinds; ++i) {
        if (text_is_word(wanted, mm::reclaim::kind_name(static_cast<Kind>(i)))) return static_cast<Kind>(i);
    }
    print("policy: there are fifo, clock, aging, two-lists, working-set and own; taking clock\n");
    return Kind::Clock;
}

} // namespace

void start_reclaim() {
    const char* const command_line = boot_information().command_line;
    const char* const wanted = find_option(command_line, "policy");
    if (!mm::swap_area::is_open() && !wanted) return;
    if (mm::reclaim::initialize(wanted ? kind_of(wanted) : Kind::Clock).is_error()) {
        print("swap: no memory for its books; pages stay in memory\n");
        return;
    }
    const char* const torture = find_option(command_line, "torture");
    const Result<uint32_t> n = torture ? parse_number(torture) : Error::NotFound;
    if (!n.is_error()) mm::reclaim::set_torture(n.value());
}
