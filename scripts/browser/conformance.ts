/** The conformance suites in a page of Chromium. */
import { InputError } from '../../hub/errors.ts'
import type { CaseResult } from '../conformance/safetensors.ts'
import type { Suite } from '../conformance/suites.ts'
import { messageFromPage, openPage } from './open-page.ts'

export interface ConformancePageOptions {
  device?: string
  threads?: number
  only?: readonly string[]
}

export interface ConformancePage extends AsyncDisposable {
  /** The device, and the browser that it is in. */
  readonly description: string
  run(suite: Pick<Suite, 'name'>): AsyncIterable<CaseResult>
}

const PAGE = 'scripts/browser/page'

/** Opens a page for the suites of a goldens folder. @throws InputError where there is no browser or device */
export async function openConformancePage(
  goldens: string,
  { device = 'cpu', threads, only }: ConformancePageOptions = {},
): Promise<ConformancePage> {
  const page = await openPage([goldens])
  try {
    const started = await page.call<string>(PAGE, 'start', device, threads)
    return {
      description: `${started}, in ${page.browser}`,
      run: async function* ({ name }) {
        yield* await page.call<CaseResult[]>(PAGE, 'runSuite', page.addressOf(goldens), name, only)
      },
      [Symbol.asyncDispose]: () => page[Symbol.asyncDispose](),
    }
  } catch (error) {
    await page[Symbol.asyncDispose]()
    throw new InputError(messageFromPage(error))
  }
}
