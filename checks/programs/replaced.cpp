// A program with operators of its own in the place of four: plain and aligned `new` and
// `delete`. Each block has a word before it, so nobody else can free it. The language says
// that the other sixteen then call these.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

static const std::uint64_t MARK = 0x5EED0F0A110D5EEDu;
static long made, freed;
static bool refuse;

static void *take(std::size_t size, std::size_t before) {
    if (refuse) throw std::bad_alloc();
    char *place = static_cast<char *>(std::aligned_alloc(before, (before + size + before - 1) / before * before));
    if (!place) throw std::bad_alloc();
    *reinterpret_cast<std::uint64_t *>(place + before - 8) = MARK;
    ++made;
    return place + before;
}

static void give(void *block, std::size_t before) {
    if (!block) return;
    std::uint64_t *mark = reinterpret_cast<std::uint64_t *>(static_cast<char *>(block) - 8);
    if (*mark != MARK) {
        std::puts("freed what was not made");
        std::exit(1);
    }
    *mark = 0;
    ++freed;
    std::free(static_cast<char *>(block) - before);
}

void *operator new(std::size_t size) { return take(size, 16); }
void operator delete(void *block) noexcept { give(block, 16); }
void *operator new(std::size_t size, std::align_val_t) { return take(size, 64); }
void operator delete(void *block, std::align_val_t) noexcept { give(block, 64); }

// One check: that many were made and freed by now.
static void expect(const char *name, long count) {
    if (made == count && freed == count)
        std::printf("%s ok\n", name);
    else
        std::printf("%s made %ld, freed %ld, and not %ld\n", name, made, freed, count);
    made = freed = count;
}

static void tell(const char *name, bool good) { std::printf("%s %s\n", name, good ? "ok" : "wrong"); }

// True when what it does throws std::bad_alloc.
template <class Does> static bool throws(Does does) {
    try {
        does();
        return false;
    } catch (const std::bad_alloc &) {
        return true;
    }
}

int main() {
    const std::align_val_t aligned{64};
    std::setvbuf(stdout, nullptr, _IONBF, 0);
    made = freed = 0; // The C++ library may have had some.
    ::operator delete(::operator new(40));
    expect("delete", 1);
    ::operator delete(::operator new(40), std::size_t(40));
    expect("sized-delete", 2);
    ::operator delete(::operator new(40, std::nothrow), std::nothrow);
    expect("nothrow", 3);
    ::operator delete[](::operator new[](40));
    expect("array", 4);
    ::operator delete[](::operator new[](40), std::size_t(40));
    expect("sized-array-delete", 5);
    ::operator delete[](::operator new[](40, std::nothrow), std::nothrow);
    expect("nothrow-array", 6);
    ::operator delete(::operator new(40, aligned), aligned);
    expect("aligned-delete", 7);
    ::operator delete(::operator new(40, aligned), std::size_t(40), aligned);
    expect("sized-aligned-delete", 8);
    ::operator delete(::operator new(40, aligned, std::nothrow), aligned, std::nothrow);
    expect("aligned-nothrow", 9);
    ::operator delete[](::operator new[](40, aligned), aligned);
    expect("aligned-array", 10);
    ::operator delete[](::operator new[](40, aligned), std::size_t(40), aligned);
    expect("sized-aligned-array-delete", 11);
    ::operator delete[](::operator new[](40, aligned, std::nothrow), aligned, std::nothrow);
    expect("aligned-nothrow-array", 12);

    refuse = true;
    const bool nothing = !::operator new(8, std::nothrow) && !::operator new[](8, std::nothrow) &&
                         !::operator new(8, aligned, std::nothrow) && !::operator new[](8, aligned, std::nothrow);
    const bool thrown = throws([] { ::operator delete[](::operator new[](8)); });
    const bool thrown_aligned = throws([=] { ::operator delete[](::operator new[](8, aligned), aligned); });
    refuse = false;
    tell("refused-nothrow", nothing);
    tell("refused-array", thrown);
    tell("refused-aligned-array", thrown_aligned);
}
