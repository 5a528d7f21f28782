/// @file
/// What a script can do with disks and the FAT volume, which are the kernel's own: here the kernel itself is tested. Data are
/// patterns that numbers decide, so that a line can write much, and come back as checksums.
#include "drivers/ata.h"
#include "fs/file_object.h"
#include "fs/open_file.h"
#include "fs/partitions.h"
#include "fs/volume.h"
#include "guest/harness.h"
#include "lib/text.h"
#include "mm/heap/kmalloc.h"

namespace {

using harness::Call;

// Patterns and checksums; grader/tests/volume_model.py has the same.

/// The byte at `position` of what is written with `seed`.
uint8_t pattern(uint32_t seed, uint32_t position) { return static_cast<uint8_t>(seed + position * 167 + (position >> 8) * 13); }

/// FNV-1a (Fowler, Noll, Vo), 32 bits.
uint32_t checksum(const uint8_t* data, size_t bytes) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < bytes; ++i) hash = (hash ^ data[i]) * 16777619u;
    return hash;
}

/// Memory for one operation, surrounded by bytes that must stay as they are.
class Buffer {
public:
    explicit Buffer(size_t bytes) : bytes_(bytes) {
        const auto memory = mm::kmalloc(bytes + 2 * kGuard);
        if (memory.is_error()) harness::bad_script("no memory for a buffer", "");
        data_ = static_cast<uint8_t*>(memory.value()) + kGuard;
        for (size_t i = 0; i < kGuard; ++i) data_[bytes_ + i] = (data_ - kGuard)[i] = kGuardByte;
    }
    ~Buffer() {
        for (size_t i = 0; i < kGuard; ++i) {
            const bool is_intact = data_[bytes_ + i] == kGuardByte && (data_ - kGuard)[i] == kGuardByte;
            if (!is_intact) harness::bad_script("memory beside a buffer was written", "");
        }
        static_cast<void>(mm::kfree(data_ - kGuard));
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    uint8_t* data() { return data_; }
    void fill(uint32_t seed, uint32_t position) {
        for (size_t i = 0; i < bytes_; ++i) data_[i] = pattern(seed, position + i);
    }

private:
    static constexpr size_t kGuard = 16;
    static constexpr uint8_t kGuardByte = 0xA7;
    size_t bytes_;
    uint8_t* data_;
};

// Disks.

void disk_count(Call& call) { call.reply({ata_disk_count()}); }

/// disk.about I: sectors, the name's four characters
void disk_about(Call& call) {
    const BlockDevice& disk = ata_disk(call.number(0));
    const char* const name = disk.name;
    call.reply({disk.sectors, uint32_t(name[0]) | uint32_t(name[1]) << 8 | uint32_t(name[2]) << 16 | uint32_t(name[3]) << 24});
}

/// disk.write I FIRST COUNT SEED: a pattern that goes on from sector to sector.
void disk_write(Call& call) {
    const BlockDevice& disk = ata_disk(call.number(0));
    const uint32_t first = call.number(1), count = call.number(2);
    Buffer buffer(count * kSectorSize);
    buffer.fill(call.number(3), 0);
    call.enter_piece();
    const Result<void> written = disk.write(disk, first, count, buffer.data());
    call.leave_piece();
    call.reply(written);
}

/// disk.read I FIRST COUNT: the checksum
void disk_read(Call& call) {
    const BlockDevice& disk = ata_disk(call.number(0));
    const uint32_t first = call.number(1), count = call.number(2);
    Buffer buffer(count * kSectorSize);
    call.enter_piece();
    const Result<void> done = disk.read(disk, first, count, buffer.data());
    call.leave_piece();
    call.reply(done.error(), {checksum(buffer.data(), count * kSectorSize)});
}

/// A device in front of the first disk's partition that fails when it is told to.
struct FailingDevice {
    BlockDevice part;
    BlockDevice device;
    uint32_t reads = 0, writes = 0; ///< Sectors so far.
    uint32_t fail_read = 0, fail_write = 0; ///< How many reads or writes from now on still succeed, plus one; 0: all.
    uint32_t failures = 0; ///< How many fail then.
};
constinit FailingDevice failing = {};

bool fails(uint32_t& countdown) {
    if (countdown == 0 || --countdown > 0) return false;
    if (--failing.failures > 0) countdown = 1;
    return true;
}

Result<void> failing_read(const BlockDevice&, uint32_t first, size_t count, void* buffer) {
    failing.reads += count;
    if (fails(failing.fail_read)) return Error::DeviceError;
    return failing.part.read(failing.part, first, count, buffer);
}

Result<void> failing_write(const BlockDevice&, uint32_t first, size_t count, const void* buffer) {
    failing.writes += count;
    if (fails(failing.fail_write)) return Error::DeviceError;
    return failing.part.write(failing.part, first, count, buffer);
}

/// volume.mount DISK: mounts the disk's volume behind the failing device.
void mount(Call& call) {
    const Result<void> found = fs::find_fat_partition(ata_disk(call.number(0)), failing.part);
    if (found.is_error()) return call.reply(found);
    failing.device = {"failing", failing.part.sectors, &failing, failing_read, failing_write};
    call.reply(fs::mount(failing.device));
}

void unmount(Call& call) { call.reply(fs::unmount()); }

/// volume.fail read|write AFTER COUNT: that many requests go well, the next COUNT fail, all others go well.
void fail(Call& call) {
    failing.fail_read = failing.fail_write = 0;
    (text_equal(call.word(0), "read") ? failing.fail_read : failing.fail_write) = call.number(1) + 1;
    failing.failures = call.number(2);
}

/// Failures that are still to come; sectors read and written.
void traffic(Call& call) {
    const bool waits = failing.fail_read != 0 || failing.fail_write != 0;
    call.reply({waits ? failing.failures : 0, failing.reads, failing.writes});
    failing.fail_read = failing.fail_write = failing.reads = failing.writes = 0;
}

// Files. A script names an open one by a number.

constexpr size_t kMaxOpen = 32;
constinit fs::Node* open_files[kMaxOpen] = {};

fs::Node& file_argument(Call& call, size_t i) {
    const uint32_t handle = call.number(i);
    if (handle >= kMaxOpen || !open_files[handle]) harness::bad_script("no open file", call.word(i));
    return *open_files[handle];
}

/// handle, size, kind, references
void reply_opened(Call& call, Result<fs::Node*> opened) {
    if (opened.is_error()) return call.reply(opened.error());
    for (uint32_t handle = 0; handle < kMaxOpen; ++handle) {
        if (open_files[handle]) continue;
        open_files[handle] = opened.value();
        const fs::Node& node = *opened.value();
        return call.reply({handle, node.size, static_cast<uint32_t>(node.kind), node.references});
    }
    harness::bad_script("too many open files", "");
}

void open(Call& call) { reply_opened(call, fs::open(call.word(0))); }
void create(Call& call) { reply_opened(call, fs::create(call.word(0))); }
void remove(Call& call) { call.reply(fs::remove(call.word(0))); }
void make_folder(Call& call) { call.reply(fs::make_folder(call.word(0))); }

void close(Call& call) {
    fs::release(file_argument(call, 0));
    open_files[call.number(0)] = nullptr;
}

/// volume.write HANDLE POSITION BYTES SEED: bytes written
void write(Call& call) {
    fs::Node& file = file_argument(call, 0);
    const uint32_t position = call.number(1), bytes = call.number(2);
    Buffer buffer(bytes);
    buffer.fill(call.number(3), position);
    const Result<size_t> written = file.operations->write(file, position, buffer.data(), bytes);
    call.reply(written.error(), {written.value()});
}

/// volume.read HANDLE POSITION BYTES: bytes read, their checksum
void read(Call& call) {
    fs::Node& file = file_argument(call, 0);
    const uint32_t bytes = call.number(2);
    Buffer buffer(bytes);
    const Result<size_t> done = file.operations->read(file, call.number(1), buffer.data(), bytes);
    if (done.is_error()) return call.reply(done.error());
    call.reply({done.value(), checksum(buffer.data(), done.value())});
}

void truncate(Call& call) {
    fs::Node& file = file_argument(call, 0);
    call.reply(file.operations->truncate(file, call.number(1)));
}

void size(Call& call) { call.reply({file_argument(call, 0).size}); }

/// volume.path HANDLE: the checksum of its name
void path(Call& call) {
    const fs::Node& file = file_argument(call, 0);
    char text[fs::kMaxPath];
    file.operations->name(file, text, sizeof text);
    call.reply({checksum(reinterpret_cast<const uint8_t*>(text), text_length(text))});
}

/// volume.entry FOLDER INDEX: kind, size, the name in four words
void entry(Call& call) {
    const Result<fs::Entry> found = fs::entry(call.word(0), call.number(1));
    if (found.is_error()) return call.reply(found.error());
    const fs::Entry& line = found.value();
    uint32_t name[4] = {};
    for (size_t i = 0; line.name[i]; ++i) name[i / 4] |= uint32_t{static_cast<uint8_t>(line.name[i])} << i % 4 * 8;
    call.reply({static_cast<uint32_t>(line.kind), line.size, name[0], name[1], name[2], name[3]});
}

/// cluster bytes, clusters, free clusters
void statistics(Call& call) {
    const Result<fs::VolumeStatistics> figures = fs::volume_statistics();
    if (figures.is_error()) return call.reply(figures.error());
    call.reply({figures.value().cluster_bytes, figures.value().clusters, figures.value().free_clusters});
}

/// volume.object HANDLE: the address of its memory object, pages, references to it, and to the node. The reference is kept.
void object(Call& call) {
    fs::Node& file = file_argument(call, 0);
    const auto made = fs::object_of(file);
    if (made.is_error()) return call.reply(made.error());
    const mm::MemoryObject& object = *made.value();
    call.reply({address_of(&object).value(), object.pages, object.references, file.references});
}

/// volume.drop OBJECT: gives the reference back.
void drop(Call& call) { mm::release(*pointer_to<mm::MemoryObject>(VirtAddr(call.number(0)))); }

/// volume.stream HANDLE BYTES: reads through an open file with a position, BYTES at a time, to the end: bytes and checksum of all
void stream(Call& call) {
    fs::Node& node = file_argument(call, 0);
    const uint32_t step = call.number(1);
    Buffer buffer(node.size + step);
    fs::retain(node);
    const auto opened = fs::open_file(&node, true, false);
    if (opened.is_error()) return call.reply(opened.error());
    uint32_t done = 0;
    for (;;) {
        const Result<size_t> now = fs::read(*opened.value(), buffer.data() + done, step);
        if (now.is_error()) return call.reply(now.error());
        if (now.value() == 0) break;
        done += now.value();
    }
    fs::release(*opened.value());
    call.reply({done, checksum(buffer.data(), done), node.references});
}

HARNESS_VERB("disk.count", disk_count);
HARNESS_VERB("disk.about", disk_about);
HARNESS_VERB("disk.read", disk_read);
HARNESS_VERB("disk.write", disk_write);
HARNESS_VERB("volume.mount", mount);
HARNESS_VERB("volume.unmount", unmount);
HARNESS_VERB("volume.fail", fail);
HARNESS_VERB("volume.traffic", traffic);
HARNESS_VERB("volume.open", open);
HARNESS_VERB("volume.create", create);
HARNESS_VERB("volume.close", close);
HARNESS_VERB("volume.write", write);
HARNESS_VERB("volume.read", read);
HARNESS_VERB("volume.truncate", truncate);
HARNESS_VERB("volume.remove", remove);
HARNESS_VERB("volume.mkdir", make_folder);
HARNESS_VERB("volume.size", size);
HARNESS_VERB("volume.path", path);
HARNESS_VERB("volume.entry", entry);
HARNESS_VERB("volume.statistics", statistics);
HARNESS_VERB("volume.object", object);
HARNESS_VERB("volume.drop", drop);
HARNESS_VERB("volume.stream", stream);

} // namespace
