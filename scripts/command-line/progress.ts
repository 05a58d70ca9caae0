import type { SingleBar } from 'cli-progress'
import { notice } from './output.ts'

export interface Progress {
  /** @param detail what follows the count, such as loss and speed */
  update(step: number, total: number, detail: string): void
  stop(): void
}

/** Lines in all that a progress prints where nobody watches: a log, a pipe, CI. */
const PLAIN_LINES = 10

/**
 * A bar on a terminal's stderr, else now and then a plain line. It begins with the first update.
 * @param format of the counts; as they are by default
 */
export async function makeProgress(
  label: string,
  format = String as (count: number) => string,
): Promise<Progress> {
  if (!process.stderr.isTTY || process.env.CI) return plainProgress(label, format)
  const { default: progress } = await import('cli-progress')
  let bar: SingleBar | undefined
  return {
    update(step, total, detail) {
      if (!bar) {
        bar = new progress.SingleBar(
          {
            format: `${label} {bar} {value}/{total}  {detail}  {eta_formatted} left`,
            stream: process.stderr,
            hideCursor: true,
            etaBuffer: 20,
            barsize: 24,
            formatValue: (count, _, type) =>
              type === 'value' || type === 'total' ? format(count) : String(count),
          },
          process.env.NO_COLOR ? progress.Presets.legacy : progress.Presets.shades_classic,
        )
        bar.start(total, step, { detail })
      } else bar.update(step, { detail })
    },
    stop: () => bar?.stop(),
  }
}

function plainProgress(label: string, format: (count: number) => string): Progress {
  let last = -1
  return {
    update(step, total, detail) {
      const every = Math.max(1, Math.ceil(total / PLAIN_LINES))
      const isDue = last < 0 || Math.floor(step / every) > Math.floor(last / every) || step === total
      if (!isDue || step === last) return
      last = step
      notice(`${label} ${format(step)}/${format(total)}  ${detail}`)
    },
    stop() {},
  }
}
