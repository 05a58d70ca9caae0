/** `--profile [trace.json]`: where a command's time goes, by op and by module, on stderr; with a file also as a trace. */
import { dirname } from 'node:path'
import { Option } from 'commander'

export interface ProfileArguments {
  profile?: string | true
}

export const profileOption = (): Option =>
  new Option(
    '--profile [file]',
    'print where the time goes, by op and module; given a file, write a trace for chrome://tracing there',
  )

/** Runs the command's work, profiled where it was asked for. */
export async function profiled<T>({ profile: wanted }: ProfileArguments, work: () => Promise<T>): Promise<T> {
  if (wanted === undefined) return work()
  const { profile } = await import('../../core/index.ts')
  const trace = wanted === true ? undefined : wanted
  if (trace !== undefined) await checkFolder(trace)
  let result: T
  await profile(
    async () => {
      result = await work()
    },
    { trace },
  )
  return result!
}

/** A long run should not find at its end that its trace has no place. */
async function checkFolder(file: string): Promise<void> {
  const { access, constants } = await import('node:fs/promises')
  const { InputError } = await import('../../hub/errors.ts')
  try {
    await access(dirname(file), constants.W_OK)
  } catch {
    throw new InputError(`[profile] ${file} cannot be written: make the folder ${dirname(file)} first`)
  }
}
