/** Chromium for tests: found on the machine, driven by playwright-core, which downloads nothing. */
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { Browser } from 'playwright-core'
import { InputError } from '../../hub/errors.ts'

/** Where browsers are that are not in PATH. */
const PLACES = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  'C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe',
]
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'microsoft-edge']

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

/** The path of a Chromium, Chrome or Edge: `TUNESMITH_BROWSER`, else by its usual names; null where there is none. */
export async function findBrowser(): Promise<string | null> {
  const named = process.env.TUNESMITH_BROWSER
  if (named) {
    if (await exists(named)) return named
    throw new InputError(`[browser] TUNESMITH_BROWSER names ${named}, where no file is`)
  }
  const folders = (process.env.PATH ?? '').split(delimiter)
  for (const path of [...NAMES.flatMap((name) => folders.map((f) => join(f, name))), ...PLACES])
    if (await exists(path)) return path
  return null
}

/** Starts it without a window. @throws InputError where there is no browser */
export async function openBrowser(): Promise<Browser> {
  const executablePath = await findBrowser()
  if (!executablePath)
    throw new InputError(
      '[browser] no Chromium here: install it (Debian: apt-get install chromium), or set TUNESMITH_BROWSER to the path of one',
    )
  const { chromium } = await import('playwright-core')
  // without a GPU, WebGPU runs on the software adapter that Chromium brings
  const args = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-unsafe-swiftshader']
  const isRoot = process.getuid?.() === 0
  return chromium.launch({ executablePath, args: isRoot ? ['--no-sandbox', ...args] : args })
}
