/** A plan as the cpu runs it: entries and argument blocks in the shared memory, and which words change from run to run. */
import { type ArenaRequest, lifetimesOf, placeInArena } from '../../plan/arena.ts'
import type { Kernel, KernelPlan } from '../../plan/kernel.ts'
import { lowerGemm } from './blas/gemm.ts'
import type { Blas } from './blas/library.ts'
import type { CodeTable } from './code-table.ts'
import { lowerMap } from './codegen/map.ts'
import { lowerReduce } from './codegen/reduce.ts'
import { ENTRY, ENTRY_WORDS, GROUP_CODE, NATIVE_CODE } from './control.ts'
import {
  type ArgWord,
  type CpuFeatures,
  type Dispatch,
  type LowerContext,
  type NativeDispatch,
  wordsOf,
} from './dispatch.ts'
import type { SharedHeap } from './heap.ts'
import { lowerCall } from './kernels/index.ts'
import { isShortProduct, stagesOf } from './stages.ts'

/** Nanoseconds of work from which a dispatch is shared: what joining and leaving costs, several times. */
const SHARED_DISPATCH = 15_000
/** Nanoseconds of shareable work from which a plan wakes the workers. */
const SHARED_PLAN = 60_000

type AnyDispatch = Dispatch | NativeDispatch

const lower = (kernel: Kernel, ctx: LowerContext, blas: () => Blas | null): AnyDispatch[] =>
  kernel.kind === 'map'
    ? lowerMap(kernel, ctx)
    : kernel.kind === 'reduce'
      ? lowerReduce(kernel, ctx)
      : (lowerGemm(kernel, blas) ?? lowerCall(kernel, ctx))

const grainsOf = (d: Dispatch, shareAlways: boolean): number =>
  shareAlways ? d.units : Math.ceil(d.units / d.grain)

/** Typed arrays keep the low 32 bits of what they are given. */
function writeAddress(heap: SharedHeap, word: number, value: number): void {
  heap.i32[word] = value
  if (heap.addressBits === 64) heap.i32[word + 1] = Math.floor(value / 2 ** 32)
}

/** Words of one base address: `words[i]` is the base plus `offsets[i]`. */
interface AddressWords {
  readonly words: number[]
  readonly offsets: number[]
  last: number
}

interface MovedWord {
  readonly word: number
  /** Binding, or -1 for the arena. */
  readonly binding: number
  readonly offset: number
  readonly slot: number
  readonly bytes: number
}

export interface ProgramParts {
  readonly heap: SharedHeap
  readonly code: CodeTable
  readonly features: CpuFeatures
  /** The system BLAS, loaded when the first product asks for it. */
  readonly blas: () => Blas | null
  /** For tests: every dispatch is shared, unit by unit, however small. */
  readonly shareAlways: boolean
}

export class Program {
  /** Address of the entries of the dispatches, kernel by kernel. */
  readonly address: number
  /** Address and number of the entries that a run goes through: stage by stage, dispatches side by side as groups. */
  readonly schedule: number
  readonly count: number
  /** Kernels in the order in which they run; those of a stage do not depend on each other. */
  readonly stages: readonly (readonly number[])[]
  readonly arenaBytes: number
  /** Thread-local bytes that its dispatches need. */
  readonly localBytes: number
  /** Estimated nanoseconds of the dispatches that several threads share; 0 where it does not pay. */
  readonly sharedCost: number
  /** Number of the first entry of each kernel, and that of all entries at the end. */
  readonly kernelEntries: readonly number[]
  readonly #code: CodeTable
  readonly #heap: SharedHeap
  readonly #bindings: AddressWords[] = []
  readonly #arena: AddressWords = { words: [], offsets: [], last: -1 }
  readonly #moved: MovedWord[] = []
  readonly #floats: number[] = []
  readonly #integers: number[] = []
  #isFreed = false

  constructor(plan: KernelPlan, parts: ProgramParts) {
    const { heap, code, features, shareAlways, blas } = parts
    this.#heap = heap
    this.#code = code
    const { kernels, buffers } = plan
    const dispatches: AnyDispatch[] = []
    const kernelOf: number[] = []
    const kernelEntries: number[] = []
    const scratchBytes = kernels.map((): number[] => [])
    for (const [k, kernel] of kernels.entries()) {
      const ctx: LowerContext = { features, scratch: (bytes) => scratchBytes[k].push(bytes) - 1 }
      kernelEntries.push(dispatches.length)
      for (const dispatch of lower(kernel, ctx, blas)) {
        dispatches.push(dispatch)
        kernelOf.push(k)
      }
    }
    this.kernelEntries = [...kernelEntries, dispatches.length]
    const isOurs = (k: number) =>
      dispatches.slice(this.kernelEntries[k], this.kernelEntries[k + 1]).every((d) => !('native' in d))
    this.stages = stagesOf(kernels, (k) => isShortProduct(kernels[k]) && isOurs(k))

    const stageOf = new Int32Array(kernels.length)
    for (const [at, stage] of this.stages.entries()) for (const k of stage) stageOf[k] = at
    const requests: ArenaRequest[] = []
    const { first, last } = lifetimesOf(kernels, buffers.length, (k) => stageOf[k])
    const bufferRequest = buffers.map((b, i) =>
      b.kind === 'temp' ? requests.push({ bytes: b.bytes, firstUse: first[i], lastUse: last[i] }) - 1 : -1,
    )
    const scratchOf = scratchBytes.map((ofKernel, k) =>
      ofKernel.map((bytes) => requests.push({ bytes, firstUse: stageOf[k], lastUse: stageOf[k] }) - 1),
    )
    const { offsets, total } = placeInArena(requests)
    this.arenaBytes = total
    this.localBytes = dispatches.reduce(
      (most, d) => ('native' in d ? most : Math.max(most, d.localBytes ?? 0)),
      0,
    )

    const steps = this.#stepsOf()
    this.count = steps.length
    const isShared = (step: readonly number[]): boolean => {
      let cost = 0
      let grains = 0
      for (const i of step) {
        const d = dispatches[i]
        if ('native' in d) return false
        cost += d.cost
        grains += grainsOf(d, shareAlways)
      }
      return shareAlways || (cost >= SHARED_DISPATCH && grains > 1)
    }
    const shared = steps.map(isShared)
    let sharedCost = 0
    for (let s = 0; s < steps.length; s++)
      if (shared[s]) for (const i of steps[s]) sharedCost += (dispatches[i] as Dispatch).cost
    this.sharedCost = shareAlways || sharedCost >= SHARED_PLAN ? sharedCost : 0

    const members = steps.reduce((sum, step) => sum + (step.length > 1 ? step.length : 0), 0)
    let words = ENTRY_WORDS * (dispatches.length + this.count) + 2 * members
    for (const { args } of dispatches) for (let a = 0; a < args.length; a++) words += wordsOf(args[a])
    const codes = dispatches.map((d) => ('native' in d ? NATIVE_CODE : code.number(d)))
    this.address = heap.allocate(words * 4)
    this.schedule = this.address + 4 * ENTRY_WORDS * dispatches.length
    const placeOf = (i: number) => this.address / 4 + i * ENTRY_WORDS
    let block = this.schedule / 4 + ENTRY_WORDS * this.count
    const writeEntry = (entry: number, i: number, args: number, isParallel: boolean) => {
      const dispatch = dispatches[i]
      const isNative = 'native' in dispatch
      heap.i32[entry + ENTRY.code] = codes[i]
      heap.u32[entry + ENTRY.args] = args
      heap.i32[entry + ENTRY.units] = isNative ? 1 : dispatch.units
      heap.i32[entry + ENTRY.grain] = isNative || shareAlways ? 1 : dispatch.grain
      heap.i32[entry + ENTRY.parallel] = this.sharedCost > 0 && isParallel ? 1 : 0
    }
    /** The arguments of a dispatch; gives the number of their first word. */
    const writeArguments = (i: number): number => {
      const first = block
      const { args } = dispatches[i]
      for (let a = 0; a < args.length; a++) {
        this.#addWord(block, args[a], plan, bufferRequest, offsets, scratchOf[kernelOf[i]])
        block += wordsOf(args[a])
      }
      return first
    }
    for (let s = 0; s < steps.length; s++) {
      const step = steps[s]
      const entry = this.schedule / 4 + s * ENTRY_WORDS
      if (step.length === 1) {
        const args = writeArguments(step[0])
        writeEntry(placeOf(step[0]), step[0], args, shared[s])
        writeEntry(entry, step[0], args, shared[s])
        continue
      }
      for (const i of step) writeEntry(placeOf(i), i, writeArguments(i), isShared([i]))
      let grains = 0
      heap.i32[entry + ENTRY.code] = GROUP_CODE
      heap.u32[entry + ENTRY.args] = block
      heap.i32[entry + ENTRY.members] = step.length
      for (const i of step) {
        heap.u32[block++] = placeOf(i)
        heap.i32[block++] = grains
        grains += grainsOf(dispatches[i] as Dispatch, shareAlways)
      }
      heap.i32[entry + ENTRY.units] = grains
      heap.i32[entry + ENTRY.grain] = 1
      heap.i32[entry + ENTRY.parallel] = this.sharedCost > 0 && shared[s] ? 1 : 0
    }
  }

  /** Numbers of the dispatches that run side by side, step by step: the first ones of a stage's kernels, the second ones, ... */
  #stepsOf(): number[][] {
    const steps: number[][] = []
    for (const stage of this.stages) {
      let most = 0
      for (const k of stage) most = Math.max(most, this.kernelEntries[k + 1] - this.kernelEntries[k])
      for (let d = 0; d < most; d++) {
        const step: number[] = []
        for (const k of stage)
          if (this.kernelEntries[k] + d < this.kernelEntries[k + 1]) step.push(this.kernelEntries[k] + d)
        steps.push(step)
      }
    }
    return steps
  }

  #addWord(
    word: number,
    arg: ArgWord,
    plan: KernelPlan,
    bufferRequest: readonly number[],
    offsets: readonly number[],
    scratch: readonly number[],
  ): void {
    switch (arg.kind) {
      case 'int':
        this.#heap.i32[word] = arg.value
        return
      case 'bytes':
        writeAddress(this.#heap, word, arg.value)
        return
      case 'float':
        this.#heap.f32[word] = arg.value
        return
      case 'scalar':
        ;(arg.type === 'f32' ? this.#floats : this.#integers).push(word, arg.slot)
        return
      case 'scratch':
        this.#addAddress(-1, word, offsets[scratch[arg.scratch]] + arg.byteOffset)
        return
      default: {
        const buffer = plan.buffers[arg.buffer]
        const binding = buffer.kind === 'external' ? buffer.binding : -1
        const offset = (binding < 0 ? offsets[bufferRequest[arg.buffer]] : 0) + arg.byteOffset
        if (arg.moved)
          this.#moved.push({ word, binding, offset, slot: arg.moved.slot, bytes: arg.moved.bytes })
        else this.#addAddress(binding, word, offset)
      }
    }
  }

  #addAddress(binding: number, word: number, offset: number): void {
    const list =
      binding < 0 ? this.#arena : (this.#bindings[binding] ??= { words: [], offsets: [], last: -1 })
    list.words.push(word)
    list.offsets.push(offset)
  }

  /** Writes what changed since the last run: `addresses[i]` is where binding i is. */
  bind(addresses: readonly number[], arena: number, scalars: readonly number[]): void {
    const heap = this.#heap
    const { i32, f32 } = heap
    const place = (list: AddressWords | undefined, base: number) => {
      if (!list || list.last === base) return
      list.last = base
      for (let i = 0; i < list.words.length; i++) writeAddress(heap, list.words[i], base + list.offsets[i])
    }
    place(this.#arena, arena)
    for (let b = 0; b < this.#bindings.length; b++) place(this.#bindings[b], addresses[b])
    for (const m of this.#moved) {
      const base = m.binding < 0 ? arena : addresses[m.binding]
      writeAddress(heap, m.word, base + m.offset + scalars[m.slot] * m.bytes)
    }
    for (let i = 0; i < this.#floats.length; i += 2) f32[this.#floats[i]] = scalars[this.#floats[i + 1]]
    for (let i = 0; i < this.#integers.length; i += 2) i32[this.#integers[i]] = scalars[this.#integers[i + 1]]
  }

  describe(): string {
    const { i32 } = this.#heap
    const line = (i: number): string => {
      const entry = this.address / 4 + i * ENTRY_WORDS
      const kernel = this.kernelEntries.findLastIndex((first) => first <= i)
      const [code, units, grain] = [ENTRY.code, ENTRY.units, ENTRY.grain].map((word) => i32[entry + word])
      if (code === NATIVE_CODE) return `kernel ${kernel}: sgemm of the system BLAS`
      return `kernel ${kernel}: module ${code}, ${units} units by ${grain}: ${this.#code.key(code)}`
    }
    const lines = this.#stepsOf().map((step) => `  ${step.map(line).join('\n  | ')}`)
    return `program of ${this.kernelEntries.at(-1)} dispatches in ${this.count} steps, ${this.arenaBytes} bytes of arena\n${lines.join('\n')}`
  }

  /** May be called twice. */
  free(): void {
    if (!this.#isFreed) this.#heap.free(this.address)
    this.#isFreed = true
  }
}
