/// @file
/// Fuzz target of lab 01-frames. The first byte of an input chooses between its two halves.
#include "fuzz_frames.h"
#include "host/fuzzing.h"
#include "host/map_model.h"
#include "host/panic.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    if (data[0] % 2 == 0) return fuzz_frames(data + 1, size - 1, Order(0));
    return host::run_input([=] {
        host::Source source({data + 1, size - 1});
        const auto map = host::random_map(source);
        const std::string problem = host::compare_with_model(map);
        if (problem.empty()) return;
        std::string entries;
        for (const mm::MemoryMapEntry& entry : map) {
            char line[80];
            std::snprintf(line, sizeof line, "\n  base %#llx, length %#llx, kind %u", static_cast<unsigned long long>(entry.base),
                          static_cast<unsigned long long>(entry.length), static_cast<unsigned>(entry.kind));
            entries += line;
        }
        throw host::Violation("sanitise(): " + problem + entries);
    });
}
