/** One cache for Python's transformers and for this library: each works offline on what the other fetched. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { setDefaultDevice } from '../../core/index.ts'
import { AutoModelForSequenceClassification, AutoTokenizer } from '../../transformers/index.ts'
import { LABELS, tinyClassifier, writeTinyEncoder } from '../helpers/tiny-models.ts'
import { startHub } from './local-hub/hub.ts'
import { hasPython, runPython } from './python.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { isolateEnvironment } from './tiny-model.ts'

const isThere = hasPython('transformers', 'torch')
if (!isThere) console.log('interoperability with transformers is not tested: there is no Python that has it')

beforeEach(isolateEnvironment)

const id = 'owner/tiny-encoder'
const TEXT = 'the film is very good'

/** A Hub with a classifier, and an empty home for both libraries. */
async function hubAndHome() {
  const hub = await startHub()
  onTestFinished(hub.stop)
  const folder = await temporaryFolder()
  await writeTinyEncoder(folder)
  await tinyClassifier(1, LABELS).savePretrained(folder)
  const files: Record<string, Uint8Array> = { 'README.md': Buffer.from('# tiny') }
  for (const name of await readdir(folder)) files[name] = await readFile(join(folder, name))
  hub.update(id, files)
  vi.stubEnv('HF_ENDPOINT', hub.endpoint)
  vi.stubEnv('HF_HOME', await temporaryFolder())
  vi.stubEnv('HF_HUB_DISABLE_XET', '1')
  return hub
}

async function ours(): Promise<{ ids: number[]; logits: number[] }> {
  await setDefaultDevice('reference')
  const tokenizer = await AutoTokenizer.fromPretrained(id)
  const model = await AutoModelForSequenceClassification.fromPretrained(id)
  const { inputIds, attentionMask } = tokenizer([TEXT])
  const { logits } = model({ inputIds, attentionMask })
  return { ids: inputIds[0], logits: Array.from(await logits.data()) }
}

const theirs = () =>
  runPython(`
import json, os, warnings
warnings.filterwarnings('ignore')
from transformers import AutoModelForSequenceClassification, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained('${id}')
model = AutoModelForSequenceClassification.from_pretrained('${id}').eval()
batch = tokenizer(['${TEXT}'], return_tensors='pt', return_token_type_ids=False)
print(json.dumps({'ids': batch['input_ids'][0].tolist(), 'logits': model(**batch).logits[0].tolist()}))`) as Promise<{
    ids: number[]
    logits: number[]
  }>

describe.runIf(isThere)('transformers', () => {
  test.each<[string, () => ReturnType<typeof ours>, () => ReturnType<typeof ours>]>([
    ['Python works offline on what we fetched', ours, theirs],
    ['we work offline on what Python fetched', theirs, ours],
  ])('%s', async (_, online, offline) => {
    const hub = await hubAndHome()
    const first = await online()
    hub.stop()
    hub.requests.length = 0
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    const second = await offline()
    expect(hub.requests).toEqual([])
    expect(second.ids).toEqual(first.ids)
    // float32 in both, sums of at most 32 terms of order 1 per layer
    for (const [i, logit] of first.logits.entries()) expect(second.logits[i]).toBeCloseTo(logit, 5)
  })
})
