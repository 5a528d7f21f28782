#include "user/meter.h"

#include "user/print.h"
#include "user/processes.h"

namespace {

/// Prints "16 zero frame", with what comes before it on the line.
class List {
public:
    void add(uint32_t count, const char* what) {
        if (count == 0) return;
        printf("%s%u %s", first_ ? "  " : ", ", count, what);
        first_ = false;
    }

private:
    bool first_ = true;
};

int change(uint32_t before, uint32_t after) { return static_cast<int>(after - before); }

} // namespace

Meter read_meter() {
    Meter meter{};
    process_info_of(getpid(), &meter.process);
    counters(&meter.machine);
    return meter;
}

void print_cost_heading() { printf("%-34s %8s %7s %7s %7s\n", "", "RESIDENT", "TABLES", "FRAMES", "FAULTS"); }

void print_cost(const char* what, const Meter& before, const Meter& after) {
    const abi::FaultCounts &was = before.process.faults, &is = after.process.faults;
    printf("%-34s %+8d %+7d %+7d %7u", what, change(before.process.resident_pages, after.process.resident_pages),
           change(before.process.page_table_frames, after.process.page_table_frames),
           change(before.machine.frames_in_use, after.machine.frames_in_use), is.all() - was.all());
    List list;
    for (const FaultName& way : kFaultWays) list.add(is.*way.count - was.*way.count, way.name);
    list.add(is.neighbours - was.neighbours, "neighbours");
    list.add(is.stack_growths - was.stack_growths, "growths");
    printf("\n");
}
