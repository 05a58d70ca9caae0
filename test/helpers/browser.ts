import { inject } from 'vitest'

/**
 * Whether tests can use a browser here: `describe.skipIf(!browserAvailable())`. Asked once for the whole run
 * (find-browser.ts), which also prints the line that says so.
 */
export const browserAvailable = (): boolean => inject('browserPath') !== ''
