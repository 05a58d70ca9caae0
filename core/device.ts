/** Which device runs what: backends are made once, on first use. */
import type { Backend, DeviceName } from './backend.ts'
import { createCpuBackend, hasMemory64 } from './backends/cpu/index.ts'
import { debug } from './debug.ts'

export type DeviceChoice = 'auto' | DeviceName

export interface DeviceOptions {
  /** cpu: number of threads, the calling one included; all cores unless given (or TUNESMITH_THREADS). */
  threads?: number
  /** cpu: with false all work happens on workers and the caller only awaits; synchronous reads then throw. */
  mainThread?: boolean
  /** cpu: 64 for a memory beyond 4 GiB (up to 16), somewhat slower; 32 unless given (or TUNESMITH_ADDRESS_BITS). */
  addressBits?: 32 | 64
  /**
   * cpu: a system BLAS for large matrix products: `auto` (look for one), `off`, or a library's path; TUNESMITH_BLAS unless
   * given. With one, bits depend on the library and its threads.
   */
  blas?: 'auto' | 'off' | (string & {})
  /** webgpu: a software adapter is used only when asked for. */
  adapter?: 'hardware' | 'software' | 'any'
  /** reference: compute in float64, for finite differences. */
  float64?: boolean
}

const environment = (name: string): string | undefined =>
  (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env?.[name]

const NAMES: readonly DeviceChoice[] = ['auto', 'cpu', 'webgpu', 'reference']

function checkName(name: string): DeviceChoice {
  if (!NAMES.includes(name as DeviceChoice))
    throw new RangeError(`[device] "${name}" is not one of ${NAMES.join(', ')}`)
  return name as DeviceChoice
}

const backends = new Map<DeviceName, Backend>()
const starting = new Map<DeviceName, Promise<Backend>>()
let chosen: DeviceChoice = checkName(environment('TUNESMITH_DEVICE') ?? 'auto')
let chosenOptions: DeviceOptions = {}

async function create(name: DeviceName, options: DeviceOptions): Promise<Backend> {
  if (name === 'cpu') return createCpuBackend(options)
  if (name === 'reference')
    return (await import('./backends/reference/index.ts')).createReferenceBackend(options)
  const { createWebGpuBackend } = await import('./backends/webgpu/index.ts')
  // TUNESMITH_ADAPTER serves tests and machines without a GPU, where the software adapter must be asked for
  const adapter = options.adapter ?? (environment('TUNESMITH_ADAPTER') as DeviceOptions['adapter'])
  return createWebGpuBackend({ ...options, adapter })
}

/** The backend of a device, started if it is not running yet. */
export async function backendFor(name: DeviceName, options: DeviceOptions = chosenOptions): Promise<Backend> {
  const known = backends.get(name)
  if (known) return known
  let pending = starting.get(name)
  if (!pending) {
    pending = create(name, options)
    starting.set(name, pending)
  }
  try {
    const backend = await pending
    backends.set(name, backend)
    return backend
  } finally {
    starting.delete(name)
  }
}

/** The same without waiting: a running backend, or the cpu, which starts at once. */
export function backendNow(name: DeviceName): Backend | null {
  const known = backends.get(name)
  if (known || name !== 'cpu') return known ?? null
  const backend: Backend = createCpuBackend(chosenOptions)
  backends.set('cpu', backend)
  return backend
}

/** `auto` is settled once: a hardware GPU if there is one, else the cpu. */
async function settle(): Promise<DeviceName> {
  if (chosen !== 'auto') return chosen
  const { probeAdapter } = await import('./backends/webgpu/index.ts')
  const adapter = await probeAdapter().catch(() => null)
  // a synchronous read may have settled it meanwhile
  if (chosen === 'auto') chosen = adapter ? 'webgpu' : 'cpu'
  const backend = await backendFor(chosen)
  debug(1, () => `device: ${backend.name} (${backend.description})`)
  return chosen
}

/** Where nodes of unbound host data run. */
export const defaultBackend = async (): Promise<Backend> => backendFor(await settle())

/** The default backend for a synchronous read: settles `auto` on the cpu. Null where the device cannot be read without waiting. */
export function defaultBackendNow(): Backend | null {
  if (chosen === 'auto') chosen = 'cpu'
  return backendNow(chosen)
}

/** The default backend where it was chosen already; asking settles nothing. */
export const chosenBackend = (): Backend | null => (chosen === 'auto' ? null : backendNow(chosen))

/**
 * Chooses the device for everything that is not bound to one yet, and starts it. `auto` takes a hardware GPU where there is
 * one, else the cpu.
 * @returns the device's name and description
 * @throws where the device cannot be had, saying what is missing
 */
export async function setDefaultDevice(
  choice: DeviceChoice,
  options: DeviceOptions = {},
): Promise<{ name: DeviceName; description: string }> {
  checkName(choice)
  const before = { chosen, chosenOptions }
  chosen = choice
  chosenOptions = options
  try {
    const name = await settle()
    const running = backends.get(name)
    const { threads, blas, float64, mainThread, addressBits } = options
    const changes = [threads, blas, float64, mainThread, addressBits].some((option) => option !== undefined)
    if (running && changes) await restart(name)
    const backend = await backendFor(name)
    return { name, description: backend.description }
  } catch (e) {
    ;({ chosen, chosenOptions } = before)
    throw e
  }
}

/** Other options need another backend; States that live on the old one would be lost, so that is an error. */
async function restart(name: DeviceName): Promise<void> {
  const backend = backends.get(name)!
  if (backend.memory().buffers > 0)
    throw new Error(
      `[setDefaultDevice] ${name} is in use with other options: choose them before the first tensor is evaluated, or shutdown() first`,
    )
  // plans are made for one backend, its threads and its BLAS
  for (const hook of shutdownHooks) hook()
  backends.delete(name)
  await backend.shutdown()
}

/** Weights beyond this are taken not to fit 4 GiB with what else is needed. */
const FITS_32_BITS = 3.5 * 2 ** 30

/**
 * Tells that so many bytes of weights are about to live on the default device: the cpu then takes 64-bit addresses where
 * 32-bit ones would not do, unless their width was chosen, or something lives on it already.
 */
export async function expectWeights(bytes: number): Promise<void> {
  const isChosen = chosenOptions.addressBits !== undefined || Boolean(environment('TUNESMITH_ADDRESS_BITS'))
  if (bytes <= FITS_32_BITS || isChosen || !hasMemory64() || (await settle()) !== 'cpu') return
  const running = await backendFor('cpu')
  if (running.memory().buffers > 0) return
  chosenOptions = { ...chosenOptions, addressBits: 64 }
  await restart('cpu')
  debug(1, () => `cpu: 64-bit addresses, for ${(bytes / 2 ** 30).toFixed(1)} GiB of weights`)
}

export const runningBackends = (): readonly Backend[] => [...backends.values()]

const shutdownHooks: (() => void)[] = []
/** What else must be let go before the backends are. */
export const onShutdown = (hook: () => void): void => {
  shutdownHooks.push(hook)
}

/** Stops workers and devices. Tensors on them are lost; the next op starts anew. A script that ends needs no call. */
export async function shutdown(): Promise<void> {
  for (const hook of shutdownHooks) hook()
  const all = [...backends.values()]
  backends.clear()
  await Promise.all(all.map((b) => b.shutdown()))
}
