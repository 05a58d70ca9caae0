import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { startHub } from '../hub/local-hub/hub.ts'
import { temporaryFolder } from '../hub/temporary-folder.ts'
import { id, isolateEnvironment, model, needed, token, weights } from '../hub/tiny-model.ts'
import { runCommand } from './run-command.ts'

beforeEach(isolateEnvironment)

async function hubAndHome() {
  const hub = await startHub({ tokens: { [token]: 'write' } })
  onTestFinished(hub.stop)
  const commit = hub.update(id, model)
  const home = await temporaryFolder()
  const env = { HF_HUB_OFFLINE: '0', HF_ENDPOINT: hub.endpoint, HF_HOME: home }
  const snapshot = join(home, 'hub/models--owner--tiny-model/snapshots', commit)
  return { hub, env, snapshot, home }
}

describe('download', () => {
  test('prints the folder, or JSON', async () => {
    const { env, snapshot } = await hubAndHome()
    const plain = await runCommand(['download', id], { env })
    expect(plain).toMatchObject({ code: 0, stdout: `${snapshot}\n`, stderr: '4 files, 20 kB\n' })
    const result = await runCommand(['download', id, '--json'], { env })
    expect(result.json()).toEqual({
      snapshot,
      files: 4,
      bytes: 21 + 17 + weights.length,
      paths: needed,
    })
    expect(
      (await runCommand(['download', id, '--json'], { env: { ...env, HF_HUB_OFFLINE: '1' } })).json(),
    ).toEqual(result.json())
  })

  test('takes patterns and a revision', async () => {
    const { env, hub, snapshot } = await hubAndHome()
    hub.update(id, { 'config.json': 'newer' })
    const revision = ['--revision', snapshot.slice(-40)]
    const patterns = [
      '--include',
      '*.json',
      '--include',
      '*.md',
      '--exclude',
      'onnx/*',
      '--exclude',
      'empty*',
    ]
    const result = await runCommand(['download', id, ...revision, ...patterns, '--json'], { env })
    expect(result.json()).toMatchObject({ snapshot, files: 3 })
    expect((await readdir(snapshot)).sort()).toEqual(['README.md', 'config.json', 'tokenizer.json'])
  })

  test('shows progress of what takes time, and what it waits for', async () => {
    const { env, hub } = await hubAndHome()
    let refused = false
    hub.intercept((request, response, host) => {
      if (host !== 'store') return false
      if (!refused) {
        refused = true
        response.writeHead(429, { 'Retry-After': '1' }).end()
        return true
      }
      request.resume()
      response.writeHead(200, { 'Content-Length': String(weights.length) })
      response.write(weights.subarray(0, 10_000))
      setTimeout(() => response.end(weights.subarray(10_000)), 200)
      return true
    })
    const { stderr, code } = await runCommand(['download', id], { env })
    expect(code).toBe(0)
    expect(stderr).toMatch(/asks to slow down \(429\), for 1 s; .*; trying again in 1 s\n/)
    expect(stderr).toMatch(/owner\/tiny-model 10 kB\/20 kB {2}model\.safetensors\n/)
    expect(stderr).toMatch(/owner\/tiny-model 20 kB\/20 kB {2}model\.safetensors\n4 files, 20 kB\n$/)
  })

  test.each<[string[], RegExp]>([
    [['owner/gone'], /^\[hub\] "owner\/gone" is neither a folder here nor a model on .*check the id.*\n$/],
    [[id, '--include', 'gone*'], /^\[hub\] owner\/tiny-model has no file "gone\*" among its 8\n$/],
    [[id, '--revision', 'gone'], /has no such revision/],
    [['../x'], /is neither a folder nor the id of a model/],
    [[id, '--repo-type', 'nonsense'], /repo-type/],
    [[], /missing required argument/],
  ])('%j: one line, exit code 2', async (args, line) => {
    const { env } = await hubAndHome()
    const result = await runCommand(['download', ...args], { env })
    expect(result).toMatchObject({ code: 2, stdout: '' })
    expect(result.stderr).toMatch(line)
    expect(result.stderr.trim().split('\n')).toHaveLength(1)
  })
})

describe('upload', () => {
  test('makes the repository, and commits what differs', async () => {
    const { env, hub } = await hubAndHome()
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'config.json'), '{}')
    await writeFile(join(folder, 'model.safetensors'), weights)
    const args = ['upload', 'my-classifier', folder, '--message', 'First', '--private']
    const denied = await runCommand(args, { env })
    expect(denied).toMatchObject({ code: 2, stdout: '' })
    expect(denied.stderr).toContain('set HF_TOKEN')
    const first = await runCommand([...args, '--json'], { env: { ...env, HF_TOKEN: token } })
    expect(first.json()).toMatchObject({
      uploaded: ['config.json', 'model.safetensors'],
      deleted: [],
      pullRequestUrl: null,
      url: expect.stringContaining(`${hub.endpoint}/me/my-classifier/commit/`),
    })
    expect(hub.repositories.get('models/me/my-classifier')).toMatchObject({ private: true })
    const again = await runCommand(['upload', 'me/my-classifier', folder], {
      env: { ...env, HF_TOKEN: token },
    })
    expect(again).toMatchObject({ code: 0, stderr: 'nothing differs, so there is no commit\n' })
    expect(`${first.stderr}${again.stderr}${denied.stderr}`).not.toContain(token)
    expect((await runCommand(['upload', 'me/x', './gone'], { env })).stderr).toBe(
      '[hub] there is no folder ./gone to upload\n',
    )
  })
})
