#pragma once

#include <sched.h>

#define SAFELIGHT_YIELD() sched_yield()
