import { spawnSync } from 'node:child_process'

const python = process.env.TUNESMITH_PYTHON || 'python3'

/** Whether there is a Python that can import all of `modules`. `TUNESMITH_PYTHON` names one that is not `python3`. */
export function hasPython(...modules: string[]): boolean {
  return spawnSync(python, ['-c', `import ${modules.join(', ')}`]).status === 0
}

/** Runs a program and returns what it printed, read as JSON. */
export function runPython(program: string, ...args: string[]): unknown {
  const { status, stdout, stderr } = spawnSync(python, ['-c', program, ...args], { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout)
}
