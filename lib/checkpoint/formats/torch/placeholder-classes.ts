/**
 * Classes that training checkpoints contain in addition to tensors: callbacks, settings, random states, versions, the
 * trainer's own objects. Their objects are read as placeholders, so that they do not prevent reading the weights.
 * Nothing is ever executed; names from which exploits are built, such as `os.system`, are rejected nevertheless, since
 * such a file is meant to harm whoever opens it with other software.
 */

/** Top-level modules of Python 2 and 3, whose names are accepted only if `HARMLESS` contains them. */
const STANDARD: ReadonlySet<string> = new Set(
  (
    '__builtin__ abc aifc anydbm argparse array ast asynchat asyncio asyncore atexit audioop base64 bdb binascii bisect builtins bz2 ' +
    'cProfile calendar cgi cgitb chunk cmath cmd code codecs codeop collections colorsys commands commands2 compileall concurrent ' +
    'configparser contextlib contextvars copy copy_reg copyreg crypt csv ctypes curses cPickle cStringIO dataclasses datetime dbm decimal difflib dis ' +
    'distutils doctest dummy_threading email encodings ensurepip enum errno exceptions execfile faulthandler fcntl filecmp fileinput fnmatch ' +
    'formatter fractions ftplib functools gc genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html http httplib ' +
    'idlelib imaplib imghdr imp importlib inspect io ipaddress itertools json keyword lib2to3 linecache locale logging lzma mailbox mailcap ' +
    'marshal math mimetypes mmap modulefinder msilib msvcrt multiprocessing netrc new nis nntplib nt ntpath nturl2path numbers opcode ' +
    'operator optparse os ossaudiodev parser pathlib pdb pickle pickletools pipes pkgutil platform plistlib popen2 poplib posix posixpath ' +
    'pprint profile pstats pty pwd py_compile pyclbr pydoc pydoc_data pyexpat queue quopri random re readline reprlib resource rexec ' +
    'rlcompleter runpy sched secrets select selectors shelve shlex shutil signal site smtpd smtplib sndhdr socket socketserver spwd ' +
    'sqlite3 sre_compile sre_constants sre_parse ssl stat statistics string stringprep struct subprocess sunau symbol symtable sys ' +
    'sysconfig syslog tabnanny tarfile telnetlib tempfile termios test textwrap this thread threading time timeit tkinter Tkinter token ' +
    'tokenize tomllib trace traceback tracemalloc tty turtle turtledemo types typing unicodedata unittest urllib urllib2 uu uuid venv ' +
    'warnings wave weakref webbrowser winreg winsound wsgiref xdrlib xml xmlrpc zipapp zipfile zipimport zlib zoneinfo'
  ).split(' '),
);

/** Packages with functions that start programs or fetch and execute code. */
const TOOLS: ReadonlySet<string> = new Set(
  (
    'pip setuptools pkg_resources wheel easy_install virtualenv requests httpx urllib3 aiohttp httplib2 pycurl paramiko fabric ' +
    'pexpect ptyprocess sh plumbum invoke cloudpickle dill joblib pickle5 IPython ipykernel nbconvert django flask werkzeug jinja2 ' +
    'psutil win32api win32com pywintypes winpty cffi numba pymysql psycopg2'
  ).split(' '),
);

const in_ = (modules: string, names: string): string[] =>
  modules.split(' ').flatMap((module) => names.split(' ').map((name) => `${module}.${name}`));

const HARMLESS: ReadonlySet<string> = new Set([
  // numpy's scalars and arrays, under their old and new module names.
  ...in_('numpy.core numpy._core', 'multiarray.scalar multiarray._reconstruct numeric._frombuffer'),
  ...in_('numpy', 'dtype ndarray ma.core._mareconstruct'),
  ...in_('_codecs codecs', 'encode decode'),
  ...in_('datetime', 'date datetime time timedelta timezone'),
  ...in_('_io io', 'BytesIO StringIO'),
  ...in_('copyreg copy_reg', '_reconstructor __newobj__ __newobj_ex__'),
  ...in_('array', 'array _array_reconstructor'),
  ...in_('torch.serialization', '_get_layout'),
  ...in_('torch', 'device Tensor Generator'),
  ...in_('types', 'SimpleNamespace MappingProxyType GenericAlias NoneType'),
  ...in_(
    'builtins __builtin__',
    'dict list tuple int long float bool str unicode bytes complex bytearray object range xrange slice type Ellipsis NotImplemented NoneType',
  ),
  ...in_(
    'torch',
    'strided sparse_coo sparse_csr sparse_csc contiguous_format channels_last channels_last_3d preserve_format per_tensor_affine ' +
      'per_channel_affine qint8 quint8 qint32 quint4x2 quint2x4 complex32 bits8 bits16 float8_e8m0fnu float4_e2m1fn_x2',
  ),
  'functools.partial',
  'logging.getLogger',
  're._compile',
  'time.struct_time',
]);

/** Modules of the standard library in which every class is plain data. */
const HARMLESS_CLASSES =
  /^(?:typing|collections(?:\.abc)?|enum|decimal|fractions|uuid|dataclasses|argparse|numbers|ipaddress|zoneinfo|pathlib(?:\._local)?|logging|random|queue|configparser|abc|_pydecimal)\.[A-Z]\w*$|^collections\.(?:deque|namedtuple)$|^(?:builtins|__builtin__|exceptions)\.[A-Z]\w*(?:Error|Exception|Warning)$/;
const HARMLESS_FUNCTIONS =
  /^numpy\.random\.[\w.]+$|^numpy\.(?:bool_?|bool8|str_|bytes_|object_|void|generic|number|longlong|intp|u?int\d*|u?intc|float\d*|longdouble|half|single|double|complex\d+|datetime64|timedelta64)$|^torch\.(?:nn\.functional|nn\.init|_C\._nn)\.[a-z]\w*$/;
const CLASS = /(?:^|\.)_*[A-Z]\w*$/;

/** Matches nested classes such as `Outer.Inner`, but not `function.__globals__`, which gives access to a program. */
const NAME = /^(?:_*[A-Z]\w*\.)*[A-Za-z_]\w*$/;
const MODULE = /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$/;
const DUNDER = /(?:^|\.)__(?!main__(?:\.|$)|builtin__\.)\w*__(?:\.|$)/;

/** Returns true if an object of this class may be read as a placeholder. */
export function isPlaceholderClass(module: string, name: string): boolean {
  const full = `${module}.${name}`;
  if (HARMLESS.has(full) || HARMLESS_CLASSES.test(full) || HARMLESS_FUNCTIONS.test(full)) return true;
  if (!MODULE.test(module) || !NAME.test(name) || DUNDER.test(full)) return false;
  const [top = ''] = module.split('.');
  if (STANDARD.has(top) || TOOLS.has(top) || (top.startsWith('_') && top !== '__main__')) return false;
  // Only classes of PyTorch and numpy, whose functions may load and execute code. Storages are handled with tensors.
  if (top === 'torch') return CLASS.test(name) && !/Storage$/.test(name) && module !== '__torch__';
  if (top === 'numpy') return CLASS.test(name);
  return true;
}
