/** Runs once before all tests: looks for a browser, says in one line what that means, and tells the tests. */
import type { TestProject } from 'vitest/node'
import { findBrowser } from '../../scripts/browser/chromium.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The browser's path; empty where there is none. */
    browserPath: string
  }
}

export default async function setup(project: TestProject): Promise<void> {
  const path = await findBrowser()
  if (!path && process.env.TUNESMITH_REQUIRE_BROWSER)
    throw new Error('TUNESMITH_REQUIRE_BROWSER is set, and no Chromium is there: install it')
  console.log(
    path
      ? `Browser tests run in ${path}`
      : 'Browser tests do not run: no Chromium here (CONTRIBUTING.md says how to get one)',
  )
  project.provide('browserPath', path ?? '')
}
