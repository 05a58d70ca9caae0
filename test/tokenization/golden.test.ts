import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { localFolder } from '../../hub/index.ts'
import { runTokenizers } from '../../scripts/conformance/tokenizers.ts'
import { allGoldens, goldens } from './goldens.ts'

describe('goldens of Python', () => {
  it('a part of all kinds of cases', async () => {
    const { passed, failed } = await outcomes(goldens)
    expect(failed).toEqual([])
    expect(passed).toBeGreaterThanOrEqual(646)
  })

  it.runIf(existsSync(allGoldens))('all of them', async () => {
    const { passed, failed } = await outcomes(allGoldens)
    expect(failed).toEqual([])
    expect(passed).toBeGreaterThanOrEqual(5629)
  })
})

async function outcomes(dir: string) {
  const failed: string[] = []
  let passed = 0
  for await (const { case: name, status, reason } of runTokenizers(await localFolder(dir))) {
    if (status === 'passed') passed++
    else failed.push(`${name}: ${reason}`)
  }
  return { passed, failed }
}
