#include "runtime/platform/thread.h"

#include <process.h>

#include <utility>

#include "runtime/error.h"
#include "runtime/platform/windows/system.h"

namespace safelight {

namespace {

unsigned __stdcall call(void * function) {
    (*static_cast<std::function<void()> *>(function))();
    return 0;
}

}  // namespace

thread::thread(size_t stack_bytes, std::function<void()> body) : body_(std::move(body)) {
    // Unlike CreateThread, _beginthreadex prepares the C library for the thread.
    handle_ = _beginthreadex(nullptr, static_cast<unsigned>(stack_bytes), call, &body_,
                             STACK_SIZE_PARAM_IS_A_RESERVATION, nullptr);
    if (handle_ == 0) {
        throw error("OUT_OF_MEMORY", "The system cannot create more threads");
    }
}

void thread::join() {
    if (!joined_) {
        WaitForSingleObject(reinterpret_cast<HANDLE>(handle_), INFINITE);
        CloseHandle(reinterpret_cast<HANDLE>(handle_));
        joined_ = true;
    }
}

}  // namespace safelight
