#pragma once

// Included before ggml-cpu.c (CMakeLists.txt), which is C. ggml's threads wait for each other by spinning.
// With more threads than free cores - two modules at work, or a busy machine - a waiting thread keeps the
// core from the one it waits for until the system takes it away: runs become a hundred times slower. So a
// thread that has spun for some microseconds offers its core.
//
// ggml defines `ggml_thread_cpu_relax(void)` and calls `ggml_thread_cpu_relax()`: the argument tells which of
// both is meant.

#include <sched.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define SAFELIGHT_PAUSE() _mm_pause()
#elif defined(__aarch64__)
#define SAFELIGHT_PAUSE() __asm__ volatile("isb" ::: "memory")
#else
#define SAFELIGHT_PAUSE() ((void)0)
#endif

static inline void safelight_relax(void) {
    static _Thread_local unsigned spins;
    SAFELIGHT_PAUSE();
    if (++spins % 256 == 0) {
        sched_yield();
    }
}

#define SAFELIGHT_RELAX_void ggml_thread_cpu_relax_of_ggml(void)
#define SAFELIGHT_RELAX_ safelight_relax()
#define SAFELIGHT_RELAX(argument) SAFELIGHT_RELAX_##argument
#define ggml_thread_cpu_relax(argument) SAFELIGHT_RELAX(argument)
