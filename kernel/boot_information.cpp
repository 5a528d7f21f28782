#include "boot_information.h"

#include <algorithm>

#include "arch/i386/multiboot.h"
#include "lib/panic.h"

namespace {

constinit BootInformation information{};

namespace multiboot = i386::multiboot;

template <typename T>
const T* at(uint32_t address) { return reinterpret_cast<const T*>(address); }

void copy_text(char* to, size_t size, const char* from) {
    size_t i = 0;
    for (; i + 1 < size && from[i]; ++i) to[i] = from[i];
    to[i] = 0;
}

void copy_memory_map(const multiboot::Info& info) {
    const uint32_t end = info.memory_map + info.memory_map_length;
    for (uint32_t next = info.memory_map; next < end && information.memory_map_entries < std::size(information.memory_map);) {
        const auto* entry = at<multiboot::MemoryMapEntry>(next);
        information.memory_map[information.memory_map_entries++] = {entry->base, entry->length, mm::MemoryKind(entry->kind)};
        next += entry->size + sizeof(entry->size);
    }
}

void copy_modules(const multiboot::Info& info) {
    const auto* modules = at<multiboot::Module>(info.modules);
    information.module_count = std::min<size_t>(info.module_count, std::size(information.modules));
    for (size_t i = 0; i < information.module_count; ++i) {
        BootModule& module = information.modules[i];
        module.begin = PhysAddr(modules[i].begin);
        module.length = modules[i].end - modules[i].begin;
        if (modules[i].command_line) copy_text(module.name, sizeof module.name, at<char>(modules[i].command_line));
    }
}

} // namespace

void read_boot_information(uint32_t magic, uint32_t address) {
    if (magic != multiboot::kBootMagic) PANIC("not started by a Multiboot loader");
    const auto& info = *at<multiboot::Info>(address);
    if (!(info.flags & multiboot::kHasMemoryMap)) PANIC("the boot loader gave no memory map");
    if (info.flags & multiboot::kHasCommandLine) copy_text(information.command_line, sizeof information.command_line, at<char>(info.command_line));
    copy_memory_map(info);
    if (info.flags & multiboot::kHasModules) copy_modules(info);
}

const BootInformation& boot_information() { return information; }
