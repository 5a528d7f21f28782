/// @file
/// Fuzz target of lab 10-replace.
#include "host/frames.h"
#include "host/fuzzing.h"
#include "host/machine.h"
#include "host/policy_driver.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    return host::run_input([=] {
        static const bool started = [] {
            host::boot(host::ordinary_machine());
            host::start_frames(host::Runs::Unsupported);
            return true;
        }();
        if (!started) return;
        host::Source source({data, size});
        host::PolicyDriver driver(source, "an input of the fuzzer");
        driver.begin(static_cast<mm::policy::Kind>(source.below(mm::policy::kKinds)));
        while (!source.at_end()) driver.step();
    });
}
