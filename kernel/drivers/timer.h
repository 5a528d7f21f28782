/// @file
/// The 8254 timer: a hundred interrupts a second.
#pragma once

#include <cstdint>

inline constexpr uint32_t kTimerHertz = 100;

/// Programs channel 0 and counts its interrupts from now on (as soon as interrupts are enabled).
void initialize_timer();

/// Calls `handler` at every interrupt from now on, with interrupts off, after the count has moved on.
void set_timer_handler(void (*handler)());

/// Interrupts so far.
uint32_t timer_ticks();
