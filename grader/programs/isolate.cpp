// Tries what the kernel must not let a process do, and says how often it was caught.
//
//     isolate touch BEGIN END        reads and writes of every page of [BEGIN, END)
//     isolate jump BEGIN END STEP    calls of every STEP-th page
//     isolate ask BEGIN END          system calls with every page as the address of a buffer, to read from and to write to
//     isolate victim SECRET          fills memory of every kind with SECRET, and sleeps until SIGTERM; 0 when nobody has changed it
//     isolate attack PID             touches every page of another process's areas that is not in one of its own
//     isolate family SECRET          four processes that share memory and files, asleep until they are killed
#include <cstddef>
#include <cstdint>

#include "user/library.h"

namespace {

constexpr size_t kMapsBytes = 16 * 1024, kMaxRanges = 64, kVictimPages = 40;
constexpr uint32_t kRights = abi::PROT_READ | abi::PROT_WRITE;

/// Where a failed access goes on, and what it was told.
struct Attempt {
    uint32_t eip, esp;
    uint32_t signals;
};
Attempt attempt;
volatile bool told_to_end = false;

void go_on(int, abi::SignalFrame* frame) {
    ++attempt.signals;
    frame->eip = attempt.eip;
    frame->esp = attempt.esp;
}

void end(int, abi::SignalFrame*) { told_to_end = true; }

/// One instruction that may fault, between here and label 2.
#define ATTEMPT(instruction)                                                                                       \
    asm volatile("call 1f\n1: pop %%ecx\n lea 2f-1b(%%ecx), %%ecx\n mov %%ecx, (%1)\n mov %%esp, 4(%1)\n" instruction "\n2:" \
                 : "+a"(address) : "b"(&attempt) : "ecx", "edx", "memory", "cc")

bool can_read(uint32_t address) {
    const uint32_t before = attempt.signals;
    ATTEMPT("movb (%%eax), %%dl");
    return attempt.signals == before;
}
bool can_write(uint32_t address) {
    const uint32_t before = attempt.signals;
    ATTEMPT("movb %%dl, (%%eax)");
    return attempt.signals == before;
}
bool can_jump(uint32_t address) {
    const uint32_t before = attempt.signals;
    ATTEMPT("call *%%eax");
    return attempt.signals == before;
}

/// What came of many attempts.
struct Tally {
    uint32_t tried = 0, let_through = 0, first = 0;

    void add(uint32_t address, bool passed) {
        ++tried;
        if (passed && let_through++ == 0) first = address;
    }
    void print(const char* what) const { printf("%s: %u tried, %u let through, first at 0x%x\n", what, tried, let_through, first); }
};

/// Every page of [begin, end); an end of 0 is the end of all addresses. Somewhere in the page, not always at its begin.
template <typename V>
void for_each_page(uint32_t begin, uint32_t end, uint32_t step, V visit) {
    const uint32_t pages = (end - begin) / kPageBytes;
    for (uint32_t i = 0; i < pages; i += step) visit(begin + i * kPageBytes + i * 37 % kPageBytes);
}

void touch(uint32_t begin, uint32_t end) {
    Tally reads, writes;
    for_each_page(begin, end, 1, [&](uint32_t address) {
        reads.add(address, can_read(address));
        writes.add(address, can_write(address));
    });
    reads.print("reads");
    writes.print("writes");
    printf("signals: %u\n", attempt.signals);
}

void jump(uint32_t begin, uint32_t end, uint32_t step) {
    Tally jumps;
    for_each_page(begin, end, step, [&](uint32_t address) { jumps.add(address, can_jump(address)); });
    jumps.print("jumps");
    printf("signals: %u\n", attempt.signals);
}

void ask(uint32_t begin, uint32_t end) {
    Tally to, from, path;
    const int file = open("/isolate.out", abi::O_RDWR | abi::O_CREAT);
    for_each_page(begin, end, 1, [&](uint32_t address) {
        to.add(address, getrlimit(abi::RLIMIT_AS, reinterpret_cast<uint32_t*>(address)) != -abi::EFAULT);
        from.add(address, write(file, reinterpret_cast<const void*>(address), 1) != -abi::EFAULT);
        path.add(address, open(reinterpret_cast<const char*>(address), abi::O_RDONLY) != -abi::EFAULT);
    });
    to.print("to");
    from.print("from");
    path.print("path");
    printf("file: %d\n", file_size(file));
}

/// The areas of a process, out of the text of its maps.
struct Ranges {
    uint32_t begins[kMaxRanges], ends[kMaxRanges];
    size_t count = 0;

    explicit Ranges(int pid) {
        static char text[kMapsBytes];
        const int bytes = maps(pid, text, sizeof text - 1);
        text[bytes < 0 ? 0 : bytes] = 0;
        char* rest = text;
        while (rest != nullptr && count < kMaxRanges) {
            char* line = strsep(&rest, "\n");
            if (strncmp(line, "0x", 2) != 0) continue;
            const char* const begin = strsep(&line, "-");
            const char* const end = strsep(&line, " ");
            if (parse_number(begin, begins[count]) && parse_number(end, ends[count])) ++count;
        }
    }
    bool contains(uint32_t address) const {
        for (size_t i = 0; i < count; ++i) {
            if (begins[i] <= address && address < ends[i]) return true;
        }
        return false;
    }
};

void attack(int victim) {
    const Ranges theirs(victim), own(getpid());
    Tally reads, writes, calls;
    uint32_t both = 0;
    for (size_t i = 0; i < theirs.count; ++i) {
        for_each_page(theirs.begins[i], theirs.ends[i], 1, [&](uint32_t address) {
            if (own.contains(address)) {
                ++both;
                return;
            }
            reads.add(address, can_read(address));
            writes.add(address, can_write(address));
            calls.add(address, getrlimit(abi::RLIMIT_AS, reinterpret_cast<uint32_t*>(address)) != -abi::EFAULT);
        });
    }
    reads.print("reads");
    writes.print("writes");
    calls.print("calls");
    printf("areas: %u of theirs, %u of ours; pages in both: %u\n", theirs.count, own.count, both);
}

/// Memory of one kind, full of a secret.
uint32_t* new_memory(uint32_t flags, uint32_t secret) {
    auto* const words = static_cast<uint32_t*>(mmap(nullptr, kVictimPages * kPageBytes, kRights, flags | abi::MAP_ANONYMOUS));
    for (size_t i = 0; i < kVictimPages * kPageBytes / sizeof *words; ++i) words[i] = secret + i;
    return words;
}

bool holds(const uint32_t* words, uint32_t secret) {
    for (size_t i = 0; i < kVictimPages * kPageBytes / sizeof *words; ++i) {
        if (words[i] != secret + i) return false;
    }
    return true;
}

int be_victim(uint32_t secret) {
    const uint32_t* const memories[] = {new_memory(abi::MAP_PRIVATE, secret), new_memory(abi::MAP_SHARED, secret)};
    auto* const heap = static_cast<uint32_t*>(sbrk(kVictimPages * kPageBytes));
    memcpy(heap, memories[0], kVictimPages * kPageBytes);
    signal(abi::SIGTERM, end);
    printf("ready\n");
    while (!told_to_end) sleep(1000);
    return holds(memories[0], secret) && holds(memories[1], secret) && holds(heap, secret) ? 0 : 1;
}

/// What nobody has looked at is not there.
void look_at(const void* memory, size_t pages) {
    for (size_t page = 0; page < pages; ++page) (void)static_cast<const volatile char*>(memory)[page * kPageBytes];
}

int be_family(uint32_t secret) {
    auto* const own = const_cast<uint32_t*>(new_memory(abi::MAP_PRIVATE, secret));
    const uint32_t* const common = new_memory(abi::MAP_SHARED, secret + 1);
    const int file = open("/bin/isolate", abi::O_RDONLY);
    look_at(mmap(nullptr, 2 * kPageBytes, abi::PROT_READ, abi::MAP_SHARED, file), 2);
    look_at(mmap(nullptr, 2 * kPageBytes, abi::PROT_READ, abi::MAP_PRIVATE | abi::MAP_ANONYMOUS), 2);
    auto* const changed = static_cast<char*>(mmap(nullptr, 2 * kPageBytes, kRights, abi::MAP_PRIVATE, file));
    changed[0] = 'x';
    const int shared = create_shared(8 * kPageBytes);
    memset(attach_shared(shared, nullptr, kRights), 1, 8 * kPageBytes);
    for (int i = 0; i < 3; ++i) {
        if (fork() != 0) continue;
        changed[kPageBytes] = static_cast<char>(i);
        look_at(attach_shared(shared, nullptr, abi::PROT_READ), 8);
        look_at(common, kVictimPages);
        for (int page = 0; page <= i; ++page) own[page * (kPageBytes / sizeof *own)] = secret + 2; // these are shared no more
        break;
    }
    printf("ready\n");
    for (;;) sleep(100'000);
}

} // namespace

int main(int argc, char** argv) {
    uint32_t numbers[3] = {};
    for (int i = 2; i < argc && i < 5; ++i) {
        if (!parse_number(argv[i], numbers[i - 2])) return 2;
    }
    if (argc < 2) return 2;
    if (strcmp(argv[1], "victim") == 0) return be_victim(numbers[0]);
    if (strcmp(argv[1], "family") == 0) return be_family(numbers[0]);
    signal(abi::SIGSEGV, go_on);
    if (strcmp(argv[1], "touch") == 0)
        touch(numbers[0], numbers[1]);
    else if (strcmp(argv[1], "jump") == 0)
        jump(numbers[0], numbers[1], numbers[2]);
    else if (strcmp(argv[1], "ask") == 0)
        ask(numbers[0], numbers[1]);
    else if (strcmp(argv[1], "attack") == 0)
        attack(static_cast<int>(numbers[0]));
    else
        return 2;
    return 0;
}
