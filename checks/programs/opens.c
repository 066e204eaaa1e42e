/* Loads a library that is there and one that is not: one line for each promise. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

static void line(const char *name, int ok) {
    printf("%s %s\n", name, ok ? "ok" : "WRONG");
}

int main(void) {
    void *math = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (math == NULL) fprintf(stderr, "%s\n", dlerror());
    line("there", math != NULL);
    double (*cosine)(double) = NULL;
    if (math != NULL) cosine = (double (*)(double))dlsym(math, "cos");
    volatile double zero = 0;
    line("function", cosine != NULL && cosine(zero) == 1);
    dlerror();
    line("absent", dlopen("liballod-checks-no-such-library.so", RTLD_NOW | RTLD_DEEPBIND) == NULL);
    line("message", dlerror() != NULL);
    return 0;
}
