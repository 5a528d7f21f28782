/// @file
/// mm::page_table, lab 02-paging: every page of every directory is compared with a model after each call.
#include <optional>
#include <vector>

#include "config.h"
#include "host/fixture.h"
#include "host/frames.h"
#include "host/paging.h"
#include "host/paging_driver.h"
#include "mm/paging/pte.h"
#include "mm/physical/frames.h"

namespace {

using host::PagingDriver;
using host::Request;
using mm::Access;
using mm::PageSize;
using mm::Privilege;
using mm::Rights;
using mm::Scope;
using Verb = Request::Verb;

constexpr Rights kUserPage{Access::ReadWrite, Privilege::User, Scope::Local};
constexpr Rights kReadOnlyUserPage{Access::ReadOnly, Privilege::User, Scope::Local};
constexpr Rights kSupervisorPage{Access::ReadWrite, Privilege::Supervisor, Scope::Local};
constexpr Rights kKernelPage{Access::ReadWrite, Privilege::Supervisor, Scope::Global};

constexpr uint32_t kUser = 0x4000'0000;   // the first page below some directory entry
constexpr size_t kKernel = 0;             // the kernel's directory, by the driver's number

Request map(size_t directory, uint32_t start, uint32_t first, uint64_t count, Rights rights, PageSize size = PageSize::Small) {
    return {Verb::Map, directory, VirtAddr(start), FrameNumber(first), count, size, rights};
}
Request unmap(size_t directory, uint32_t start, uint64_t count) {
    return {Verb::Unmap, directory, VirtAddr(start), FrameNumber(0), count, PageSize::Small, {}};
}
Request protect(size_t directory, uint32_t start, uint64_t count, Rights rights) {
    return {Verb::Protect, directory, VirtAddr(start), FrameNumber(0), count, PageSize::Small, rights};
}

class Paging : public host::MachineTest {
protected:
    void SetUp() override {
        host::boot(host::ordinary_machine());
        host::start_frames(host::Runs::Unsupported);
        remember_free_frames();
        driver_.emplace(source_, "in this order");
    }
    size_t free_frames() override { return host::free_frame_count() + shared_tables_; }

    /// A new directory, and CR3 points there.
    size_t active_directory() {
        const size_t number = driver_->create();
        driver_->activate(number);
        return number;
    }
    void end(size_t directory) {
        driver_->activate(kKernel);
        driver_->destroy(directory);
    }

    host::Source source_{1};
    std::optional<PagingDriver> driver_;
    size_t shared_tables_ = 0;  ///< Page tables of the shared range stay: so many frames are missing in the end.
};

TEST_F(Paging, ANewDirectoryIsEmptyAndSharesTheKernelsEntries) {
    const size_t a = driver_->create();
    driver_->check_translate(a, VirtAddr(0x10'0000));
    driver_->check_translate(a, VirtAddr(0x123));
    driver_->check_translate(a, VirtAddr(mm::kUserBegin));
    driver_->destroy(a);
}

TEST_F(Paging, OnePageInAnEmptyDirectory) {
    const size_t a = active_directory();
    driver_->call(map(a, kUser + 0x5000, 0x123, 1, kUserPage));
    driver_->check_translate(a, VirtAddr(kUser + 0x5ABC));
    driver_->call(unmap(a, kUser + 0x5000, 1));
    end(a);
}

TEST_F(Paging, EachCombinationOfRights) {
    const size_t a = active_directory();
    uint32_t at = kUser;
    for (const Access access : {Access::ReadOnly, Access::ReadWrite})
        for (const Privilege privilege : {Privilege::Supervisor, Privilege::User})
            driver_->call(map(a, at += kPageSize, 7, 1, {access, privilege, Scope::Local}));
    for (uint32_t page = kUser; page <= at; page += kPageSize) driver_->check_translate(a, VirtAddr(page));
    end(a);
}

TEST_F(Paging, ARangeAcrossSeveralPageTables) {
    const size_t a = active_directory();
    driver_->call(map(a, kUser - 3 * kPageSize, 0x2'0000, 2 * 1024 + 7, kUserPage));
    driver_->call(unmap(a, kUser - 2 * kPageSize, 1024 + 3));
    driver_->call(unmap(a, kUser - 8 * kPageSize, 4000));
    end(a);
}

TEST_F(Paging, WhatWasMappedIsReplacedAndForgotten) {
    const size_t a = active_directory();
    driver_->call(map(a, kUser, 0x100, 8, kUserPage));
    driver_->use(VirtAddr(kUser), 8);
    driver_->call(map(a, kUser + 2 * kPageSize, 0x900, 3, kReadOnlyUserPage));
    end(a);
}

TEST_F(Paging, ProtectChangesRightsAndNothingElse) {
    const size_t a = active_directory();
    driver_->call(map(a, kUser, 0x100, 16, kUserPage));
    driver_->use(VirtAddr(kUser), 16);
    driver_->call(protect(a, kUser + kPageSize, 5, kReadOnlyUserPage));
    driver_->call(protect(a, kUser + 2 * kPageSize, 2, kSupervisorPage));
    driver_->call(protect(a, kUser, 16, kUserPage));
    driver_->call(protect(a, kUser + 12 * kPageSize, 5, kUserPage)); // one too many: NotMapped
    end(a);
}

TEST_F(Paging, TranslateNeedsBothLevelsForARight) {
    const size_t a = driver_->create();
    ASSERT_OK(mm::page_table::map(driver_->directories()[a], VirtAddr(kUser), FrameNumber(5), 1, PageSize::Small, kUserPage));
    auto& pde = pointer_to<uint32_t>(VirtAddr(driver_->directories()[a].frame.address().value()))[VirtAddr(kUser).directory_index()];
    const uint32_t old = pde;
    const auto rights = [&] { return mm::page_table::translate(driver_->directories()[a], VirtAddr(kUser)).value().rights; };
    pde = old & ~mm::entry_bits::kWritable;
    EXPECT_EQ(rights().access, Access::ReadOnly) << "the PTE may be written, the PDE not";
    pde = old & ~mm::entry_bits::kUser;
    EXPECT_EQ(rights().privilege, Privilege::Supervisor) << "the PTE is a user's, the PDE is not";
    pde = old;
    EXPECT_EQ(rights(), kUserPage);
    ASSERT_OK(mm::page_table::destroy(driver_->directories()[a]));
}

TEST_F(Paging, ATableIsGivenBackWithItsLastPageWhicheverThatIs) {
    const size_t a = active_directory();
    for (const uint32_t last : {0u, 1u, 511u, 1022u, 1023u}) {
        driver_->call(map(a, kUser, 0x1000, 1024, kUserPage));
        driver_->call(unmap(a, kUser, last));
        driver_->call(unmap(a, kUser + (last + 1) * kPageSize, 1023 - last));
        driver_->call(unmap(a, kUser + last * kPageSize, 1));
    }
    end(a);
}

TEST_F(Paging, ASwapEntryIsNotMapped) {
    const size_t a = active_directory();
    driver_->call(map(a, kUser, 0x100, 3, kUserPage));
    driver_->swap_out(a, VirtAddr(kUser + kPageSize), mm::SwapSlot(12));
    driver_->check_translate(a, VirtAddr(kUser + kPageSize + 0x123));
    driver_->call(protect(a, kUser + kPageSize, 1, kReadOnlyUserPage));
    driver_->call(protect(a, kUser, 3, kReadOnlyUserPage));
    driver_->call(unmap(a, kUser + 2 * kPageSize, 7)); // beside it
    end(a);                                            // goes with its page table
}

TEST_F(Paging, APageTableWithASwapEntryIsNotEmpty) {
    const size_t a = active_directory();
    for (const uint32_t last : {0u, 1u, 511u, 1022u, 1023u}) {
        driver_->call(map(a, kUser, 0x1000, 1024, kUserPage));
        driver_->swap_out(a, VirtAddr(kUser + last * kPageSize), mm::SwapSlot(0xFF'FFFF));
        driver_->call(unmap(a, kUser, last));
        driver_->call(unmap(a, kUser + (last + 1) * kPageSize, 1023 - last));
        driver_->call(unmap(a, kUser + last * kPageSize, 1)); // the swap entry itself: now the table goes
    }
    end(a);
}

TEST_F(Paging, PagesReplaceSwapEntries) {
    const size_t a = active_directory();
    driver_->call(map(a, kUser, 0x100, 6, kUserPage));
    for (uint32_t i = 0; i < 6; ++i) driver_->swap_out(a, VirtAddr(kUser + i * kPageSize), mm::SwapSlot(i + 1));
    driver_->call(map(a, kUser + kPageSize, 0x200, 1, kReadOnlyUserPage));
    driver_->check_translate(a, VirtAddr(kUser + kPageSize));
    driver_->call(map(a, kUser + 2 * kPageSize, 0x300, 3, kUserPage));
    if (CONFIG_LARGE_PAGES) {
        driver_->call(map(a, kUser, 0x400, 1, kUserPage, PageSize::Large));
        driver_->swap_out(a, VirtAddr(kUser), mm::SwapSlot(9)); // no small page, no swap entry
        driver_->call(unmap(a, kUser + 0x1000, 1));
        driver_->swap_out(a, VirtAddr(kUser), mm::SwapSlot(9));
    }
    end(a);
}

TEST_F(Paging, FramesThatWereMappedStayTheirOwners) {
    const auto frame = mm::frames::allocate(mm::Zone::Normal, mm::Contents::Unspecified);
    const auto other = mm::frames::allocate(mm::Zone::Normal, mm::Contents::Unspecified);
    ASSERT_OK(frame);
    ASSERT_OK(other);
    const auto a = mm::page_table::create();
    ASSERT_OK(a);
    ASSERT_OK(mm::page_table::map(a.value(), VirtAddr(kUser), frame.value(), 1, PageSize::Small, kUserPage));
    ASSERT_OK(mm::page_table::unmap(a.value(), VirtAddr(kUser), 1));
    EXPECT_FALSE(host::is_free_now(frame.value())) << "unmap() gave a page's frame back";
    ASSERT_OK(mm::page_table::map(a.value(), VirtAddr(kUser), frame.value(), 1, PageSize::Small, kUserPage));
    ASSERT_OK(mm::page_table::map(a.value(), VirtAddr(kUser), other.value(), 1, PageSize::Small, kUserPage));
    EXPECT_FALSE(host::is_free_now(frame.value())) << "map() gave the frame back that was mapped before";
    ASSERT_OK(mm::page_table::destroy(a.value()));
    EXPECT_FALSE(host::is_free_now(other.value())) << "destroy() gave a page's frame back";
    EXPECT_OK(mm::frames::release(frame.value()));
    EXPECT_OK(mm::frames::release(other.value()));
}

TEST_F(Paging, FirstAndLastPageOfTheUserRange) {
    const size_t a = active_directory();
    driver_->call(map(a, mm::kUserBegin, 1, 1, kUserPage));
    driver_->call(map(a, mm::kUserEnd - kPageSize, 2, 1, kUserPage));
    driver_->check_translate(a, VirtAddr(mm::kUserEnd - 1));
    driver_->call(map(a, mm::kUserEnd - kPageSize, 2, 2, kUserPage));
    driver_->call(map(a, mm::kUserBegin - kPageSize, 2, 2, kUserPage));
    end(a);
}

TEST_F(Paging, TheLastPageOfTheAddressSpace) {
    driver_->call(map(kKernel, 0xFFFF'F000, 0x77, 1, kKernelPage));
    shared_tables_ = 1;
    driver_->check_translate(kKernel, VirtAddr(0xFFFF'FFFF));
    driver_->use(VirtAddr(0xFFFF'F000), 1);
    driver_->call(protect(kKernel, 0xFFFF'F000, 1, {Access::ReadOnly, Privilege::Supervisor, Scope::Global}));
    driver_->call(unmap(kKernel, 0xFFFF'F000, 1));
    driver_->call(unmap(kKernel, 0xFFFF'F000, 2));
}

TEST_F(Paging, SharedTablesStayAndAreSeenByNewDirectories) {
    driver_->call(map(kKernel, 0xC000'0000, 0x300, 2, kKernelPage));
    shared_tables_ = 1;
    const size_t a = active_directory();
    driver_->check_translate(a, VirtAddr(0xC000'1234));
    driver_->use(VirtAddr(0xC000'0000), 2);
    driver_->call(unmap(kKernel, 0xC000'0000, 2)); // global, and CR3 points elsewhere: forgotten all the same
    driver_->call(map(a, 0xC000'0000, 0x300, 1, kKernelPage)); // only through the kernel's directory
    end(a);
}

TEST_F(Paging, GlobalPagesAreForgottenByALargeUnmap) {
    driver_->call(map(kKernel, 0xC040'0000, 0x300, 100, kKernelPage));
    shared_tables_ = 1;
    driver_->use(VirtAddr(0xC040'0000), 100);
    driver_->call(unmap(kKernel, 0xC040'0000, 100));
}

TEST_F(Paging, LargePagesAreMappedSplitAndReplaced) {
    if (!CONFIG_LARGE_PAGES) GTEST_SKIP();
    const size_t a = active_directory();
    driver_->call(map(a, kUser, 0x400, 2, kUserPage, PageSize::Large));
    driver_->check_translate(a, VirtAddr(kUser + 0x12'3456));
    driver_->use(VirtAddr(kUser + 0x5000), 3);
    driver_->call(unmap(a, kUser + 0x10'0000, 1));
    driver_->call(protect(a, kUser + kLargePageSize, 1024, kReadOnlyUserPage)); // whole: stays large
    driver_->call(protect(a, kUser + kLargePageSize + 0x3000, 2, kUserPage));
    driver_->call(map(a, kUser, 0x800, 1, kUserPage, PageSize::Large)); // its page table goes back
    driver_->call(map(a, kUser + 0x7000, 0x55, 1, kSupervisorPage));
    end(a);
}

TEST_F(Paging, BadRequestsChangeNothing) {
    const size_t a = active_directory();
    driver_->call(map(a, kUser, 0x100, 4, kUserPage));
    const std::vector<Request> bad = {
        map(a, kUser, 0x100, 0, kUserPage),
        map(a, kUser + 1, 0x100, 1, kUserPage),
        map(a, kUser, 0xF'FFFF, 2, kUserPage),
        map(a, kUser, 0x10'0000, 1, kUserPage),
        map(a, kUser, 0xFFFF'FFFF, 1, kUserPage),
        map(a, 0x10'0000, 0x100, 1, kUserPage),
        map(a, kUser, 0x100, 0x10'0000, kUserPage),
        map(a, kUser, 0x100, 0xC'0001, kUserPage),
        map(a, kUser, 0x100, 0xFFFF'FFFF, kUserPage),
        map(a, kUser, 0x100, 1, kKernelPage),
        map(a, kUser, 0x101, 1, kUserPage, PageSize::Large),
        map(a, kUser + kPageSize, 0x400, 1, kUserPage, PageSize::Large),
        map(a, kUser, 0xF'FC00, 2, kUserPage, PageSize::Large),
        map(kKernel, 0xC000'0000, 0x400, 1, kKernelPage, PageSize::Large),
        map(kKernel, 0xC000'0000, 0x400, 1, kUserPage),
        map(kKernel, 0xFFFF'F000, 0x400, 2, kKernelPage),
        map(kKernel, 0xBFFF'F000, 0x400, 2, kSupervisorPage),
        unmap(a, kUser, 0),
        unmap(a, kUser + 2048, 1),
        unmap(a, 0xC000'0000, 1),
        unmap(a, 0, 1),
        unmap(a, kUser, 0x10'0001),
        protect(a, kUser, 0, kUserPage),
        protect(a, kUser, 5, kUserPage),
        protect(a, kUser + kPageSize - 1, 1, kUserPage),
        protect(a, kUser, 1, kKernelPage),
        protect(a, kUser + 0x1000'0000, 1, kUserPage),
    };
    for (const Request& request : bad) driver_->call(request);
    end(a);
}

TEST_F(Paging, TheKernelsAndTheActiveDirectoryAreNotDestroyed) {
    const size_t a = active_directory();
    driver_->call(map(a, kUser, 0x100, 2000, kUserPage));
    driver_->destroy(a);
    driver_->destroy(kKernel);
    end(a);
}

/// Fails the first allocation, then the second, and so on, until the call succeeds. Each failure leaves all as it was.
void fail_at_every_allocation(PagingDriver& driver, const Request& request) {
    for (size_t allowed = 0;; ++allowed) {
        ASSERT_LT(allowed, 100u) << "it still fails, with memory for 100 page tables: " << request.text();
        mm::frames::fail_after(allowed);
        const Error error = driver.call(request, true);
        mm::frames::fail_never();
        if (error == Error::None) return;
    }
}

TEST_F(Paging, NoMemoryAtAnyAllocationOfMap) {
    const size_t a = active_directory();
    driver_->call(map(a, kUser + 0x40'0000, 0x100, 4, kUserPage)); // one of the tables is there
    driver_->swap_out(a, VirtAddr(kUser + 0x40'1000), mm::SwapSlot(5));                // and stays as it is at each failure
    fail_at_every_allocation(*driver_, map(a, kUser - 2 * kPageSize, 0x2'0000, 3 * 1024 + 4, kUserPage));
    fail_at_every_allocation(*driver_, map(kKernel, 0xC000'0000, 0x2'0000, 2 * 1024, kKernelPage));
    shared_tables_ = 2;
    end(a);
}

TEST_F(Paging, NoMemoryAtAnyAllocationOfASplit) {
    if (!CONFIG_LARGE_PAGES) GTEST_SKIP();
    const size_t a = active_directory();
    driver_->call(map(a, kUser, 0x400, 4, kUserPage, PageSize::Large));
    driver_->use(VirtAddr(kUser), 2);
    fail_at_every_allocation(*driver_, protect(a, kUser + 0x20'0000, 1024, kReadOnlyUserPage));
    fail_at_every_allocation(*driver_, unmap(a, kUser + 0xA0'0000, 1024));
    driver_->call(map(a, kUser, 0x400, 4, kUserPage, PageSize::Large));
    fail_at_every_allocation(*driver_, map(a, kUser + 0x3F'F000, 0x9'0000, 2, kSupervisorPage));
    end(a);
}

TEST_F(Paging, NoMemoryForADirectory) {
    mm::frames::fail_after(0);
    EXPECT_EQ(driver_->create(), 0u) << "create() without memory";
    mm::frames::fail_never();
    end(active_directory());
}

class PagingAtRandom : public Paging, public testing::WithParamInterface<uint64_t> {};

TEST_P(PagingAtRandom, CallsAgreeWithTheModel) {
    host::Source source(GetParam());
    PagingDriver driver(source, host::text("seed ", GetParam()));
    for (int i = 0; i < 300; ++i) driver.step();
    driver.finish();
    shared_tables_ = mm::frames::in_use();
}

INSTANTIATE_TEST_SUITE_P(Seeds, PagingAtRandom, testing::Values(1, 2, 3, 4, 5, 6));

} // namespace
