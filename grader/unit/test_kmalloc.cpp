/// @file
/// mm::kmalloc and its relatives, the second half of lab 04-heap.
#include <algorithm>
#include <vector>

#include "heap_test.h"
#include "lib/address.h"

namespace {

using mm::FindingKind;

class Kmalloc : public Heap {
protected:
    uint8_t* take(size_t bytes) {
        const auto got = mm::kmalloc(bytes);
        EXPECT_OK(got) << bytes << " bytes";
        return static_cast<uint8_t*>(got.value());
    }
};

TEST_P(Kmalloc, SizesThatCannotBe) {
    EXPECT_ERROR(Error::InvalidArgument, mm::kmalloc(0));
    EXPECT_ERROR(Error::InvalidArgument, mm::kmalloc_aligned(0, 8));
    for (const uint32_t bytes : {0x1000'0000u, 0x4000'0000u, 0xC000'0000u, 0xFFFF'F000u, 0xFFFF'FFF0u, 0xFFFF'FFFFu}) {
        EXPECT_ERROR(Error::OutOfMemory, mm::kmalloc(bytes)) << bytes << " bytes";
        EXPECT_ERROR(Error::OutOfMemory, mm::kmalloc_aligned(bytes, kPageSize)) << bytes << " bytes";
    }
    for (const size_t alignment : {size_t{0}, size_t{3}, size_t{12}, size_t{4097}, size_t{8192}, size_t{0x8000'0000}})
        EXPECT_ERROR(Error::InvalidArgument, mm::kmalloc_aligned(16, alignment)) << "alignment " << alignment;
}

TEST_P(Kmalloc, EverySizeIsAlignedAndMemoryOfItsOwn) {
    std::vector<std::pair<uint8_t*, size_t>> blocks;
    for (size_t bytes = 1; bytes < 200'000; bytes += 1 + bytes / 7) blocks.emplace_back(take(bytes), bytes);
    for (size_t i = 0; i < blocks.size(); ++i) std::fill_n(blocks[i].first, blocks[i].second, static_cast<uint8_t>(i));
    for (size_t i = 0; i < blocks.size(); ++i) {
        const auto [block, bytes] = blocks[i];
        EXPECT_TRUE(is_aligned(address_of(block).value(), mm::kHeapAlignment)) << bytes << " bytes at " << address_of(block);
        EXPECT_EQ(static_cast<size_t>(std::count(block, block + bytes, static_cast<uint8_t>(i))), bytes) << "bytes that kept their value";
        EXPECT_OK(mm::kfree(block));
    }
    expect_no_finding();
}

TEST_P(Kmalloc, Alignments) {
    for (size_t alignment = 1; alignment <= kPageSize; alignment *= 2) {
        for (const size_t bytes : {1u, 24u, 700u, 4096u, 5000u, 40'000u}) {
            const auto block = mm::kmalloc_aligned(bytes, alignment);
            ASSERT_OK(block) << bytes << " bytes, alignment " << alignment;
            EXPECT_TRUE(is_aligned(address_of(block.value()).value(), static_cast<uint32_t>(alignment))) << alignment;
            std::fill_n(static_cast<uint8_t*>(block.value()), bytes, 0x77);
            EXPECT_OK(mm::kfree(block.value()));
        }
    }
    expect_no_finding();
}

TEST_P(Kmalloc, NullIsFine) {
    EXPECT_OK(mm::kfree(nullptr));
    expect_no_finding();
}

TEST_P(Kmalloc, StrangeAddressesAreRefused) {
    uint8_t* const small = take(100);
    uint8_t* const large = take(50'000);
    std::vector<void*> strange = host::strange_addresses();
    for (uint8_t* const block : {small, large})
        for (const int offset : {1, 8, 99, -1, -8}) strange.push_back(block + offset);
    strange.push_back(large + kPageSize);
    strange.push_back(large + 49'999);
    for (void* address : strange) {
        EXPECT_ERROR(Error::NotAllocated, mm::kfree(address)) << address_of(address);
        expect_finding(FindingKind::ForeignFree, address, nullptr);
        EXPECT_ERROR(Error::NotAllocated, mm::krealloc(address, 10)) << address_of(address);
        expect_finding(FindingKind::ForeignFree, address, nullptr);
    }
    EXPECT_OK(mm::kfree(small));
    EXPECT_OK(mm::kfree(large));
}

TEST_P(Kmalloc, ObjectsOfCachesAreNotItsOwn) {
    const auto cache = mm::slab::create({"test", 64});
    ASSERT_OK(cache);
    const auto object = mm::slab::allocate(cache.value());
    ASSERT_OK(object);
    uint8_t* const block = take(64);
    EXPECT_ERROR(Error::NotAllocated, mm::kfree(object.value()));
    expect_finding(FindingKind::ForeignFree, object.value(), nullptr);
    EXPECT_ERROR(Error::NotAllocated, mm::slab::free(cache.value(), block));
    expect_finding(FindingKind::ForeignFree, block, nullptr);
    EXPECT_OK(mm::kfree(block));
    EXPECT_OK(mm::slab::free(cache.value(), object.value()));
    EXPECT_OK(mm::slab::destroy(cache.value()));
}

TEST_P(Kmalloc, TheRedZoneBeginsAtTheSizeThatWasAskedFor) {
    if (!kDebugging) GTEST_SKIP();
    for (const size_t bytes : {1u, 5u, 8u, 13u, 63u, 64u, 65u, 1000u, 4089u, 4096u, 4097u, 30'000u}) {
        uint8_t* block = take(bytes);
        block[bytes] ^= 1;
        EXPECT_OK(mm::kfree(block));
        expect_finding(FindingKind::Overflow, block, block + bytes);
        block = take(bytes);
        block[-1] ^= 1;
        EXPECT_OK(mm::kfree(block));
        expect_finding(FindingKind::Underflow, block, block - 1);
    }
}

TEST_P(Kmalloc, KreallocKeepsContents) {
    uint8_t* block = take(10);
    size_t size = 10;
    std::fill_n(block, size, 0x31);
    uint8_t fill = 0x31;
    for (const size_t next : {11u, 100u, 90u, 4096u, 4097u, 20'000u, 150'000u, 149'000u, 5'000u, 300u, 1u}) {
        const auto moved = mm::krealloc(block, next);
        ASSERT_OK(moved) << "from " << size << " to " << next << " bytes";
        block = static_cast<uint8_t*>(moved.value());
        const size_t both = std::min(size, next);
        ASSERT_EQ(static_cast<size_t>(std::count(block, block + both, fill)), both) << "bytes kept, from " << size << " to " << next;
        size = next;
        std::fill_n(block, size, ++fill);
    }
    EXPECT_ERROR(Error::InvalidArgument, mm::krealloc(block, 0)) << "and the block is as it was:";
    EXPECT_EQ(*block, fill);
    EXPECT_OK(mm::kfree(block));
    const auto fresh = mm::krealloc(nullptr, 30);
    ASSERT_OK(fresh);
    EXPECT_OK(mm::kfree(fresh.value()));
    expect_no_finding();
}

TEST_P(Kmalloc, KreallocThatFailsLeavesTheBlock) {
    uint8_t* const block = take(300);
    std::fill_n(block, 300, 0x5A);
    EXPECT_ERROR(Error::OutOfMemory, mm::krealloc(block, 0xC000'0000));
    const auto moved = fail_at_every_allocation([&] {
        EXPECT_EQ(std::count(block, block + 300, 0x5A), 300) << "bytes of the old block";
        return mm::krealloc(block, 60'000);
    });
    EXPECT_OK(mm::kfree(moved.value()));
    expect_no_finding();
}

TEST_P(Kmalloc, NoMemoryAtAnyFrame) {
    for (const size_t bytes : {30u, 3000u, 4096u, 9000u, 70'000u}) {
        const auto block = fail_at_every_allocation([&] { return mm::kmalloc(bytes); });
        std::fill_n(static_cast<uint8_t*>(block.value()), bytes, 0x99);
        const auto aligned = fail_at_every_allocation([&] { return mm::kmalloc_aligned(bytes, kPageSize); });
        EXPECT_OK(mm::kfree(block.value()));
        EXPECT_OK(mm::kfree(aligned.value()));
    }
    expect_no_finding();
}

TEST_P(Kmalloc, LargeBlocksAreServedUntilMemoryIsReallyShort) {
    std::vector<void*> blocks;
    for (;;) {
        const auto block = mm::kmalloc(100'000);
        if (block.is_error()) {
            EXPECT_ERROR(Error::OutOfMemory, block);
            break;
        }
        blocks.push_back(block.value());
        ASSERT_LT(blocks.size(), 1000u);
    }
    EXPECT_LT(host::free_frame_count(), 64u) << "free frames when a block of 25 pages is refused: vmalloc needs single frames only";
    for (void* block : blocks) EXPECT_OK(mm::kfree(block));
}

HEAP_WITH_AND_WITHOUT_RUNS(Kmalloc);

} // namespace
