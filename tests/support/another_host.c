/* A process that this is preloaded into sees a folder as another host of a shared disk does: SQLite's shared memory
   (*-shm) is that of HOST_NAME alone, with the locks in it, and flock does what HOST_FLOCK says: "local" grants it (a mount
   with `nolock`), a number is the error that it ends with; unset it works. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int (*open_call)(const char *, int, ...);

static int open_as_host(const char *name, const char *path, int flags, int mode) {
  char own[4096];
  const char *host = getenv("HOST_NAME");
  size_t length = strlen(path);
  open_call real = (open_call)dlsym(RTLD_NEXT, name);
  if (host && length > 4 && !strcmp(path + length - 4, "-shm")) {
    snprintf(own, sizeof own, "%s.%s", path, host);
    path = own;
  }
  return real(path, flags, mode);
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  int mode = va_arg(rest, int);
  va_end(rest);
  return open_as_host("open", path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  int mode = va_arg(rest, int);
  va_end(rest);
  return open_as_host("open64", path, flags, mode);
}

int flock(int descriptor, int operation) {
  const char *how = getenv("HOST_FLOCK");
  int (*real)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "flock");
  if (!how) return real(descriptor, operation);
  if (!strcmp(how, "local")) return 0;
  errno = atoi(how);
  return -1;
}
