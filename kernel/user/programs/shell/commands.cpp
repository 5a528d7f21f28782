#include "commands.h"

#include "user/files.h"
#include "user/print.h"
#include "user/processes.h"
#include "user/system_call.h"
#include "user/text.h"

namespace {

int help(const char* const* words, size_t count);

int leave(const char* const* words, size_t count) {
    uint32_t status = 0;
    if (count > 2 || (count == 2 && !parse_number(words[1], status))) {
        printf("usage: exit [STATUS]\n");
        return 2;
    }
    exit(static_cast<int>(status));
}

int shut_down_machine(const char* const*, size_t) {
    printf("shutting down\n");
    const int error = shut_down();
    printf("shutdown: %s\n", error_text(error));
    return 1;
}

constexpr Command kCommands[] = {
    {"help", "[NAME]", "this list, or the lines that begin so", help},
    {"exit", "[STATUS]", "end the shell; init starts a new one", leave},
    {"shutdown", "", "stop the machine", shut_down_machine},
};

/// What help says of the programs that come with the kernel.
constexpr Command kPrograms[] = {
    {"cat", "FILE...", "show files", nullptr},
    {"cowdemo", "", "copy-on-write: what fork shares, and who copies", nullptr},
    {"cp", "FROM TO", "copy a file", nullptr},
    {"crash", "[HOW]", "do what no program may (alone: a list)", nullptr},
    {"echo", "[WORD...]", "print its arguments", nullptr},
    {"false", "", "end with status 1", nullptr},
    {"forkdemo", "", "two processes out of one, and what they share", nullptr},
    {"growdemo", "", "a stack grows as it is used", nullptr},
    {"hog", "MIB [SECONDS]", "take memory, and hold it for a while", nullptr},
    {"init", "", "the first program: starts the shell", nullptr},
    {"kill", "PID [SIGNAL]", "end a process, or send it a signal", nullptr},
    {"lazydemo", "", "memory that is promised, read, written, given back", nullptr},
    {"ls", "[FOLDER]", "list a folder", nullptr},
    {"maps", "[PID]", "the areas of a process, or its own", nullptr},
    {"meminfo", "", "who has the memory", nullptr},
    {"mkdir", "NAME", "make a folder", nullptr},
    {"ps", "", "list the processes", nullptr},
    {"rm", "FILE...", "remove files", nullptr},
    {"shell", "", "this", nullptr},
    {"sleep", "SECONDS", "wait", nullptr},
    {"true", "", "end with status 0", nullptr},
    {"uptime", "", "time since the boot", nullptr},
    {"vmstat", "[-p PID]", "page faults and the rest (or: SECONDS [TIMES])", nullptr},
    {"write", "FILE WORD...", "write a line to a file (-a: at its end)", nullptr},
};

void describe(const Command& command) { printf("  %-9s %-14s %s\n", command.name, command.arguments, command.what); }

void describe_program(const char* name) {
    for (const Command& program : kPrograms) {
        if (strcmp(program.name, name) == 0) return describe(program);
    }
    printf("  %s\n", name);
}

int help(const char* const* words, size_t count) {
    const char* const begin = count > 1 ? words[1] : "";
    const size_t length = strlen(begin);
    for (const Command& command : kCommands) {
        if (strncmp(command.name, begin, length) == 0) describe(command);
    }
    abi::FolderEntry entry;
    for (uint32_t i = 0; list_folder(kProgramFolder, i, &entry) == 0; ++i) {
        if (strncmp(entry.name, begin, length) == 0) describe_program(entry.name);
    }
    if (count == 1) printf("& at the end runs a program in the background. Arrows, Home, End, Ctrl-A E U K W L and Tab edit the line.\n");
    return 0;
}

} // namespace

const Command* find_command(const char* name) {
    for (const Command& command : kCommands) {
        if (strcmp(command.name, name) == 0) return &command;
    }
    return nullptr;
}

const char* command_name(size_t index) { return index < sizeof kCommands / sizeof *kCommands ? kCommands[index].name : nullptr; }
