/** The conformance suites in a page of Chromium. */
import { InputError } from '../../hub/errors.ts'
import type { CaseResult } from '../conformance/safetensors.ts'
import type { Suite } from '../conformance/suites.ts'
import { openBrowser } from './chromium.ts'
import { serve } from './server.ts'

export interface ConformancePageOptions {
  device?: string
  threads?: number
  only?: readonly string[]
}

export interface ConformancePage extends AsyncDisposable {
  /** The browser, and the device in it. */
  readonly description: string
  run(suite: Suite): AsyncIterable<CaseResult>
}

/** Opens a page for the suites of a goldens folder. @throws InputError where there is no browser or device */
export async function openConformancePage(
  goldens: string,
  options: ConformancePageOptions,
): Promise<ConformancePage> {
  const browser = await openBrowser()
  const server = await serve([goldens])
  const close = async () => {
    await browser.close()
    await server.close()
  }
  try {
    const page = await browser.newPage()
    page.on('pageerror', (error) => console.error(error))
    await page.goto(`${server.url}/page`)
    // the module has our own ending: .ts in a clone, .js in dist/
    const module = `/scripts/browser/page.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`
    const call = (name: string, ...args: unknown[]): Promise<unknown> =>
      page.evaluate(`import(${JSON.stringify(module)}).then((m) => m.${name}(...${JSON.stringify(args)}))`)
    const { device = 'cpu', threads, only } = options
    const started = (await call('start', device, threads).catch((error: Error) => {
      throw new InputError(error.message.replace(/^page\.evaluate: (Error: )?/, '').split('\n', 1)[0])
    })) as string
    return {
      description: `${started}, in Chromium ${browser.version()}`,
      run: async function* ({ name }) {
        yield* (await call('runSuite', server.addressOf(goldens), name, only)) as CaseResult[]
      },
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
