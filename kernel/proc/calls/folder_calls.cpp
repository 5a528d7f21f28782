// Names on the volume.
#include "abi/files.h"
#include "fs/volume.h"
#include "lib/memory.h"
#include "mm/space/user_memory.h"
#include "proc/calls/arguments.h"
#include "proc/calls/calls.h"

namespace proc::calls {

Result<uint32_t> remove(const Arguments& arguments) {
    char path[fs::kMaxPath];
    TRY(copy_path(path, arguments[0]));
    TRY(fs::remove(path));
    return 0;
}

Result<uint32_t> make_folder(const Arguments& arguments) {
    char path[fs::kMaxPath];
    const Result<void> copied = copy_path(path, arguments[0]);
    if (copied.is_error()) return copied.error() == Error::NotFound ? Error::InvalidArgument : copied.error(); // too long a name
    TRY(fs::make_folder(path));
    return 0;
}

Result<uint32_t> list_folder(const Arguments& arguments) {
    char path[fs::kMaxPath];
    TRY(copy_path(path, arguments[0]));
    const fs::Entry entry = TRY(fs::entry(path, arguments[1]));
    abi::FolderEntry line{};
    static_assert(sizeof entry.name <= sizeof line.name);
    memcpy(line.name, entry.name, sizeof entry.name);
    line.size = entry.size;
    line.is_folder = entry.kind == fs::NodeKind::Folder;
    TRY(mm::write_user(VirtAddr(arguments[2]), line));
    return 0;
}

} // namespace proc::calls
