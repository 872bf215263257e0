#include "addon/file_lock.h"

#ifndef _WIN32
#include <sys/file.h>

#include <cerrno>
#endif

namespace safelight {

namespace {

#ifdef _WIN32

const char * try_lock(int) {
    return "unsupported";
}

#else

const char * try_lock(int descriptor) {
    int result = 0;
    do {
        result = flock(descriptor, LOCK_EX | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    if (result == 0) {
        return "locked";
    }
    return errno == EWOULDBLOCK ? "busy" : "unsupported";
}

#endif

}  // namespace

Napi::Value js_try_lock(const Napi::CallbackInfo & info) {
    int descriptor = info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : -1;
    return Napi::String::New(info.Env(), try_lock(descriptor));
}

}  // namespace safelight
