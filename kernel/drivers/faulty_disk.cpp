#include "drivers/faulty_disk.h"

#include "lib/text.h"

namespace {

/// Pages [begin, end) of a request, by place or by count.
struct Pages {
    uint32_t begin, end;
    bool contain(uint32_t page) const { return begin <= page && page < end; }
};

bool fails(const DiskFault& fault, DiskFault::Kind kind, Pages places, Pages counted) {
    if (fault.kind == DiskFault::Kind::Slot) return places.contain(fault.number);
    if (fault.kind != kind) return false;
    return counted.contain(fault.number) || (fault.goes_on && fault.number < counted.begin && counted.begin < counted.end);
}

/// Counts a request's pages, and says whether it shall fail.
bool count_and_decide(FaultyDisk& faulty, DiskFault::Kind kind, uint32_t first, size_t count) {
    if (count == 0) return false;
    const Pages places = {first / kSectorsPerPage, static_cast<uint32_t>((first + count - 1) / kSectorsPerPage + 1)};
    const uint32_t new_pages = places.end - places.begin - (places.begin == 0); // the header is not counted
    uint32_t& total = kind == DiskFault::Kind::Read ? faulty.pages_read : faulty.pages_written;
    const Pages counted = {total + 1, total + 1 + new_pages};
    total += new_pages;
    for (size_t i = 0; i < faulty.fault_count; ++i) {
        if (fails(faulty.faults[i], kind, places, counted)) return true;
    }
    return false;
}

Result<void> read(const BlockDevice& device, uint32_t first, size_t count, void* buffer) {
    FaultyDisk& faulty = *static_cast<FaultyDisk*>(device.driver);
    if (count_and_decide(faulty, DiskFault::Kind::Read, first, count)) return Error::DeviceError;
    return faulty.behind->read(*faulty.behind, first, count, buffer);
}

Result<void> write(const BlockDevice& device, uint32_t first, size_t count, const void* buffer) {
    FaultyDisk& faulty = *static_cast<FaultyDisk*>(device.driver);
    if (count_and_decide(faulty, DiskFault::Kind::Write, first, count)) return Error::DeviceError;
    return faulty.behind->write(*faulty.behind, first, count, buffer);
}

Result<void> read_all(const BlockDevice& device, uint32_t first, std::span<void* const> pages) {
    FaultyDisk& faulty = *static_cast<FaultyDisk*>(device.driver);
    if (count_and_decide(faulty, DiskFault::Kind::Read, first, pages.size() * kSectorsPerPage)) return Error::DeviceError;
    return read_pages(*faulty.behind, first, pages);
}

Result<void> write_all(const BlockDevice& device, uint32_t first, std::span<void* const> pages) {
    FaultyDisk& faulty = *static_cast<FaultyDisk*>(device.driver);
    if (count_and_decide(faulty, DiskFault::Kind::Write, first, pages.size() * kSectorsPerPage)) return Error::DeviceError;
    return write_pages(*faulty.behind, first, pages);
}

bool is_end(char character) { return character == '\0' || character == ' '; }

/// Reads a decimal number and leaves `text` behind it.
Result<uint32_t> take_number(const char*& text) {
    if (*text < '0' || *text > '9') return Error::InvalidArgument;
    uint64_t number = 0;
    for (; *text >= '0' && *text <= '9'; ++text) {
        number = number * 10 + static_cast<uint32_t>(*text - '0');
        if (number > UINT32_MAX) return Error::InvalidArgument;
    }
    return static_cast<uint32_t>(number);
}

/// Reads a rule and leaves `text` behind it.
Result<DiskFault> take_rule(const char*& text) {
    struct Word {
        const char* text;
        DiskFault::Kind kind;
    };
    static constexpr Word kWords[] = {
        {"read:", DiskFault::Kind::Read}, {"write:", DiskFault::Kind::Write}, {"slot:", DiskFault::Kind::Slot}};
    for (const Word& word : kWords) {
        const char* rest = text_after(text, word.text);
        if (!rest) continue;
        const uint32_t number = TRY(take_number(rest));
        const bool is_counted = word.kind != DiskFault::Kind::Slot;
        const bool goes_on = is_counted && *rest == '+';
        if (is_counted && number == 0) return Error::InvalidArgument;
        text = rest + goes_on;
        return DiskFault{word.kind, goes_on, number};
    }
    return Error::InvalidArgument;
}

Result<void> take_rules(FaultyDisk& faulty, const char* text) {
    while (!is_end(*text)) {
        if (faulty.fault_count == FaultyDisk::kMaxFaults) return Error::NoSpace;
        faulty.faults[faulty.fault_count++] = TRY(take_rule(text));
        if (*text == ',' && !is_end(text[1])) ++text;
        else if (!is_end(*text)) return Error::InvalidArgument;
    }
    return {};
}

} // namespace

void put_in_front(FaultyDisk& faulty, const BlockDevice& behind) {
    faulty = {};
    faulty.device = {behind.name, behind.sectors, &faulty, read, write, read_all, write_all};
    faulty.behind = &behind;
}

Result<void> set_faults(FaultyDisk& faulty, const char* rules) {
    faulty.fault_count = 0;
    faulty.pages_read = faulty.pages_written = 0;
    const Result<void> taken = take_rules(faulty, rules);
    if (taken.is_error()) faulty.fault_count = 0;
    return taken;
}
