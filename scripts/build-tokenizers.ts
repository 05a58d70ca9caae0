/**
 * Builds tokenization/tokenizers.wasm from tokenization/wasm, and its checksum.
 *
 *     npm run build:tokenizers              # builds, writes the file and its .sha256
 *     npm run build:tokenizers -- --check   # builds, and fails where the committed checksum differs
 *
 * The check does nothing, and says so, where the compiler that made the committed file is not there.
 * Needs cargo, and either Debian's `rustc-web rust-web-src lld-19` (what made the committed file: the same
 * bytes from any folder) or a rustup toolchain with `rustup target add wasm32-unknown-unknown` (the same
 * code; other bytes where its compiler has another version). Takes three to four minutes.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const crate = join(root, 'tokenization/wasm')
const wasmFile = join(root, 'tokenization/tokenizers.wasm')
const checksumFile = `${wasmFile}.sha256`
const target = 'wasm32-unknown-unknown'
const debianRustc = '/usr/bin/rustc'
const debianSources = '/usr/lib/rustlib/src/rust/library'

/** Debian ships the standard library of this target as source, to be built along. */
const fromDebian = existsSync(debianRustc) && existsSync(debianSources)

const cargoHome = process.env.CARGO_HOME ?? join(homedir(), '.cargo')
const targetFolder = join(root, 'node_modules/.cache/tokenizers-wasm')
const rustFlags = [
  '--cfg=getrandom_backend="custom"',
  '-Ctarget-feature=+simd128',
  // A file that asks for more than this is no tokenizer.
  `-Clink-arg=--max-memory=${2 ** 31}`,
  `--remap-path-prefix=${crate}=/src`,
  `--remap-path-prefix=${cargoHome}=/cargo`,
]
const debian = {
  arguments: ['-Zbuild-std=std,panic_abort'],
  environment: {
    RUSTC: debianRustc,
    RUSTC_BOOTSTRAP: '1',
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: 'wasm-ld-19',
  },
}

/** What made the committed file: only it gives the same bytes. */
const compiler = 'rustc 1.96.0'

const checks = process.argv.includes('--check')
if (checks) {
  const reason = whyUncheckable()
  if (reason !== undefined) {
    console.error(`[build:tokenizers] not checked: ${reason}`)
    process.exit(0)
  }
}

function whyUncheckable(): string | undefined {
  const version = (command: string) => spawnSync(command, ['--version'], { encoding: 'utf8' }).stdout ?? ''
  if (!version('cargo').startsWith('cargo')) return 'there is no cargo'
  if (!fromDebian) return `there is no rustc-web of Debian with rust-web-src (${compiler})`
  const found = version(debianRustc).split(' (')[0]
  return found === compiler
    ? undefined
    : `the committed file was made by ${compiler}, here is ${found.trim()}`
}

const build = spawnSync(
  'cargo',
  ['build', '--locked', '--release', '--target', target, ...(fromDebian ? debian.arguments : [])],
  {
    cwd: crate,
    stdio: 'inherit',
    env: {
      ...process.env,
      ...(fromDebian ? debian.environment : {}),
      CARGO_TARGET_DIR: targetFolder,
      CARGO_ENCODED_RUSTFLAGS: rustFlags.join('\x1f'),
    },
  },
)
if (build.error || build.status !== 0) {
  const reason = build.error ? `cargo did not start (${build.error.message})` : 'cargo failed, see above'
  console.error(`[build:tokenizers] ${reason}; the head of scripts/build-tokenizers.ts says what it needs`)
  process.exit(1)
}

const bytes = await readFile(join(targetFolder, target, 'release/tunesmith_tokenizers.wasm'))
const checksum = createHash('sha256').update(bytes).digest('hex')
const line = `${checksum}  tokenizers.wasm\n`

if (checks) {
  const committed = await readFile(checksumFile, 'utf8')
  if (committed !== line) {
    console.error(`[build:tokenizers] built ${checksum}, committed is ${committed.slice(0, 64)}`)
    process.exit(1)
  }
  console.error(`[build:tokenizers] the build gives the committed checksum ${checksum}`)
} else {
  await writeFile(wasmFile, bytes)
  await writeFile(checksumFile, line)
  console.error(`[build:tokenizers] ${bytes.length} bytes, sha256 ${checksum}`)
}
