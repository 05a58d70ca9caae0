/** The command line: `tunesmith <command>`, in the repository `npm run <command> --`. What it promises is in docs/contracts.md. */
import { runCommandLine } from './command-line/run.ts'
import { registerBench } from './commands/bench.ts'
import { registerClassify } from './commands/classify.ts'
import { registerConformance } from './commands/conformance.ts'
import { registerDoctor } from './commands/doctor.ts'
import { registerDownload } from './commands/download.ts'
import { registerFinetune } from './commands/finetune.ts'
import { registerGenerate } from './commands/generate.ts'
import { registerUpload } from './commands/upload.ts'

// Commands import what they need when they run, so that `--help` and a mistyped option answer at once.
process.exitCode = await runCommandLine(process.argv, [
  registerFinetune,
  registerGenerate,
  registerClassify,
  registerDownload,
  registerUpload,
  registerConformance,
  registerDoctor,
  registerBench,
])
