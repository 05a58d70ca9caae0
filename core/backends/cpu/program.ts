/** A plan as the cpu runs it: entries and argument blocks in the shared memory, and which words change from run to run. */
import { type ArenaRequest, placeInArena } from '../../plan/arena.ts'
import type { Kernel, KernelPlan } from '../../plan/kernel.ts'
import { lowerGemm } from './blas/gemm.ts'
import type { Blas } from './blas/library.ts'
import type { CodeTable } from './code-table.ts'
import { lowerMap } from './codegen/map.ts'
import { lowerReduce } from './codegen/reduce.ts'
import { ENTRY, ENTRY_WORDS, NATIVE_CODE } from './control.ts'
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
  /** Address of the entries. */
  readonly address: number
  readonly count: number
  readonly arenaBytes: number
  /** Thread-local bytes that its dispatches need. */
  readonly localBytes: number
  /** Estimated nanoseconds of the dispatches that several threads share; 0 where it does not pay. */
  readonly sharedCost: number
  /** Number of the first entry of each kernel, and `count` at the end. */
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
    const requests: ArenaRequest[] = []
    const bufferRequest = plan.buffers.map((b) => (b.kind === 'temp' ? requests.push(b) - 1 : -1))
    const dispatches: AnyDispatch[] = []
    const scratchOf: number[][] = []
    const kernelEntries: number[] = []
    for (let step = 0; step < plan.kernels.length; step++) {
      const scratch: number[] = []
      const ctx: LowerContext = {
        features,
        scratch: (bytes) => scratch.push(requests.push({ bytes, firstUse: step, lastUse: step }) - 1) - 1,
      }
      kernelEntries.push(dispatches.length)
      for (const dispatch of lower(plan.kernels[step], ctx, blas)) {
        dispatches.push(dispatch)
        scratchOf.push(scratch)
      }
    }
    this.count = dispatches.length
    this.kernelEntries = [...kernelEntries, this.count]
    const { offsets, total } = placeInArena(requests)
    this.arenaBytes = total
    this.localBytes = dispatches.reduce(
      (most, d) => ('native' in d ? most : Math.max(most, d.localBytes ?? 0)),
      0,
    )

    const isShared = (d: AnyDispatch): d is Dispatch =>
      !('native' in d) && (shareAlways || (d.cost >= SHARED_DISPATCH && d.units > d.grain))
    const sharedCost = dispatches.reduce((sum, d) => sum + (isShared(d) ? d.cost : 0), 0)
    this.sharedCost = shareAlways || sharedCost >= SHARED_PLAN ? sharedCost : 0

    const codes = dispatches.map((d) => ('native' in d ? NATIVE_CODE : code.number(d)))
    let words = ENTRY_WORDS * this.count
    for (const { args } of dispatches) for (let i = 0; i < args.length; i++) words += wordsOf(args[i])
    this.address = heap.allocate(words * 4)
    let block = this.address / 4 + ENTRY_WORDS * this.count
    for (let i = 0; i < dispatches.length; i++) {
      const dispatch = dispatches[i]
      const entry = this.address / 4 + i * ENTRY_WORDS
      heap.i32[entry + ENTRY.code] = codes[i]
      const isNative = 'native' in dispatch
      heap.u32[entry + ENTRY.args] = block
      heap.i32[entry + ENTRY.units] = isNative ? 1 : dispatch.units
      heap.i32[entry + ENTRY.grain] = isNative || shareAlways ? 1 : dispatch.grain
      heap.i32[entry + ENTRY.parallel] = this.sharedCost > 0 && isShared(dispatch) ? 1 : 0
      const { args } = dispatch
      for (let a = 0; a < args.length; a++) {
        this.#addWord(block, args[a], plan, bufferRequest, offsets, scratchOf[i])
        block += wordsOf(args[a])
      }
    }
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
    const lines = Array.from({ length: this.count }, (_, i) => {
      const entry = this.address / 4 + i * ENTRY_WORDS
      const kernel = this.kernelEntries.findLastIndex((first) => first <= i)
      const [code, units, grain] = [ENTRY.code, ENTRY.units, ENTRY.grain].map((word) => i32[entry + word])
      if (code === NATIVE_CODE) return `  kernel ${kernel}: sgemm of the system BLAS`
      return `  kernel ${kernel}: module ${code}, ${units} units by ${grain}: ${this.#code.key(code)}`
    })
    return `program of ${this.count} dispatches, ${this.arenaBytes} bytes of arena\n${lines.join('\n')}`
  }

  /** May be called twice. */
  free(): void {
    if (!this.#isFreed) this.#heap.free(this.address)
    this.#isFreed = true
  }
}
