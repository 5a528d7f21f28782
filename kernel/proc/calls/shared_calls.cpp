// Shared memory by number: the numbers are the process's, and go to its children; the memory lives as long as a number or an area
// anywhere leads to it.
#include "mm/object/memory_object.h"
#include "mm/space/address_space.h"
#include "proc/calls/arguments.h"
#include "proc/calls/calls.h"
#include "proc/descriptors.h"
#include "proc/process.h"

namespace proc::calls {

Result<uint32_t> create_shared(const Arguments& arguments) {
    const size_t pages = TRY(pages_for(arguments[0]));
    const uint32_t number = TRY(descriptors::free_shared(current()));
    current().shared[number] = TRY(mm::create_shared_memory(pages));
    return number;
}

Result<uint32_t> attach_shared(const Arguments& arguments) {
    mm::MemoryObject& object = *TRY(descriptors::shared(current(), arguments[0]));
    const uint32_t address = arguments[1];
    mm::MapRequest request;
    request.pages = object.pages;
    request.protection = TRY(protection_of(arguments[2]));
    request.sharing = mm::Sharing::Shared;
    request.place = address == 0 ? mm::MapPlace::Anywhere : mm::MapPlace::FixedIfFree;
    request.hint = VirtAddr(address);
    request.object = &object;
    return TRY(mm::spaces::map(current().space, request)).value();
}

Result<uint32_t> detach_shared(const Arguments& arguments) {
    const VirtAddr address(arguments[0]);
    const mm::Area* const area = mm::areas::find(mm::spaces::areas_of(current().space), address);
    const bool is_attachment = area != nullptr && area->range.begin == address && area->sharing == mm::Sharing::Shared &&
                               area->object != nullptr && area->object->is_shared_memory;
    if (!is_attachment) return Error::InvalidArgument;
    TRY(mm::spaces::unmap(current().space, area->range));
    return 0;
}

Result<uint32_t> close_shared(const Arguments& arguments) {
    TRY(descriptors::close_shared(current(), arguments[0]));
    return 0;
}

} // namespace proc::calls
