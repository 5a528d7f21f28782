/// @file
/// Fuzz target of lab 09-swap. A piece starts once: each input goes on where the last one ended, with everything given back.
#include "host/frames.h"
#include "host/fuzzing.h"
#include "host/machine.h"
#include "host/swap_driver.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    return host::run_input([=] {
        static host::Source source(0);
        static const bool booted = [] {
            host::boot(host::ordinary_machine());
            host::start_frames(host::Runs::Unsupported);
            return true;
        }();
        if (!booted) return;
        static host::SwapDriver driver(source, "an input of the fuzzer", 60, {7, 20});
        source = host::Source({data, size});
        while (!source.at_end()) driver.step();
        driver.finish();
    });
}
