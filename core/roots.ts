/** Evaluated roots that stay on a device: counted, and freed when nobody can reach them any more. */
import type { DeviceStorage, Value } from './graph.ts'

const live = new Set<DeviceStorage>()
let bytes = 0

function release(storage: DeviceStorage): void {
  if (!live.delete(storage)) return
  bytes -= storage.buffer.bytes
  storage.backend.free(storage.buffer)
}

const collected = new FinalizationRegistry<DeviceStorage>(release)

/** Frees the storage when the value is garbage. */
export function trackRoot(value: Value, storage: DeviceStorage): DeviceStorage {
  live.add(storage)
  bytes += storage.buffer.bytes
  collected.register(value, storage)
  return storage
}

export const rootBytes = { get: (): number => bytes, release }
