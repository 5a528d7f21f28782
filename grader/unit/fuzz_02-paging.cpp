/// @file
/// Fuzz target of lab 02-paging. The page tables of the shared range that an input adds stay; each input finds those before it.
#include "host/frames.h"
#include "host/fuzzing.h"
#include "host/machine.h"
#include "host/paging_driver.h"
#include "mm/physical/frames.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    return host::run_input([=] {
        static const bool started = [] {
            host::boot(host::ordinary_machine());
            host::start_frames(host::Runs::Unsupported);
            return true;
        }();
        if (!started) return;
        host::Source source({data, size});
        host::PagingDriver driver(source, "an input of the fuzzer");
        while (!source.at_end()) driver.step();
        driver.finish();
    });
}
