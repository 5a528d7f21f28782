// Open files. Bytes go through a small buffer on the kernel stack, so that a file system never sees a user address; a piece of them
// never crosses a page, so that each is copied altogether or not at all.
#include <cstddef>

#include "abi/files.h"
#include "fs/open_file.h"
#include "fs/volume.h"
#include "mm/space/user_memory.h"
#include "proc/calls/arguments.h"
#include "proc/calls/calls.h"
#include "proc/descriptors.h"
#include "proc/process.h"

namespace proc::calls {

namespace {

constexpr size_t kPiece = 512; ///< One sector.
/// More is never moved at once, so that a count is never taken for an error (Linux has the same limit).
constexpr uint32_t kMostBytes = 0x7FFF'F000;
constexpr uint32_t kMostPosition = 0x7FFF'FFFF;

/// A user buffer that is worked off from its begin.
struct Transfer {
    VirtAddr at;
    size_t left;
    size_t done = 0;

    Transfer(uint32_t address, uint32_t bytes) : at(address), left(bytes < kMostBytes ? bytes : kMostBytes) {}
    size_t piece() const {
        const size_t in_page = bytes_in_page(at, left);
        return in_page < kPiece ? in_page : kPiece;
    }
    void advance(size_t bytes) {
        at = at + static_cast<uint32_t>(bytes);
        left -= bytes;
        done += bytes;
    }
    /// What to return when nothing more goes: what went before counts, and the error comes again at the next call.
    Result<uint32_t> end(Error error) const { return done > 0 ? Result<uint32_t>(static_cast<uint32_t>(done)) : error; }
    Result<uint32_t> end() const { return static_cast<uint32_t>(done); }
};

/// What open() was asked to do.
struct OpenRequest {
    bool read, write, create, cut, append;
};

Result<OpenRequest> decode(uint32_t flags) {
    constexpr uint32_t access = 3, known = access | abi::O_CREAT | abi::O_TRUNC | abi::O_APPEND;
    if ((flags & ~known) || (flags & access) == access) return Error::InvalidArgument;
    OpenRequest request{};
    request.read = (flags & access) != abi::O_WRONLY;
    request.write = (flags & access) != abi::O_RDONLY;
    request.create = flags & abi::O_CREAT;
    request.cut = flags & abi::O_TRUNC;
    request.append = flags & abi::O_APPEND;
    if (request.cut && !request.write) return Error::InvalidArgument;
    return request;
}

/// The node that `path` names, as the request wants it.
Result<fs::Node*> find_node(const char* path, OpenRequest request) {
    const Result<fs::Node*> found = fs::open(path);
    if (found.is_error()) return found.error() == Error::NotFound && request.create ? fs::create(path) : found;
    fs::Node& node = *found.value();
    Result<void> fits;
    if (node.kind == fs::NodeKind::Folder && (request.write || request.create)) fits = Error::WrongKind;
    if (!fits.is_error() && request.cut) fits = node.operations->truncate(node, 0);
    if (!fits.is_error()) return &node;
    release(node);
    return fits.error();
}

} // namespace

Result<uint32_t> read(const Arguments& arguments) {
    fs::OpenFile& file = *TRY(descriptors::file(current(), arguments[0]));
    if (!file.readable) return Error::BadHandle;
    if (file.node->kind == fs::NodeKind::Folder) return Error::WrongKind;
    Transfer transfer(arguments[1], arguments[2]);
    while (transfer.left > 0) {
        char buffer[kPiece];
        // Looked at first: what a console has handed out does not come back.
        const size_t wanted = transfer.piece();
        if (const auto good = mm::prepare_user_write(transfer.at, wanted); good.is_error()) return transfer.end(good.error());
        const Result<size_t> got = fs::read(file, buffer, wanted);
        if (got.is_error()) return transfer.end(got.error());
        if (const auto copied = mm::copy_to_user(transfer.at, buffer, got.value()); copied.is_error()) return transfer.end(copied.error());
        transfer.advance(got.value());
        if (got.value() < wanted) break; // the end of the file, or all that was typed
    }
    return transfer.end();
}

Result<uint32_t> write(const Arguments& arguments) {
    fs::OpenFile& file = *TRY(descriptors::file(current(), arguments[0]));
    if (!file.writable) return Error::BadHandle;
    Transfer transfer(arguments[1], arguments[2]);
    while (transfer.left > 0) {
        char buffer[kPiece];
        const size_t wanted = transfer.piece();
        if (const auto copied = mm::copy_from_user(buffer, transfer.at, wanted); copied.is_error()) return transfer.end(copied.error());
        if (file.append) file.position = file.node->size;
        const Result<size_t> put = fs::write(file, buffer, wanted);
        if (put.is_error()) return transfer.end(put.error());
        transfer.advance(put.value());
        if (put.value() < wanted) break; // the volume is full
    }
    return transfer.end();
}

Result<uint32_t> open(const Arguments& arguments) {
    char path[fs::kMaxPath];
    TRY(copy_path(path, arguments[0]));
    const OpenRequest request = TRY(decode(arguments[1]));
    const uint32_t number = TRY(descriptors::free_file(current())); // before anything is made on the volume
    fs::Node* const node = TRY(find_node(path, request));
    const Result<fs::OpenFile*> opened = fs::open_file(node, request.read, request.write);
    if (opened.is_error()) {
        release(*node);
        return opened.error();
    }
    opened.value()->append = request.append;
    current().files[number] = opened.value();
    return number;
}

Result<uint32_t> close(const Arguments& arguments) {
    TRY(descriptors::close_file(current(), arguments[0]));
    return 0;
}

Result<uint32_t> seek(const Arguments& arguments) {
    fs::OpenFile& file = *TRY(descriptors::file(current(), arguments[0]));
    if (file.node->kind != fs::NodeKind::File) return Error::WrongKind;
    int64_t base;
    switch (arguments[2]) {
    case abi::SEEK_SET: base = 0; break;
    case abi::SEEK_CUR: base = file.position; break;
    case abi::SEEK_END: base = file.node->size; break;
    default: return Error::InvalidArgument;
    }
    const int64_t position = base + static_cast<int32_t>(arguments[1]);
    if (position < 0 || position > kMostPosition) return Error::InvalidArgument;
    file.position = static_cast<uint32_t>(position);
    return file.position;
}

Result<uint32_t> file_size(const Arguments& arguments) { return TRY(descriptors::file(current(), arguments[0]))->node->size; }

} // namespace proc::calls
