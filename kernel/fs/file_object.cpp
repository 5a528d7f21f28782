#include "fs/file_object.h"

namespace fs {

namespace {

Node& node_of(void* context) { return *static_cast<Node*>(context); }

Result<size_t> read(void* context, uint32_t position, void* buffer, size_t bytes) {
    Node& node = node_of(context);
    return node.operations->read(node, position, buffer, bytes);
}

/// An object has ended. If a newer one is remembered, it is forgotten all the same: the next mapping makes another, and nothing
/// is wrong.
void release_node(void* context) {
    Node& node = node_of(context);
    node.object = nullptr;
    release(node);
}

void name(void* context, char* text, size_t bytes) {
    const Node& node = node_of(context);
    if (node.operations->name) node.operations->name(node, text, bytes);
    else if (bytes > 0) text[0] = 0;
}

} // namespace

Result<mm::MemoryObject*> object_of(Node& node) {
    if (node.kind != NodeKind::File) return Error::WrongKind;
    if (node.size == 0) return Error::InvalidArgument;
    if (node.object) {
        retain(*node.object);
        return node.object;
    }
    mm::MemoryObject* const object = TRY(mm::create_file_object({&node, read, release_node, name, node.size}));
    retain(node);
    node.object = object;
    return object;
}

} // namespace fs
