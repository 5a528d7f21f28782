#include "monitor/monitor.h"

#include <span>

#include "arch/cpu.h"
#include "boot_information.h"
#include "config.h"
#include "drivers/power.h"
#include "drivers/timer.h"
#include "lib/format.h"
#include "lib/text.h"
#include "monitor/command.h"
#include "monitor/console_input.h"
#include "monitor/crash_test.h"

namespace {

Result<void> help(const Words& words);

const char* on_or_off(bool value) { return value ? "on" : "off"; }

Result<void> show_options(const Words&) {
    print("memory management    {}\n", on_or_off(CONFIG_MMU));
    print("paging               {}\n", on_or_off(CONFIG_PAGING));
    print("4 MiB pages          {}\n", on_or_off(CONFIG_LARGE_PAGES));
    print("memory protection    {}\n", on_or_off(CONFIG_MEMORY_PROTECTION));
    print("memory debugging     {}\n", on_or_off(CONFIG_MEMORY_DEBUGGING));
    print("random layout        {}\n", on_or_off(CONFIG_ASLR));
    print("demand paging        {}\n", on_or_off(CONFIG_DEMAND_PAGING));
    print("command line         \"{}\"\n", boot_information().command_line);
    return {};
}

Result<void> show_uptime(const Words&) {
    print("{}.{} s, {} timer interrupts, {} ticks of the CPU\n", timer_ticks() / kTimerHertz,
          timer_ticks() % kTimerHertz / (kTimerHertz / 10), timer_ticks(), Cpu::ticks());
    return {};
}

Result<void> crash(const Words& words) {
    if (words.count() > 0 && run_crash_test(words.word(0))) return {};
    list_crash_tests();
    return {};
}

Result<void> reboot(const Words&) { restart_machine(); }

Result<void> halt(const Words&) {
    print("halted; Ctrl-C leaves the emulator\n");
    Cpu::halt_forever();
}

constexpr Command kGeneralCommands[] = {
    {"help", "[WORD]", "this list, or the commands that begin so", help},
    {"options", "", "how the kernel was built and booted", show_options},
    {"uptime", "", "time since the boot", show_uptime},
    {"crash", "[TEST]", "a mistake on purpose (alone: a list)", crash},
    {"reboot", "", "restart the machine", reboot},
    {"halt", "", "stop the CPU", halt},
};

std::span<const Command> general_commands() { return kGeneralCommands; }

/// All tables, in the order in which help shows them.
constexpr std::span<const Command> (*kTables[])() = {frame_commands, memory_commands, vmalloc_commands, heap_commands, file_commands,
                                                    process_commands, swap_commands, short_memory_commands, general_commands};

/// The whole list is longer than a screen: `help frame` shows a part of it.
Result<void> help(const Words& words) {
    for (const auto table : kTables) {
        for (const Command& command : table()) {
            if (text_after(command.name, words.word(0))) print("  {-15} {-24} {}\n", command.name, command.arguments, command.what);
        }
    }
    print("Numbers are decimal, or hexadecimal with 0x. Backspace and Ctrl-U edit.\n");
    return {};
}

/// What follows the command's name on the line, or nullptr when another command is meant.
char* arguments_of(const Command& command, char* line) {
    const char* name = command.name;
    while (*name) {
        if (*line++ != *name++) return nullptr;
        while (*name == ' ' && line[0] == ' ' && line[1] == ' ') ++line; // more than one space between two words
    }
    return *line == 0 || *line == ' ' ? line : nullptr;
}

struct Found {
    const Command* command = nullptr;
    char* arguments = nullptr;
};

/// Of the commands that fit the line the longest: "swap out 5" is not "swap" with two words behind.
Found find_command(char* line) {
    Found found;
    for (const auto table : kTables) {
        for (const Command& command : table()) {
            char* const arguments = arguments_of(command, line);
            if (arguments && (!found.command || arguments > found.arguments)) found = {&command, arguments};
        }
    }
    return found;
}

void run_line(char* line) {
    while (*line == ' ') ++line;
    if (*line == 0) return;
    const Found found = find_command(line);
    if (!found.command) {
        print("\"{}\" is no command; help lists them all\n", line);
        return;
    }
    const Result<void> result = found.command->run(Words(found.arguments));
    if (result.is_error()) {
        print("{}: {}\n", found.command->name, result.error());
        if (result.error() == Error::InvalidArgument) print("usage: {} {}\n", found.command->name, found.command->arguments);
    }
}

} // namespace

void run_monitor() {
    initialize_console_input();
    Cpu::enable_interrupts();
    print("\nThe kernel's monitor. help lists the commands.\n");
    for (;;) {
        char line[128];
        print("faultline> ");
        read_line(line);
        run_line(line);
    }
}
