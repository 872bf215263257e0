// musl gives a thread 128 KiB of stack, glibc 8 MiB. The linker redirects the addon's calls of
// pthread_create, including those of ggml and of std::thread, to this function (--wrap in CMakeLists.txt),
// which changes no other thread of the process.
#if defined(__linux__) && defined(SAFELIGHT_WRAP_PTHREAD_CREATE)

#include <pthread.h>

#include <cstddef>

namespace {
constexpr size_t stack_bytes = 8u << 20;
}  // namespace

using thread_main = void * (*)(void *);

extern "C" int __real_pthread_create(pthread_t * thread, const pthread_attr_t * attributes, thread_main main,
                                     void * argument);
extern "C" int __wrap_pthread_create(pthread_t * thread, const pthread_attr_t * attributes, thread_main main,
                                     void * argument);

// Like pthread_create, but a thread without attributes gets 8 MiB of stack.
extern "C" int __wrap_pthread_create(pthread_t * thread, const pthread_attr_t * attributes, thread_main main,
                                     void * argument) {
    if (attributes != nullptr) {
        return __real_pthread_create(thread, attributes, main, argument);
    }
    pthread_attr_t larger;
    pthread_attr_init(&larger);
    pthread_attr_setstacksize(&larger, stack_bytes);
    int failed = __real_pthread_create(thread, &larger, main, argument);
    pthread_attr_destroy(&larger);
    return failed;
}

#endif
