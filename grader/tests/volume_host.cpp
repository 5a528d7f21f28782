// The FAT code on this computer, with sanitizers, over a partition in memory. A request outside of it, too many, or none for
// too long ends the program.
//
//     volume_host fuzz IMAGE SEED COUNT       COUNT times: spoil a copy of the partition, mount it, use it
//     volume_host stop IMAGE SEED WRITES OUT  use it until so many sectors are written, then write the partition to OUT, as if the power failed
//
// IMAGE holds a partition, without a partition table.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fs/volume.h"
#include "mm/heap/kmalloc.h"

namespace {

constexpr long kMaxRequests = 400'000; // in one round; more is a loop without an end
int blocks_in_use = 0;

[[noreturn]] void give_up(const char* why) {
    std::fprintf(stderr, "%s\n", why);
    std::abort();
}

std::vector<uint8_t> bytes;
long requests = 0;
long writes_left = -1; // -1: no end
std::string stop_file;

void check_request(uint32_t first, size_t count) {
    if (++requests > kMaxRequests) give_up("too many requests: a loop without an end");
    if (count == 0 || uint64_t{first} + count > bytes.size() / kSectorSize) give_up("a request outside the partition");
}

Result<void> read_part(const BlockDevice&, uint32_t first, size_t count, void* buffer) {
    check_request(first, count);
    std::memcpy(buffer, &bytes[first * kSectorSize], count * kSectorSize);
    return {};
}

Result<void> write_part(const BlockDevice&, uint32_t first, size_t count, const void* buffer) {
    check_request(first, count);
    for (size_t i = 0; i < count; ++i) {
        if (writes_left == 0) {
            std::ofstream file(stop_file, std::ios::binary);
            file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
            file.close();
            std::exit(0);
        }
        if (writes_left > 0) --writes_left;
        std::memcpy(&bytes[(first + i) * kSectorSize], static_cast<const uint8_t*>(buffer) + i * kSectorSize, kSectorSize);
    }
    return {};
}

/// Random calls.
class User {
public:
    explicit User(std::mt19937& random) : random_(random) {}
    ~User() {
        for (fs::Node* node : open_) fs::release(*node);
    }

    void step() {
        switch (below(9)) {
        case 0: take(fs::open(path())); break;
        case 1: take(fs::create(path())); break;
        case 2: static_cast<void>(fs::remove(path())); break;
        case 3: static_cast<void>(fs::make_folder(below(2) ? path() : "d1")); break;
        case 4: list(path()); break;
        case 5: close(); break;
        default: transfer();
        }
        static_cast<void>(fs::volume_statistics());
    }

private:
    uint32_t below(uint32_t end) { return random_() % end; }

    const char* path() {
        static constexpr const char* kPaths[] = {"a",  "b.txt", "long.ext", "bin/x", "bin/y.z", "two/x", "two/new", "/",
                                                 "bin", "two",  "bin/../a", "",      "////",    "q",     "r",       "bin/f07"};
        return kPaths[below(std::size(kPaths))];
    }

    void take(Result<fs::Node*> opened) {
        if (opened.is_error()) return;
        char text[fs::kMaxPath];
        opened.value()->operations->name(*opened.value(), text, sizeof text);
        open_.push_back(opened.value());
        if (open_.size() > 6) close();
    }

    void close() {
        if (open_.empty()) return;
        const size_t index = below(static_cast<uint32_t>(open_.size()));
        fs::release(*open_[index]);
        open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(index));
    }

    void list(const char* folder) {
        for (size_t i = 0; i < 40 && !fs::entry(folder, i).is_error(); ++i) {}
    }

    void transfer() {
        if (open_.empty()) return;
        fs::Node& node = *open_[below(static_cast<uint32_t>(open_.size()))];
        const uint32_t positions[] = {0, node.size, node.size / 2, node.size + below(3000), below(1 << 17), ~0u - below(600)};
        const uint32_t position = positions[below(8) == 0 ? 5 : below(5)];
        std::vector<uint8_t> buffer(below(5000), uint8_t(position));
        switch (below(4)) {
        case 0: static_cast<void>(node.operations->truncate(node, position)); break;
        case 1: static_cast<void>(node.operations->read(node, position, buffer.data(), buffer.size())); break;
        default: static_cast<void>(node.operations->write(node, position, buffer.data(), buffer.size()));
        }
    }

    std::mt19937& random_;
    std::vector<fs::Node*> open_;
};

uint16_t half(size_t at) { return static_cast<uint16_t>(bytes[at] | bytes[at + 1] << 8); }

/// A cluster of one of the folders in the root.
size_t cluster_of_a_folder(std::mt19937& random, size_t table, size_t root) {
    const auto is_safe = [](size_t cluster) { return cluster < 4000; };
    const size_t begin = random() % 12;
    for (size_t i = 0; i < 12; ++i) {
        const size_t entry = root + (begin + i) % 12 * 32;
        if (!(bytes[entry + 11] & 0x10) || !is_safe(half(entry + 26))) continue;
        size_t cluster = half(entry + 26);
        for (size_t steps = random() % 4; steps > 0 && is_safe(half(table + 2 * cluster)); --steps) cluster = half(table + 2 * cluster);
        return cluster;
    }
    return 2;
}

/// Spoils what the file system is made of. Both copies of the table alike, mostly: else it would only be refused.
void spoil(std::mt19937& random) {
    const auto below = [&](size_t end) { return static_cast<size_t>(random() % end); };
    const size_t table = half(14) * kSectorSize, table_bytes = half(22) * kSectorSize, root = table + 2 * table_bytes;
    for (size_t left = 1 + below(12); left > 0; --left) {
        static constexpr uint8_t kBytes[] = {0, 1, 2, 0x10, 0x20, 0x2E, 0x7F, 0x80, 0xE5, 0xF7, 0xFE, 0xFF};
        const uint8_t value = below(2) ? kBytes[below(std::size(kBytes))] : static_cast<uint8_t>(random());
        switch (below(10)) {
        case 0:
            if (below(4) == 0) bytes[below(64)] = value;
            break;
        case 1: case 2: case 3: case 4: {
            const size_t cluster = below(3) == 0 ? cluster_of_a_folder(random, table, root) : 2 + below(254);
            const auto other = static_cast<uint16_t>(2 + below(254)), itself = static_cast<uint16_t>(cluster);
            const uint16_t values[] = {0, 1, other, itself, 0xFFF7, 0xFFFF, 0x8000, value};
            const uint16_t next = values[below(std::size(values))];
            for (size_t copy = 0; copy < (below(16) != 0 ? 2u : 1u); ++copy) {
                const size_t at = table + copy * table_bytes + 2 * cluster;
                bytes[at] = static_cast<uint8_t>(next);
                bytes[at + 1] = static_cast<uint8_t>(next >> 8);
            }
            break;
        }
        case 5: case 6: case 7: bytes[root + below(12 * 32)] = value; break;
        default: bytes[root + 512 * 32 + below(40 * kSectorSize)] = value;
        }
    }
}

/// @return whether it could be mounted
bool use(std::mt19937& random, int steps) {
    BlockDevice part = {"memory", static_cast<uint32_t>(bytes.size() / kSectorSize), nullptr, read_part, write_part};
    requests = 0;
    alarm(60); // a loop without a request
    if (fs::mount(part).is_error()) return false;
    {
        User user(random);
        for (int i = 0; i < steps; ++i) user.step();
    }
    if (blocks_in_use != 0) give_up("a node was not given back");
    if (fs::unmount().is_error()) give_up("the volume cannot be unmounted though nobody uses it");
    return true;
}

} // namespace

// What the FAT code takes from the floors below.
namespace mm {
Result<void*> kmalloc(size_t size, CallSite) {
    ++blocks_in_use;
    return std::malloc(size);
}
Result<void> kfree(void* block, CallSite) {
    --blocks_in_use;
    std::free(block);
    return {};
}
} // namespace mm

int main(int count, char** words) {
    if (count < 5) give_up("usage: see above");
    std::ifstream file(words[2], std::ios::binary | std::ios::ate);
    std::vector<uint8_t> original(static_cast<size_t>(file.tellg()));
    file.seekg(0).read(reinterpret_cast<char*>(original.data()), static_cast<std::streamsize>(original.size()));
    const auto seed = static_cast<uint32_t>(std::strtoul(words[3], nullptr, 0));
    if (std::string(words[1]) == "fuzz") {
        long mounted = 0;
        for (uint32_t round = 0; round < std::strtoul(words[4], nullptr, 0); ++round) {
            std::mt19937 random(seed + round);
            bytes = original;
            spoil(random);
            mounted += use(random, 60);
        }
        std::printf("%ld\n", mounted);
    } else {
        std::mt19937 random(seed);
        bytes = original;
        writes_left = std::strtol(words[4], nullptr, 0);
        stop_file = words[5];
        use(random, 100'000);
    }
}
