#pragma once

// Included before ggml-cpu.c, which is C, and after the platform's ggml_yield.h (see CMakeLists.txt). ggml's
// threads wait for each other by spinning. With more threads than free cores (two modules running at once, or
// a busy machine), a spinning thread occupies the core that the thread it waits for needs, until the system
// preempts it, and runs become a hundred times slower. This header makes a thread that has spun for a few
// microseconds yield its core.
//
// ggml defines `ggml_thread_cpu_relax(void)` and calls `ggml_thread_cpu_relax()`: the macro argument
// distinguishes the definition from the calls.

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
        SAFELIGHT_YIELD();
    }
}

#define SAFELIGHT_RELAX_void ggml_thread_cpu_relax_of_ggml(void)
#define SAFELIGHT_RELAX_ safelight_relax()
#define SAFELIGHT_RELAX(argument) SAFELIGHT_RELAX_##argument
#define ggml_thread_cpu_relax(argument) SAFELIGHT_RELAX(argument)
