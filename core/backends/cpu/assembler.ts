/**
 * A small WebAssembly assembler: functions are written in TypeScript with typed values (`assembler-values.ts`) and
 * structured control, and come out as the bytes of a module that imports the shared memory as `env.memory`.
 *
 *     const module = new ModuleBuilder()
 *     module.function('run', { args: I32, start: I32, end: I32 }, (f, { args, start, end }) => {
 *       const x = f.let(args.load(0))
 *       f.for(start, end, 1, (i) => f.storeF32(x.add(i.mul(4)), F32.const(1)))
 *     })
 *     const bytes = module.bytes()
 */
import { Address } from './assembler-address.ts'
import { type ByWidth, type Code, TYPE_CODE, unsignedLeb, type ValueType } from './assembler-code.ts'
import { F32, I32 } from './assembler-scalars.ts'
import type { Value } from './assembler-values.ts'
import { F32x4, I32x4 } from './assembler-vectors.ts'

export { Address, F32, F32x4, I32, I32x4, type Value }

/** The class of a value: `Address`, `I32`, `F32`, `F32x4` or `I32x4`. */
export type ValueClass = typeof Address | typeof I32 | typeof F32 | typeof F32x4 | typeof I32x4

/** A local variable: a value that can be set. */
export type Variable<T extends Value> = T & {
  set(value: T | (T extends Address | I32 | F32 ? number : never)): void
}

/** Bits of an address: the memory's kind, and the width of `Address` values. */
export type AddressBits = 32 | 64

type Parameters = Readonly<Record<string, ValueClass>>
type ParameterVariables<P extends Parameters> = { [K in keyof P]: Variable<InstanceType<P[K]>> }

/** Where `br` goes: the end of a block, the start of a loop. */
export interface Label {
  readonly depth: number
}

const VOID = 0x40

/** Writes the body of one function. */
export class FunctionBuilder {
  readonly #module: ModuleBuilder
  readonly #locals: ValueType[] = []
  readonly #parameterCount: number
  #body: (number | Code)[] = []
  #depth = 0

  constructor(module: ModuleBuilder, parameterCount: number) {
    this.#module = module
    this.#parameterCount = parameterCount
  }

  /** The function's entry of the code section. */
  get code(): Code {
    const types = this.#locals.map((type): Code => [1, TYPE_CODE[type]])
    return [unsignedLeb(types.length), types, this.#body, 0x0b]
  }

  /** A variable for parameter or local number `index`. */
  variable<C extends ValueClass>(Class: C, index: number): Variable<InstanceType<C>> {
    const value = new Class([0x20, unsignedLeb(index)])
    const set = (x: Value | number) => {
      const code = typeof x === 'number' ? (Class as typeof I32).const(x).code : (x as Value).code
      this.#body.push(code, 0x21, unsignedLeb(index))
    }
    return Object.assign(value, { set }) as unknown as Variable<InstanceType<C>>
  }

  /** A new local variable. WebAssembly sets it to zero at entry only: set it before use inside loops. */
  local<C extends ValueClass>(Class: C): Variable<InstanceType<C>> {
    this.#locals.push(typeOf(Class))
    return this.variable(Class, this.#parameterCount + this.#locals.length - 1)
  }

  locals<C extends ValueClass>(Class: C, count: number): Variable<InstanceType<C>>[] {
    return Array.from({ length: count }, () => this.local(Class))
  }

  /** Computes a value here, once, into a new variable. */
  let<T extends Value>(value: T): Variable<T> {
    const variable = this.local(value.constructor as ValueClass) as unknown as Variable<T>
    ;(variable.set as (x: T) => void)(value)
    return variable
  }

  // Control

  block(body: (end: Label) => void): void {
    this.#structured(0x02, body)
  }

  /** Runs once, unless the body branches to `again`. */
  loop(body: (again: Label) => void): void {
    this.#structured(0x03, body)
  }

  br(label: Label): void {
    this.#body.push(0x0c, unsignedLeb(this.#depth - label.depth))
  }

  brIf(label: Label, condition: I32): void {
    this.#body.push(condition.code, 0x0d, unsignedLeb(this.#depth - label.depth))
  }

  return(value?: Value): void {
    if (value) this.#body.push(value.code)
    this.#body.push(0x0f)
  }

  if(condition: I32, then: () => void, otherwise?: () => void): void {
    this.#body.push(condition.code, 0x04, VOID)
    this.#depth++
    then()
    if (otherwise) {
      this.#body.push(0x05)
      otherwise()
    }
    this.#depth--
    this.#body.push(0x0b)
  }

  while(condition: I32, body: () => void): void {
    this.block((end) =>
      this.loop((again) => {
        this.brIf(end, condition.eqz())
        body()
        this.br(again)
      }),
    )
  }

  /** `for (i = from; i < to; i += step)`, signed; `to` and `step` are evaluated at every turn. */
  for(from: I32 | number, to: I32 | number, step: I32 | number, body: (i: Variable<I32>) => void): void {
    const i = this.local(I32)
    i.set(I32.of(from))
    this.forFrom(i, to, step, body)
  }

  /** Goes on from where `i` is: what a vector loop leaves over. */
  forFrom(i: Variable<I32>, to: I32 | number, step: I32 | number, body: (i: Variable<I32>) => void): void {
    this.if(i.ltS(to), () =>
      this.loop((again) => {
        body(i)
        i.set(i.add(step))
        this.brIf(again, i.ltS(to))
      }),
    )
  }

  // Memory

  store(address: Address, value: I32 | number, offset = 0): void {
    this.#body.push(address.code, I32.of(value).code, 0x36, 2, unsignedLeb(offset))
  }

  storeF32(address: Address, value: F32 | number, offset = 0): void {
    this.#body.push(address.code, F32.of(value).code, 0x38, 2, unsignedLeb(offset))
  }

  storeVector(address: Address, value: F32x4 | I32x4, offset = 0): void {
    this.#body.push(address.code, value.code, 0xfd, 11, 2, unsignedLeb(offset))
  }

  /** Stores one 32-bit lane. */
  storeLane(address: Address, value: F32x4 | I32x4, lane: number, offset = 0): void {
    this.#body.push(address.code, value.code, 0xfd, 90, 2, unsignedLeb(offset), lane)
  }

  /** Stores lanes 0 and 1 (`half` 0) or 2 and 3 (`half` 1). */
  storeHalf(address: Address, value: F32x4 | I32x4, half: 0 | 1, offset = 0): void {
    this.#body.push(address.code, value.code, 0xfd, 91, 2, unsignedLeb(offset), half)
  }

  memoryFill(address: Address, byte: I32 | number, bytes: Address | I32 | number): void {
    this.#body.push(address.code, I32.of(byte).code, Address.of(bytes).code, 0xfc, 11, 0)
  }

  memoryCopy(to: Address, from: Address, bytes: Address | I32 | number): void {
    this.#body.push(to.code, from.code, Address.of(bytes).code, 0xfc, 10, 0, 0)
  }

  // Calls and arithmetic that depends on the engine

  call(callee: FunctionHandle, ...args: Value[]): void {
    checkArguments(callee, args)
    this.#body.push(
      args.map((a) => a.code),
      0x10,
      unsignedLeb(callee.index),
    )
  }

  /** The result of a function that returns a value of the class of `result`. */
  callFor<C extends ValueClass>(Class: C, callee: FunctionHandle, ...args: Value[]): InstanceType<C> {
    checkArguments(callee, args)
    return new Class([args.map((a) => a.code), 0x10, unsignedLeb(callee.index)]) as InstanceType<C>
  }

  /** `a * b + c`: fused where the engine has relaxed SIMD. */
  madd(a: F32x4, b: F32x4, c: F32x4): F32x4 {
    return this.#module.relaxedSimd ? a.relaxedMadd(b, c) : a.mul(b).add(c)
  }

  /** `c - a * b`, likewise. */
  nmadd(a: F32x4, b: F32x4, c: F32x4): F32x4 {
    return this.#module.relaxedSimd ? a.relaxedNmadd(b, c) : c.sub(a.mul(b))
  }

  /** Leaves a value on the stack: the function's result. */
  push(value: Value): void {
    this.#body.push(value.code)
  }

  #structured(opcode: number, body: (label: Label) => void): void {
    this.#body.push(opcode, VOID)
    this.#depth++
    body({ depth: this.#depth })
    this.#depth--
    this.#body.push(0x0b)
  }
}

export interface FunctionHandle {
  readonly index: number
  readonly parameters: readonly ValueType[]
}

/** The types of TypeScript do not know the order of parameters; with 32-bit addresses the engine takes one for an i32. */
function checkArguments({ parameters }: FunctionHandle, args: readonly Value[]): void {
  const types = args.map((a) => a.type)
  if (types.length !== parameters.length || types.some((t, i) => t !== parameters[i]))
    throw new TypeError(`[assembler] a function of (${parameters}) is called with (${types})`)
}

export interface ModuleOptions {
  /** Use fused multiply-add. */
  readonly relaxedSimd?: boolean
}

interface BuiltFunction {
  readonly exportName: string | null
  readonly parameters: readonly ValueType[]
  readonly result: ValueType | null
  readonly builder: FunctionBuilder
}

/** The bytes after their number. */
const sized = (content: Code, bits: AddressBits): Code => {
  const bytes = flatten(content, bits)
  return [unsignedLeb(bytes.length), bytes]
}

const vector = (items: readonly Code[]): Code => [unsignedLeb(items.length), ...items]

const name = (text: string): Code => {
  const bytes = [...new TextEncoder().encode(text)]
  return [unsignedLeb(bytes.length), bytes]
}

function flatten(code: Code, bits: AddressBits, out: number[] = []): number[] {
  for (const part of code) {
    if (typeof part === 'number') out.push(part)
    else if ('narrow' in part) flatten(bits === 64 ? part.wide : part.narrow, bits, out)
    else flatten(part, bits, out)
  }
  return out
}

const typeOf = (Class: ValueClass): ValueType =>
  Class === Address ? 'address' : Class === I32 ? 'i32' : Class === F32 ? 'f32' : 'v128'

/** Flags of a memory's limits: with a maximum, shared, and 64-bit. */
const LIMITS = { 32: 0x03, 64: 0x07 } as const
/** Pages of 64 KiB that a memory may have: 4 GiB; 16 GiB is what engines allow ("WebAssembly JavaScript Interface", limits). */
export const MAXIMUM_PAGES = { 32: 65536, 64: 262144 } as const

/** JavaScript's side of an exported function has addresses as numbers: an i32, or an f64, which is exact up to 2^53. */
const EXPORTED_ADDRESS: ByWidth = { narrow: [0x7f], wide: [0x7c] }
const FROM_EXPORTED: ByWidth = { narrow: [], wide: [0xfc, 7] }

export class ModuleBuilder {
  readonly relaxedSimd: boolean
  readonly #functions: BuiltFunction[] = []

  constructor(options: ModuleOptions = {}) {
    this.relaxedSimd = options.relaxedSimd ?? false
  }

  /** Adds a function without a result; with a null name it is for calls inside the module. */
  function<P extends Parameters>(
    exportName: string | null,
    parameters: P,
    write: (f: FunctionBuilder, p: ParameterVariables<P>) => void,
  ): FunctionHandle {
    return this.#add(exportName, parameters, null, (f, p) => {
      write(f, p)
      return null
    })
  }

  /** Adds a function for calls inside the module that returns the value that `write` returns. */
  helper<P extends Parameters, C extends ValueClass>(
    Result: C,
    parameters: P,
    write: (f: FunctionBuilder, p: ParameterVariables<P>) => InstanceType<C>,
  ): FunctionHandle {
    return this.#add(null, parameters, Result, write)
  }

  /** The module for a memory of 32-bit or 64-bit addresses. */
  bytes(bits: AddressBits = 32): Uint8Array<ArrayBuffer> {
    const types = this.#functions.map((f): Code => {
      const results = f.result ? [TYPE_CODE[f.result]] : []
      const parameters = f.parameters.map((t) =>
        t === 'address' && f.exportName !== null ? EXPORTED_ADDRESS : TYPE_CODE[t],
      )
      return [0x60, unsignedLeb(f.parameters.length), parameters, results.length, results]
    })
    const memoryImport: Code = [
      name('env'),
      name('memory'),
      2,
      LIMITS[bits],
      unsignedLeb(0),
      unsignedLeb(MAXIMUM_PAGES[bits]),
    ]
    const exported = this.#functions.flatMap((f, index): Code[] =>
      f.exportName === null ? [] : [[name(f.exportName), 0, unsignedLeb(index)]],
    )
    const bodies = this.#functions.map((f) => sized(f.builder.code, bits))
    const section = (id: number, items: readonly Code[]): Code => [id, sized(vector(items), bits)]
    const sections = [
      section(1, types),
      section(2, [memoryImport]),
      section(
        3,
        this.#functions.map((_, index) => unsignedLeb(index)),
      ),
      section(7, exported),
      section(10, bodies),
    ]
    return new Uint8Array(flatten([[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], sections], bits))
  }

  #add<P extends Parameters>(
    exportName: string | null,
    parameters: P,
    result: ValueClass | null,
    write: (f: FunctionBuilder, p: ParameterVariables<P>) => Value | null,
  ): FunctionHandle {
    const entries = Object.entries(parameters)
    const types = entries.map(([, Class]) => typeOf(Class))
    const f = new FunctionBuilder(this, entries.length)
    const index = this.#functions.length
    this.#functions.push({
      exportName,
      parameters: types,
      result: result ? typeOf(result) : null,
      builder: f,
    })
    const isExported = exportName !== null
    const variables = entries.map(([key, Class], i) => {
      const variable = f.variable(Class, i)
      // an address of JavaScript's is converted once
      const converted =
        isExported && Class === Address ? f.let(new Address([variable.code, FROM_EXPORTED])) : variable
      return [key, converted] as const
    })
    const value = write(f, Object.fromEntries(variables) as unknown as ParameterVariables<P>)
    if (value) f.push(value)
    return { index, parameters: types }
  }
}
