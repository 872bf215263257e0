# Zig's Clang for SAFELIGHT_TRIPLE with the C and C++ libraries that Zig compiles from source. SAFELIGHT_ZIG is the folder of
# scripts that name the target (see zig.mjs), because CMake expects one program for each tool.
set(CMAKE_SYSTEM_NAME ${SAFELIGHT_SYSTEM})
set(CMAKE_SYSTEM_PROCESSOR ${SAFELIGHT_PROCESSOR})
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES SAFELIGHT_SYSTEM SAFELIGHT_PROCESSOR SAFELIGHT_ZIG)
foreach(language C CXX)
  set(CMAKE_${language}_COMPILER_AR ${SAFELIGHT_ZIG}/ar)
  set(CMAKE_${language}_COMPILER_RANLIB ${SAFELIGHT_ZIG}/ranlib)
  # Zig's default for C is a sanitizer that traps. Without -O2 it would compile its runtime once more, for CMake's checks.
  set(CMAKE_${language}_FLAGS_INIT "-fno-sanitize=all -O2")
  set(CMAKE_${language}_LINKER_DEPFILE_SUPPORTED OFF)
endforeach()
set(CMAKE_C_COMPILER ${SAFELIGHT_ZIG}/cc)
set(CMAKE_CXX_COMPILER ${SAFELIGHT_ZIG}/c++)
set(CMAKE_AR ${SAFELIGHT_ZIG}/ar)
set(CMAKE_RANLIB ${SAFELIGHT_ZIG}/ranlib)
set(CMAKE_RC_COMPILER ${SAFELIGHT_ZIG}/rc)
# Zig spells the architecture in -mcpu and rejects it in -march.
set(SAFELIGHT_NEONBF16 -mcpu=generic+v8_2a+bf16+i8mm)
