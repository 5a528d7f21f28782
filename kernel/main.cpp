/// @file
/// The boot, as a list. Each step needs those above it; the comments say what for.

#include "arch/cpu.h"
#include "arch/fault_info.h"
#include "arch/i386/segments.h"
#include "arch/i386/traps.h"
#include "boot_information.h"
#include "boot_task.h"
#include "config.h"
#include "drivers/ata.h"
#include "drivers/keyboard.h"
#include "drivers/screen.h"
#include "drivers/serial.h"
#include "drivers/timer.h"
#include "fs/partitions.h"
#include "fs/volume.h"
#include "lib/format.h"
#include "lib/image.h"
#include "lib/panic.h"
#include "lib/random.h"
#include "lib/text.h"
#include "memory_short.h"
#include "mm/heap/finding.h"
#include "mm/heap/slab.h"
#include "mm/paging/kernel_map.h"
#include "mm/paging/layout.h"
#include "mm/paging/shared_range.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/boot_memory.h"
#include "mm/physical/frame_allocator.h"
#include "mm/physical/frame_table.h"
#include "mm/physical/shrinker.h"
#include "mm/physical/watermarks.h"
#include "mm/reclaim/reclaim.h"
#include "mm/report/reports.h"
#include "mm/space/address_space.h"
#include "monitor/crash_test.h"
#include "monitor/monitor.h"
#include "proc/console.h"
#include "proc/process.h"
#include "proc/reclaimer.h"
#include "proc/signals.h"
#include "proc/system_calls.h"
#include "reclaim_setup.h"
#include "swap_device.h"

extern "C" const BootTask boot_tasks_begin[], boot_tasks_end[];

namespace {

namespace boot_memory = mm::boot_memory;

/// What is memory, but taken before the allocator starts.
void reserve_what_is_taken() {
    boot_memory::reserve({FrameNumber(0), FrameNumber(1)}, "page 0: interrupt vectors, and the home of null");
    boot_memory::reserve({FrameNumber(0x9F), FrameNumber(0x100)}, "BIOS data, screen and ROM");
    boot_memory::reserve_bytes(PhysAddr(image::begin()), image::end() - image::begin(), "kernel image");
    for (const BootModule& module : boot_information().files()) boot_memory::reserve_bytes(module.begin, module.length, "boot module");
}

/// Everything that writes to physical addresses, which only works while paging is off.
void build_tables() {
    boot_memory::discover(boot_information().map());
    reserve_what_is_taken();
    mm::frame_table::build();
    mm::kernel_map::build();
    mm::frame_table::classify();
}

void start_frame_allocator() {
    const auto started = mm::frame_allocator::initialize(boot_memory::usable(), boot_memory::reserved());
    if (started.is_error()) PANIC("lab 01-frames: initialize() returned an error");
    mm::watermarks::initialize();
}

void start_heap() {
    mm::vmalloc::initialize();
    if (mm::slab::initialize().is_error()) PANIC("lab 04-heap: initialize() returned an error");
    mm::shrinkers::add({"heap", mm::slab::shrink});
    if (find_option(boot_information().command_line, "panic_on_finding")) mm::findings::set_reaction(mm::findings::Reaction::Panic);
}

/// What the kernel was built without is said once, so that nobody looks for it.
void print_options() {
    print("options: large pages {}, memory protection {}, memory debugging {}, random layout {}, demand paging {}\n",
          CONFIG_LARGE_PAGES ? "on" : "off", CONFIG_MEMORY_PROTECTION ? "on" : "off", CONFIG_MEMORY_DEBUGGING ? "on" : "off",
          CONFIG_ASLR ? "on" : "off", CONFIG_DEMAND_PAGING ? "on" : "off");
    if (!CONFIG_MMU) print("no memory management hardware in use (CONFIG_MMU): nothing is protected from anything\n");
    if (!CONFIG_PAGING) print("no paging (CONFIG_PAGING): no user programs, no vmalloc, no guard pages; null is an address like any other\n");
}

void print_account() {
    print("\nFaultline: {} KiB of memory, command line \"{}\"\n", boot_memory::end_of_memory().value() * 4,
          boot_information().command_line);
    print_options();
    mm::report::memory_map();
    mm::report::zones();
    if (!CONFIG_PAGING) return;
    print("kernel map: ");
    mm::report::page_tables(mm::kernel_directory());
}

void run_boot_tasks() {
    for (const BootTask* task = boot_tasks_begin; task < boot_tasks_end; ++task) {
        if (find_option(boot_information().command_line, task->option)) task->run();
    }
}

/// The first disk's FAT volume. A machine without one is fine: there are no programs then.
void mount_volume() {
    static constinit BlockDevice part = {};
    if (ata_disk_count() == 0) return;
    Result<void> mounted = fs::find_fat_partition(ata_disk(0), part);
    if (!mounted.is_error()) mounted = fs::mount(part);
    if (mounted.error() == Error::NotFound && is_for_swapping(ata_disk(0))) return;
    if (mounted.is_error()) print("{}: no FAT16 volume: {}\n", ata_disk(0).name, mounted.error());
}

void start_processes() {
    initialize_ata();
    mount_volume();
    if (!CONFIG_PAGING) return; // without address spaces there are no processes
    open_swap_area();
    mm::spaces::initialize();
    start_reclaim();
    proc::initialize();
    if (mm::reclaim::is_initialized()) proc::reclaimer::start();
    prepare_for_short_memory();
    proc::signals::initialize();
    proc::system_calls::initialize();
}

/// Runs the first program until it ends; without a volume, or with `monitor` on the command line, there is none.
void run_init() {
    static const char* const arguments[] = {"init"};
    if (!CONFIG_PAGING || !fs::is_mounted() || find_option(boot_information().command_line, "monitor")) return;
    proc::console::initialize();
    const Result<proc::ProcessId> init = proc::spawn("/bin/init", arguments);
    if (init.is_error()) {
        print("/bin/init: {}\n", init.error());
        return;
    }
    while (!proc::wait(init.value()).is_error()) {}
}

/// `seed=N` makes everything that chance decides repeat; else the time since power-on is the seed.
void choose_seed() {
    const char* option = find_option(boot_information().command_line, "seed");
    const Result<uint32_t> seed = option ? parse_number(option) : Error::NotFound;
    seed_random(seed.is_error() ? static_cast<uint32_t>(Cpu::ticks()) : seed.value());
}

/// The rest of the boot, on the stack with a guard page.
void finish_boot() {
    // Tests of the frame allocator boot without the heap: they begin when that hands out nothing yet. Those of the heap boot without
    // processes, which live on it.
    const bool has_heap = !find_option(boot_information().command_line, "without_heap");
    const bool has_processes = has_heap && !find_option(boot_information().command_line, "without_processes");
    choose_seed();
    initialize_timer();
    if (has_heap) start_heap();
    if (has_processes) start_processes();
    run_boot_tasks();
    print_account();
    initialize_keyboard();
    if (const char* crash = find_option(boot_information().command_line, "crash")) run_crash_test(crash);
    if (has_processes) run_init();
    run_monitor();
}

} // namespace

extern "C" void kernel_main(uint32_t magic, uint32_t information) {
    i386::initialize_descriptor_tables();
    initialize_serial();
    read_boot_information(magic, information);
    if (!find_option(boot_information().command_line, "harness")) initialize_screen();
    build_tables();
    i386::set_double_fault_directory(mm::kernel_directory().frame.address());
    mm::kernel_map::activate();
    if (CONFIG_PAGING) mm::shared_range::initialize();
    mm::report::explain_faults();
    if (CONFIG_PAGING) name_fault_range(VirtAddr(mm::kBootStackGuard), VirtAddr(mm::kBootStackBegin), "kernel stack overflow");
    start_frame_allocator();
    Cpu::run_on_stack(mm::boot_stack().end, finish_boot);
}
