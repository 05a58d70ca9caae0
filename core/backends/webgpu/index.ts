export { probeAdapter } from './adapter.ts'
export { createWebGpuBackend, type WebGpuBackend } from './backend.ts'
