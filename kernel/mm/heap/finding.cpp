#include "mm/heap/finding.h"

#include "lib/format.h"

namespace mm {

const char* finding_name(FindingKind kind) {
    switch (kind) {
    case FindingKind::Overflow: return "overflow";
    case FindingKind::Underflow: return "underflow";
    case FindingKind::UseAfterFree: return "use after free";
    case FindingKind::DoubleFree: return "double free";
    case FindingKind::ForeignFree: return "foreign free";
    }
    return "unknown finding";
}

namespace findings {

namespace {
constinit Finding last[kMaxKept];
size_t reported = 0;
}

void report(const Finding& finding) {
    last[reported++ % kMaxKept] = finding;
    print("heap: {} at {x8}\n", finding_name(finding.kind), address_of(finding.object));
}

size_t count() { return reported; }

const Finding& kept(size_t i) { return last[reported > kMaxKept ? (reported + i) % kMaxKept : i]; }

} // namespace findings
} // namespace mm
