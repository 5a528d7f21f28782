/// @file
/// mm::vmalloc (mm/paging/vmalloc.h) on the host: areas of real pages in a window of addresses, each followed by pages that nobody
/// may touch. Frames are taken and given back as in the kernel, so that they can run short and get lost; their bytes are not used.
/// A freed area is gone at once: nothing is lazy here.
#include "mm/paging/vmalloc.h"

#include <sys/mman.h>

#include <map>
#include <vector>

#include "host/arena.h"
#include "lib/panic.h"
#include "mm/physical/frames.h"

namespace {

struct Taken {
    std::vector<FrameNumber> frames;
    CallSite site;
};

std::map<uint32_t, Taken> areas; ///< By address.

/// The window's first page stays empty: the tests use its address as one that nobody has.
constexpr uint32_t kFirst = host::kVmallocWindow + kPageSize;
uint32_t next_address = kFirst;

/// Addresses that have not been used for as long as possible, so that an old pointer hits nothing.
uint32_t find_addresses(uint32_t bytes) {
    for (int round = 0; round < 2; ++round) {
        for (const auto& [begin, area] : areas) {
            const uint32_t end = begin + static_cast<uint32_t>((area.frames.size() + 1) * kPageSize);
            if (begin < next_address + bytes && next_address < end) next_address = end;
        }
        if (next_address <= host::kVmallocWindowEnd - bytes) return next_address;
        next_address = kFirst;
    }
    return 0;
}

void set_access(uint32_t begin, size_t bytes, int access) {
    KASSERT("the host lets us change its pages", mprotect(pointer_to<void>(VirtAddr(begin)), bytes, access) == 0);
}

} // namespace

namespace mm::vmalloc {

Result<void*> allocate(size_t bytes, CallSite site) {
    if (bytes == 0) return Error::InvalidArgument;
    if (bytes > host::kVmallocWindowEnd - kFirst - kPageSize) return Error::OutOfMemory;
    const size_t pages = (bytes + kPageSize - 1) / kPageSize;
    Taken area{{}, site};
    while (area.frames.size() < pages) {
        const auto frame = frames::allocate(Zone::High, Contents::Unspecified);
        if (frame.is_error()) {
            for (const FrameNumber taken : area.frames) KASSERT("a frame that was taken goes back", !frames::release(taken).is_error());
            return Error::OutOfMemory;
        }
        area.frames.push_back(frame.value());
    }
    const uint32_t address = find_addresses(static_cast<uint32_t>((pages + 1) * kPageSize));
    KASSERT("the window of the host's vmalloc is large enough", address != 0);
    set_access(address, pages * kPageSize, PROT_READ | PROT_WRITE);
    areas.emplace(address, std::move(area));
    next_address = address + static_cast<uint32_t>((pages + 1) * kPageSize);
    return pointer_to<void>(VirtAddr(address));
}

Result<void> free(void* address) {
    if (address == nullptr) return {};
    const auto found = areas.find(address_of(address).value());
    if (!contains(address) || found == areas.end()) return Error::NotAllocated;
    for (const FrameNumber frame : found->second.frames) TRY(frames::release(frame));
    set_access(found->first, found->second.frames.size() * kPageSize, PROT_NONE);
    areas.erase(found);
    return {};
}

Result<size_t> size(const void* address) {
    const auto found = areas.find(address_of(address).value());
    if (!contains(address) || found == areas.end()) return Error::NotAllocated;
    return found->second.frames.size() * kPageSize;
}

bool contains(const void* address) {
    return address_of(address).value() >= host::kVmallocWindow && address_of(address).value() < host::kVmallocWindowEnd;
}

size_t purge() { return 0; }

void for_each(void (*visit)(void* context, const Area& area), void* context) {
    for (const auto& [address, area] : areas)
        visit(context, {pointer_to<void>(VirtAddr(address)), area.frames.size(), area.site, false});
}

} // namespace mm::vmalloc
