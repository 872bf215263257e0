# GCC for SAFELIGHT_TRIPLE, linking against the libraries in SAFELIGHT_STUBS, which have no symbols that are newer than the
# oldest supported glibc. Only the addon is linked like this: CMake's own checks use the system's libraries.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR ${SAFELIGHT_PROCESSOR})
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES SAFELIGHT_TRIPLE SAFELIGHT_PROCESSOR SAFELIGHT_STUBS)
set(CMAKE_C_COMPILER ${SAFELIGHT_TRIPLE}-gcc)
set(CMAKE_CXX_COMPILER ${SAFELIGHT_TRIPLE}-g++)
set(CMAKE_MODULE_LINKER_FLAGS_INIT "-L${SAFELIGHT_STUBS} -Wl,--no-undefined-version")
