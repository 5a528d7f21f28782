#include "user/files.h"

#include "user/system_call.h"

using abi::SystemCall;
using namespace system_call;

int open(const char* path, uint32_t flags) { return static_cast<int>(fast(SystemCall::Open, word(path), flags)); }
int close(int file) { return static_cast<int>(fast(SystemCall::Close, static_cast<uint32_t>(file))); }

int read(int file, void* buffer, size_t bytes) {
    return static_cast<int>(fast(SystemCall::Read, static_cast<uint32_t>(file), word(buffer), bytes));
}
int write(int file, const void* buffer, size_t bytes) {
    return static_cast<int>(fast(SystemCall::Write, static_cast<uint32_t>(file), word(buffer), bytes));
}
int seek(int file, int offset, uint32_t whence) {
    return static_cast<int>(fast(SystemCall::Seek, static_cast<uint32_t>(file), static_cast<uint32_t>(offset), whence));
}
int remove(const char* path) { return static_cast<int>(fast(SystemCall::Remove, word(path))); }
int make_folder(const char* path) { return static_cast<int>(fast(SystemCall::MakeFolder, word(path))); }
int list_folder(const char* path, uint32_t index, abi::FolderEntry* entry) {
    return static_cast<int>(fast(SystemCall::ListFolder, word(path), index, word(entry)));
}
int file_size(int file) { return static_cast<int>(fast(SystemCall::FileSize, static_cast<uint32_t>(file))); }

int write_all(int file, const void* buffer, size_t bytes) {
    auto at = static_cast<const char*>(buffer);
    while (bytes > 0) {
        const int written = write(file, at, bytes);
        if (written < 0) return written;
        if (written == 0) return -abi::ENOSPC;
        at += written;
        bytes -= static_cast<size_t>(written);
    }
    return 0;
}
