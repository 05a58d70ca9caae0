/** What `conformance --browser` calls in the page. */
import { type DeviceChoice, type DeviceName, setDefaultDevice } from '../../core/index.ts'
import { type ModelFolder, openModelFolder } from '../../hub/index.ts'
import type { CaseResult } from '../conformance/safetensors.ts'
import { casesLike } from '../conformance/selection.ts'
import { chooseSuites, runSuite as run } from '../conformance/suites.ts'

let device: DeviceName = 'cpu'

/** Starts the device; gives its name and description. */
export async function start(choice: DeviceChoice, threads?: number): Promise<string> {
  const adapter = choice === 'webgpu' ? 'any' : undefined
  const { name, description } = await setDefaultDevice(choice, { threads, adapter })
  device = name
  return `${name} (${description})`
}

/** All cases of a suite of the goldens at a URL. */
export async function runSuite(goldens: string, name: string, only?: string[]): Promise<CaseResult[]> {
  const [suite] = await chooseSuites(await servedFolder(goldens), [name])
  const wanted = casesLike(only)
  const results: CaseResult[] = []
  for await (const result of run(suite, { device, hub: undefined, wanted })) results.push(result)
  return results
}

/** A folder of our own server, which tells what is in it. */
async function servedFolder(url: string): Promise<ModelFolder> {
  const folder = await openModelFolder(url)
  return { ...folder, list: async (path) => (await fetch(`${url}/${path}?list`)).json() }
}
