/* The C half of a program whose Rust half is on Allod.
 *
 * Each half has an allocator of its own. What C takes from malloc does not
 * show in Allod's figures, and what Rust makes does. An object goes back to the
 * half that made it. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void archive_run(void);
size_t archive_allocated(void);
unsigned char *archive_make(size_t bytes, unsigned char value);
void archive_free(unsigned char *at, size_t bytes);

static void expect(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "archive: not so: %s\n", what);
        exit(1);
    }
}

int main(void) {
    enum { SIZE = 1000000 };
    archive_run();

    size_t before = archive_allocated();
    char *ours = malloc(SIZE);
    expect(ours != NULL, "malloc has memory");
    memset(ours, 1, SIZE);
    expect(archive_allocated() == before, "malloc is not Allod's");

    unsigned char *theirs = archive_make(SIZE, 7);
    expect(archive_allocated() >= before + SIZE, "Rust's objects are Allod's");
    expect(theirs[0] == 7 && theirs[SIZE - 1] == 7, "the object is whole");
    archive_free(theirs, SIZE);
    expect(archive_allocated() == before, "what C gives back is free");
    free(ours);

    puts("archive: the Rust half is on Allod, the C half is not");
    return 0;
}
