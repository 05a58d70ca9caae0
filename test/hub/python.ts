import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'

const interpreter = process.env.TUNESMITH_PYTHON || 'python3'

/** Whether there is a Python that can import all of `modules`. `TUNESMITH_PYTHON` names one that is not `python3`. */
export function hasPython(...modules: string[]): boolean {
  return spawnSync(interpreter, ['-c', `import ${modules.join(', ')}`]).status === 0
}

/** Runs a program and returns what it printed, read as JSON. Meanwhile this process can serve it. */
export async function runPython(program: string, ...args: string[]): Promise<unknown> {
  const { stdout } = await promisify(execFile)(interpreter, ['-c', program, ...args])
  return JSON.parse(stdout)
}

/** Runs a Python file to its end. */
export async function python(file: string, ...args: string[]): Promise<void> {
  await promisify(execFile)(interpreter, [file, ...args])
}
