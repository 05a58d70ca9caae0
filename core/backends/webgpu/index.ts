export { type AdapterChoice, type AdapterReport, probeAdapter } from './adapter.ts'
export { createWebGpuBackend, type WebGpuBackend, type WebGpuOptions } from './backend.ts'
