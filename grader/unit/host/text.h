/// @file
/// Values of the kernel as text, in the words of its contracts.
#pragma once

#include <ostream>
#include <sstream>
#include <string>

#include "lib/address.h"
#include "lib/result.h"
#include "mm/paging/page_table.h"
#include "mm/physical/zone.h"

inline std::ostream& operator<<(std::ostream& out, Error error) { return out << (error == Error::None ? "success" : error_name(error)); }
inline std::ostream& operator<<(std::ostream& out, FrameNumber frame) {
    return out << "frame 0x" << std::hex << frame.value() << std::dec;
}
inline std::ostream& operator<<(std::ostream& out, VirtAddr address) { return out << "0x" << std::hex << address.value() << std::dec; }
inline std::ostream& operator<<(std::ostream& out, PhysAddr address) { return out << "0x" << std::hex << address.value() << std::dec; }
inline std::ostream& operator<<(std::ostream& out, Order order) { return out << "order " << order.value(); }
inline std::ostream& operator<<(std::ostream& out, FrameRange range) {
    return out << "[0x" << std::hex << range.begin.value() << ", 0x" << range.end.value() << std::dec << ")";
}
namespace mm {
inline std::ostream& operator<<(std::ostream& out, Zone zone) { return out << zone_name(zone); }
inline std::ostream& operator<<(std::ostream& out, Access access) { return out << (access == Access::ReadWrite ? "ReadWrite" : "ReadOnly"); }
inline std::ostream& operator<<(std::ostream& out, Privilege privilege) {
    return out << (privilege == Privilege::User ? "User" : "Supervisor");
}
inline std::ostream& operator<<(std::ostream& out, Rights rights) {
    return out << rights.access << "-" << rights.privilege << (rights.scope == Scope::Global ? "-Global" : "-Local");
}
} // namespace mm

namespace host {

/// All values in a row: text("free(", frame, ")").
template <typename... T>
std::string text(const T&... values) {
    std::ostringstream out;
    (out << ... << values);
    return out.str();
}

/// The error of a Result, also of success.
template <typename T>
Error error_of(const Result<T>& result) { return result.error(); }

} // namespace host
