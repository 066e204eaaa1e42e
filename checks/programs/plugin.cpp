// A C++ plugin: its C++ library comes with it and is nobody else's.

#include <cstdio>
#include <new>

static volatile std::size_t impossible = std::size_t{1} << 62;
static void *volatile sink;

extern "C" void run() {
    bool caught = false;
    try {
        sink = ::operator new(impossible);
    } catch (const std::bad_alloc &) {
        caught = true;
    }
    std::printf("plugin-bad_alloc %s\n", caught ? "ok" : "WRONG");
    void *none = ::operator new(impossible, std::nothrow);
    std::printf("plugin-nothrow %s\n", none == nullptr ? "ok" : "WRONG");
    std::fflush(stdout);
}
