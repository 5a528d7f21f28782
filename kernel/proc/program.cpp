// From a checked program file to an address space. Code and constants are the file's own pages, shared by all who run it; variables
// are private copies; what the file does not hold is zero.
#include "proc/program.h"

#include "fs/file_object.h"
#include "mm/space/user_layout.h"
#include "proc/program_arguments.h"
#include "proc/program_file.h"

namespace proc {
namespace {

namespace spaces = mm::spaces;

/// A loader at work: gives the space back unless it is told to keep it.
class Loader {
public:
    Loader(const ProgramFile& file, mm::AddressSpace* space, mm::MemoryObject* object) : file_(file), space_(space), object_(object) {}
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;
    ~Loader() {
        mm::release(*object_);
        if (space_) spaces::destroy(space_);
    }

    Result<LoadedProgram> load(std::span<const char* const> arguments) {
        TRY(choose_place());
        for (size_t i = 0; i < file_.segment_count; ++i) TRY(load_segment(file_.segments[i]));
        spaces::place_heap(space_, VirtAddr(file_.data_end + slide_));
        const VirtAddr stack_top = TRY(spaces::map_stack(space_));
        const VirtAddr stack = TRY(write_arguments(space_, stack_top, arguments));
        const LoadedProgram loaded = {space_, VirtAddr(file_.entry + slide_), stack};
        space_ = nullptr;
        return loaded;
    }

private:
    /// Text and variables move together, so that the distance between them stays what the linker saw.
    Result<void> choose_place() {
        if (!file_.movable) return {};
        const size_t text_pages = (file_.text_end - mm::kExecutableBegin) / kPageSize;
        const size_t data_pages = (file_.data_end - mm::kDataBegin) / kPageSize;
        const VirtAddr place = TRY(spaces::place_image(space_, text_pages, data_pages));
        slide_ = place.value() - mm::kExecutableBegin;
        return {};
    }

    Result<void> map_pages(uint32_t begin, uint32_t end, const Segment& segment, mm::MemoryObject* object) {
        if (begin == end) return {};
        mm::MapRequest request;
        request.pages = (end - begin) / kPageSize;
        request.protection = segment.protection;
        request.kind = mm::AreaKind::Image;
        request.place = mm::MapPlace::FixedIfFree;
        request.hint = VirtAddr(begin + slide_);
        request.object = object;
        request.first_page = object ? segment.offset / kPageSize : 0;
        TRY(spaces::map(space_, request));
        return {};
    }

    /// The pages that the file holds, then those that it does not. What its last page shows behind the variables goes.
    Result<void> load_segment(const Segment& segment) {
        const uint32_t file_pages_end = segment.file_bytes == 0 ? segment.first_page() : align_up(segment.file_end(), kPageSize);
        TRY(map_pages(segment.first_page(), file_pages_end, segment, object_));
        TRY(map_pages(file_pages_end, segment.last_page_end(), segment, nullptr));
        return segment.protection.write ? clear(segment.file_end(), file_pages_end) : Result<void>();
    }

    /// From the last byte of the file to the end of its page.
    Result<void> clear(uint32_t begin, uint32_t end) {
        static constexpr uint8_t zeros[kPageSize] = {}; // one look for the page, whatever its rest
        if (begin >= end) return {};
        return spaces::copy_into(space_, VirtAddr(begin + slide_), zeros, end - begin);
    }

    const ProgramFile& file_;
    mm::AddressSpace* space_;   ///< Owned; null once it is the caller's.
    mm::MemoryObject* object_;  ///< A reference of its own.
    uint32_t slide_ = 0;
};

} // namespace

Result<LoadedProgram> load_program(fs::Node& node, std::span<const char* const> arguments, uint32_t random, const mm::SpaceLimits& limits,
                                   ProgramFault* fault) {
    ProgramFault ignored;
    ProgramFile file;
    TRY(read_program_file(node, file, fault ? *fault : ignored));
    mm::MemoryObject* const object = TRY(fs::object_of(node));
    const Result<mm::AddressSpace*> space = spaces::create(random, limits);
    if (space.is_error()) {
        mm::release(*object);
        return space.error();
    }
    return Loader(file, space.value(), object).load(arguments);
}

} // namespace proc
