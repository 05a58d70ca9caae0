/**
 * Threads that share the units of a dispatch. One leads: it publishes a dispatch, works on it itself, closes it, and waits
 * for those that joined. A worker that comes late does not join, so nobody waits for a thread that never started.
 */
import type { AddressBits } from './assembler.ts'
import { CONTROL, codeWord, ENTRY, ENTRY_WORDS, GROUP_CODE, NATIVE_CODE } from './control.ts'
import { growMemory } from './memory.ts'

type RunFunction = (args: number, start: number, end: number, local: number) => void

const OPEN = 0x80
const JOINED = 0x7f
/** Threads that a dispatch can count. */
export const MAX_THREADS = 64
/**
 * Milliseconds that an idle worker spins before it sleeps: inside a plan, after one, and where other processes want the
 * cores. Whoever spins there uses up the time that the system would give it for work, and loses its core amid a grain that
 * all others then wait for; whoever slept is let in soon when it is woken.
 */
const SPIN_ACTIVE = 0.4
const SPIN_IDLE = 0.05
const SPIN_CONTENDED = 0.01
/**
 * Milliseconds that the leader spins for the last grains of others, which take 0.2 at most; then one of them has lost its
 * core, and may have this one.
 */
const SPIN_LEADER = 0.5
/** Between two looks at the clock a few microseconds pass; where it is so many milliseconds, the thread was not running. */
const LOST_CORE = 0.3
/** Dispatches after which it is tried again whether the cores are free. */
const CONTENDED_DISPATCHES = 300
/** Turns of a wait from one look at the clock to the next. */
const TURNS = 64

const pause: () => void =
  (Atomics as unknown as { pause?: () => void }).pause?.bind(Atomics) ?? (() => undefined)

/** The address of an entry's argument block. */
const argsOf = (words: Int32Array, entry: number): number => (words[entry + ENTRY.args] >>> 0) * 4

/** What one thread needs to take part. */
export class TeamThread {
  readonly #memory: WebAssembly.Memory
  readonly #addressBits: AddressBits
  readonly #index: number
  readonly #canWait: boolean
  readonly #functions: RunFunction[] = []
  /** Runs a call of a system library, given the number of the first word of its arguments; only a thread that leads programs needs one. */
  native: ((words: Int32Array, args: number) => void) | null = null
  #words: Int32Array
  #epoch = 0

  /** Thread 0 is the caller; `canWait` is false on a browser's main thread, which may not sleep. */
  constructor(memory: WebAssembly.Memory, addressBits: AddressBits, index: number, canWait: boolean) {
    this.#memory = memory
    this.#addressBits = addressBits
    this.#index = index
    this.#canWait = canWait
    this.#words = new Int32Array(memory.buffer)
  }

  /** Views end where the memory ended when they were made. */
  refresh(): void {
    // growing by nothing makes this thread notice what another one did
    growMemory(this.#memory, 0, this.#addressBits)
    this.#words = new Int32Array(this.#memory.buffer)
  }

  /** Compiled code by its number; a thread compiles what it has not used yet. */
  #function(code: number): RunFunction {
    const known = this.#functions[code]
    if (known) return known
    const place = this.#words[codeWord(code)] >>> 0
    const bytes = new Uint8Array(this.#memory.buffer, place * 4, this.#words[codeWord(code) + 1]).slice()
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
      env: { memory: this.#memory },
    })
    const run = instance.exports.run as RunFunction
    this.#functions[code] = run
    return run
  }

  #local(): number {
    const words = this.#words
    return (words[CONTROL.localBase] >>> 0) * 4 + this.#index * words[CONTROL.localStride]
  }

  /**
   * Runs program entries `from` to `count` - 1 in order, with the help of whoever joins, until they are done or `deadline`
   * (of `performance.now()`) has passed. Gives the number of the first entry that is not done.
   */
  lead(program: number, from: number, count: number, deadline = Number.POSITIVE_INFINITY): number {
    if (this.#words[CONTROL.pages] * 65536 > this.#words.byteLength) this.refresh()
    const words = this.#words
    const canShare = Atomics.load(words, CONTROL.ready) > 0
    const isTimed = deadline !== Number.POSITIVE_INFINITY
    let entry = program / 4 + from * ENTRY_WORDS
    let sinceLook = 0
    for (let i = from; i < count; i++, entry += ENTRY_WORDS) {
      const units = words[entry + ENTRY.units]
      if (canShare && words[entry + ENTRY.parallel] === 1) {
        this.#share(entry)
        sinceLook = 64
      } else if (words[entry + ENTRY.code] === NATIVE_CODE) {
        this.#runNative(words[entry + ENTRY.args] >>> 0)
        sinceLook = 64
      } else if (words[entry + ENTRY.code] === GROUP_CODE) this.#runGroup(entry)
      else if (units > 0) this.#runUnits(entry, 0, units)
      if (isTimed && ++sinceLook >= 16) {
        sinceLook = 0
        if (performance.now() >= deadline) return i + 1
      }
    }
    return count
  }

  #runUnits(entry: number, start: number, end: number): void {
    const words = this.#words
    this.#function(words[entry + ENTRY.code])(argsOf(words, entry), start, end, this.#local())
  }

  /** Alone, member by member. */
  #runGroup(group: number): void {
    const words = this.#words
    const members = words[group + ENTRY.args] >>> 0
    for (let m = 0; m < words[group + ENTRY.members]; m++) {
      const entry = words[members + 2 * m] >>> 0
      this.#runUnits(entry, 0, words[entry + ENTRY.units])
    }
  }

  #runNative(args: number): void {
    Atomics.store(this.#words, CONTROL.yielded, 1)
    try {
      this.native!(this.#words, args)
    } finally {
      Atomics.store(this.#words, CONTROL.yielded, 0)
    }
  }

  #share(entry: number): void {
    const words = this.#words
    words[CONTROL.entry] = entry
    const contended = Atomics.load(words, CONTROL.contended)
    if (contended > 0) Atomics.store(words, CONTROL.contended, contended - 1)
    Atomics.store(words, CONTROL.left, 0)
    Atomics.store(words, CONTROL.next, 0)
    this.#epoch = ((Atomics.load(words, CONTROL.state) >>> 8) + 1) & 0xffffff
    Atomics.store(words, CONTROL.state, (this.#epoch << 8) | OPEN)
    if (Atomics.load(words, CONTROL.sleepers) > 0) {
      Atomics.add(words, CONTROL.wake, 1)
      Atomics.notify(words, CONTROL.wake)
    }
    try {
      this.#work(entry)
    } finally {
      let state = Atomics.load(words, CONTROL.state)
      for (;;) {
        const seen = Atomics.compareExchange(words, CONTROL.state, state, state & ~OPEN)
        if (seen === state) break
        state = seen
      }
      this.#await(state & JOINED)
    }
    if (Atomics.exchange(words, CONTROL.failed, 0) !== 0)
      throw new Error('[cpu] a worker thread failed while it ran a kernel: its message is on stderr')
  }

  /** Waits until the workers that joined are done: they are at their last grain, so it is short. */
  #await(joined: number): void {
    const words = this.#words
    let since = 0
    for (let turns = 1; ; turns++) {
      const left = Atomics.load(words, CONTROL.left)
      if (left === joined) return
      pause()
      if (turns % TURNS !== 0 || !this.#canWait) continue
      const now = performance.now()
      if (since === 0) since = now
      if (now - since < SPIN_LEADER) continue
      Atomics.store(words, CONTROL.contended, CONTENDED_DISPATCHES)
      Atomics.store(words, CONTROL.leaderWaits, 1)
      if (Atomics.load(words, CONTROL.left) === left) Atomics.wait(words, CONTROL.left, left, 10)
      Atomics.store(words, CONTROL.leaderWaits, 0)
    }
  }

  /** Takes units until none are left. */
  #work(entry: number): void {
    const words = this.#words
    if (words[entry + ENTRY.code] === GROUP_CODE) {
      this.#workOnGroup(entry)
      return
    }
    const run = this.#function(words[entry + ENTRY.code])
    const args = argsOf(words, entry)
    const units = words[entry + ENTRY.units]
    const grain = words[entry + ENTRY.grain]
    const local = this.#local()
    for (;;) {
      const start = Atomics.add(words, CONTROL.next, grain)
      if (start >= units) return
      run(args, start, Math.min(units, start + grain), local)
    }
  }

  /** Takes grains of a group's members until none are left. */
  #workOnGroup(group: number): void {
    const words = this.#words
    const members = words[group + ENTRY.args] >>> 0
    const grains = words[group + ENTRY.units]
    let member = 0
    for (;;) {
      const taken = Atomics.add(words, CONTROL.next, 1)
      if (taken >= grains) return
      while (member + 1 < words[group + ENTRY.members] && words[members + 2 * member + 3] <= taken) member++
      const entry = words[members + 2 * member] >>> 0
      const grain = words[entry + ENTRY.grain]
      const start = (taken - words[members + 2 * member + 1]) * grain
      this.#runUnits(entry, start, Math.min(words[entry + ENTRY.units], start + grain))
    }
  }

  /** A worker's life. `onLead` is told when a program that this worker was asked to lead is done, or why it failed. */
  serve(onLead: ((error: unknown) => void) | null): void {
    Atomics.add(this.#words, CONTROL.ready, 1)
    let done = -1
    let lastLead = 0
    let idleSince = performance.now()
    let looked = idleSince
    for (let turns = 0; ; turns++) {
      const words = this.#words
      const state = Atomics.load(words, CONTROL.state)
      const epoch = state >>> 8
      if ((state & OPEN) !== 0 && epoch !== done) {
        if (Atomics.compareExchange(words, CONTROL.state, state, state + 1) !== state) continue
        done = epoch
        this.#join()
        idleSince = looked = performance.now()
        continue
      }
      const request = Atomics.load(words, CONTROL.leadRequest)
      if (onLead && request !== lastLead) {
        lastLead = request
        this.#leadRequested(onLead)
        done = Atomics.load(words, CONTROL.state) >>> 8
        idleSince = looked = performance.now()
        continue
      }
      if (Atomics.load(words, CONTROL.stop) !== 0) return
      pause()
      if (turns % TURNS !== 0) continue
      const now = performance.now()
      if (now - looked > LOST_CORE) Atomics.store(words, CONTROL.contended, CONTENDED_DISPATCHES)
      looked = now
      if (now - idleSince < this.#patience()) continue
      this.#sleep(done, onLead ? lastLead : null)
      idleSince = looked = performance.now()
    }
  }

  /** Milliseconds that an idle worker spins. */
  #patience(): number {
    const words = this.#words
    if (Atomics.load(words, CONTROL.yielded) !== 0) return 0
    if (Atomics.load(words, CONTROL.contended) > 0) return SPIN_CONTENDED
    return Atomics.load(words, CONTROL.active) !== 0 ? SPIN_ACTIVE : SPIN_IDLE
  }

  #join(): void {
    try {
      if (this.#words[CONTROL.pages] * 65536 > this.#words.byteLength) this.refresh()
      this.#work(this.#words[CONTROL.entry] >>> 0)
    } catch (error) {
      console.error(error)
      Atomics.store(this.#words, CONTROL.failed, 1)
    }
    Atomics.add(this.#words, CONTROL.left, 1)
    if (Atomics.load(this.#words, CONTROL.leaderWaits) !== 0) Atomics.notify(this.#words, CONTROL.left)
  }

  #leadRequested(onLead: (error: unknown) => void): void {
    try {
      const words = this.#words
      this.lead((words[CONTROL.leadProgram] >>> 0) * 4, 0, words[CONTROL.leadCount])
      onLead(null)
    } catch (error) {
      onLead(error)
    }
  }

  /** Sleeps unless something to do came up since it was looked for. */
  #sleep(done: number, lastLead: number | null): void {
    const words = this.#words
    Atomics.add(words, CONTROL.sleepers, 1)
    const wake = Atomics.load(words, CONTROL.wake)
    const state = Atomics.load(words, CONTROL.state)
    const hasWork = (state & OPEN) !== 0 && state >>> 8 !== done
    const hasLead = lastLead !== null && Atomics.load(words, CONTROL.leadRequest) !== lastLead
    if (!hasWork && !hasLead && Atomics.load(words, CONTROL.stop) === 0)
      Atomics.wait(words, CONTROL.wake, wake)
    Atomics.sub(words, CONTROL.sleepers, 1)
  }
}
