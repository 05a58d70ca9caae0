import { notice } from './output.ts'

/** npm hands a Ctrl-C on to a script that has seen it itself: two within this time are one. */
const SAME_KEY_MS = 500

/**
 * A signal that the first Ctrl-C (or SIGTERM) sets, so that the command can end in order; a second one ends the process.
 * @param says what the command will do now, as one line
 */
export function interruptSignal(says: string): AbortSignal {
  const controller = new AbortController()
  let first = 0
  const onSignal = (name: NodeJS.Signals): void => {
    const now = performance.now()
    if (first === 0) {
      first = now
      notice(`\n${name}: ${says}; once more to stop at once`)
      controller.abort()
    } else if (now - first > SAME_KEY_MS) process.exit(130)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return controller.signal
}
