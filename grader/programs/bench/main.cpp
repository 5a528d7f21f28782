/// @file
/// bench [NAME]: what the kernel's calls and page faults cost. With a name, one round of that measurement runs between two checkpoints.
#include "bench.h"
#include "samples.h"

int main(int count, char** arguments) {
    if (count > 1) profiled = arguments[1];
    bench_calls();
    bench_faults();
    bench_mapping();
    bench_lives();
    return 0;
}
