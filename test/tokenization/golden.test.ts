import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { runTokenizers } from '../../scripts/conformance/tokenizers.ts'
import { allGoldens, goldens } from './goldens.ts'

describe('goldens of Python', () => {
  it('a part of all kinds of cases', async () => {
    expect(await outcomes(goldens)).toEqual({ passed: 604, others: [] })
  })

  it.runIf(existsSync(allGoldens))('all but chat templates', async () => {
    const { passed, others } = await outcomes(allGoldens, (name) => !name.startsWith('chat/'))
    expect(others).toEqual([])
    expect(passed).toBeGreaterThan(5000)
  })
})

async function outcomes(dir: string, wanted?: (name: string) => boolean) {
  let passed = 0
  const others: string[] = []
  for await (const outcome of runTokenizers(dir, wanted)) {
    if (outcome.status === 'passed') passed++
    else others.push(`${outcome.case} ${outcome.status}: ${outcome.reason}`)
  }
  return { passed, others }
}
