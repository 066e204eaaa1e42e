// What `operator new` does when there is no memory: one line for each promise.
//
// Sizes are read from a volatile, so that the compiler cannot see that they are
// impossible, and every pointer is printed into a volatile, so that it cannot
// leave an allocation out.

#include <cstdint>
#include <cstdio>
#include <new>

static volatile std::size_t impossible = std::size_t{1} << 62;
static void *volatile sink;
static int calls;

struct Mine {
    int value;
};

struct alignas(256) Wide {
    char bytes[256];
};

static void throw_on_third_call() {
    if (++calls == 3) throw std::bad_alloc();
}

static void throw_mine() {
    throw Mine{7};
}

static void give_up() {
    ++calls;
    std::set_new_handler(nullptr);
}

static void line(const char *name, bool ok) {
    std::printf("%s %s\n", name, ok ? "ok" : "WRONG");
}

template <typename F> static bool throws_bad_alloc(F attempt) {
    try {
        sink = attempt();
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

// The exception passes through a frame with a destructor, which must run.
struct Guard {
    bool &ran;
    ~Guard() { ran = true; }
};

static void *through_a_frame(bool &ran) {
    Guard guard{ran};
    return ::operator new(impossible);
}

int main() {
    const auto align = std::align_val_t{256};

    line("new", throws_bad_alloc([] { return ::operator new(impossible); }));
    line("new[]", throws_bad_alloc([] { return ::operator new[](impossible); }));
    line("new-aligned", throws_bad_alloc([=] { return ::operator new(impossible, align); }));
    line("new[]-aligned", throws_bad_alloc([=] { return ::operator new[](impossible, align); }));

    line("nothrow", ::operator new(impossible, std::nothrow) == nullptr);
    line("nothrow[]", ::operator new[](impossible, std::nothrow) == nullptr);
    line("nothrow-aligned", ::operator new(impossible, align, std::nothrow) == nullptr);
    line("nothrow[]-aligned", ::operator new[](impossible, align, std::nothrow) == nullptr);

    bool ran = false;
    line("destructors", throws_bad_alloc([&] { return through_a_frame(ran); }) && ran);

    std::set_new_handler(throw_on_third_call);
    calls = 0;
    line("handler-loop", throws_bad_alloc([] { return ::operator new(impossible); }) && calls == 3);
    calls = 0;
    line("handler-loop-aligned",
         throws_bad_alloc([=] { return ::operator new[](impossible, align); }) && calls == 3);
    calls = 0;
    void *none = ::operator new(impossible, std::nothrow);
    line("handler-loop-nothrow", none == nullptr && calls == 3);
    calls = 0;
    none = ::operator new[](impossible, align, std::nothrow);
    line("handler-loop-nothrow-aligned", none == nullptr && calls == 3);

    std::set_new_handler(throw_mine);
    bool mine = false;
    try {
        sink = ::operator new[](impossible);
    } catch (const Mine &thrown) {
        mine = thrown.value == 7;
    }
    line("handler-throws-its-own", mine);
    none = ::operator new(impossible, std::nothrow);
    line("handler-throws-its-own-nothrow", none == nullptr);

    std::set_new_handler(give_up);
    calls = 0;
    line("handler-removed", throws_bad_alloc([] { return ::operator new(impossible); }) && calls == 1);

    int *numbers = new int[100];
    sink = numbers;
    delete[] numbers;
    Wide *wide = new Wide, *many = new Wide[3];
    sink = wide;
    sink = many;
    const bool aligned = reinterpret_cast<std::uintptr_t>(wide) % 256 == 0 &&
                         reinterpret_cast<std::uintptr_t>(many) % 256 == 0;
    delete wide;
    delete[] many;
    line("new-and-delete", aligned);
    return 0;
}
