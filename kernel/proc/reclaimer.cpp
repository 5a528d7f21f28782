#include "proc/reclaimer.h"

#include "mm/reclaim/reclaim.h"
#include "proc/kernel_thread.h"
#include "proc/scheduler.h"

namespace proc::reclaimer {

namespace {

constinit WaitQueue wanted;

void run() {
    scheduler::finish_switch();
    for (;;) {
        mm::reclaim::balance();
        (void)scheduler::block(wanted);
    }
}

void wake() { scheduler::wake_all(wanted); }

} // namespace

void start() {
    kernel_thread::start("reclaimer", kernel_thread::kReclaimer, run);
    mm::reclaim::set_waker(wake);
}

} // namespace proc::reclaimer
