// Functions that the headers and GCC's C++ library of the build system call and that glibc 2.28 lacks. They are linked into
// the addon, hidden from other libraries. Headers that declare them are not included, because their types differ by version.

// glibc 2.33 replaced these calls by functions named fstat and so on. The first argument is the version of the structure.
#if defined(__x86_64__)
#define STAT_VERSION 1
#else
#define STAT_VERSION 0
#endif

int __fxstat(int version, int file, void * out);
int __fxstat64(int version, int file, void * out);
int __xstat(int version, const char * path, void * out);
int __xstat64(int version, const char * path, void * out);
int __lxstat(int version, const char * path, void * out);
int __lxstat64(int version, const char * path, void * out);

int safelight_fstat(int file, void * out) __asm__("fstat");
int safelight_fstat(int file, void * out) {
    return __fxstat(STAT_VERSION, file, out);
}

int safelight_fstat64(int file, void * out) __asm__("fstat64");
int safelight_fstat64(int file, void * out) {
    return __fxstat64(STAT_VERSION, file, out);
}

int safelight_stat(const char * path, void * out) __asm__("stat");
int safelight_stat(const char * path, void * out) {
    return __xstat(STAT_VERSION, path, out);
}

int safelight_stat64(const char * path, void * out) __asm__("stat64");
int safelight_stat64(const char * path, void * out) {
    return __xstat64(STAT_VERSION, path, out);
}

int safelight_lstat(const char * path, void * out) __asm__("lstat");
int safelight_lstat(const char * path, void * out) {
    return __lxstat(STAT_VERSION, path, out);
}

int safelight_lstat64(const char * path, void * out) __asm__("lstat64");
int safelight_lstat64(const char * path, void * out) {
    return __lxstat64(STAT_VERSION, path, out);
}

// Since glibc 2.32, whether the process has one thread only. The C++ library then counts references without atomic
// operations; 0 makes it always use them.
char __libc_single_threaded = 0;
