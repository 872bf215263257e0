import { describe, expect, it } from 'vitest';
import { explainFailure } from '../../lib/doctor/load-failure.js';

describe('explainFailure', () => {
  it.each([
    [
      'libc',
      'Error loading shared library ld-linux-x86-64.so.2: No such file or directory (needed by a.node)',
    ],
    ['libc', 'Error relocating /a.node: __memcpy_chk: symbol not found'],
    ['libc', 'libc.musl-x86_64.so.1: cannot open shared object file: No such file or directory'],
    ['libc', '/lib/x86_64-linux-gnu/libc.so: invalid ELF header'],
    ['old-libc', "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by /a.node)"],
    ['old-libc', "/lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /a.node)"],
    ['library', 'libvulkan.so.1: cannot open shared object file: No such file or directory'],
    ['library', 'Error loading shared library libvulkan.so.1: No such file or directory (needed by /a.node)'],
    ['library', 'dlopen(/a.node, 0x0001): Library not loaded: @rpath/libomp.dylib'],
    ['library', '\\\\?\\C:\\a.node: The specified module could not be found.'],
    ['platform', '/a.node: wrong ELF class: ELFCLASS32'],
    ['platform', "dlopen(/a.node): tried: '/a.node' (mach-o file, but is an incompatible architecture)"],
    ['damaged', '\\\\?\\C:\\a.node is not a valid Win32 application.'],
    ['damaged', '/a.node: file too short'],
    ['damaged', '/a.node: invalid ELF header'],
    ['instructions', 'loading it ended the process (SIGILL)'],
    ['crash', 'loading it ended the process (SIGSEGV)'],
    ['crash', 'loading it ended the process (no response within 15 s)'],
    ['other', 'something else'],
  ])('recognizes %s: %s', (kind, problem) => {
    expect(explainFailure(problem).kind).toBe(kind);
  });

  it('names the missing library', () => {
    const { library, text } = explainFailure('libvulkan.so.1: cannot open shared object file: No such file');
    expect(library).toBe('libvulkan.so.1');
    expect(text).toBe('needs libvulkan.so.1, which is not installed');
  });
});
