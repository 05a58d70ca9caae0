import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { casesLike } from '../../scripts/conformance/selection.ts'
import { temporaryFolder } from '../hub/temporary-folder.ts'
import { runCommand } from './run-command.ts'

const SAFETENSORS = 'test/goldens/safetensors'

describe('conformance', () => {
  it('selects by the beginning of the path; a star crosses folders', () => {
    const wanted = casesLike(['bert-*', 'a/b', 'x*/last'])
    expect(['bert-tiny/base/cases/a', 'a/b', 'a/bc/d', 'x/y/last/z'].every(wanted)).toBe(true)
    expect(['distilbert-tiny', 'b/a/b', 'x/y', 'bert'].some(wanted)).toBe(false)
    expect(casesLike(undefined)('anything')).toBe(true)
    expect(casesLike(['a.b'])('axb')).toBe(false)
  })

  it('counts, exits 0, and ends stderr with the counts', async () => {
    const goldens = await temporaryFolder()
    await cp(SAFETENSORS, join(goldens, 'safetensors'), { recursive: true })
    const { files } = JSON.parse(await readFile(join(SAFETENSORS, 'index.json'), 'utf8'))
    const result = await runCommand(['conformance', '--goldens', goldens, '--json'])
    expect(result.code).toBe(0)
    const report = result.json() as Record<string, { passed: number; failures: unknown[] }>
    expect(Object.keys(report)).toEqual(['safetensors'])
    expect(report.safetensors).toMatchObject({ failed: 0, skipped: 0, failures: [] })
    expect(report.safetensors.passed).toBeGreaterThanOrEqual(files.length)
    expect(result.stderr.trimEnd().split('\n').at(-1)).toBe(
      `${report.safetensors.passed} passed, 0 failed, 0 skipped`,
    )
  })

  it('exits 1 for a failure and for a selection that matches nothing', async () => {
    const goldens = await temporaryFolder()
    const folder = join(goldens, 'safetensors')
    await mkdir(folder)
    await cp(join(SAFETENSORS, 'one.safetensors'), join(folder, 'one.safetensors'))
    // says of a good file that it must be refused
    const files = [{ file: 'one.safetensors', ok: false, error: 'no' }]
    await writeFile(join(folder, 'index.json'), JSON.stringify({ files }))
    const failing = await runCommand(['conformance', '--goldens', goldens, '--json'])
    expect(failing.code).toBe(1)
    expect(failing.json()).toEqual({
      safetensors: {
        passed: 0,
        failed: 1,
        skipped: 0,
        failures: [{ case: 'one.safetensors', reason: 'accepted, must be refused' }],
      },
    })
    const nothing = await runCommand(['conformance', '--goldens', goldens, '--only', 'two*'])
    expect(nothing.code).toBe(1)
    expect(nothing.stderr.trimEnd().split('\n').at(-1)).toBe('0 passed, 0 failed, 0 skipped')
  })

  it('names suites that have no runner as skipped, and refuses unknown ones', async () => {
    const goldens = await temporaryFolder()
    await mkdir(join(goldens, 'ops'))
    await writeFile(
      join(goldens, 'ops', 'abs.json'),
      JSON.stringify({ cases: [{ name: 'a' }, { name: 'b' }] }),
    )
    const skipped = await runCommand(['conformance', '--goldens', goldens, '--suite', 'ops', '--json'])
    expect(skipped.json()).toEqual({ ops: { passed: 0, failed: 0, skipped: 2, failures: [] } })
    expect(skipped.code).toBe(0)
    const unknown = await runCommand(['conformance', '--goldens', goldens, '--suite', 'opera'])
    expect(unknown.stderr).toContain('suite opera is none of')
    expect(unknown.code).toBe(2)
    expect((await runCommand(['conformance', '--goldens', join(goldens, 'none')])).code).toBe(2)
  })
})
