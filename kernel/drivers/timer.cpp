#include "drivers/timer.h"

#include "arch/i386/interrupts.h"
#include "arch/i386/ports.h"

namespace {

constexpr unsigned kLine = 0;
constexpr uint16_t kChannel0 = 0x40, kCommand = 0x43;
constexpr uint8_t kRateGenerator = 0x34;    // channel 0, low byte then high byte, mode 2 (8254 data sheet, figure 7)
constexpr uint32_t kInputHertz = 1'193'182; // a third of the NTSC colour carrier, since 1981
constexpr uint32_t kDivisor = (kInputHertz + kTimerHertz / 2) / kTimerHertz;
static_assert(kDivisor < 0x1'0000);

volatile uint32_t count = 0;

void (*tick_handler)() = nullptr;

void handle_interrupt() {
    count = count + 1;
    if (tick_handler) tick_handler();
}

} // namespace

void initialize_timer() {
    i386::out_byte(kCommand, kRateGenerator);
    i386::out_byte(kChannel0, kDivisor & 0xFF);
    i386::out_byte(kChannel0, kDivisor >> 8);
    i386::set_interrupt_handler(kLine, handle_interrupt);
}

void set_timer_handler(void (*handler)()) { tick_handler = handler; }

uint32_t timer_ticks() { return count; }
