/** Assembles the WGSL of a dispatch: uniform struct, bindings, the helpers that the body uses, entry point. */
import type { Dispatch, ParamWord } from './dispatch.ts'

/** Functions a body may call; a helper is emitted when its name occurs. Order: callees first. */
const HELPERS: readonly (readonly [name: string, code: string])[] = [
  // `let` keeps the bits out of constant expressions, where an infinity is an error
  ['infinity', `fn infinity() -> f32 { let bits = 0x7f800000u; return bitcast<f32>(bits); }`],
  ['quietNan', `fn quietNan() -> f32 { let bits = 0x7fc00000u; return bitcast<f32>(bits); }`],
  // by bits: a compiler may assume that x == x
  ['isNan', `fn isNan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }`],
  [
    'minNan',
    `fn minNan(a: f32, b: f32) -> f32 { return select(select(select(b, a, a < b), b, isNan(b)), a, isNan(a)); }`,
  ],
  [
    'maxNan',
    `fn maxNan(a: f32, b: f32) -> f32 { return select(select(select(b, a, a > b), b, isNan(b)), a, isNan(a)); }`,
  ],
  ['divI32', `fn divI32(a: i32, b: i32) -> i32 { return select(a / select(b, 1, b == 0), 0, b == 0); }`],
  ['remI32', `fn remI32(a: i32, b: i32) -> i32 { return select(a % select(b, 1, b == 0), 0, b == 0); }`],
  [
    'truncI32',
    `fn truncI32(x: f32) -> i32 {
  if (isNan(x)) { return 0; }
  if (x >= 2147483648.0) { return 2147483647; }
  if (x <= -2147483648.0) { return -2147483647 - 1; }
  return i32(x);
}`,
  ],
  ['halfAt', `fn halfAt(word: u32, i: i32) -> f32 { return unpack2x16float(word)[i & 1]; }`],
  [
    'bfloatAt',
    `fn bfloatAt(word: u32, i: i32) -> f32 { return bitcast<f32>(select(word << 16u, word & 0xffff0000u, (i & 1) == 1)); }`,
  ],
  [
    // high word of a 32 x 32 bit product, by 16-bit halves
    'mulHigh',
    `fn mulHigh(a: u32, b: u32) -> u32 {
  let al = a & 0xffffu; let ah = a >> 16u; let bl = b & 0xffffu; let bh = b >> 16u;
  let mid = ah * bl + ((al * bl) >> 16u);
  let low = al * bh + (mid & 0xffffu);
  return ah * bh + (mid >> 16u) + (low >> 16u);
}`,
  ],
  [
    'philox',
    `fn philox(low: u32, high: u32, key0: u32, key1: u32) -> vec4u {
  var c = vec4u(low, high, 0u, 0u);
  var k = vec2u(key0, key1);
  // a bound that only the run knows (10): unrolled rounds make software adapters compile for seconds
  for (var round = 0; round < 10 + (p.groups >> 31u); round++) {
    c = vec4u(mulHigh(0xCD9E8D57u, c.z) ^ c.y ^ k.x, 0xCD9E8D57u * c.z, mulHigh(0xD2511F53u, c.x) ^ c.w ^ k.y, 0xD2511F53u * c.x);
    k += vec2u(0x9E3779B9u, 0xBB67AE85u);
  }
  return c;
}`,
  ],
]

export const paramType = (word: ParamWord): 'f32' | 'i32' => (word.kind === 'scalar' ? word.type : word.kind)

const uses = (text: string, name: string) => new RegExp(`\\b${name}\\b`).test(text)

/**
 * The whole module. `shareWrites` declares every buffer read_write: so two ranges of one GPU buffer, one read and one
 * written, may be bound together.
 */
export function shaderSource(dispatch: Dispatch, shareWrites: boolean): string {
  const { shader } = dispatch
  const code = `${shader.declarations?.() ?? ''}
@compute @workgroup_size(${shader.workgroupSize})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lidx: u32) {
  let group = i32(wid.x + wid.y * nwg.x);
  if (group >= p.groups) { return; }
  let lid = i32(lidx);
${shader.body()}
}`
  let helpers = ''
  for (let i = HELPERS.length - 1; i >= 0; i--) {
    const [name, text] = HELPERS[i]
    if (uses(code, name) || uses(helpers, name)) helpers = `${text}\n${helpers}`
  }
  const fields = Object.entries(dispatch.params).map(([name, word]) => `  ${name}: ${paramType(word)},`)
  const bindings = dispatch.buffers.map((b, i) => {
    const access = shareWrites ? 'read_write' : b.access
    return `@group(0) @binding(${i + 1}) var<storage, ${access}> ${b.name}: array<${b.element}>;`
  })
  return `struct Params {
  groups: i32,
${fields.join('\n')}
}
@group(0) @binding(0) var<uniform> p: Params;
${bindings.join('\n')}
${helpers}${code}
`
}
