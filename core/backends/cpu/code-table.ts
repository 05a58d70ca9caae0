import { CODE_LIMIT, codeWord } from './control.ts'
import type { Dispatch } from './dispatch.ts'
import type { SharedHeap } from './heap.ts'
import { compileWide } from './node-compile.ts'

/**
 * Modules by their key, numbered. The bytes stay in the shared memory, where every thread compiles what it comes to use:
 * a message could not reach a worker that sleeps, and engines share the machine code of equal bytes.
 */
export class CodeTable {
  readonly #heap: SharedHeap
  readonly #numbers = new Map<string, number>()
  /** Held so that threads which compile their bytes get this code. */
  readonly #wide: WebAssembly.Module[] = []

  constructor(heap: SharedHeap) {
    this.#heap = heap
  }

  /** The key of a number, for debug output. */
  key(index: number): string {
    return [...this.#numbers.keys()][index]
  }

  /** The number of a dispatch's code, emitted if it is new. */
  number(dispatch: Dispatch): number {
    const known = this.#numbers.get(dispatch.codeKey)
    if (known !== undefined) return known
    const index = this.#numbers.size
    if (index >= CODE_LIMIT)
      throw new Error(
        `[cpu] more than ${CODE_LIMIT} different kernels: call shutdown() between unrelated models`,
      )
    const bytes = dispatch.emit().bytes(this.#heap.addressBits)
    if (dispatch.wide) this.#wide.push(compileWide(bytes))
    const address = this.#heap.allocate(bytes.length)
    this.#heap.u8.set(bytes, address)
    this.#heap.u32[codeWord(index)] = address / 4
    this.#heap.u32[codeWord(index) + 1] = bytes.length
    this.#numbers.set(dispatch.codeKey, index)
    return index
  }
}
