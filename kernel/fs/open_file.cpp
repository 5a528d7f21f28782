#include "fs/open_file.h"

#include "mm/heap/kmalloc.h"

namespace fs {

Result<OpenFile*> open_file(Node* node, bool readable, bool writable) {
    auto* const file = static_cast<OpenFile*>(TRY(mm::kmalloc(sizeof(OpenFile))));
    *file = {.node = node, .position = 0, .readable = readable, .writable = writable, .references = 1};
    return file;
}

void release(OpenFile& file) {
    if (--file.references > 0) return;
    release(*file.node);
    static_cast<void>(mm::kfree(&file));
}

Result<size_t> read(OpenFile& file, void* buffer, size_t bytes) {
    if (!file.readable) return Error::BadHandle;
    if (file.node->kind == NodeKind::Folder) return Error::WrongKind;
    const size_t done = TRY(file.node->operations->read(*file.node, file.position, buffer, bytes));
    file.position += done;
    return done;
}

Result<size_t> write(OpenFile& file, const void* buffer, size_t bytes) {
    if (!file.writable) return Error::BadHandle;
    if (file.node->kind == NodeKind::Folder) return Error::WrongKind;
    const size_t done = TRY(file.node->operations->write(*file.node, file.position, buffer, bytes));
    file.position += done;
    return done;
}

} // namespace fs
