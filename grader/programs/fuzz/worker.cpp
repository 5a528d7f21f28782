#include "worker.h"

#include "../fuzz_calls.h"
#include "user/library.h"

namespace {

using abi::SystemCall;

/// What an argument means to its call.
enum Kind : uint8_t {
    kNothing, kWord, kFile, kAddress, kPage, kBreak, kLength, kPath, kProgram, kList, kProtection, kMapFlags, kOpenFlags, kOffset, kWhence, kPid,
    kSignal, kHandler, kAdvice, kResource, kLimit, kIndex, kShared, kTime, kStatus,
};

/// A call, how often it is made, and its arguments.
struct CallShape {
    SystemCall call;
    uint8_t weight;
    Kind arguments[6];
};

constexpr CallShape kShapes[] = {
    {SystemCall::Exit, 1, {kWord}},
    {SystemCall::GetPid, 2, {}},
    {SystemCall::GetParent, 2, {}},
    {SystemCall::Fork, 2, {}},
    {SystemCall::Exec, 4, {kProgram, kList}},
    {SystemCall::Wait, 3, {kPid, kStatus}},
    {SystemCall::Kill, 3, {kPid, kSignal}},
    {SystemCall::Signal, 4, {kSignal, kHandler, kHandler}},
    {SystemCall::SignalReturn, 1, {}},
    {SystemCall::Yield, 3, {}},
    {SystemCall::Sleep, 1, {kTime}},
    {SystemCall::Read, 8, {kFile, kAddress, kLength}},
    {SystemCall::Write, 8, {kFile, kAddress, kLength}},
    {SystemCall::Open, 5, {kPath, kOpenFlags}},
    {SystemCall::Close, 4, {kFile}},
    {SystemCall::Seek, 4, {kFile, kOffset, kWhence}},
    {SystemCall::Remove, 2, {kPath}},
    {SystemCall::MakeFolder, 1, {kPath}},
    {SystemCall::ListFolder, 2, {kPath, kIndex, kAddress}},
    {SystemCall::FileSize, 3, {kFile}},
    {SystemCall::Break, 5, {kBreak}},
    {SystemCall::MapMemory, 14, {kPage, kLength, kProtection, kMapFlags, kFile, kOffset}},
    {SystemCall::UnmapMemory, 9, {kPage, kLength}},
    {SystemCall::Protect, 9, {kPage, kLength, kProtection}},
    {SystemCall::Advise, 6, {kPage, kLength, kAdvice}},
    {SystemCall::Resident, 4, {kPage, kLength, kAddress}},
    {SystemCall::CreateShared, 3, {kLength}},
    {SystemCall::AttachShared, 6, {kShared, kPage, kProtection}},
    {SystemCall::DetachShared, 4, {kPage}},
    {SystemCall::CloseShared, 2, {kShared}},
    {SystemCall::GetLimit, 3, {kResource, kAddress}},
    {SystemCall::SetLimit, 3, {kResource, kLimit}},
    {SystemCall::MemoryInfo, 3, {kAddress}},
    {SystemCall::Maps, 4, {kPid, kAddress, kLength}},
    {SystemCall::Processes, 3, {kIndex, kAddress}},
    {SystemCall::Uptime, 1, {}},
    {SystemCall::Counters, 3, {kAddress}},
    {SystemCall::ShutDown, 1, {}},
    {SystemCall::Debug, 1, {kIndex, kWord, kWord}},
    {SystemCall::Count, 2, {kWord, kWord, kWord, kWord, kWord, kWord}},
};

constexpr uint32_t sum_of_weights() {
    uint32_t sum = 0;
    for (const CallShape& shape : kShapes) sum += shape.weight;
    return sum;
}

constexpr uint32_t kProtections[] = {3, 3, 3, 1, 1, 0, 2, 4, 5, 7};
constexpr uint32_t kMapKinds[] = {0x22, 0x22, 0x22, 0x21, 0x32, 0x31, 0x10'0022, 0x02, 0x01, 0x12, 0x11, 0x20, 0x23, 0x10'0032};
constexpr uint32_t kOpenKinds[] = {0, 0x42, 0x42, 0x41, 2, 1, 0x242, 0x442, 0x200, 0x40, 0x601, 3};
constexpr uint32_t kAdvices[] = {0, 3, 4, 4, 1};
constexpr uint32_t kResources[] = {3, 5, 6, 7, 9, 0, 8, 10, 0xFFFF'FFFF};
constexpr uint32_t kSignals[] = {15, 15, 4, 7, 8, 9, 11, 0, 1, 31, 32, 0xFFFF'FFFF};
constexpr uint32_t kOffsets[] = {0, 0, 4096, 8192, 1, 511, 100'000, 0xFFFF'FFFF, 0xFFFF'F000, 0x7FFF'FFFF, 0x8000'0000, 0x7FFF'F000};
constexpr uint32_t kLimits[] = {0xFFFF'FFFF, 0xFFFF'FFFF, 0, 1, 3, 4096, 0x10'0000, 0x40'0000};
constexpr unsigned kMostSleep = 30; // milliseconds

/// What a fault of the fuzzer itself comes to when it has installed this: the process ends. All else goes on.
void handle(int signal, abi::SignalFrame*) {
    if (signal != abi::SIGTERM) exit(1);
}

} // namespace

uint32_t Worker::argument(unsigned kind) {
    auto any_of = [this](const auto& known) { return pool_.flags(known, sizeof known / sizeof *known); };
    switch (kind) {
    case kFile: return pool_.file();
    case kAddress: return pool_.address();
    case kStatus: return random_.one_in(2) ? 0 : pool_.address();
    case kPage: return random_.one_in(4) ? 0 : pool_.page();
    case kBreak: return pool_.heap_end();
    case kLength: return pool_.length();
    case kPath: return pool_.path();
    case kProgram: return pool_.program_path(depth_ > 0);
    case kList: return pool_.argument_list();
    case kProtection: return any_of(kProtections);
    case kMapFlags: return any_of(kMapKinds);
    case kOpenFlags: return any_of(kOpenKinds);
    case kOffset: return random_.one_in(2) ? random_.below(40'000) : any_of(kOffsets);
    case kWhence: return random_.below(4);
    case kPid: return child_count_ > 0 && random_.one_in(2) ? children_[random_.below(child_count_)] : random_.below(16) - 1;
    case kSignal: return any_of(kSignals);
    case kHandler: return random_.one_in(3) ? pool_.address() : random_.one_in(3) ? 0 : reinterpret_cast<uint32_t>(handle);
    case kAdvice: return any_of(kAdvices);
    case kResource: return any_of(kResources);
    case kLimit: return any_of(kLimits);
    case kIndex: return random_.one_in(8) ? random_.word() : random_.below(12);
    case kShared: return pool_.shared();
    case kTime: return random_.below(kMostSleep);
    case kWord: return random_.one_in(2) ? random_.word() : random_.below(100);
    default: return 0;
    }
}

Worker::Request Worker::choose() {
    uint32_t ticket = random_.below(sum_of_weights());
    const CallShape* shape = kShapes;
    while (ticket >= shape->weight) ticket -= shape++->weight;
    Request request{shape->call, {}};
    for (size_t i = 0; i < 6; ++i) {
        const Kind kind = shape->arguments[i];
        const bool is_amount = kind == kLength || kind == kBreak; // any number would nearly always be all memory there is
        const bool odd = kind != kNothing && random_.one_in(is_amount ? 3000 : 40);
        request.arguments[i] = odd ? random_.word() : argument(kind);
    }
    if (shape->call == SystemCall::Count) request.call = SystemCall(random_.one_in(2) ? random_.word() | 64 : 38 + random_.below(4));
    return request;
}

/// Ranges that hold the fuzzer itself are left alone, but for a few: a process that destroys itself is worth a look, too.
void Worker::keep_range_harmless(Request& request) {
    uint32_t* const range = request.arguments;
    if (Pool::is_own(range[0], range[1]) && !random_.one_in(30)) range[0] = 0x3000'0000 + random_.below(1024) * kPageBytes;
}

/// Changes what would end the run, or hold it up.
void Worker::keep_going(Request& request) {
    uint32_t* const arguments = request.arguments;
    const bool is_fixed = arguments[3] & (abi::MAP_FIXED | abi::MAP_FIXED_NOREPLACE);
    switch (request.call) {
    case SystemCall::Exit:
    case SystemCall::ShutDown:
        if (depth_ == 0) request.call = SystemCall::GetPid;
        break;
    case SystemCall::Fork:
        if (depth_ >= kMostDepth || child_count_ == kChildren) request.call = SystemCall::GetPid;
        break;
    case SystemCall::Kill: // children only, or nobody
        if (!is_child(arguments[0]) && arguments[0] != 0) arguments[0] |= 0x1'0000;
        break;
    case SystemCall::Sleep: arguments[0] %= kMostSleep; break;
    case SystemCall::Read: // nobody types
        if (arguments[0] == abi::kStandardError) request.call = SystemCall::Write;
        break;
    case SystemCall::Seek: // far away seldom: the volume fills the gap with zeros
        if (arguments[1] > 0x8'0000 && !random_.one_in(50)) arguments[1] &= 0x3'FFFF;
        break;
    case SystemCall::SetLimit:
        if (depth_ == 0 && !random_.one_in(40)) arguments[1] = UINT32_MAX;
        break;
    case SystemCall::Debug: arguments[0] %= 1u << 6; arguments[0] |= 1u << 5; break; // not what the fuzzer itself says
    case SystemCall::MapMemory:
        if (is_fixed) keep_range_harmless(request);
        break;
    case SystemCall::UnmapMemory:
    case SystemCall::Protect:
    case SystemCall::Advise: keep_range_harmless(request); break;
    default: break;
    }
}

uint32_t Worker::make(const Request& request) {
    const uint32_t* const a = request.arguments;
    if (request.call != SystemCall::MapMemory && random_.one_in(4)) return system_call::fast(request.call, a[0], a[1], a[2]);
    return system_call::system_call_with_six(request.call, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/// Later calls use what this one has brought.
void Worker::learn(const Request& request, uint32_t result) {
    if (is_error(result)) return;
    switch (request.call) {
    case SystemCall::Fork:
        if (result == 0)
            became_child();
        else
            children_[child_count_++] = result;
        break;
    case SystemCall::Wait: forget_child(result); break;
    case SystemCall::Open: pool_.add_file(result); break;
    case SystemCall::MapMemory: pool_.add_region(result, request.arguments[1]); break;
    case SystemCall::Break:
        pool_.add_break(result);
        pool_.add_region(result - kPageBytes, kPageBytes);
        break;
    case SystemCall::CreateShared: pool_.add_shared(result, request.arguments[0]); break;
    case SystemCall::AttachShared: pool_.add_region(result, pool_.shared_bytes(request.arguments[0])); break;
    default: break;
    }
}

void Worker::became_child() {
    ++depth_;
    child_count_ = 0;
    calls_left_ = random_.below(kChildsCalls);
    random_ = random_.branch();
}

void Worker::forget_child(uint32_t pid) {
    for (size_t i = 0; i < child_count_; ++i) {
        if (children_[i] != pid) continue;
        children_[i] = children_[--child_count_];
        return;
    }
}

bool Worker::is_child(uint32_t pid) const {
    for (size_t i = 0; i < child_count_; ++i) {
        if (children_[i] == pid) return true;
    }
    return false;
}

void Worker::run(unsigned calls) {
    pool_.add_shared(0, 16 * kPageBytes);
    calls_left_ = calls;
    while (calls_left_ > 0) {
        --calls_left_;
        Request request = choose();
        keep_going(request);
        const uint32_t* const a = request.arguments;
        const uint32_t about = static_cast<uint32_t>(FuzzCall::Record) | static_cast<uint32_t>(request.call) << 16;
        if (system_call::system_call_with_six(SystemCall::Debug, about, a[0], a[1], a[2], a[3], a[4]) == 0) break;
        if (request.call == SystemCall::MapMemory) system_call::debug(static_cast<uint32_t>(FuzzCall::Sixth), a[5]);
        learn(request, make(request));
    }
    while (wait(-1, nullptr) >= 0) {}
    exit(0);
}
