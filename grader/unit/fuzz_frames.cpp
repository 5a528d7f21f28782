#include "fuzz_frames.h"

#include "host/frames_driver.h"
#include "host/fuzzing.h"
#include "host/machine.h"
#include "mm/physical/frame_allocator.h"

int fuzz_frames(const uint8_t* data, size_t size, Order served) {
    return host::run_input([=] {
        static const bool started = [] {
            host::boot(host::ordinary_machine());
            return !mm::frame_allocator::initialize(host::usable(), host::reserved()).is_error();
        }();
        if (!started) throw host::Violation("initialize() fails");
        host::Source source({data, size});
        host::FramesDriver driver(source, served, "an input of the fuzzer");
        while (!source.at_end()) driver.step();
        driver.finish();
    });
}
