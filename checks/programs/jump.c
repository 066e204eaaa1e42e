/* A handler interrupts malloc and jumps out of it; then malloc is called again. */

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

static sigjmp_buf back;
static volatile sig_atomic_t inside;

static void jump(int signal) {
    (void)signal;
    if (inside) siglongjmp(back, 1);
}

int main(void) {
    struct sigaction action = {.sa_handler = jump};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval every = {{0, 300}, {0, 300}};
    setitimer(ITIMER_REAL, &every, NULL);
    static void *volatile blocks[256];
    static volatile int jumps, rounds;
    if (sigsetjmp(back, 1) != 0) ++jumps;
    while (jumps < 2000 && rounds < 100000000) {
        int place = rounds % 256;
        ++rounds;
        inside = 1;
        void *block = malloc((size_t)rounds % 7 == 0 ? 20000 : 200);
        inside = 0;
        blocks[place] = block;
        if (rounds % 256 == 0) {
            for (int i = 0; i < 256; ++i) free(blocks[i]);
        }
    }
    printf("after %d jumps\n", jumps);
    return 0;
}
