// Traces of the heap's callers (grader/traces), run against kmalloc(), krealloc() and kfree(). See harness.h for the script.
//
// A trace is run twice: once with every block filled and verified, so that a heap that hands out memory in two hands, or memory that
// is not its own, earns nothing; once for its ticks, without touching the blocks. Frames are counted in the first run.
//
// Everything that the runs work from is copied to pages that are read-only while the piece runs. The copy's digest is reported, and
// the host compares it with the trace that it gave.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "arch/cpu.h"
#include "boot_information.h"
#include "guest/harness.h"
#include "lib/image.h"
#include "lib/memory.h"
#include "lib/text.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/slab.h"
#include "mm/paging/vmalloc.h"
#include "mm/physical/frames.h"

namespace trace_guest {

using harness::Call;

constexpr size_t kMaxOperations = 3072;
constexpr size_t kMaxBlocks = 1024;

enum class Kind : uint32_t { Allocate = 0, Free = 1, Resize = 2 };

/// One line of a trace: two bits of kind, eleven of block, nineteen of size.
struct Operation {
    uint32_t word;

    Kind kind() const { return Kind(word >> 30); }
    size_t block() const { return word >> 19 & 0x7FF; }
    uint32_t size() const { return word & 0x7FFFF; }
};

/// One block of the trace while it is in use.
struct Block {
    uint8_t* bytes;
    uint32_t size;
    uint32_t mark;  ///< What fills it: another word at each allocation.
};

HARNESS_DATA Operation operations[kMaxOperations];
HARNESS_DATA size_t operation_count;
HARNESS_DATA size_t peak_operation;              ///< After it, most bytes are in use.
HARNESS_DATA Block blocks[kMaxBlocks];
HARNESS_DATA uint32_t end_pages[2 * kMaxBlocks]; ///< First and last page of every block in use.
HARNESS_DATA size_t first_in_use;                ///< frames_in_use() before the first trace of this boot.
HARNESS_DATA bool has_begun;

// --- what is wrong ---------------------------------------------------------------------------------------------------------

enum class Trouble : uint32_t {
    None = 0,
    Refused,      ///< kmalloc() or krealloc() returned an error; kfree() refused a block.
    Misaligned,   ///< No multiple of kHeapAlignment, or null.
    NotMemory,    ///< A block that lies in the kernel's image, or wraps.
    Overwritten,  ///< A block does not hold any more what its owner wrote.
};

/// How a run ends: at the first trouble, or at the trace's end.
struct Outcome {
    Trouble trouble = Trouble::None;
    size_t operation = 0;       ///< From 1, as in the trace's file.
    Error error = Error::None;  ///< Of Refused.

    bool failed() const { return trouble != Trouble::None; }
    void fail(Trouble what) { trouble = what; }
};

// --- the trace -------------------------------------------------------------------------------------------------------------

/// Reads the boot module "traces" word by word.
class Reader {
public:
    Reader() {
        for (const BootModule& module : boot_information().files()) {
            if (!text_equal(module.name, "traces")) continue;
            at_ = reinterpret_cast<const char*>(module.begin.value());
            end_ = at_ + module.length;
        }
        if (!at_) harness::bad_script("there is no module", "traces");
    }

    bool at_end() const { return at_ == end_; }
    char peek() const { return at_end() ? 0 : *at_; }

    /// The next word of the line, cut to fit; empty at its end.
    const char* word() {
        size_t length = 0;
        while (peek() == ' ') ++at_;
        for (; !at_end() && *at_ != ' ' && *at_ != '\n'; ++at_) {
            if (length + 1 < sizeof word_) word_[length++] = *at_;
        }
        word_[length] = 0;
        return word_;
    }

    uint32_t number(uint32_t limit) {
        const auto value = parse_number(word());
        if (value.is_error() || value.value() >= limit) harness::bad_script("no such block or size in a trace", word_);
        return value.value();
    }

    void next_line() {
        while (!at_end() && *at_++ != '\n') {}
    }

private:
    const char* at_ = nullptr;
    const char* end_ = nullptr;
    char word_[24] = {};
};

Operation read_operation(Reader& reader) {
    const char kind = *reader.word();
    if (kind != 'a' && kind != 'f' && kind != 'r') harness::bad_script("no such operation in a trace", "");
    const uint32_t block = reader.number(kMaxBlocks);
    const uint32_t size = kind == 'f' ? 0 : reader.number(1 << 19);
    const Kind which = kind == 'a' ? Kind::Allocate : kind == 'f' ? Kind::Free : Kind::Resize;
    return {static_cast<uint32_t>(which) << 30 | block << 19 | size};
}

/// Goes to the lines of the trace called `name`.
void find_trace(Reader& reader, const char* name) {
    for (; !reader.at_end(); reader.next_line()) {
        if (reader.peek() != 't') continue;
        reader.word();
        if (text_equal(reader.word(), name)) return reader.next_line();
    }
    harness::bad_script("there is no trace", name);
}

/// Finds where most bytes are in use, and returns how many.
uint32_t find_peak() {
    uint32_t payload = 0, peak = 0;
    for (size_t i = 0; i < operation_count; ++i) {
        Block& block = blocks[operations[i].block()];
        payload += operations[i].size() - block.size;
        block.size = operations[i].size();
        if (payload > peak) peak = payload, peak_operation = i;
    }
    return peak;
}

/// FNV-1a, word by word.
uint32_t digest() {
    uint32_t value = 0x811C9DC5;
    for (size_t i = 0; i < operation_count; ++i) value = (value ^ operations[i].word) * 0x01000193;
    return value;
}

/// trace.load NAME -> operations, digest, most bytes in use at a time
void load(Call& call) {
    Reader reader;
    find_trace(reader, call.word(0));
    operation_count = 0;
    for (; !reader.at_end() && reader.peek() != 't'; reader.next_line()) {
        if (operation_count == kMaxOperations) harness::bad_script("a trace is too long", call.word(0));
        operations[operation_count++] = read_operation(reader);
    }
    std::fill_n(blocks, kMaxBlocks, Block{});
    const uint32_t peak = find_peak();
    call.reply({operation_count, digest(), peak});
}

// --- the piece ---------------------------------------------------------------------------------------------------------------

/// The guest's memory is opened and closed once per batch, as that is the slow part: operations in a row on blocks that are all
/// different, so that none needs what another has just brought.
constexpr size_t kBatch = 64;

struct Batch {
    size_t begin, end;          ///< Operations.
    uint8_t* made[kBatch];      ///< What each returned.
    Outcome outcome;
    uint32_t ticks[3];          ///< By Kind.
};

/// The batch that begins with operation `begin`.
Batch batch_from(size_t begin) {
    uint32_t seen[kMaxBlocks / 32] = {};
    Batch batch{};
    batch.begin = batch.end = begin;
    for (; batch.end < operation_count && batch.end - begin < kBatch; ++batch.end) {
        const size_t block = operations[batch.end].block();
        if (seen[block / 32] >> block % 32 & 1) break;
        seen[block / 32] |= 1u << block % 32;
    }
    return batch;
}

/// The functions that a trace is run against: the piece's, or some that do nothing, to know what the guest's own part costs.
struct Functions {
    Result<void*> (*allocate)(size_t bytes);
    Result<void*> (*resize)(void* block, size_t bytes);
    Result<void> (*free)(void* block);
};

constexpr Functions kPiece = {
    [](size_t bytes) { return mm::kmalloc(bytes); },
    [](void* block, size_t bytes) { return mm::krealloc(block, bytes); },
    [](void* block) { return mm::kfree(block); },
};
constexpr Functions kNothing = {
    [](size_t) -> Result<void*> { return nullptr; },
    [](void*, size_t) -> Result<void*> { return nullptr; },
    [](void*) -> Result<void> { return {}; },
};

/// Performs operation `index`; its block's new address is entered in the batch.
void perform(const Functions& functions, Batch& batch, size_t index) {
    const Operation operation = operations[index];
    void* const old = blocks[operation.block()].bytes;
    if (operation.kind() == Kind::Free) {
        batch.outcome.error = functions.free(old).error();
    } else {
        const auto made = operation.kind() == Kind::Allocate ? functions.allocate(operation.size()) : functions.resize(old, operation.size());
        batch.outcome.error = made.error();
        if (!made.is_error()) batch.made[index - batch.begin] = static_cast<uint8_t*>(made.value());
    }
    batch.outcome.operation = index + 1;
    if (batch.outcome.error != Error::None) batch.outcome.fail(Trouble::Refused);
}

uint32_t mark_of(size_t operation) { return (operation + 1) * 0x9E3779B1u; }

/// Enters in `blocks` what a batch has done. With the guest's memory open.
void enter(const Batch& batch) {
    for (size_t i = batch.begin; i < batch.end; ++i) {
        Block& block = blocks[operations[i].block()];
        block = operations[i].kind() == Kind::Free ? Block{} : Block{batch.made[i - batch.begin], operations[i].size(), mark_of(i)};
    }
}

/// Frames that somebody has. Those of vmalloc's freed areas are taken until it purges them, but not the heap's any more.
size_t frames_in_use() { return mm::frames::in_use() - mm::vmalloc::statistics().lazy_pages; }

size_t frames_held() {
    const size_t now = frames_in_use();
    return now > first_in_use ? now - first_in_use : 0;
}

// --- the first run: contents and frames ------------------------------------------------------------------------------------

/// Whether a block may lie there: nobody writes through an address that cannot be the heap's.
void check_place(const Block& block, Outcome& outcome) {
    const uint32_t begin = reinterpret_cast<uint32_t>(block.bytes), end = begin + block.size;
    if (begin == 0 || begin % mm::kHeapAlignment != 0) outcome.fail(Trouble::Misaligned);
    else if (end <= begin || (begin < image::end() && image::begin() < end)) outcome.fail(Trouble::NotMemory);
}

uint8_t byte_of(uint32_t mark, uint32_t i) { return static_cast<uint8_t>(mark >> i % 4 * 8); }

void fill(const Block& block) {
    fill_words(reinterpret_cast<uint32_t*>(block.bytes), block.mark, block.size / 4);
    for (uint32_t i = block.size & ~3u; i < block.size; ++i) block.bytes[i] = byte_of(block.mark, i);
}

/// Whether the first `size` bytes at `bytes` are as fill() left them. Four words at a time: most ticks of a run are spent here.
void verify(const uint8_t* bytes, uint32_t size, uint32_t mark, Outcome& outcome) {
    const auto* words = reinterpret_cast<const uint32_t*>(bytes);
    uint32_t different = 0;
    const auto* const end = words + size / 16 * 4;
    for (; words < end; words += 4) different |= (words[0] ^ mark) | (words[1] ^ mark) | (words[2] ^ mark) | (words[3] ^ mark);
    for (uint32_t i = size & ~15u; i < size; ++i) different |= bytes[i] ^ byte_of(mark, i);
    if (different) outcome.fail(Trouble::Overwritten);
}

/// Performs operation `index`, with all that can be said of its block before and after.
void perform_and_verify(Batch& batch, size_t index) {
    const Operation operation = operations[index];
    const Block old = blocks[operation.block()];
    Outcome& outcome = batch.outcome;
    outcome.operation = index + 1;
    verify(old.bytes, old.size, old.mark, outcome);
    if (!outcome.failed()) perform(kPiece, batch, index);
    if (outcome.failed() || operation.kind() == Kind::Free) return;
    const Block made{batch.made[index - batch.begin], operation.size(), mark_of(index)};
    check_place(made, outcome);
    if (outcome.failed()) return;
    verify(made.bytes, std::min(old.size, made.size), old.mark, outcome);
    fill(made);
}

/// Pages that blocks in use lie in, each once: no heap can do with fewer frames. Pages behind a block's first and before its last are
/// its own; the first and the last it may share.
size_t pages_of_blocks() {
    size_t ends = 0, inner = 0;
    for (const Block& block : blocks) {
        if (!block.bytes) continue;
        const uint32_t first = reinterpret_cast<uint32_t>(block.bytes) / kPageSize;
        const uint32_t last = (reinterpret_cast<uint32_t>(block.bytes) + block.size - 1) / kPageSize;
        end_pages[ends++] = first;
        if (last == first) continue;
        end_pages[ends++] = last;
        inner += last - first - 1;
    }
    std::sort(end_pages, end_pages + ends);
    return inner + (std::unique(end_pages, end_pages + ends) - end_pages);
}

/// trace.check -> trouble, operation, error, most frames held, pages of the blocks when most bytes are in use
void check(Call& call) {
    std::fill_n(blocks, kMaxBlocks, Block{});
    Batch batch{};
    size_t most = 0, pages = 0;
    while (batch.end < operation_count && !batch.outcome.failed()) {
        batch = batch_from(batch.end);
        if (batch.begin <= peak_operation) batch.end = std::min(batch.end, peak_operation + 1);
        size_t held = 0;
        call.enter_piece();
        for (size_t i = batch.begin; i < batch.end && !batch.outcome.failed(); ++i) {
            perform_and_verify(batch, i);
            held = std::max(held, frames_held());
        }
        call.leave_piece();
        most = std::max(most, held);
        enter(batch);
        if (batch.end == peak_operation + 1 && !batch.outcome.failed()) pages = pages_of_blocks();
    }
    const Outcome& outcome = batch.outcome;
    call.reply({static_cast<uint32_t>(outcome.trouble), outcome.operation, static_cast<uint32_t>(outcome.error), most, pages});
}

// --- the second run: ticks ---------------------------------------------------------------------------------------------------

HARNESS_DATA uint32_t run_ticks;      ///< In the piece, all batches together.
HARNESS_DATA uint32_t kind_ticks[3];  ///< The same by Kind.

/// Runs a batch, and measures each call. The sums lie on the stack, where the piece could reach them: they are for people. Points come
/// from the ticks of whole batches.
[[gnu::noinline]] void run(const Functions& functions, Batch& batch) {
    for (size_t i = batch.begin; i < batch.end && !batch.outcome.failed(); ++i) {
        const auto before = static_cast<uint32_t>(Cpu::ticks());
        perform(functions, batch, i);
        batch.ticks[static_cast<size_t>(operations[i].kind())] += static_cast<uint32_t>(Cpu::ticks()) - before;
    }
}

/// trace.time -> trouble, operation, error, ticks in the piece, those of kmalloc(), of kfree(), of krealloc()
void time(Call& call) {
    std::fill_n(blocks, kMaxBlocks, Block{});
    std::fill_n(kind_ticks, 3, 0);
    run_ticks = 0;
    Batch batch{};
    while (batch.end < operation_count && !batch.outcome.failed()) {
        batch = batch_from(batch.end);
        Batch dry = batch;
        const auto begun = static_cast<uint32_t>(Cpu::ticks());
        run(kNothing, dry);
        const uint32_t own = static_cast<uint32_t>(Cpu::ticks()) - begun;
        const auto before = static_cast<uint32_t>(call.ticks());
        call.enter_piece();
        run(kPiece, batch);
        call.leave_piece();
        run_ticks += static_cast<uint32_t>(call.ticks()) - before - own;
        for (size_t kind = 0; kind < 3; ++kind) kind_ticks[kind] += batch.ticks[kind] - dry.ticks[kind];
        enter(batch);
    }
    const Outcome& outcome = batch.outcome;
    call.reply({static_cast<uint32_t>(outcome.trouble), outcome.operation, static_cast<uint32_t>(outcome.error), run_ticks, kind_ticks[0],
                kind_ticks[1], kind_ticks[2]});
}

/// trace.shrink -> frames held more than before the first trace of this boot: asks the heap for all that it does not need
void shrink(Call& call) {
    call.enter_piece();
    mm::slab::shrink();
    call.leave_piece();
    if (!has_begun) first_in_use = frames_in_use();
    has_begun = true;
    call.reply({frames_held()});
}

HARNESS_VERB("trace.load", load);
HARNESS_VERB("trace.check", check);
HARNESS_VERB("trace.time", time);
HARNESS_VERB("trace.shrink", shrink);

} // namespace trace_guest
