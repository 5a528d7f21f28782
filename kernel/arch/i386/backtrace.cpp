#include "arch/i386/backtrace.h"

#include "arch/i386/probe.h"
#include "arch/symbols.h"
#include "lib/format.h"
#include "lib/image.h"

namespace i386 {
namespace {

constexpr size_t kMaxLines = 32;
constexpr size_t kMaxFrames = 16384; ///< No kernel stack holds more, and a ring of frames must end some time.

bool is_code(uint32_t address) { return address >= image::text_begin() && address < image::text_end(); }

/// Goes from callee to caller. `while (walk.next()) use(walk.place());`
class StackWalk {
public:
    explicit StackWalk(StackPlace from) : from_(from), frame_(from.frame) {}

    uint32_t place() const { return place_; }
    /// The place is a return address: the call lies before it, maybe as the last instruction of its function.
    bool is_return() const { return step_ > 1; }

    bool next() {
        ++step_;
        if (step_ == 1) {
            place_ = from_.instruction.value();
            return true;
        }
        return (step_ == 2 && next_after_lost_call()) || next_frame();
    }

private:
    /// After a call to nowhere no frame was made: the return address still lies on top of the stack.
    bool next_after_lost_call() {
        return !is_code(from_.instruction.value()) && try_read(from_.stack, place_) && is_code(place_);
    }

    bool next_frame() {
        uint32_t caller_frame = 0;
        if (ended_ || !is_aligned(frame_.value(), sizeof(uint32_t))) return false;
        if (!try_read(frame_, caller_frame) || !try_read(frame_ + sizeof(uint32_t), place_) || !is_code(place_)) return false;
        ended_ = caller_frame <= frame_.value() || step_ > kMaxFrames; // stacks grow down, so callers lie above
        frame_ = VirtAddr(caller_frame);
        return true;
    }

    StackPlace from_;
    VirtAddr frame_;
    uint32_t place_ = 0;
    size_t step_ = 0;
    bool ended_ = false;
};

void print_place(uint32_t place, bool is_return, size_t times) {
    const CodeLocation location = find_symbol(VirtAddr(is_return ? place - 1 : place));
    print("  {x8}  ", place);
    if (location.name)
        print("{}+{x}", location.name, location.offset + is_return);
    else
        print("?");
    if (times > 1) print("  ({} times)", times);
    print("\n");
}

} // namespace

size_t collect_backtrace(StackPlace from, std::span<uint32_t> places) {
    size_t count = 0;
    for (StackWalk walk(from); count < places.size() && walk.next();) places[count++] = walk.place();
    return count;
}

void print_backtrace(StackPlace from) {
    StackWalk walk(from);
    bool more = walk.next();
    for (size_t line = 0; more; ++line) {
        if (line == kMaxLines) {
            print("  (outer frames are not shown)\n");
            return;
        }
        const uint32_t place = walk.place();
        const bool is_return = walk.is_return();
        size_t times = 1;
        while ((more = walk.next()) && walk.place() == place) ++times;
        print_place(place, is_return, times);
    }
}

} // namespace i386
