/** Our own contestant: prepares a part of the bench and measures it when asked; see bench/peers/serve.mjs for the protocol. */
import { createInterface } from 'node:readline'
import { setDefaultDevice, shutdown } from '../../core/index.ts'
import type { BenchOptions, Sample } from '../bench.ts'

const [part, json] = process.argv.slice(2)
const send = (message: object) => process.stdout.write(`@bench ${JSON.stringify(message)}\n`)

const { prepare } = (await import(`../${part}.ts`)) as {
  prepare(options: BenchOptions): Promise<(what: unknown) => Promise<Sample>>
}
const device = await setDefaultDevice('cpu')
const measure = await prepare({ device: 'cpu', seconds: 1, ...JSON.parse(json) })
send({ ready: `tunesmith (${device.description})` })
for await (const line of createInterface({ input: process.stdin })) send(await measure(JSON.parse(line)))
await shutdown()
