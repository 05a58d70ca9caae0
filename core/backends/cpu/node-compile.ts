/**
 * Compiling WebAssembly with 256-bit vectors, where the engine can: V8 has a pass that joins pairs of 128-bit operations on
 * adjacent vectors into one AVX2 operation each (`--experimental-wasm-revectorize`, off by default). Flags belong to the
 * process and are read when code is optimized, so they are set for one synchronous compilation by the optimizing compiler
 * and put back at once: no other module is compiled so.
 */

/** Flags for the compilation, and what undoes them. */
const FLAGS = [
  ['--experimental-wasm-revectorize', '--no-experimental-wasm-revectorize'],
  // straight to the optimizing compiler, and all functions now
  ['--no-liftoff', '--liftoff'],
  ['--no-wasm-lazy-compilation', '--wasm-lazy-compilation'],
] as const

/** V8 prints an error for a flag that it does not know: versions that were looked at. */
const knowsFlags = (v8: string): boolean => {
  const [major, minor] = v8.split('.').map(Number)
  return (major === 13 && minor >= 6) || major === 14
}

type Process = Pick<NodeJS.Process, 'versions' | 'release' | 'arch' | 'execArgv' | 'env' | 'getBuiltinModule'>

/** Whether `compileWide` may be called: Node on x64, with a V8 that has the pass. Whether it gains anything is measured. */
export function canCompileWide(): boolean {
  const { process } = globalThis as { process?: Partial<Process> }
  return (
    process?.release?.name === 'node' &&
    process.versions?.bun === undefined &&
    process.versions?.deno === undefined &&
    process.arch === 'x64' &&
    process.getBuiltinModule !== undefined &&
    knowsFlags(process.versions?.v8 ?? '')
  )
}

function withFlags<T>(flags: readonly (readonly [string, string])[], run: () => T): T {
  const { execArgv, env, getBuiltinModule } = process as Process
  const { setFlagsFromString } = getBuiltinModule('node:v8')
  // what the user set on the command line stays as it is
  const given = `${execArgv.join(' ')} ${env.NODE_OPTIONS ?? ''}`.replaceAll('_', '-')
  const ours = flags.filter(([on]) => !given.includes(on.replace(/^--(no-)?/, '')))
  for (const [on] of ours) setFlagsFromString(on)
  try {
    return run()
  } finally {
    for (const [, off] of ours) setFlagsFromString(off)
  }
}

/**
 * A module whose code is optimized, with adjacent vectors joined. While it is held, the engine gives this machine code to
 * whoever compiles the same bytes, in any thread of the process.
 */
export const compileWide = (bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module =>
  withFlags(FLAGS, () => new WebAssembly.Module(bytes))

/** A module whose code is optimized at once, as it otherwise becomes after a while. */
export const compileOptimized = (bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module =>
  withFlags(FLAGS.slice(1), () => new WebAssembly.Module(bytes))
