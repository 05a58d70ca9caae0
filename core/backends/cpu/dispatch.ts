/**
 * The ABI between generated WebAssembly and the runtime that calls it.
 *
 * A module imports the one shared memory as `env.memory` and exports `run(args, start, end, local)`:
 * - `args`: address of the dispatch's argument block: the arguments in the order of `Dispatch.args`, one 32-bit word each,
 *   addresses and numbers of bytes two (the lower one first; a module for 32-bit addresses reads no other);
 * - `start`, `end`: the range of work units to do;
 * - `local`: address of `localBytes` bytes that only the calling thread uses (16-byte aligned, undefined contents); a
 *   module that needs none may declare three parameters only.
 *
 * Units are independent of each other and are given to threads in grains, in any order. What a unit computes never
 * depends on who computes it, so results do not depend on the number of threads. Dispatches are separated by a barrier:
 * a dispatch sees everything that those before it wrote.
 */
import type { CallKernel, Kernel } from '../../plan/kernel.ts'
import type { ModuleBuilder } from './assembler.ts'

/** Where addresses are i64, JavaScript gives and takes them as numbers all the same. */
export const ADDRESS_WORDS = 2

/** An argument of a dispatch. Addresses and scalars are filled in at every run. */
export type ArgWord =
  | { readonly kind: 'int'; readonly value: number }
  /** A number of bytes, as wide as an address. */
  | { readonly kind: 'bytes'; readonly value: number }
  | { readonly kind: 'float'; readonly value: number }
  /** Address of a plan buffer, plus bytes, plus `scalars[moved.slot] * moved.bytes` of the run. */
  | {
      readonly kind: 'buffer'
      readonly buffer: number
      readonly byteOffset: number
      readonly moved?: { readonly slot: number; readonly bytes: number }
    }
  /** Address of scratch made by `LowerContext.scratch`, plus bytes. */
  | {
      readonly kind: 'scratch'
      readonly scratch: number
      readonly byteOffset: number
    }
  /** `scalars[slot]` of the run, as a float32 or as an integer (`| 0`). */
  | { readonly kind: 'scalar'; readonly slot: number; readonly type: 'f32' | 'i32' }

/** 32-bit words that an argument takes in its block. */
export const wordsOf = (arg: ArgWord): number =>
  arg.kind === 'bytes' || arg.kind === 'scratch' || arg.kind === 'buffer' ? ADDRESS_WORDS : 1

export const int = (value: number): ArgWord => ({ kind: 'int', value })
export const byteCount = (value: number): ArgWord => ({ kind: 'bytes', value })
export const buffer = (index: number, byteOffset = 0): ArgWord => ({
  kind: 'buffer',
  buffer: index,
  byteOffset,
})
export const scratch = (index: number, byteOffset = 0): ArgWord => ({
  kind: 'scratch',
  scratch: index,
  byteOffset,
})
/** The same address some bytes further on. */
export const shifted = (word: ArgWord, bytes: number): ArgWord =>
  word.kind === 'buffer' || word.kind === 'scratch' ? { ...word, byteOffset: word.byteOffset + bytes } : word
export const scalarSlot = (slot: number, type: 'f32' | 'i32'): ArgWord => ({ kind: 'scalar', slot, type })

/** One call of a compiled module over all its units. */
export interface Dispatch {
  /** Names the code: equal keys mean equal modules. Must hold everything `emit` depends on, features included. */
  readonly codeKey: string
  /** The module; called once per codeKey and process. */
  emit(): ModuleBuilder
  /** The code is written for 256-bit vectors made of pairs of adjacent ones (`CpuFeatures.wideSimd`). */
  readonly wide?: boolean
  readonly args: readonly ArgWord[]
  /** Number of work units, from 0 up. */
  readonly units: number
  /** Units that a thread takes at a time: large enough that taking them (~100 ns) does not show. */
  readonly grain: number
  /** Estimated nanoseconds of all units on one thread: decides whether waking other threads pays. */
  readonly cost: number
  /** Bytes of thread-local scratch (`local`). */
  readonly localBytes?: number
}

/** A call of a system library instead of a module: only the calling thread runs it, whole. */
export interface NativeDispatch {
  readonly native: 'sgemm'
  readonly args: readonly ArgWord[]
}

/** What the engine can do; tests switch features off. */
export interface CpuFeatures {
  readonly relaxedSimd: boolean
  /** Pairs of adjacent vectors become 256-bit ones where a dispatch asks for it, and that is faster. */
  readonly wideSimd: boolean
}

/** What lowering a kernel may ask for. */
export interface LowerContext {
  readonly features: CpuFeatures
  /** Reserves bytes (64-byte aligned, undefined contents) for the dispatches of this one kernel; gives a number for `scratch()`. */
  scratch(bytes: number): number
}

/** Lowers one kind of kernel; throws one clear line for what it cannot do. */
export type Lower<K extends Kernel = CallKernel> = (kernel: K, ctx: LowerContext) => Dispatch[]
