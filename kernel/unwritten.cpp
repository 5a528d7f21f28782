// Weak stand-ins for what is not written yet. Whoever writes a function removes nothing here; the file goes when all are written.
#include "lib/panic.h"
#include "mm/fault/page_fault.h"
#include "mm/object/memory_object.h"
#include "mm/paging/kernel_stacks.h"
#include "mm/paging/shared_range.h"
#include "mm/report/reports.h"
#include "mm/space/address_space.h"
#include "mm/space/user_memory.h"
#include "proc/process.h"
#include "proc/program.h"
#include "proc/scheduler.h"
#include "proc/signals.h"
#include "arch/i386/fixups.h"
#include "arch/i386/user_mode.h"

#pragma GCC diagnostic ignored "-Wunused-parameter"
#define UNWRITTEN [[gnu::weak]]

namespace mm::report {
UNWRITTEN void maps(const AddressSpace* space, TextWriter write, void* context) {  }
} // namespace mm::report
