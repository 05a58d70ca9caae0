/**
 * Finds and loads a system BLAS in Node, through the optional package koffi. Everything here is synchronous, because a plan
 * may have to run while its caller waits, and takes about 10 ms, once.
 */
import type { Blas, BlasSetting, Gemm } from './library.ts'

const isNode =
  typeof (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node === 'string'

type NativeFunction = (...args: unknown[]) => unknown

interface Library {
  func(name: string, result: string, args: readonly string[]): NativeFunction
  unload(): void
}

interface Koffi {
  load(path: string): Library
  address(view: Uint8Array): bigint
}

/** Where libraries are looked for, best first, by the names that distributions and vendors give them. */
const CANDIDATES: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  darwin: ['/System/Library/Frameworks/Accelerate.framework/Accelerate'],
  // Fedora's libopenblas.so.0 is the sequential one; its threaded one has a p
  linux: ['libopenblasp.so.0', 'libopenblas.so.0', 'libopenblas.so', 'libmkl_rt.so.3', 'libmkl_rt.so.2'],
  freebsd: ['libopenblasp.so.0', 'libopenblas.so.0'],
  win32: ['libopenblas.dll', 'openblas.dll', 'mkl_rt.3.dll', 'mkl_rt.2.dll'],
}

/** Names of a function: plain, and as numpy's and scipy's wheels rename it (64-bit integers). */
const spellings = (name: string): readonly string[] => [
  name,
  `scipy_${name}64_`,
  `${name}64_`,
  `scipy_${name}`,
]

function find(
  library: Library,
  name: string,
  result: string,
  args: readonly string[],
): NativeFunction | null {
  for (const spelling of spellings(name))
    try {
      return library.func(spelling, result, args)
    } catch {
      // try the next
    }
  return null
}

/** OpenBLAS kernels by the instructions that they use: 2 for AVX-512, 1 for AVX2, 0 for older ones. */
const AVX512_CORES = ['SkylakeX', 'Cooperlake', 'SapphireRapids']
const AVX2_CORES = ['Haswell', 'Zen', 'Excavator']
const levelOfCore = (core: string): number =>
  AVX512_CORES.includes(core) ? 2 : AVX2_CORES.includes(core) ? 1 : 0

/** The same of this processor; 0 where it cannot be told. */
function levelOfProcessor(): number {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 0
  try {
    const info = process.getBuiltinModule('node:fs').readFileSync('/proc/cpuinfo', 'utf8')
    const flags = new Set(/^flags\s*:(.*)$/m.exec(info)?.[1].trim().split(/\s+/))
    if (['avx512f', 'avx512dq', 'avx512bw', 'avx512vl'].every((flag) => flags.has(flag))) return 2
    return flags.has('avx2') && flags.has('fma') ? 1 : 0
  } catch {
    return 0
  }
}

/** Runs with environment variables that the user has not set, and leaves the environment as it was. */
function withEnvironment<T>(variables: Readonly<Record<string, string>>, run: () => T): T {
  const added = Object.keys(variables).filter((name) => !process.env[name])
  // Node writes them where getenv finds them, on the main thread
  for (const name of added) process.env[name] = variables[name]
  try {
    return run()
  } finally {
    for (const name of added) delete process.env[name]
  }
}

/**
 * Idle threads of the library must sleep at once: they would take the core on which our own kernels run. OpenBLAS counts
 * cycles as a power of two; the others are for OpenMP's and Intel's threads.
 */
const IDLE_THREADS_SLEEP = { OPENBLAS_THREAD_TIMEOUT: '4', OMP_WAIT_POLICY: 'PASSIVE', KMP_BLOCKTIME: '0' }

const coreOf = (library: Library): string | null =>
  (find(library, 'openblas_get_corename', 'str', [])?.() as string | undefined) ?? null

/** Loads a library; where OpenBLAS took kernels for an older processor than this one, once more with better ones. */
function load(koffi: Koffi, path: string): { library: Library; replacedCore: string | null } {
  const loadAs = (variables: Readonly<Record<string, string>>): Library =>
    withEnvironment({ ...IDLE_THREADS_SLEEP, ...variables }, () => koffi.load(path))
  const library = loadAs({})
  const core = coreOf(library)
  if (core === null || process.env.OPENBLAS_CORETYPE) return { library, replacedCore: null }
  const level = levelOfProcessor()
  if (levelOfCore(core) >= level) return { library, replacedCore: null }
  library.unload()
  // it may have been built without the newer ones
  for (const wanted of level === 2 ? ['SkylakeX', 'Haswell'] : ['Haswell']) {
    const other = loadAs({ OPENBLAS_CORETYPE: wanted })
    if (coreOf(other) === wanted) return { library: other, replacedCore: core }
    other.unload()
  }
  return { library: loadAs({}), replacedCore: null }
}

function mklVersion(library: Library): string | null {
  const versionString = find(library, 'MKL_Get_Version_String', 'void', ['uint8_t *', 'int'])
  if (!versionString) return null
  const text = new Uint8Array(256)
  versionString(text, text.length)
  const version = /Version ([\d.]+)/.exec(String.fromCharCode(...text))
  return `MKL${version ? ` ${version[1]}` : ''}`
}

const ROW_MAJOR = 101
const NO_TRANSPOSE = 111
const TRANSPOSE = 112

/** Null where the library lacks what is needed. */
function open(koffi: Koffi, path: string): Blas | null {
  const { library, replacedCore } = load(koffi, path)
  const config = find(library, 'openblas_get_config', 'str', [])?.() as string | undefined
  const int = config?.includes('USE64BITINT') ? 'int64_t' : 'int'
  const gemm = find(library, 'cblas_sgemm', 'void', [
    ...['int', 'int', 'int', int, int, int, 'float'],
    // addresses, as numbers
    ...['uintptr_t', int, 'uintptr_t', int, 'float', 'uintptr_t', int],
  ])
  if (!gemm) {
    library.unload()
    return null
  }
  const setThreads =
    find(library, 'openblas_set_num_threads', 'void', ['int']) ??
    find(library, 'MKL_Set_Num_Threads', 'void', ['int'])
  const openBlasVersion = config && /^OpenBLAS ([\d.]*\d)/.exec(config)
  let threads = 0
  return {
    name: openBlasVersion
      ? `OpenBLAS ${openBlasVersion[1]}`
      : (mklVersion(library) ?? (path.endsWith('/Accelerate') ? 'Accelerate' : 'BLAS')),
    path,
    core: coreOf(library),
    replacedCore,
    parallel: find(library, 'openblas_get_parallel', 'int', [])?.() !== 0,
    setThreads: (count) => {
      if (count !== threads) setThreads?.(count)
      threads = count
    },
    sgemm: (g: Gemm) => {
      const transposes = [g.transposeA ? TRANSPOSE : NO_TRANSPOSE, g.transposeB ? TRANSPOSE : NO_TRANSPOSE]
      gemm(ROW_MAJOR, ...transposes, g.m, g.n, g.k, 1, g.a, g.lda, g.b, g.ldb, g.beta, g.c, g.ldc)
    },
    baseOf: (memory) => Number(koffi.address(new Uint8Array(memory.buffer))),
  }
}

/** Null where the optional package is not installed, or has no build for this system. */
export function loadKoffi(): Koffi | null {
  try {
    return process.getBuiltinModule('node:module').createRequire(import.meta.url)('koffi') as Koffi
  } catch {
    return null
  }
}

function openPath(path: string): Blas {
  const koffi = loadKoffi()
  if (!koffi) throw new Error(`[blas] ${path} needs the optional package koffi: npm install koffi`)
  let blas: Blas | null
  try {
    blas = open(koffi, path)
  } catch (error) {
    throw new Error(`[blas] ${path}: ${(error as Error).message}; TUNESMITH_BLAS=off uses none`)
  }
  if (!blas) throw new Error(`[blas] ${path} has no cblas_sgemm: give an OpenBLAS or MKL library`)
  return blas
}

/** The first of the system's libraries that runs on several threads: our own kernels do. */
function search(): Blas | null {
  const candidates = CANDIDATES[process.platform] ?? []
  const koffi = candidates.length > 0 ? loadKoffi() : null
  if (!koffi) return null
  for (const path of candidates)
    try {
      const blas = open(koffi, path)
      if (blas?.parallel) return blas
    } catch {
      // not there
    }
  return null
}

const opened = new Map<BlasSetting, Blas | null>()

/**
 * The library of a setting, loaded once a process; null where it is off or none is found, and in worker threads, which have
 * no environment of their own that a library would see.
 * @throws where a path was given that cannot be used
 */
export function findBlas(setting: BlasSetting): Blas | null {
  if (setting === 'off' || !isNode || !process.getBuiltinModule('node:worker_threads').isMainThread)
    return null
  const known = opened.get(setting)
  if (known !== undefined) return known
  const blas = setting === 'auto' ? search() : openPath(setting)
  opened.set(setting, blas)
  return blas
}
