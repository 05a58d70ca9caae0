import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { InputError } from '../../hub/errors.ts'

export type RegisterCommand = (program: Command) => void

/** Exit codes of all commands. A command that ran and found failures (conformance) sets FAILED itself. */
export const EXIT = { done: 0, failed: 1, badInput: 2 } as const

/**
 * Parses the arguments, runs the command, and gives the process's exit code. Errors become one line on stderr: bad
 * arguments and bad files give 2, defects 1; a stack is shown at TUNESMITH_DEBUG 1 and above only.
 */
export async function runCommandLine(
  argv: readonly string[],
  register: readonly RegisterCommand[],
): Promise<number> {
  // a reader that has seen enough (`| head`) closes the pipe: that is no error
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.done)
    throw error
  })
  const program = new Command('tunesmith')
    .description('Fine-tunes and runs pretrained transformers, on the CPU and on WebGPU.')
    .version(packageVersion())
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`${oneLine(text.replace(/^error: /, ''))}\n`) })
  for (const add of register) add(program)
  try {
    await program.parseAsync([...argv])
    return typeof process.exitCode === 'number' ? process.exitCode : EXIT.done
  } catch (error) {
    return report(error)
  }
}

function report(error: unknown): number {
  // commander has printed its own line already
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.badInput
  const isInput = error instanceof InputError
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`${oneLine(message)}\n`)
  if (Number(process.env.TUNESMITH_DEBUG) >= 1 && error instanceof Error)
    process.stderr.write(`${error.stack}\n`)
  else if (!isInput)
    process.stderr.write('This is a defect; with TUNESMITH_DEBUG=1 the same command shows where.\n')
  return isInput ? EXIT.badInput : EXIT.failed
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, ' ')
}

/** This file runs from scripts/command-line in the repository and from dist/scripts/command-line in the package. */
function packageVersion(): string {
  for (const path of ['../../package.json', '../../../package.json']) {
    try {
      const manifest = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
      if (manifest.name === 'tunesmith') return manifest.version
    } catch {
      // not this one
    }
  }
  return 'unknown'
}
