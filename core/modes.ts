/**
 * Modes that belong to a piece of the program rather than to the process: whether gradients are recorded, and the like.
 * They hold across `await` inside their function and do not leak into tasks that run in between.
 */
export interface Modes {
  readonly grad: boolean
  readonly skipInit: boolean
  readonly eager: boolean
  readonly anomaly: boolean
}

interface Scope {
  getStore(): Modes | undefined
  run<T>(modes: Modes, fn: () => T): T
}

const base: { -readonly [K in keyof Modes]: Modes[K] } = {
  grad: true,
  skipInit: false,
  eager: false,
  anomaly: false,
}

/** Where there is no AsyncLocalStorage (browsers): a plain stack, which an async function would leak out of. */
class StackScope implements Scope {
  private top: Modes | undefined
  getStore(): Modes | undefined {
    return this.top
  }
  run<T>(modes: Modes, fn: () => T): T {
    const before = this.top
    this.top = modes
    try {
      const result = fn()
      if (result instanceof Promise)
        throw new Error(
          '[modes] noGrad and its like take no async function in browsers: wrap the calls between the awaits, one by one',
        )
      return result
    } finally {
      this.top = before
    }
  }
}

function createScope(): Scope {
  const process = (globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }).process
  const hooks = process?.getBuiltinModule?.('node:async_hooks') as
    | { AsyncLocalStorage: new () => Scope }
    | undefined
  return hooks ? new hooks.AsyncLocalStorage() : new StackScope()
}

const scope = createScope()

export const modes = (): Modes => scope.getStore() ?? base

const withMode = <T>(change: Partial<Modes>, fn: () => T): T => scope.run({ ...modes(), ...change }, fn)

/** Runs `fn` (which may be async, but in browsers) without recording gradients. */
export const noGrad = <T>(fn: () => T): T => withMode({ grad: false }, fn)

/** Runs `fn` with gradients recorded, also inside `noGrad`. */
export const enableGrad = <T>(fn: () => T): T => withMode({ grad: true }, fn)

export const isGradEnabled = (): boolean => modes().grad

/** Runs `fn` with parameters left uninitialised, for modules whose weights are loaded right after. */
export const skipInit = <T>(fn: () => T): T => withMode({ skipInit: true }, fn)

/** With `true` every op is evaluated where it is called (on synchronous devices): a debugger sees values, errors point at the guilty line. */
export function setEager(on: boolean): void {
  base.eager = on
}

/** Runs `fn` in eager mode; see `setEager`. */
export const eager = <T>(fn: () => T): T => withMode({ eager: true }, fn)

/** Runs `fn` with every op evaluated and checked: the first NaN or Inf throws, naming the op and the line that called it. Slow. */
export const detectAnomaly = <T>(fn: () => T): T => withMode({ anomaly: true }, fn)
