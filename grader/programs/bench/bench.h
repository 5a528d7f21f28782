/// @file
/// The parts of bench. Each prints lines: a name, the median, the worst, in ticks of the CPU.
#pragma once

void bench_calls();
void bench_faults();
void bench_mapping();
void bench_lives();
