#include "swap_device.h"

#include "boot_information.h"
#include "drivers/ata.h"
#include "drivers/faulty_disk.h"
#include "fs/partitions.h"
#include "lib/format.h"
#include "lib/text.h"
#include "mm/reclaim/swap_area.h"

namespace {

namespace swap_area = mm::swap_area;

constinit FaultyDisk front = {}; ///< Between the swap area and its disk.

/// What is wrong with a disk as a swap area.
swap_area::Fault fault_of(const BlockDevice& disk) {
    swap_area::Fault why;
    if (!swap_area::open(disk, &why).is_error()) swap_area::close();
    return why;
}

/// Whether there is mkswap's header, right or wrong.
bool has_header(swap_area::Fault fault) { return fault != swap_area::Fault::NotSwap && fault != swap_area::Fault::Device; }

bool has_fat_volume(const BlockDevice& disk) {
    BlockDevice part = {};
    return !fs::find_fat_partition(disk, part).is_error();
}

void say_what_is_wrong(const char* name, swap_area::Fault fault) {
    print("swap: {}: {}{}\n", name, has_header(fault) ? "header corrupt: " : "", swap_area::fault_text(fault));
}

void say_what_is_used() {
    print("swap: {}, {} KiB", swap_area::name(), swap_area::slots() * 4);
    if (swap_area::bad_slots() != 0) print(", {} bad pages", swap_area::bad_slots());
    print("\n");
}

void set_faults_from_command_line() {
    const char* const rules = find_option(boot_information().command_line, "swap_fault");
    if (!rules) return;
    const Result<void> set = set_faults(front, rules);
    if (set.is_error()) print("swap_fault: {}: write with commas between: read:N, read:N+, write:N, write:N+, slot:N\n", set.error());
}

bool is_switched_off() {
    const char* const word = find_option(boot_information().command_line, "swap");
    return word && text_is_word(word, "off");
}

} // namespace

bool is_for_swapping(const BlockDevice& disk) {
    BlockDevice part = {};
    if (!fs::find_swap_partition(disk, part).is_error()) return true;
    return !has_fat_volume(disk) && has_header(fault_of(disk));
}

const BlockDevice* find_swap_device() {
    static constinit BlockDevice part = {};
    for (size_t i = 0; i < ata_disk_count(); ++i) {
        const Result<void> found = fs::find_swap_partition(ata_disk(i), part);
        if (!found.is_error()) return &part;
        if (found.error() == Error::BadFormat) print("swap: {}: a partition for swapping past the disk's end\n", ata_disk(i).name);
    }
    for (size_t i = 0; i < ata_disk_count(); ++i) {
        if (has_fat_volume(ata_disk(i))) continue;
        const swap_area::Fault fault = fault_of(ata_disk(i));
        if (has_header(fault)) return &ata_disk(i);
        say_what_is_wrong(ata_disk(i).name, fault);
    }
    return nullptr;
}

void open_swap_area() {
    if (is_switched_off()) return;
    const BlockDevice* const device = find_swap_device();
    if (!device) return;
    put_in_front(front, *device);
    set_faults_from_command_line();
    swap_area::Fault why;
    if (swap_area::open(front.device, &why).is_error()) say_what_is_wrong(device->name, why);
    else say_what_is_used();
}

Result<void> set_swap_faults(const char* rules) { return set_faults(front, rules); }
