/// @file
/// Fuzz target of lab 04-heap.
#include "host/frames.h"
#include "host/fuzzing.h"
#include "host/heap_driver.h"
#include "host/machine.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    return host::run_input([=] {
        static const bool started = [] {
            host::boot(host::ordinary_machine());
            host::start_frames(host::Runs::Served);
            return !mm::slab::initialize().is_error();
        }();
        if (!started) throw host::Violation("initialize() fails");
        host::Source source({data, size});
        host::HeapDriver driver(source, "an input of the fuzzer");
        while (!source.at_end()) driver.step();
        driver.finish();
    });
}
