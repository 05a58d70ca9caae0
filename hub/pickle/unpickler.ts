import { quote } from '../errors.ts'
import { TorchFileError } from './errors.ts'

/** A name that a pickle refers to, such as `torch.FloatStorage`. Nothing is ever imported for it. */
export class PickledGlobal {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** What a pickle may hold. Dicts, ordered or not, are Maps, tuples and lists arrays; other objects come from `call`. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | PickledGlobal
  | object

/** What the two doors out of a pickle lead to; everything that neither foresees is refused. */
export interface PickleHandlers {
  /** Whether the pickle may name this, `module.name`. */
  allows(name: string): boolean
  /** The object that calling an allowed name gives. */
  call(name: string, args: readonly PickleValue[]): PickleValue
  /** What a persistent id, PyTorch's reference to a storage, stands for. */
  persistent(id: PickleValue): PickleValue
}

/** Thrown where a pickle goes on behind the bytes given. */
export class PickleEndsError extends TorchFileError {}

const MARK = Symbol('mark')
type StackItem = PickleValue | typeof MARK

/**
 * Reads one pickle as data. Opcodes that build lists, tuples, dicts, numbers and strings are carried out, those that name or
 * call something ask `handlers`, and all others are refused: no code of the file, nor code that it names, ever runs. Work and
 * memory are linear in the bytes, since what is used twice is not copied. Protocols 2 to 5.
 *
 * Source of the opcodes: CPython's Lib/pickletools.py.
 *
 * @returns the value, and where the pickle ended
 * @throws TorchFileError for what is malformed or refused
 */
export function unpickle(
  bytes: Uint8Array,
  begin: number,
  handlers: PickleHandlers,
): { value: PickleValue; end: number } {
  return new Unpickler(bytes, begin, handlers).run()
}

class Unpickler {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #handlers: PickleHandlers
  readonly #memo = new Map<number, PickleValue>()
  readonly #stack: StackItem[] = []
  #at: number

  constructor(bytes: Uint8Array, begin: number, handlers: PickleHandlers) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#handlers = handlers
    this.#at = begin
  }

  run(): { value: PickleValue; end: number } {
    for (;;) {
      const opcode = this.#byte()
      if (opcode === 0x2e) return { value: this.#pop(), end: this.#at } // STOP
      this.#step(opcode)
    }
  }

  #step(opcode: number): void {
    const stack = this.#stack
    switch (opcode) {
      case 0x80: // PROTO
        if (this.#byte() > 5) this.#fail('its pickle protocol is newer than 5')
        return
      case 0x95: // FRAME
        this.#size(8)
        return
      case 0x4e: // NONE
        stack.push(null)
        return
      case 0x88: // NEWTRUE
        stack.push(true)
        return
      case 0x89: // NEWFALSE
        stack.push(false)
        return
      case 0x4b: // BININT1
        stack.push(this.#byte())
        return
      case 0x4d: // BININT2
        stack.push(this.#view.getUint16(this.#take(2), true))
        return
      case 0x4a: // BININT
        stack.push(this.#view.getInt32(this.#take(4), true))
        return
      case 0x8a: // LONG1
        stack.push(this.#long(this.#byte()))
        return
      case 0x47: // BINFLOAT, the one big-endian number
        stack.push(this.#view.getFloat64(this.#take(8), false))
        return
      case 0x8c: // SHORT_BINUNICODE
        stack.push(this.#string(this.#byte()))
        return
      case 0x58: // BINUNICODE
        stack.push(this.#string(this.#size(4)))
        return
      case 0x8d: // BINUNICODE8
        stack.push(this.#string(this.#size(8)))
        return
      case 0x43: // SHORT_BINBYTES
        stack.push(this.#slice(this.#byte()))
        return
      case 0x42: // BINBYTES
        stack.push(this.#slice(this.#size(4)))
        return
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        stack.push([])
        return
      case 0x7d: // EMPTY_DICT
        stack.push(new Map())
        return
      case 0x28: // MARK
        stack.push(MARK)
        return
      case 0x74: // TUPLE
        stack.push(this.#popToMark())
        return
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        stack.push(this.#popMany(opcode - 0x84))
        return
      case 0x61: // APPEND
        this.#appendAll([this.#pop()])
        return
      case 0x65: // APPENDS
        this.#appendAll(this.#popToMark())
        return
      case 0x73: // SETITEM
        this.#setAll(this.#popMany(2))
        return
      case 0x75: // SETITEMS
        this.#setAll(this.#popToMark())
        return
      case 0x71: // BINPUT
        this.#memo.set(this.#byte(), this.#top())
        return
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#size(4), this.#top())
        return
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top())
        return
      case 0x68: // BINGET
        this.#recall(this.#byte())
        return
      case 0x6a: // LONG_BINGET
        this.#recall(this.#size(4))
        return
      case 0x30: // POP
        if (stack.pop() === undefined) this.#fail('its pickle takes from an empty stack')
        return
      case 0x63: // GLOBAL
        this.#global(this.#line(), this.#line())
        return
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.#popMany(2)
        if (typeof module !== 'string' || typeof name !== 'string')
          this.#fail('a name in its pickle is no text')
        this.#global(module, name)
        return
      }
      case 0x51: // BINPERSID
        stack.push(this.#handlers.persistent(this.#pop()))
        return
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const [callee, args] = this.#popMany(2)
        if (!(callee instanceof PickledGlobal) || !Array.isArray(args))
          this.#fail('its pickle calls what is no function')
        stack.push(this.#handlers.call(callee.name, args))
        return
      }
      case 0x62: // BUILD: attributes of an OrderedDict (state dicts carry version numbers in `_metadata`), not needed
        this.#pop()
        if (!(this.#top() instanceof Map))
          this.#fail('its pickle sets attributes of an object, which is refused')
        return
      default:
        this.#fail(`its pickle uses the opcode 0x${opcode.toString(16)}, which is refused`)
    }
  }

  #global(module: string, name: string): void {
    const full = `${module}.${name}`
    if (!this.#handlers.allows(full))
      throw new TorchFileError(
        `refuses ${quote(full)}, which its pickle asks to import: only tensors, numbers, text, lists and dicts are read`,
      )
    this.#stack.push(new PickledGlobal(full))
  }

  #appendAll(items: PickleValue[]): void {
    const list = this.#top()
    if (!Array.isArray(list)) this.#fail('its pickle appends to what is no list')
    for (const item of items) list.push(item)
  }

  #setAll(items: PickleValue[]): void {
    const map = this.#top()
    if (!(map instanceof Map) || items.length % 2 !== 0)
      this.#fail('its pickle sets items of what is no dict')
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1])
  }

  #recall(key: number): void {
    const value = this.#memo.get(key)
    if (value === undefined) this.#fail(`its pickle recalls ${key}, which it never stored`)
    this.#stack.push(value)
  }

  #top(): PickleValue {
    const item = this.#stack.at(-1)
    if (item === undefined || item === MARK) this.#fail('its pickle takes from an empty stack')
    return item as PickleValue
  }

  #pop(): PickleValue {
    const item = this.#top()
    this.#stack.pop()
    return item
  }

  #popMany(count: number): PickleValue[] {
    const items: PickleValue[] = []
    for (let i = 0; i < count; i++) items.unshift(this.#pop())
    return items
  }

  #popToMark(): PickleValue[] {
    const mark = this.#stack.lastIndexOf(MARK)
    if (mark < 0) this.#fail('its pickle looks for a mark that is not there')
    const items = this.#stack.splice(mark)
    items.shift()
    return items as PickleValue[]
  }

  #take(count: number): number {
    const at = this.#at
    if (at + count > this.#bytes.length)
      throw new PickleEndsError('its pickle ends too early; truncated, fetch it again')
    this.#at += count
    return at
  }

  #byte(): number {
    return this.#bytes[this.#take(1)]
  }

  /** A length; one beyond the bytes is found out where they are taken. */
  #size(width: 4 | 8): number {
    const at = this.#take(width)
    return width === 4 ? this.#view.getUint32(at, true) : Number(this.#view.getBigUint64(at, true))
  }

  #slice(length: number): Uint8Array {
    const at = this.#take(length)
    return this.#bytes.slice(at, at + length)
  }

  #string(length: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.#slice(length))
    } catch (error) {
      if (error instanceof TorchFileError) throw error
      return this.#fail('a text in its pickle is not valid UTF-8')
    }
  }

  /** A little-endian two's complement number of any length up to 255 bytes; those that fit become numbers. */
  #long(length: number): number | bigint {
    const at = this.#take(length)
    let value = 0n
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#bytes[at + i])
    const signed = BigInt.asIntN(8 * length, value)
    const small = Number(signed)
    return Number.isSafeInteger(small) ? small : signed
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at)
    if (end < 0) throw new PickleEndsError('its pickle ends too early; truncated, fetch it again')
    const text = new TextDecoder().decode(this.#slice(end - this.#at))
    this.#at = end + 1
    return text
  }

  #fail(reason: string): never {
    throw new TorchFileError(`${reason} (byte ${this.#at})`)
  }
}
