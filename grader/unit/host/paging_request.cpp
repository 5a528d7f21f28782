#include "host/paging_request.h"

#include <algorithm>
#include <array>

#include "host/text.h"
#include "mm/paging/layout.h"

namespace host {

using mm::Access;
using mm::PageSize;
using mm::Privilege;
using mm::Rights;
using mm::Scope;

std::string show(Rights rights) {
    return text(rights.access == Access::ReadWrite ? "rw" : "ro", rights.privilege == Privilege::User ? "-user" : "-kernel",
                rights.scope == Scope::Global ? "-global" : "");
}

std::string Request::text() const {
    const char* const directory_name[] = {"kernel", "A", "B", "C", "D"};
    const std::string where = host::text(directory_name[directory < 5 ? directory : 4], ", ", start, ", ");
    switch (verb) {
    case Verb::Map:
        return host::text("map(", where, first, ", ", count, size == PageSize::Large ? " large, " : " small, ", show(rights), ")");
    case Verb::Unmap: return host::text("unmap(", where, count, ")");
    case Verb::Protect: return host::text("protect(", where, count, ", ", show(rights), ")");
    }
    return "?";
}

VirtAddr random_address(Source& source) {
    constexpr std::array<uint32_t, 4> kFrom = {mm::kUserBegin, mm::kUserEnd - 3 * kLargePageSize, mm::kSharedBegin, 0xFFC0'0000};
    const uint64_t where = source.below(8);
    const uint32_t from = kFrom[where < 3 ? 0 : where < 5 ? 1 : where < 7 ? 2 : 3];
    const uint32_t room = from == 0xFFC0'0000 ? kLargePageSize : 3 * kLargePageSize;
    switch (source.below(4)) {
    case 0: return VirtAddr(from + static_cast<uint32_t>(source.below(room / kLargePageSize)) * kLargePageSize);
    case 1: return VirtAddr(from + room - static_cast<uint32_t>(source.between(1, 20)) * kPageSize);
    default: return VirtAddr(from + static_cast<uint32_t>(source.below(room / kPageSize)) * kPageSize);
    }
}

Request random_request(Source& source, const std::vector<bool>& exists) {
    Request request{.verb = static_cast<Request::Verb>(std::array{0, 0, 1, 2}[source.below(4)]), .directory = 0, .start = random_address(source),
                    .first = FrameNumber(static_cast<uint32_t>(source.below(kMaxFrames))), .count = 1, .rights = {}};
    do request.directory = source.below(exists.size());
    while (!exists[request.directory] && !source.at_end());
    if (!exists[request.directory] || (request.is_shared() && !source.one_in(16))) request.directory = 0;
    const bool map = request.verb == Request::Verb::Map;
    if (map && !request.is_shared() && source.one_in(3)) {
        request.size = PageSize::Large;
        request.start = VirtAddr(align_down(request.start.value(), kLargePageSize));
        request.first = FrameNumber(align_down(request.first.value(), kPagesPerLargePage));
        request.count = source.between(1, 2);
    } else {
        request.count = source.one_in(4) ? source.between(1, 2500) : source.between(1, 40);
    }
    const uint64_t limit = request.is_shared() ? uint64_t{1} << 32 : mm::kUserEnd;
    const uint64_t room = (limit - request.start.value()) / static_cast<uint32_t>(request.size);
    if (!source.one_in(32)) request.count = std::min(request.count, room);
    if (map && !source.one_in(32)) {
        const auto pages = static_cast<uint32_t>(request.bytes() / kPageSize);
        if (request.first.value() + pages > kMaxFrames) request.first = FrameNumber(align_down(kMaxFrames - pages, kPagesPerLargePage));
    }
    request.rights.access = source.one_in(2) ? Access::ReadWrite : Access::ReadOnly;
    const bool odd = source.one_in(32);
    if (request.is_shared() == odd) request.rights.privilege = source.one_in(3) ? Privilege::Supervisor : Privilege::User;
    if (request.is_shared() != odd) request.rights.scope = source.one_in(3) ? Scope::Local : Scope::Global;
    if (source.one_in(64)) request.count = std::array<uint64_t, 3>{0, kMaxFrames + 1, 0xFFFF'FFFF}[source.below(3)];
    if (source.one_in(64)) request.start = request.start + static_cast<uint32_t>(source.between(1, 4095));
    return request;
}

} // namespace host
