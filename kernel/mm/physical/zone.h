/// @file
/// Zones: physical memory sorted by who can reach it.
#pragma once

#include <array>
#include <cstdint>

#include "lib/address.h"

namespace mm {

/// Where in physical memory a frame lies. Ordered: a request for one zone may be served from a lower one, never from a
/// higher, because what the caller needs (a DMA address, an identity mapping) the higher zone cannot give.
enum class Zone : uint32_t {
    Dma = 0,     ///< Below 16 MiB: what ISA devices can address.
    Normal = 1,  ///< 16 MiB to 256 MiB: identity mapped, the kernel reads it at its physical address.
    High = 2,    ///< 256 MiB and above: reached through a temporary mapping (see frame_memory.h).
};

inline constexpr size_t kZoneCount = 3;
inline constexpr std::array kAllZones = {Zone::Dma, Zone::Normal, Zone::High};

/// Memory below this (the DMA and Normal zones) is mapped at its physical address, as far as the machine has any.
inline constexpr uint32_t kIdentityEnd = 0x1000'0000;

/// The frames that belong to `zone`, whether or not the machine has memory there.
constexpr FrameRange zone_frames(Zone zone) {
    constexpr uint32_t dma_end = (16u << 20) >> kPageShift;
    constexpr uint32_t normal_end = kIdentityEnd >> kPageShift;
    switch (zone) {
    case Zone::Dma: return {FrameNumber(0), FrameNumber(dma_end)};
    case Zone::Normal: return {FrameNumber(dma_end), FrameNumber(normal_end)};
    case Zone::High: return {FrameNumber(normal_end), FrameNumber(kMaxFrames)};
    }
    return {};
}

/// The zone that `frame` lies in.
constexpr Zone zone_of(FrameNumber frame) {
    if (zone_frames(Zone::Dma).contains(frame)) return Zone::Dma;
    return zone_frames(Zone::Normal).contains(frame) ? Zone::Normal : Zone::High;
}

/// "DMA", "Normal", "High".
constexpr const char* zone_name(Zone zone) {
    switch (zone) {
    case Zone::Dma: return "DMA";
    case Zone::Normal: return "Normal";
    case Zone::High: return "High";
    }
    return "?";
}

} // namespace mm
