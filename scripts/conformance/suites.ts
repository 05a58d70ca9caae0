/** The suites of a goldens folder, and the runner of each. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { DeviceName } from '../../core/index.ts'
import { InputError } from '../../hub/errors.ts'
import type { CaseResult } from './safetensors.ts'

export interface SuiteOptions {
  device: DeviceName
  /** Folder of the real models. */
  hub: string | undefined
  /** Whether a case, by its path under the suite, was asked for: a runner may leave others out. */
  wanted: (path: string) => boolean
}

export interface Suite {
  name: string
  folder: string
  /** Whether it needs a device. */
  computes: boolean
}

type Run = (folder: string, options: SuiteOptions) => AsyncIterable<CaseResult>

interface SuiteDefinition {
  computes: boolean
  run: Run
}

const SUITES: Record<string, SuiteDefinition> = {
  models: {
    computes: true,
    run: async function* (folder, options) {
      yield* (await import('./models.ts')).runModels(folder, options)
    },
  },
  generation: {
    computes: false,
    run: async function* (folder) {
      yield* (await import('./generation.ts')).runGeneration(folder)
    },
  },
  modules: { computes: false, run: notYet },
  ops: { computes: false, run: notYet },
  optim: {
    computes: true,
    run: async function* (folder, options) {
      yield* (await import('./optim.ts')).runOptim(folder, options)
    },
  },
  tokenizers: {
    computes: false,
    run: async function* (folder, { wanted }) {
      yield* (await import('./tokenizers.ts')).runTokenizers(folder, wanted)
    },
  },
  safetensors: {
    computes: false,
    run: async function* (folder) {
      yield* (await import('./safetensors.ts')).runSafetensors(folder)
    },
  },
  real: {
    computes: true,
    run: async function* (folder, { device, hub, wanted }) {
      if (hub === undefined) yield* skipAll(folder, '--hub DIR was not given')
      else yield* (await import('./real.ts')).runReal(folder, { device, hub, wanted })
    },
  },
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  )

/**
 * The suites of a folder, in a fixed order.
 * @throws InputError where the folder is missing, or a suite has an unknown name
 */
export async function chooseSuites(goldens: string, names: readonly string[] | undefined): Promise<Suite[]> {
  if (!(await isFolder(goldens))) throw new InputError(`[conformance] no such folder: ${goldens}`)
  for (const name of names ?? [])
    if (!Object.hasOwn(SUITES, name))
      throw new InputError(`[conformance] suite ${name} is none of ${Object.keys(SUITES).join(', ')}`)
  const suites: Suite[] = []
  for (const [name, { computes }] of Object.entries(SUITES)) {
    const folder = join(goldens, name)
    if ((!names || names.includes(name)) && (await isFolder(folder))) suites.push({ name, folder, computes })
  }
  return suites
}

export function runSuite({ name, folder }: Suite, options: SuiteOptions): AsyncIterable<CaseResult> {
  return SUITES[name].run(folder, options)
}

function notYet(folder: string): AsyncIterable<CaseResult> {
  return skipAll(folder, 'no runner yet')
}

/** Every case of the folder's files, as skipped. */
async function* skipAll(folder: string, reason: string): AsyncIterable<CaseResult> {
  const entries = await readdir(folder, { recursive: true })
  for (const entry of entries.filter((name) => name.endsWith('.json')).sort()) {
    const path = entry.replaceAll('\\', '/').replace(/\.json$/, '')
    const { cases, errors = [], ...rest } = JSON.parse(await readFile(join(folder, entry), 'utf8'))
    // a file without a list of cases is one case, but for the list of the files
    const groups: unknown[] = Array.isArray(cases)
      ? [...cases, ...errors]
      : entry === 'index.json'
        ? []
        : Object.keys(rest)
    for (const [i, item] of groups.entries()) {
      const name = (item as { name?: string } | null)?.name
      yield { case: `${path}/${name ?? i}`, status: 'skipped', reason }
    }
  }
}
