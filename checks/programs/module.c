/* A module in C, which says that it was found. */

#include <stdio.h>

void run(void) {
    puts("run ok");
}
