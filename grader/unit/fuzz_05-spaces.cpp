/// @file
/// Fuzz target of lab 05-spaces.
#include "host/areas_driver.h"
#include "host/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    return host::run_input([=] {
        host::Source source({data, size});
        host::AreasDriver driver(source, "an input of the fuzzer");
        while (!source.at_end()) driver.step();
        driver.finish();
    });
}
