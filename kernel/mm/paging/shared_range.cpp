#include "mm/paging/shared_range.h"

#include "mm/paging/page_table.h"
#include "mm/paging/pte.h"
#include "mm/physical/frame_memory.h"

namespace mm::shared_range {

namespace {

/// Copies the PDE for `address` from the kernel's directory to the active one. False when that changes nothing.
bool copy_entry(VirtAddr address) {
    const FrameMemory kernel = frame_memory(kernel_directory().frame);
    const FrameMemory active = frame_memory(active_directory().frame);
    const Pde wanted = kernel.as<Pde>()[address.directory_index()];
    Pde& present = active.as<Pde>()[address.directory_index()];
    if (!wanted.is_present() || present.is_present()) return false;
    present = wanted;
    return true;
}

} // namespace

bool resolve(const FaultInfo& fault) {
    if (fault.present || fault.user || fault.address.value() < kSharedBegin) return false;
    return copy_entry(fault.address);
}

void initialize() { set_page_fault_handler(resolve); }

} // namespace mm::shared_range
