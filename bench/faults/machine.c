/* What a machine does to a program, on demand: a sync that fails, a clock that is set, names that do not resolve.
 *
 * Loaded with LD_PRELOAD before libc. The file named by TURNOUT_FAULTS is mapped by every process and by the test,
 * which writes into it (bench/faults/machine.py has the same layout); while it is all zeros nothing differs.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
    int64_t shift;     /* nanoseconds that the wall clock is ahead */
    int32_t sync;      /* errno of fsync and fdatasync, or 0 */
    int32_t name;      /* what getaddrinfo gives, or 0 */
    uint64_t failed;   /* how many calls failed for that */
    char where[256];   /* only files with this in their path */
};

static struct control nothing;
static struct control *control = &nothing;
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_getaddrinfo)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

__attribute__((constructor)) static void load(void) {
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_getaddrinfo = dlsym(RTLD_NEXT, "getaddrinfo");
    const char *path = getenv("TURNOUT_FAULTS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *found = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) control = found;
    close(file);
}

static int fails(int file) {
    char link[64], path[4096];
    if (!control->sync) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    if (!strstr(path, control->where)) return 0;
    __atomic_add_fetch(&control->failed, 1, __ATOMIC_RELAXED);
    errno = control->sync;
    return 1;
}

int fsync(int file) { return fails(file) ? -1 : real_fsync(file); }

int fdatasync(int file) { return fails(file) ? -1 : real_fdatasync(file); }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int code = real_clock_gettime(clock, now);
    if (code || !control->shift || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return code;
    int64_t moment = now->tv_sec * 1000000000LL + now->tv_nsec + control->shift;
    now->tv_sec = moment / 1000000000LL;
    now->tv_nsec = moment % 1000000000LL;
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec found;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &found)) return -1;
    now->tv_sec = found.tv_sec;
    now->tv_usec = found.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec found;
    if (clock_gettime(CLOCK_REALTIME, &found)) return -1;
    if (now) *now = found.tv_sec;
    return found.tv_sec;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    if (control->name && node && strstr(node, "localhost")) {
        __atomic_add_fetch(&control->failed, 1, __ATOMIC_RELAXED);
        return control->name;
    }
    return real_getaddrinfo(node, service, hints, found);
}
