/// @file
/// Fuzz target of lab 06-faults.
#include "host/faults_driver.h"
#include "host/frames.h"
#include "host/fuzzing.h"
#include "host/machine.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    return host::run_input([=] {
        static const bool started = [] {
            host::boot(host::ordinary_machine());
            host::start_frames(host::Runs::Served);
            host::make_zero_frame();
            return true;
        }();
        if (!started) return;
        host::Source source({data, size});
        host::FaultsDriver driver(source, "an input of the fuzzer");
        while (!source.at_end()) driver.step();
        driver.finish();
    });
}
