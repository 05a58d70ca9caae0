/** The suites of a goldens folder, and the runner of each; in pages too, but for `real`. */
import type { DeviceName } from '../../core/index.ts'
import { InputError } from '../../hub/errors.ts'
import type { ModelFolder } from '../../hub/index.ts'
import { entries, readText, within } from './folder.ts'
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
  folder: ModelFolder
  /** Whether it needs a device. */
  computes: boolean
}

type Run = (folder: ModelFolder, options: SuiteOptions) => AsyncIterable<CaseResult>

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
      else yield* (await import('./real.ts')).runReal(folder.name, { device, hub, wanted })
    },
  },
}

/**
 * The suites of a folder, in a fixed order.
 * @throws InputError where the folder is missing, or a suite has an unknown name
 */
export async function chooseSuites(
  goldens: ModelFolder,
  names: readonly string[] | undefined,
): Promise<Suite[]> {
  const found = await entries(goldens)
  if (found.length === 0) throw new InputError(`[conformance] no such folder: ${goldens.name}`)
  for (const name of names ?? [])
    if (!Object.hasOwn(SUITES, name))
      throw new InputError(`[conformance] suite ${name} is none of ${Object.keys(SUITES).join(', ')}`)
  return Object.entries(SUITES)
    .filter(([name]) => found.includes(name) && (!names || names.includes(name)))
    .map(([name, { computes }]) => ({ name, folder: within(goldens, name), computes }))
}

export function runSuite({ name, folder }: Suite, options: SuiteOptions): AsyncIterable<CaseResult> {
  return SUITES[name].run(folder, options)
}

function notYet(folder: ModelFolder): AsyncIterable<CaseResult> {
  return skipAll(folder, 'no runner yet')
}

/** Every case of the folder's files, as skipped. */
async function* skipAll(folder: ModelFolder, reason: string, below = ''): AsyncIterable<CaseResult> {
  for (const entry of await entries(folder)) {
    const path = `${below}${entry.replace(/\.json$/, '')}`
    if (!entry.endsWith('.json')) {
      yield* skipAll(within(folder, entry), reason, `${path}/`)
      continue
    }
    const { cases, errors = [], ...rest } = JSON.parse(await readText(folder, entry))
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
