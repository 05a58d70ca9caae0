import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const COMMAND = fileURLToPath(new URL('../../scripts/tunesmith.ts', import.meta.url))

export interface CommandResult {
  code: number | null
  stdout: string
  stderr: string
  /** The last line of stdout, parsed. */
  json(): Record<string, unknown>
}

interface RunOptions {
  /** Another program than the command line. */
  script?: string
  env?: Record<string, string>
  /** Called with the process at the first output on stderr that matches. */
  when?: { stderr: RegExp; act: (kill: (signal: NodeJS.Signals) => void) => void }
}

/** Runs `tunesmith ARGS` as a process of its own. Devices are chosen by the arguments alone; nothing asks the network. */
export function runCommand(args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
  const env = { ...process.env, HF_HUB_OFFLINE: '1', TUNESMITH_DEBUG: '0', ...options.env }
  const child = spawn(process.execPath, [options.script ?? COMMAND, ...args], { env })
  let stdout = ''
  let stderr = ''
  let told = false
  child.stdout.on('data', (data) => {
    stdout += data
  })
  child.stderr.on('data', (data) => {
    stderr += data
    if (told || !options.when?.stderr.test(stderr)) return
    told = true
    options.when.act((signal) => child.kill(signal))
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) =>
      resolve({ code, stdout, stderr, json: () => JSON.parse(stdout.trimEnd().split('\n').at(-1)!) }),
    )
  })
}

/** What stderr says beside notices of the device and of new weights. */
export const errorLines = ({ stderr }: CommandResult): string[] =>
  stderr
    .split('\n')
    .filter((line) => line !== '' && !/^(device: |\[fromPretrained\] .*newly initialised)/.test(line))
