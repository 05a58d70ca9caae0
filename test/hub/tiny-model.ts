import { join } from 'node:path'
import { vi } from 'vitest'
import { bytesOf, HubError, type SnapshotOptions, serializeSafetensors } from '../../hub/index.ts'
import { type LocalHubOptions, localHub } from './local-hub.ts'
import { temporaryFolder } from './temporary-folder.ts'

export const id = 'owner/tiny-model'
export const token = 'hf_secretsecret'
/** 20 kB, so that a connection can be cut within. */
export const weights = await serializeSafetensors([
  { name: 'w', dtype: 'F32', shape: [5000], bytes: bytesOf(new Float32Array(5000).fill(2)) },
])
export const model = {
  'README.md': '# tiny',
  'config.json': '{"model_type":"bert"}',
  'empty.json': '',
  'model.safetensors': weights,
  'model.fp16.safetensors': weights.subarray(0, 9),
  'onnx/config.json': '{}',
  'pytorch_model.bin': 'not for us',
  'tokenizer.json': '{"version":"1.0"}',
}
/** What of it a model needs. */
export const needed = ['config.json', 'empty.json', 'model.safetensors', 'tokenizer.json']

/** For `beforeEach`: nothing of the machine's own settings, and no way out of it. */
export function isolateEnvironment() {
  for (const name of Object.keys(process.env).filter((key) => /^(HF_|HUGGING|TRANSFORMERS_)/.test(key)))
    vi.stubEnv(name, undefined)
  vi.stubEnv('HF_TOKEN_PATH', '/nonexistent')
  vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:9')
  return () => vi.unstubAllEnvs()
}

/** A Hub with a model, and an empty cache. */
export async function setup(options: Partial<LocalHubOptions> = {}) {
  const hub = await localHub({ id, files: model, ...options })
  const cacheDir = await temporaryFolder()
  const settings: SnapshotOptions = { endpoint: hub.endpoint, cacheDir, retryDelay: 1 }
  return { hub, cacheDir, settings, repo: join(cacheDir, 'models--owner--tiny-model') }
}

/** The message of a HubError; anything else is a defect. */
export const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no failure',
    (error: unknown) => (error instanceof HubError ? error.message : `a defect: ${error}`),
  )
