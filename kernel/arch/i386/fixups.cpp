#include "arch/i386/fixups.h"

extern "C" const i386::Fixup fixups_begin[], fixups_end[]; // link.ld

namespace i386 {

uint32_t find_fixup(uint32_t eip) {
    for (const Fixup* fixup = fixups_begin; fixup < fixups_end; ++fixup) {
        if (fixup->access == eip) return fixup->continuation;
    }
    return 0;
}

} // namespace i386
