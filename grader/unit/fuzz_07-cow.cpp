/// @file
/// Fuzz target of lab 07-cow.
#include "host/cow_driver.h"
#include "host/frames.h"
#include "host/fuzzing.h"
#include "host/machine.h"

namespace {

mm::Area area(uint32_t begin, uint32_t end, mm::Protection protection, mm::Sharing sharing = mm::Sharing::Private) {
    constexpr uint32_t kBase = 0x4000'0000 - 8 * kPageSize;  // eight pages before the begin of a page table
    return {.range = {VirtAddr(kBase + begin * kPageSize), VirtAddr(kBase + end * kPageSize)}, .protection = protection, .sharing = sharing};
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    return host::run_input([=] {
        static const bool started = [] {
            host::boot(host::ordinary_machine());
            host::start_frames(host::Runs::Unsupported);
            host::make_zero_frame();
            return true;
        }();
        if (!started) return;
        host::Source source({data, size});
        constexpr mm::Protection kReadWrite{true, true, false}, kRead{true, false, false}, kNothing{};
        host::CowDriver driver(source, "an input of the fuzzer",
                               {area(0, 3, kReadWrite), area(3, 5, kRead), area(5, 11, kReadWrite), area(11, 13, kReadWrite, mm::Sharing::Shared), area(13, 15, kNothing)});
        while (!source.at_end()) driver.step();
        driver.finish();
    });
}
