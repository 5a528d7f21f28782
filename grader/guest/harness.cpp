#include "guest/harness.h"

#include "arch/cpu.h"
#include "boot_information.h"
#include "boot_task.h"
#include "lib/format.h"
#include "lib/image.h"
#include "lib/panic.h"
#include "lib/text.h"
#include "mm/paging/kernel_map.h"

extern "C" const harness::Verb harness_verbs_begin[], harness_verbs_end[];

// The three stops. The empty assembly keeps each a function of its own, with its argument where the debugger looks for it.
extern "C" {
[[gnu::noinline]] void harness_operation(uint32_t number) { asm volatile("" : : "r"(number) : "memory"); }
[[gnu::noinline]] void harness_checkpoint(const char* name) { asm volatile("" : : "r"(name) : "memory"); }
[[gnu::noinline]] void harness_finished() { asm volatile("" : : : "memory"); }
}

namespace harness {

namespace {

HARNESS_DATA uint32_t results[kMaxOperations + 1]; ///< First value of each operation's result, for `$N`.
HARNESS_DATA uint32_t current_operation;
HARNESS_DATA char line[kMaxLine];                  ///< Of the script, split into words in place.
HARNESS_DATA const char* words[kMaxArguments + 1];

// The clock of the operation. On protected pages like the rest, so that no piece can turn it back.
HARNESS_DATA uint64_t entered_at;      ///< When the last enter_piece() began.
HARNESS_DATA uint64_t piece_ticks;     ///< Spent in the piece so far.
HARNESS_DATA uint64_t clock_overhead;  ///< What a pair of enter_piece() and leave_piece() measures when nothing lies between.
HARNESS_DATA bool was_entered;

void protect(mm::Access access) { mm::kernel_map::set_image_access(VirtAddr(image::harness_begin()), VirtAddr(image::harness_end()), access); }

/// `$7`, `$7+4096`, `$7-1`.
uint32_t resolve(const char* word) {
    char digits[kMaxLine];
    size_t length = 0;
    const char* at = word + 1;
    while (*at && *at != '+' && *at != '-') digits[length++] = *at++;
    digits[length] = 0;
    const auto operation = parse_number(digits);
    if (operation.is_error() || operation.value() == 0 || operation.value() >= current_operation) bad_script("not an earlier operation", word);
    const uint32_t value = results[operation.value()];
    if (*at == 0) return value;
    const auto offset = parse_number(at + 1);
    if (offset.is_error()) bad_script("not a number after the sign", word);
    return *at == '+' ? value + offset.value() : value - offset.value();
}

const Verb* find_verb(const char* name) {
    for (const Verb* verb = harness_verbs_begin; verb < harness_verbs_end; ++verb) {
        if (text_equal(verb->name, name)) return verb;
    }
    return nullptr;
}

/// Splits the line at its spaces, in place; returns the number of words.
size_t split() {
    size_t count = 0;
    for (char* at = line; *at;) {
        while (*at == ' ') *at++ = 0;
        if (!*at) break;
        if (count == kMaxArguments + 1) bad_script("too many arguments", words[0]);
        words[count++] = at;
        while (*at && *at != ' ') ++at;
    }
    return count;
}

void perform() {
    const size_t count = split();
    if (count == 0) return bad_script("an empty line", "");
    const Verb* verb = find_verb(words[0]);
    if (!verb) bad_script("no such operation", words[0]);
    piece_ticks = 0;
    was_entered = false;
    Call call(words + 1, count - 1);
    harness_operation(current_operation);
    verb->perform(call);
    if (!call.has_replied()) call.reply({});
}

const BootModule& script_module() {
    for (const BootModule& module : boot_information().files()) {
        if (text_equal(module.name, "script")) return module;
    }
    PANIC("the grader's guest was started without a script");
}

/// Copies the next line of the script and returns where the one after it begins.
const char* next_line(const char* at, const char* end) {
    size_t length = 0;
    for (; at < end && *at != '\n'; ++at) {
        if (length + 1 == kMaxLine) bad_script("a line is too long", "");
        line[length++] = *at;
    }
    line[length] = 0;
    return at < end ? at + 1 : end;
}

/// The CPU counts instructions, and these are always the same ones: the overhead is exact.
void measure_clock_overhead() {
    Call nothing(words, 0);
    nothing.enter_piece();
    nothing.leave_piece();
    clock_overhead = piece_ticks;
}

void run() {
    const BootModule& script = script_module();
    const char* at = reinterpret_cast<const char*>(script.begin.value());
    const char* const end = at + script.length;
    measure_clock_overhead();
    while (at < end) {
        at = next_line(at, end);
        if (++current_operation > kMaxOperations) bad_script("too many operations", "");
        perform();
    }
    harness_finished();
    Cpu::halt_forever();
}

void checkpoint(Call& call) { harness_checkpoint(call.word(0)); }

/// Text for people who watch the serial line; the words are in the script itself.
void say(Call&) {}

BOOT_TASK(harness, "harness", run);
HARNESS_VERB("checkpoint", checkpoint);
HARNESS_VERB("say", say);

} // namespace

void bad_script(const char* why, const char* what) {
    print("\n={} bad {}: {}\n", current_operation, why, what);
    harness_finished();
    Cpu::halt_forever();
}

const char* Call::word(size_t i) const {
    if (i >= count_) bad_script("an argument is missing", "");
    return words_[i];
}

uint32_t Call::number(size_t i) const {
    const char* text = word(i);
    if (text[0] == '$') return resolve(text);
    const auto value = parse_number(text);
    if (value.is_error()) bad_script("not a number", text);
    return value.value();
}

mm::Zone Call::zone(size_t i) const {
    const char* text = word(i);
    if (text_equal(text, "dma")) return mm::Zone::Dma;
    if (text_equal(text, "normal")) return mm::Zone::Normal;
    if (text_equal(text, "high")) return mm::Zone::High;
    return mm::Zone(number(i));
}

void Call::enter_piece() {
    was_entered = true;
    entered_at = Cpu::ticks();
    protect(mm::Access::ReadOnly);
}

void Call::leave_piece() {
    const uint64_t now = Cpu::ticks();
    protect(mm::Access::ReadWrite);
    piece_ticks += now - entered_at - clock_overhead;
}

uint64_t Call::ticks() const { return piece_ticks; }

// A record begins with an end of line, so that text which the piece left on an open line cannot hide it.
void Call::finish_record() {
    if (was_entered) print(" t={}", piece_ticks);
    print("\n");
    replied_ = true;
}

void Call::reply(std::span<const uint32_t> values) {
    results[current_operation] = values.empty() ? 0 : values[0];
    print("\n={} ok", current_operation);
    for (const uint32_t value : values) print(" {x}", value);
    finish_record();
}

void Call::reply(Error error, std::initializer_list<uint32_t> values) {
    if (error == Error::None) return reply(values);
    results[current_operation] = 0;
    print("\n={} error {}", current_operation, error);
    finish_record();
}

} // namespace harness
