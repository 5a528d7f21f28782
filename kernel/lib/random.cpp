#include "lib/random.h"

namespace {
constinit Random sequence;
}

void seed_random(uint32_t seed) { sequence = Random(seed); }
uint32_t next_random() { return sequence.next(); }
