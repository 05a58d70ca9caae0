import type { SingleBar } from 'cli-progress'
import { notice } from './output.ts'

export interface Progress {
  /** @param detail what follows the count, such as loss and speed */
  update(step: number, detail: string): void
  stop(): void
}

/** Lines in all that a progress prints where nobody watches: a log, a pipe, CI. */
const PLAIN_LINES = 10

/** A bar on a terminal's stderr, else now and then a plain line. */
export async function startProgress(label: string, total: number): Promise<Progress> {
  if (!process.stderr.isTTY || process.env.CI) return plainProgress(label, total)
  const { default: progress } = await import('cli-progress')
  const bar: SingleBar = new progress.SingleBar({
    format: `${label} {bar} {value}/{total}  {detail}  {eta_formatted} left`,
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: false,
    etaBuffer: 20,
    barsize: 24,
    ...(process.env.NO_COLOR ? {} : progress.Presets.shades_classic),
  })
  bar.start(total, 0, { detail: '' })
  return { update: (step, detail) => bar.update(step, { detail }), stop: () => bar.stop() }
}

function plainProgress(label: string, total: number): Progress {
  const every = Math.max(1, Math.ceil(total / PLAIN_LINES))
  return {
    update(step, detail) {
      if (step % every === 0 || step === total || step === 1) notice(`${label} ${step}/${total}  ${detail}`)
    },
    stop() {},
  }
}
