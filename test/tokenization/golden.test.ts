import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { localFolder } from '../../hub/index.ts'
import { runTokenizers } from '../../scripts/conformance/tokenizers.ts'
import { allGoldens, goldens } from './goldens.ts'

describe('goldens of Python', () => {
  it('a part of all kinds of cases', async () => {
    const { passed, failed, skipped } = await outcomes(goldens)
    expect(failed).toEqual([])
    // Constructs of the template language that its library refuses.
    expect(skipped.filter((name) => !name.startsWith('chat/snippets/'))).toEqual([])
    expect(skipped.length).toBeLessThanOrEqual(12)
    expect(passed).toBeGreaterThanOrEqual(634)
  })

  it.runIf(existsSync(allGoldens))('all of them', async () => {
    const { passed, failed } = await outcomes(allGoldens)
    expect(failed).toEqual([])
    expect(passed).toBeGreaterThanOrEqual(5617)
  })
})

async function outcomes(dir: string) {
  const failed: string[] = []
  const skipped: string[] = []
  let passed = 0
  for await (const { case: name, status, reason } of runTokenizers(await localFolder(dir))) {
    if (status === 'passed') passed++
    else if (status === 'skipped') skipped.push(name)
    else failed.push(`${name}: ${reason}`)
  }
  return { passed, failed, skipped }
}
