/** A system BLAS as the cpu backend calls it. */

/** `c = a b + beta c` in row-major order, float32; addresses in bytes of the process, strides between rows in elements. */
export interface Gemm {
  readonly transposeA: boolean
  readonly transposeB: boolean
  readonly m: number
  readonly n: number
  readonly k: number
  readonly a: number
  readonly lda: number
  readonly b: number
  readonly ldb: number
  readonly beta: 0 | 1
  readonly c: number
  readonly ldc: number
}

export interface Blas {
  /** "OpenBLAS 0.3.21". */
  readonly name: string
  /** What was loaded: a file's path, or a name that the system's loader found. */
  readonly path: string
  /** Its kernels, where it tells: "SkylakeX". */
  readonly core: string | null
  /** What it had chosen by itself where it did not know the processor, and `core` was chosen for it. */
  readonly replacedCore: string | null
  /** False where it was built to run on the calling thread only. */
  readonly parallel: boolean
  /** How many threads a product may take from now on. */
  setThreads(count: number): void
  sgemm(call: Gemm): void
  /** Where a shared memory begins, as an address of the process: it never moves. */
  baseOf(memory: WebAssembly.Memory): number
}

/** `off`, `auto` (look for one), or a library's path. */
export type BlasSetting = 'off' | 'auto' | (string & {})
