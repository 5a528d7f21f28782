#include "drivers/ata.h"

#include <cstdint>

#include "arch/cpu.h"
#include "arch/i386/ports.h"
#include "lib/panic.h"

namespace {

using i386::in_byte;
using i386::in_words;
using i386::out_byte;
using i386::out_words;

// The task file: registers of a channel, as offsets from its first port (ATA/ATAPI-6, 5.2 and 7).
constexpr uint16_t kData = 0;
constexpr uint16_t kSectorCount = 2;
constexpr uint16_t kSectorLow = 3;
constexpr uint16_t kSectorMiddle = 4;
constexpr uint16_t kSectorHigh = 5;
constexpr uint16_t kDevice = 6;
constexpr uint16_t kStatus = 7;  // read
constexpr uint16_t kCommand = 7; // written

constexpr uint8_t kBusy = 0x80;     // status: BSY; nothing else in it is valid meanwhile
constexpr uint8_t kFault = 0x20;    // DF
constexpr uint8_t kRequest = 0x08;  // DRQ: the device waits for data to be moved
constexpr uint8_t kFailed = 0x01;   // ERR
constexpr uint8_t kNoChannel = 0xFF; // what a port reads where nothing answers
constexpr uint8_t kNoDevice = 0x00;  // what a device answers for its missing companion

constexpr uint8_t kBySectorNumber = 0xE0; // device register: LBA, and two bits that were once always set
constexpr uint8_t kSlave = 0x10;
constexpr uint8_t kNoInterrupts = 0x02;   // device control: nIEN

constexpr uint8_t kReadSectors = 0x20;
constexpr uint8_t kWriteSectors = 0x30;
constexpr uint8_t kFlushCache = 0xE7;
constexpr uint8_t kIdentify = 0xEC;

// IDENTIFY DEVICE's answer, by words (ATA/ATAPI-6, 8.15.8).
constexpr size_t kWords = kSectorSize / 2;
constexpr size_t kCapabilities = 49;
constexpr uint16_t kHasSectorNumbers = 1 << 9;
constexpr size_t kSectorsLow = 60, kSectorsHigh = 61;
constexpr size_t kCommandSets = 83;
constexpr uint16_t kHasFlushCache = 1 << 12;

constexpr uint32_t kMaxSectors = 1u << 28;    // what 28 bits can name
constexpr size_t kMaxPerCommand = 256;        // the count register's 0 means 256

// How long a wait may be: so many ticks and so many looks. A look at a port takes about a microsecond on a real bus, one tick in
// Bochs, and in QEMU the ticks are those of the host: the two together come to seconds everywhere.
constexpr uint64_t kPatienceTicks = 100'000'000;
constexpr uint32_t kPatienceLooks = 2'000'000;

struct Channel {
    uint16_t ports;
    uint16_t control; ///< Device control when written, alternate status when read.
};
constexpr Channel kChannels[] = {{0x1F0, 0x3F6}, {0x170, 0x376}};

struct Disk {
    Channel channel;
    uint8_t device; ///< The device register without the sector's highest bits.
    bool has_flush;
};

constexpr size_t kMaxDisks = 4;
Disk disks[kMaxDisks];
constinit BlockDevice devices[kMaxDisks] = {};
size_t disk_count = 0;

/// A device may take 400 ns until its status is right after it was selected, or given a command: four looks at the other status
/// register.
uint8_t settled_status(const Channel& channel) {
    for (int i = 0; i < 3; ++i) in_byte(channel.control);
    return in_byte(channel.control);
}

/// Waits until the device is no longer busy, and returns its status.
Result<uint8_t> wait_while_busy(const Channel& channel) {
    uint8_t status = settled_status(channel);
    const uint64_t begin = Cpu::ticks();
    for (uint32_t looks = 0; status & kBusy; ++looks) {
        const bool is_over = looks >= kPatienceLooks && Cpu::ticks() - begin >= kPatienceTicks;
        if (status == kNoChannel || is_over) return Error::DeviceError;
        status = in_byte(channel.ports + kStatus);
    }
    return status;
}

/// Waits for the moment to move a sector's data.
Result<void> wait_for_request(const Channel& channel) {
    const uint8_t status = TRY(wait_while_busy(channel));
    return status & (kFault | kFailed) || !(status & kRequest) ? Error::DeviceError : Error::None;
}

/// Waits for the end of a command.
Result<void> wait_for_end(const Channel& channel) {
    const uint8_t status = TRY(wait_while_busy(channel));
    return status & (kFault | kFailed | kRequest) ? Error::DeviceError : Error::None;
}

/// Gives a command for `count` sectors (256 at most) from `first` on.
Result<void> give_command(const Disk& disk, uint8_t command, uint32_t first, size_t count) {
    const uint16_t ports = disk.channel.ports;
    TRY(wait_while_busy(disk.channel)); // the other disk of the channel may be at work
    out_byte(ports + kDevice, static_cast<uint8_t>(disk.device | (first >> 24)));
    TRY(wait_while_busy(disk.channel));
    out_byte(ports + kSectorCount, static_cast<uint8_t>(count));
    out_byte(ports + kSectorLow, static_cast<uint8_t>(first));
    out_byte(ports + kSectorMiddle, static_cast<uint8_t>(first >> 8));
    out_byte(ports + kSectorHigh, static_cast<uint8_t>(first >> 16));
    out_byte(ports + kCommand, command);
    return {};
}

Result<void> check_range(const BlockDevice& device, uint32_t first, size_t count) {
    return first > device.sectors || count > device.sectors - first ? Error::OutOfRange : Error::None;
}

/// Where the sectors of a request go to or come from: one piece of memory, or pages that lie anywhere.
struct Memory {
    uint8_t* piece;
    std::span<void* const> pages; ///< Empty: `piece` has all.

    uint8_t* sector(size_t i) const {
        if (pages.empty()) return piece + i * kSectorSize;
        return static_cast<uint8_t*>(pages[i / kSectorsPerPage]) + i % kSectorsPerPage * kSectorSize;
    }
};

Result<void> read_into(const BlockDevice& device, uint32_t first, size_t count, const Memory& memory) {
    TRY(check_range(device, first, count));
    const Disk& disk = *static_cast<const Disk*>(device.driver);
    for (size_t done = 0; done < count;) {
        const size_t end = count - done < kMaxPerCommand ? count : done + kMaxPerCommand;
        TRY(give_command(disk, kReadSectors, first + done, end - done));
        for (; done < end; ++done) {
            TRY(wait_for_request(disk.channel));
            in_words(disk.channel.ports + kData, memory.sector(done), kWords);
        }
    }
    return {};
}

Result<void> write_from(const BlockDevice& device, uint32_t first, size_t count, const Memory& memory) {
    TRY(check_range(device, first, count));
    const Disk& disk = *static_cast<const Disk*>(device.driver);
    for (size_t done = 0; done < count;) {
        const size_t end = count - done < kMaxPerCommand ? count : done + kMaxPerCommand;
        TRY(give_command(disk, kWriteSectors, first + done, end - done));
        for (; done < end; ++done) {
            TRY(wait_for_request(disk.channel));
            out_words(disk.channel.ports + kData, memory.sector(done), kWords);
        }
        TRY(wait_for_end(disk.channel));
    }
    if (!disk.has_flush) return {};
    TRY(give_command(disk, kFlushCache, 0, 0));
    return wait_for_end(disk.channel);
}

Result<void> read(const BlockDevice& device, uint32_t first, size_t count, void* buffer) {
    return read_into(device, first, count, {static_cast<uint8_t*>(buffer), {}});
}

Result<void> write(const BlockDevice& device, uint32_t first, size_t count, const void* buffer) {
    return write_from(device, first, count, {static_cast<uint8_t*>(const_cast<void*>(buffer)), {}}); // it is only read
}

Result<void> read_all(const BlockDevice& device, uint32_t first, std::span<void* const> pages) {
    return read_into(device, first, pages.size() * kSectorsPerPage, {nullptr, pages});
}

Result<void> write_all(const BlockDevice& device, uint32_t first, std::span<void* const> pages) {
    return write_from(device, first, pages.size() * kSectorsPerPage, {nullptr, pages});
}

/// Asks the device what it is. Error::NotFound for no disk, or one that is not ours to drive (a CD, a disk without sector
/// numbers).
Result<void> identify(const Disk& disk, uint16_t (&words)[kWords]) {
    const uint16_t ports = disk.channel.ports;
    out_byte(ports + kDevice, disk.device);
    const uint8_t status = settled_status(disk.channel);
    if (status == kNoChannel || status == kNoDevice) return Error::NotFound;
    TRY(give_command(disk, kIdentify, 0, 0));
    if (settled_status(disk.channel) == kNoDevice) return Error::NotFound;
    TRY(wait_for_request(disk.channel));
    in_words(ports + kData, words, kWords);
    return words[kCapabilities] & kHasSectorNumbers ? Error::None : Error::NotFound;
}

/// Takes a disk on, if there is one at this place.
void look_for_disk(const Channel& channel, uint8_t device) {
    static constexpr const char* kNames[kMaxDisks] = {"ata0", "ata1", "ata2", "ata3"};
    static uint16_t words[kWords];
    Disk& disk = disks[disk_count];
    disk = {channel, static_cast<uint8_t>(kBySectorNumber | device), false};
    if (identify(disk, words).is_error()) return;
    const uint32_t sectors = words[kSectorsLow] | uint32_t{words[kSectorsHigh]} << 16;
    if (sectors == 0) return;
    disk.has_flush = words[kCommandSets] & kHasFlushCache;
    devices[disk_count] = {kNames[disk_count], sectors < kMaxSectors ? sectors : kMaxSectors, &disk,
                           read, write, read_all, write_all};
    ++disk_count;
}

} // namespace

void initialize_ata() {
    for (const Channel& channel : kChannels) {
        if (in_byte(channel.ports + kStatus) == kNoChannel) continue; // a bus without devices: its lines are pulled up
        out_byte(channel.control, kNoInterrupts);
        look_for_disk(channel, 0);
        look_for_disk(channel, kSlave);
    }
}

size_t ata_disk_count() { return disk_count; }

const BlockDevice& ata_disk(size_t index) {
    KASSERT("the disk's number is below ata_disk_count()", index < disk_count);
    return devices[index];
}
