#include "user/print.h"

#include "user/files.h"
#include "user/text.h"

namespace {

/// Collects what printf() prints, so that short texts reach the console in one call.
class Output {
public:
    explicit Output(int file) : file_(file) {}
    ~Output() { flush(); }

    void add(const char* text, size_t bytes) {
        if (bytes > sizeof waiting_ - used_) flush();
        if (bytes > sizeof waiting_) {
            write_all(file_, text, bytes);
            return;
        }
        memcpy(waiting_ + used_, text, bytes);
        used_ += bytes;
    }

private:
    void flush() {
        write_all(file_, waiting_, used_);
        used_ = 0;
    }

    int file_;
    size_t used_ = 0;
    char waiting_[256];
};

} // namespace

int vdprintf(int file, const char* text, va_list arguments) {
    Output output(file);
    return format([](void* context, const char* text, size_t bytes) { static_cast<Output*>(context)->add(text, bytes); }, &output, text,
                  arguments);
}

int vprintf(const char* text, va_list arguments) { return vdprintf(abi::kStandardOutput, text, arguments); }

int printf(const char* text, ...) {
    va_list arguments;
    va_start(arguments, text);
    const int length = vprintf(text, arguments);
    va_end(arguments);
    return length;
}

int dprintf(int file, const char* text, ...) {
    va_list arguments;
    va_start(arguments, text);
    const int length = vdprintf(file, text, arguments);
    va_end(arguments);
    return length;
}

void puts(const char* text) { printf("%s\n", text); }
