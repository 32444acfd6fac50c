/* Faults in the calls by which a program changes files, for use with LD_PRELOAD.
 *
 * Nothing fails until fault_arm is called in the process, and then only in files below its folder.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long count, failed, at, times, error, part;
static char folder[4096], kind[16];

/* kind: write, fsync, rename or create.
 * at: which call of that kind fails first, from 1; 0 for none.
 * times: how many calls fail from there, of any kind once the first has failed; 0 for all.
 * error: what errno becomes.
 * part: 1 if the first call, a write, first takes half of the bytes.
 */
void fault_arm(const char *below, const char *which, long first, long many, long number, long half) {
    snprintf(folder, sizeof folder, "%s", below);
    snprintf(kind, sizeof kind, "%s", which);
    at = first, times = many, error = number, part = half, count = failed = 0;
}

long fault_count(void) { return count; }
long fault_failed(void) { return failed; }

static int strikes_path(const char *which, const char *path) {
    if (!*folder || !path || strncmp(path, folder, strlen(folder))) return 0;
    if (!strcmp(which, kind)) count++;
    else if (!failed) return 0;
    if (!at || count < at || (times && failed >= times)) return 0;
    failed++;
    errno = (int)error;
    return 1;
}

static int strikes(const char *which, int handle) {
    char name[64], path[4096];
    if (!*folder) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strikes_path(which, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
/* Return how many of n bytes to write, -1 for none: the first write that fails may take half of its
 * bytes, as on a disk that is nearly full.
 */
static ssize_t allowed(int handle, size_t n) {
    if (!strikes("write", handle)) return (ssize_t)n;
    return part && failed == 1 && n > 1 ? (ssize_t)(n / 2) : -1;
}

ssize_t write(int f, const void *b, size_t n) {
    ssize_t some = allowed(f, n);
    return some < 0 ? -1 : REAL(write)(f, b, (size_t)some);
}
ssize_t pwrite(int f, const void *b, size_t n, off_t o) {
    ssize_t some = allowed(f, n);
    return some < 0 ? -1 : REAL(pwrite)(f, b, (size_t)some, o);
}
ssize_t pwrite64(int f, const void *b, size_t n, off64_t o) {
    ssize_t some = allowed(f, n);
    return some < 0 ? -1 : REAL(pwrite64)(f, b, (size_t)some, o);
}
int ftruncate(int f, off_t n) { return strikes("write", f) ? -1 : REAL(ftruncate)(f, n); }
int ftruncate64(int f, off64_t n) { return strikes("write", f) ? -1 : REAL(ftruncate64)(f, n); }
int fsync(int f) { return strikes("fsync", f) ? -1 : REAL(fsync)(f); }
int fdatasync(int f) { return strikes("fsync", f) ? -1 : REAL(fdatasync)(f); }
int rename(const char *a, const char *b) { return strikes_path("rename", b) ? -1 : REAL(rename)(a, b); }
int renameat(int f, const char *a, int g, const char *b) { return strikes_path("rename", b) ? -1 : REAL(renameat)(f, a, g, b); }
int mkdir(const char *p, mode_t m) { return strikes_path("create", p) ? -1 : REAL(mkdir)(p, m); }

/* Opening with O_CREAT is creating only where the file is not there yet. */
static int creates(const char *path, int flags) { return (flags & O_CREAT) && access(path, F_OK) && strikes_path("create", path); }

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; va_start(rest, flags); mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; va_end(rest); \
        return creates(path, flags) ? -1 : REAL(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(name) \
    int name(int where, const char *path, int flags, ...) { \
        va_list rest; va_start(rest, flags); mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; va_end(rest); \
        return creates(path, flags) ? -1 : REAL(name)(where, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)
