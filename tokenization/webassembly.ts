/** The part of the WebAssembly API that the engine needs; TypeScript declares it only together with the whole DOM. */

export interface WasmModule {
  readonly [Symbol.toStringTag]: 'WebAssembly.Module'
}

export interface WasmMemory {
  readonly buffer: ArrayBuffer
}

interface WasmApi {
  Module: new (bytes: Uint8Array) => WasmModule
  Instance: new (module: WasmModule, imports: object) => { readonly exports: object }
  RuntimeError: new (message?: string) => Error
  compile(bytes: Uint8Array): Promise<WasmModule>
  compileStreaming(response: Promise<Response>): Promise<WasmModule>
}

export const webAssembly = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly
