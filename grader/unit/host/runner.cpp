/// @file
/// Runs each test in a process of its own, two or more at a time, and tells how each ended. So every test finds the piece as it is
/// at boot, and one that crashes or hangs takes no other with it.
///
/// For each test one record on standard output, for unit.py to read:
///
///     @test NUMBER NAME pass|fail|hang|crash MILLISECONDS BYTES
///     (so many bytes: what the test wrote)
///
/// Arguments: `--jobs=N`; `--only=TEXT` takes the tests with this in their name. `--here --gtest_filter=NAME` runs one in this very
/// process, for a debugger.
#include <gtest/gtest.h>
#include <poll.h>
#include <sanitizer/common_interface_defs.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr rlim_t kSeconds = 3;                 ///< Of processor time: what the machine does besides does not count.
constexpr std::chrono::seconds kPatience{60};  ///< For a test that sleeps.
constexpr int kHung = 67;

/// Failures as three lines, nothing else: the names of the tests are the parent's business.
class Listener : public testing::EmptyTestEventListener {
    void OnTestPartResult(const testing::TestPartResult& result) override {
        if (!result.failed()) return;
        const char* file = result.file_name() ? result.file_name() : "";
        std::fprintf(stderr, "@failure %s:%d\n%s\n", file, result.line_number(), result.message());
    }
};

void say_where_it_hangs(int) {
    std::fprintf(stderr, "@hang\n");
    __sanitizer_print_stack_trace();
    std::_Exit(kHung);
}

int run_here() {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new Listener);
    return RUN_ALL_TESTS();
}

struct Child {
    size_t number = 0;
    std::string name;
    pid_t process = 0;
    int output = -1;
    std::string text;
    Clock::time_point start;
    bool killed = false;
};

[[noreturn]] void be_child(const std::string& name, int output) {
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    close(output);
    setvbuf(stdout, nullptr, _IONBF, 0);
    std::signal(SIGXCPU, say_where_it_hangs);
    const rlimit limit{kSeconds, kSeconds + 2};
    setrlimit(RLIMIT_CPU, &limit);
    GTEST_FLAG_SET(filter, name);
    const int status = run_here();
    std::fflush(nullptr);
    std::_Exit(status);
}

Child start(size_t number, const std::string& name) {
    int ends[2];
    if (pipe(ends) != 0) {
        std::perror("host tests: pipe");
        std::exit(70);
    }
    std::fflush(nullptr);
    Child child{.number = number, .name = name, .process = fork(), .output = ends[0], .text = {}, .start = Clock::now()};
    if (child.process == 0) {
        close(ends[0]);
        be_child(name, ends[1]);
    }
    close(ends[1]);
    return child;
}

const char* outcome(const Child& child, int status) {
    if (child.killed) return "hang";
    if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL ? "hang" : "crash";
    switch (WEXITSTATUS(status)) {
    case 0: return "pass";
    case 1: return "fail";
    case kHung: return "hang";
    default: return "crash";
    }
}

/// Writes the child's record. True when it passed.
bool finish(Child& child) {
    int status = 0;
    waitpid(child.process, &status, 0);
    close(child.output);
    const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - child.start);
    const char* const how = outcome(child, status);
    std::printf("@test %zu %s %s %lld %zu\n", child.number, child.name.c_str(), how, static_cast<long long>(spent.count()), child.text.size());
    std::fwrite(child.text.data(), 1, child.text.size(), stdout);
    std::printf("\n");
    std::fflush(stdout);
    return std::strcmp(how, "pass") == 0;
}

/// Reads what is there. False at the end.
bool read_some(Child& child) {
    char buffer[4096];
    const ssize_t got = read(child.output, buffer, sizeof buffer);
    if (got > 0) child.text.append(buffer, static_cast<size_t>(got));
    return got > 0;
}

/// Waits until some child has said something or is overdue; ends those that are done.
void attend(std::vector<Child>& children, bool& all_passed) {
    std::vector<pollfd> waits;
    for (const Child& child : children) waits.push_back({child.output, POLLIN, 0});
    poll(waits.data(), waits.size(), 1000);
    for (size_t i = children.size(); i-- > 0;) {
        Child& child = children[i];
        if (Clock::now() - child.start > kPatience && !child.killed) {
            child.killed = true;
            kill(child.process, SIGKILL);
        }
        if (waits[i].revents == 0 || read_some(child)) continue;
        all_passed &= finish(child);
        children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
    }
}

/// The names of all tests that contain `part`, in the order of their definition.
std::vector<std::string> tests_with(const std::string& part) {
    std::vector<std::string> names;
    const testing::UnitTest& all = *testing::UnitTest::GetInstance();
    for (int i = 0; i < all.total_test_suite_count(); ++i) {
        const testing::TestSuite& suite = *all.GetTestSuite(i);
        for (int j = 0; j < suite.total_test_count(); ++j) {
            const std::string name = std::string(suite.name()) + "." + suite.GetTestInfo(j)->name();
            if (name.find(part) != std::string::npos) names.push_back(name);
        }
    }
    return names;
}

/// What follows `option` on the command line, or `otherwise`.
std::string argument(int argc, char** argv, const char* option, const char* otherwise) {
    const size_t length = std::strlen(option);
    for (int i = 1; i < argc; ++i)
        if (std::strncmp(argv[i], option, length) == 0) return argv[i] + length;
    return otherwise;
}

} // namespace

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (argc > 1 && std::strcmp(argv[1], "--here") == 0) return RUN_ALL_TESTS();
    const size_t jobs = std::strtoul(argument(argc, argv, "--jobs=", "2").c_str(), nullptr, 10);
    std::vector<Child> children;
    bool all_passed = true;
    size_t number = 0;
    for (const std::string& name : tests_with(argument(argc, argv, "--only=", ""))) {
        children.push_back(start(number++, name));
        while (children.size() >= jobs) attend(children, all_passed);
    }
    while (!children.empty()) attend(children, all_passed);
    return all_passed ? 0 : 1;
}
