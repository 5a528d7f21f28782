/// @file
/// How the sanitizers behave in the host tests and the fuzz targets. Leaks are frames here, and the tests count them themselves.

extern "C" const char* __asan_default_options() {
    return "detect_leaks=0:allow_user_poisoning=1:print_legend=0:allow_addr2line=1:exitcode=66:handle_abort=1";
}

extern "C" const char* __ubsan_default_options() { return "print_stacktrace=1:halt_on_error=1:exitcode=66"; }
