/* Faults in the calls by which a program changes files, for use with LD_PRELOAD.
 *
 * FAULT_FOLDER  only files below this folder count
 * FAULT_KIND    write, fsync, rename or create
 * FAULT_AT      which call of that kind fails, from 1; 0 for none
 * FAULT_LASTING 1: that call and all later ones of any kind fail; 0: only that call fails
 * FAULT_ERRNO   the error
 * FAULT_COUNT   file that the number of calls of the kind is written to at the end
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long count, at, error;
static int lasting;
static const char *folder, *kind, *result;
static __thread int inside;

__attribute__((constructor)) static void begin(void) {
    folder = getenv("FAULT_FOLDER");
    kind = getenv("FAULT_KIND");
    result = getenv("FAULT_COUNT");
    at = atol(getenv("FAULT_AT") ? getenv("FAULT_AT") : "0");
    lasting = atoi(getenv("FAULT_LASTING") ? getenv("FAULT_LASTING") : "0");
    error = atol(getenv("FAULT_ERRNO") ? getenv("FAULT_ERRNO") : "5");
}

__attribute__((destructor)) static void end(void) {
    if (!result) return;
    inside = 1;
    FILE *file = fopen(result, "w");
    if (file) { fprintf(file, "%ld\n", count); fclose(file); }
}

static int strikes_path(const char *which, const char *path) {
    if (inside || !folder || !kind || !path || strncmp(path, folder, strlen(folder))) return 0;
    if (!strcmp(which, kind)) count++;
    else if (!(lasting && at && count >= at)) return 0;
    if (!at || (lasting ? count < at : count != at)) return 0;
    errno = (int)error;
    return 1;
}

static int strikes(const char *which, int handle) {
    char name[64], path[4096];
    if (inside || !folder) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strikes_path(which, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int f, const void *b, size_t n) { return strikes("write", f) ? -1 : REAL(write)(f, b, n); }
ssize_t pwrite(int f, const void *b, size_t n, off_t o) { return strikes("write", f) ? -1 : REAL(pwrite)(f, b, n, o); }
ssize_t pwrite64(int f, const void *b, size_t n, off64_t o) { return strikes("write", f) ? -1 : REAL(pwrite64)(f, b, n, o); }
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
    int name(int at, const char *path, int flags, ...) { \
        va_list rest; va_start(rest, flags); mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; va_end(rest); \
        return creates(path, flags) ? -1 : REAL(name)(at, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)
