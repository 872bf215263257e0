/** Explains why the system's loader refused a native binary. */

/**
 * `libc`: built for another C library. `old-libc`: needs a newer version of the C library. `library`: another library is
 * missing. `platform`: built for another processor or system. `damaged`: not a complete binary. `crash`: the process
 * that loaded it ended. `instructions`: it ended because the processor lacks instructions.
 */
export type FailureKind =
  | ('libc' | 'old-libc' | 'library' | 'platform')
  | ('damaged' | 'crash' | 'instructions' | 'other');

export interface LoadFailure {
  readonly kind: FailureKind;
  /** A clause without a subject, such as `is not a complete binary`. */
  readonly text: string;
  /** The missing library of the kind `library`. */
  readonly library?: string;
}

/** The messages of glibc, musl, macOS and Windows, most specific first. */
const PATTERNS: readonly {
  readonly pattern: RegExp;
  readonly failure: (match: RegExpExecArray) => LoadFailure;
}[] = [
  {
    pattern: /version [`'](GLIBC|GLIBCXX|CXXABI)_([\d.]+)' not found/,
    failure: ([, library, version]) => ({
      kind: 'old-libc',
      text:
        library === 'GLIBC'
          ? `needs glibc ${version} or newer`
          : `needs a newer libstdc++ (${library}_${version})`,
    }),
  },
  {
    // glibc: a binary that needs musl; `libc.so` of development packages is a text file.
    pattern: /libc\.musl-|ld-musl-|\blibc\.so: (?:cannot open|invalid ELF header)/,
    failure: () => ({ kind: 'libc', text: 'is built for musl, this system has glibc' }),
  },
  {
    // musl: a binary that needs glibc.
    pattern: /ld-linux|libc\.so\.6|__[a-z_]+_chk: symbol not found/,
    failure: () => ({ kind: 'libc', text: 'is built for glibc, this system has another C library' }),
  },
  {
    pattern: /([\w+.-]+\.(?:so|dylib|dll)[\d.]*): cannot open shared object file/,
    failure: ([, library]) => missing(library!),
  },
  {
    pattern: /Error loading shared library ([^:]+): No such file/,
    failure: ([, library]) => missing(library!),
  },
  { pattern: /Library not loaded: (\S+)/, failure: ([, library]) => missing(library!) },
  {
    pattern: /The specified module could not be found/i,
    failure: () => missing('a DLL that it needs'),
  },
  {
    pattern: /wrong ELF class|incompatible architecture|wrong architecture|Exec format error|machine type/i,
    failure: () => ({ kind: 'platform', text: 'is built for another processor' }),
  },
  {
    // Windows and macOS use one message for damaged files and files for other systems.
    pattern: /not a valid Win32 application|not a mach-o file|slice is not valid/i,
    failure: () => ({ kind: 'damaged', text: 'is damaged, or built for another system' }),
  },
  {
    pattern: /invalid ELF header|file too short|ELF file's phentsize|cannot read file data|Exec format/i,
    failure: () => ({ kind: 'damaged', text: 'is not a complete binary for this system' }),
  },
  {
    pattern: /SIGILL/,
    failure: () => ({ kind: 'instructions', text: 'uses instructions that this processor lacks (SIGILL)' }),
  },
  {
    // The file ends before what its header describes.
    pattern: /SIGBUS/,
    failure: () => ({ kind: 'crash', text: 'is truncated: it ends the process that loads it (SIGBUS)' }),
  },
  {
    pattern: /ended the process \((.*)\)$/,
    failure: ([, how]) => ({ kind: 'crash', text: `ends the process that loads it (${how})` }),
  },
];

/** @param problem message of the loader, or of the probe */
export function explainFailure(problem: string): LoadFailure {
  for (const { pattern, failure } of PATTERNS) {
    const match = pattern.exec(problem);
    if (match) return failure(match);
  }
  return { kind: 'other', text: `cannot be loaded (${problem})` };
}

function missing(library: string): LoadFailure {
  return { kind: 'library', library, text: `needs ${library}, which is not installed` };
}
