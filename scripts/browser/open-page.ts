/** A page of Chromium in which this project's modules run. */
import type { Page } from 'playwright-core'
import { openBrowser } from './chromium.ts'
import { serve } from './server.ts'

export interface OpenPage extends AsyncDisposable {
  /** Such as `Chromium 156.0.8078.108`. */
  readonly browser: string
  readonly page: Page
  /** The address of a file or folder of the project, or of those that were to be served. */
  addressOf(path: string): string
  /**
   * Calls an exported function in the page. Arguments and result are copied.
   * @param module path from the project's root, without its ending
   */
  call<T>(module: string, name: string, ...args: unknown[]): Promise<T>
}

/**
 * @param folders what is served beside the project
 * @param options `alone`: the page may not share memory with workers, as any page that is served without the two headers
 * @throws InputError where there is no browser
 */
export async function openPage(
  folders: readonly string[] = [],
  { alone = false }: { alone?: boolean } = {},
): Promise<OpenPage> {
  const browser = await openBrowser()
  const server = await serve(folders)
  const close = async () => {
    await browser.close()
    await server.close()
  }
  try {
    const page = await browser.newPage()
    page.on('pageerror', (error) => console.error(error))
    await page.goto(`${server.url}/page${alone ? '?alone' : ''}`)
    // modules have the ending of this one: .ts in a clone, .js in dist/
    const ending = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
    return {
      browser: `Chromium ${browser.version()}`,
      page,
      addressOf: server.addressOf,
      call: (module, name, ...args) => {
        const url = JSON.stringify(`/${module}${ending}`)
        const list = args.map((arg) => (arg === undefined ? 'undefined' : JSON.stringify(arg)))
        return page.evaluate(`import(${url}).then((m) => m.${name}(${list.join(', ')}))`)
      },
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** What the page threw, without the driver's words around it. */
export function messageFromPage(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return message.replace(/^page\.evaluate: (\w*Error: )?/, '').split('\n', 1)[0]
}
