#pragma once

// Declared here because ggml-cpu.c defines a function of its own with a name of <sched.h>, and because
// <windows.h> must not come before its settings.
__declspec(dllimport) int __stdcall SwitchToThread(void);

#define SAFELIGHT_YIELD() SwitchToThread()
