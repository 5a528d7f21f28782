#include "arch/i386/backtrace.h"

#include "arch/i386/probe.h"
#include "arch/symbols.h"
#include "lib/format.h"
#include "lib/image.h"

namespace i386 {
namespace {

bool is_code(uint32_t address) { return address >= image::text_begin() && address < image::text_end(); }

/// Adds up to places.size() addresses.
class Places {
public:
    explicit Places(std::span<uint32_t> places) : places_(places) {}
    void add(uint32_t place) { places_[count_++] = place; }
    bool is_full() const { return count_ == places_.size(); }
    size_t count() const { return count_; }

private:
    std::span<uint32_t> places_;
    size_t count_ = 0;
};

} // namespace

size_t collect_backtrace(VirtAddr instruction, VirtAddr stack, VirtAddr frame, std::span<uint32_t> places) {
    Places found(places);
    found.add(instruction.value());
    // After a call to nowhere no frame was made: the return address still lies on top of the stack.
    uint32_t return_address = 0;
    if (!is_code(instruction.value()) && try_read(stack, return_address) && is_code(return_address)) found.add(return_address);

    uint32_t caller_frame = 0;
    while (!found.is_full() && is_aligned(frame.value(), 4)) {
        if (!try_read(frame, caller_frame) || !try_read(frame + 4, return_address) || !is_code(return_address)) break;
        found.add(return_address);
        if (caller_frame <= frame.value()) break; // stacks grow down, so callers lie above
        frame = VirtAddr(caller_frame);
    }
    return found.count();
}

void print_backtrace(std::span<const uint32_t> places) {
    for (size_t i = 0; i < places.size(); ++i) {
        // A return address may lie behind the end of a function whose last instruction is the call.
        const uint32_t inside = i == 0 ? places[i] : places[i] - 1;
        const CodeLocation location = find_symbol(VirtAddr(inside));
        if (location.name) print("  {x8}  {}+{x}\n", places[i], location.name, location.offset + (places[i] - inside));
        else print("  {x8}  ?\n", places[i]);
    }
}

} // namespace i386
