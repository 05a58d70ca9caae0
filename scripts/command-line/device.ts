import type { DeviceChoice, DeviceName } from '../../core/index.ts'
import { InputError, messageOf } from '../../hub/errors.ts'
import { notice } from './output.ts'

export interface DeviceArguments {
  device?: DeviceChoice
  threads?: number
}

export interface ChosenDevice {
  name: DeviceName
  description: string
  /** Threads that compute: of the cpu device as chosen, 1 for the reference, and 0 where a GPU does. */
  threads: number
}

/**
 * Starts the device of a command and says on stderr which it is. Where webgpu is asked for by name, a software adapter
 * will do; `auto` never takes one.
 * @throws InputError where the device cannot be had
 */
export async function useDevice({ device, threads }: DeviceArguments): Promise<ChosenDevice> {
  const { setDefaultDevice } = await import('../../core/index.ts')
  const choice = device ?? (process.env.TUNESMITH_DEVICE as DeviceChoice | undefined) ?? 'auto'
  const asked = process.env.TUNESMITH_ADAPTER as 'hardware' | 'software' | 'any' | undefined
  const adapter = asked ?? (choice === 'webgpu' ? 'any' : undefined)
  let started: { name: DeviceName; description: string }
  try {
    started = await setDefaultDevice(choice, { threads, adapter })
  } catch (error) {
    throw new InputError(messageOf(error))
  }
  notice(`device: ${started.name}${started.description ? ` (${started.description})` : ''}`)
  return { ...started, threads: await threadsOf(started.name, threads) }
}

async function threadsOf(name: DeviceName, asked: number | undefined): Promise<number> {
  if (name === 'reference') return 1
  if (name === 'webgpu') return 0
  const { availableParallelism } = await import('node:os')
  return asked ?? (Number(process.env.TUNESMITH_THREADS) || availableParallelism())
}
