/* A C program without a C++ library, which loads a module by the name that it is told. */

#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **arguments) {
    void *plugin = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (count != 2 || plugin == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    void (*run)(void) = (void (*)(void))dlsym(plugin, "run");
    run();
    return 0;
}
