/** Softmax and the norms: one workgroup a row, sums in trees. */
import type { CallKernel } from '../../../plan/kernel.ts'
import {
  type Dispatch,
  int,
  type LowerContext,
  type LowerLimits,
  type ParamWord,
  slotOf,
} from '../dispatch.ts'
import {
  type Bound,
  bind,
  byRows,
  type CallShape,
  element,
  flatSlice,
  output,
  rowSlice,
  rowsOf,
  rowWorkgroup,
  treeFunctions,
} from './call.ts'

interface RowKernel {
  /** Names of the inputs: `rows` operands are [rows, C], `perRow` [rows], `perColumn` [C]; in the order of the call's. */
  readonly inputs: readonly (readonly [name: string, kind: 'rows' | 'perRow' | 'perColumn'])[]
  readonly outputs: readonly (readonly [name: string, kind: 'rows' | 'perRow'])[]
  readonly trees: readonly ('sumAll' | 'maxAll')[]
  /** Statements; `at(name)` reads an input's element: of this row at column `c`, of this row, of column `c`. */
  body(at: (name: string) => string, put: (name: string, value: string) => string, eachColumn: Loop): string
}

type Loop = (body: string) => string

function lowerRows(k: CallKernel, ctx: LowerContext, spec: RowKernel): Dispatch[] {
  const { rows, columns } = rowsOf(k.outputs[0].shape)
  if (columns === 0) return []
  const size = rowWorkgroup(columns)
  return byRows(rows, columns * 4, ctx, (start, count) => {
    const bound = new Map<string, Bound>()
    const params: Record<string, ParamWord> = { C: int(columns) }
    const kinds = new Map<string, string>([...spec.inputs, ...spec.outputs])
    spec.inputs.forEach(([name, kind], i) => {
      const o = k.inputs[i]
      const part =
        kind === 'rows'
          ? rowSlice(o, columns, start, count)
          : kind === 'perRow'
            ? flatSlice(o, start, count)
            : o
      bound.set(name, bind(name, part, ctx))
    })
    spec.outputs.forEach(([name, kind], i) => {
      const o = k.outputs[i]
      const part = kind === 'rows' ? rowSlice(o, columns, start, count) : flatSlice(o, start, count)
      bound.set(name, output(name, part, ctx))
    })
    for (const [name, b] of bound) params[`${name}Offset`] = int(b.offset)
    k.scalars.forEach((s, i) => {
      params[`c${i}`] = slotOf(s)
    })
    const index = (name: string) => {
      const kind = kinds.get(name)
      const place = kind === 'rows' ? 'row * p.C + c' : kind === 'perRow' ? 'row' : 'c'
      return `(p.${name}Offset + ${place})`
    }
    const at = (name: string) => element(bound.get(name) as Bound, index(name))
    const put = (name: string, value: string) => `${name}[${index(name)}] = ${value};`
    const eachColumn: Loop = (body) => `  for (var c = lid; c < p.C; c += ${size}) { ${body} }`
    const traits = [...bound.values()].map((b) => b.dtype).join(',')
    return [
      {
        key: `${k.name}.${size}.${traits}.${JSON.stringify(k.attrs)}`,
        label: `${k.label} [${count},${columns}]`,
        params,
        buffers: [...bound.values()].map((b) => b.use),
        groups: count,
        shader: {
          workgroupSize: size,
          declarations: () => treeFunctions(size, spec.trees),
          body: () => `  let row = group;\n${spec.body(at, put, eachColumn)}`,
        },
      },
    ]
  })
}

/** A row must bind whole. */
export const rowsBind = (call: CallShape, limits: LowerLimits): boolean =>
  [...call.inputs, ...call.outputs].every((o) => rowsOf(o.shape).columns * 4 + 256 <= limits.maxBindingBytes)

export const lowerSoftmax = (k: CallKernel, ctx: LowerContext): Dispatch[] =>
  lowerRows(k, ctx, {
    inputs: [['x', 'rows']],
    outputs: [['y', 'rows']],
    trees: ['sumAll', 'maxAll'],
    // a row whose largest element is not finite is NaN throughout
    body: (at, put, each) => `  var most = -infinity();
${each(`most = maxNan(most, ${at('x')});`)}
  most = maxAll(most, lid);
  if ((bitcast<u32>(most) & 0x7f800000u) == 0x7f800000u) { most = quietNan(); }
  var sum = 0f;
${each(`sum += exp(${at('x')} - most);`)}
  sum = sumAll(sum, lid);
  let bad = isNan(most);
${
  k.attrs.log
    ? `  let logSum = log(sum);\n${each(put('y', `select((${at('x')} - most) - logSum, quietNan(), bad)`))}`
    : `  let scale = 1f / sum;\n${each(put('y', `select(exp(${at('x')} - most) * scale, quietNan(), bad)`))}`
}`,
  })

const optional = (k: CallKernel, names: readonly string[]): [string, 'perColumn'][] =>
  names.filter((n) => k.attrs[n]).map((n) => [n, 'perColumn'])

export const lowerLayerNorm = (k: CallKernel, ctx: LowerContext): Dispatch[] =>
  lowerRows(k, ctx, {
    inputs: [['x', 'rows'], ...optional(k, ['weight', 'bias'])],
    outputs: [
      ['y', 'rows'],
      ['mean', 'perRow'],
      ['rstd', 'perRow'],
    ],
    trees: ['sumAll'],
    body: (at, put, each) => `  var sum = 0f;
${each(`sum += ${at('x')};`)}
  let mu = sumAll(sum, lid) / f32(p.C);
  var squares = 0f;
${each(`let d = ${at('x')} - mu; squares += d * d;`)}
  let scale = 1f / sqrt(sumAll(squares, lid) / f32(p.C) + p.c0);
  if (lid == 0) {
    ${put('mean', 'mu')}
    ${put('rstd', 'scale')}
  }
${each(
  put(
    'y',
    `(${at('x')} - mu) * scale${k.attrs.weight ? ` * ${at('weight')}` : ''}${k.attrs.bias ? ` + ${at('bias')}` : ''}`,
  ),
)}`,
  })

/** dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = dy weight. */
export const lowerLayerNormBackward = (k: CallKernel, ctx: LowerContext): Dispatch[] =>
  lowerRows(k, ctx, {
    inputs: [
      ['dy', 'rows'],
      ['x', 'rows'],
      ['mean', 'perRow'],
      ['rstd', 'perRow'],
      ...optional(k, ['weight']),
    ],
    outputs: [['dx', 'rows']],
    trees: ['sumAll'],
    body: (at, put, each) => {
      const terms = `let g = ${at('dy')}${k.attrs.weight ? ` * ${at('weight')}` : ''}; let xhat = (${at('x')} - mu) * scale;`
      return `  let mu = ${at('mean')};
  let scale = ${at('rstd')};
  var sumG = 0f;
  var sumGX = 0f;
${each(`${terms} sumG += g; sumGX += g * xhat;`)}
  let meanG = sumAll(sumG, lid) / f32(p.C);
  let meanGX = sumAll(sumGX, lid) / f32(p.C);
${each(`${terms} ${put('dx', 'scale * (g - meanG - xhat * meanGX)')}`)}`
    },
  })

export const lowerRmsNorm = (k: CallKernel, ctx: LowerContext): Dispatch[] =>
  lowerRows(k, ctx, {
    inputs: [['x', 'rows'], ...optional(k, ['weight'])],
    outputs: [
      ['y', 'rows'],
      ['rstd', 'perRow'],
    ],
    trees: ['sumAll'],
    body: (at, put, each) => `  var squares = 0f;
${each(`let v = ${at('x')}; squares += v * v;`)}
  let scale = 1f / sqrt(sumAll(squares, lid) / f32(p.C) + p.c0);
  if (lid == 0) { ${put('rstd', 'scale')} }
${each(put('y', `${at('x')} * scale${k.attrs.weight ? ` * ${at('weight')}` : ''}`))}`,
  })

/** dx = rstd (g - xhat mean(g xhat)) with g = dy weight. */
export const lowerRmsNormBackward = (k: CallKernel, ctx: LowerContext): Dispatch[] =>
  lowerRows(k, ctx, {
    inputs: [['dy', 'rows'], ['x', 'rows'], ['rstd', 'perRow'], ...optional(k, ['weight'])],
    outputs: [['dx', 'rows']],
    trees: ['sumAll'],
    body: (at, put, each) => {
      const terms = `let g = ${at('dy')}${k.attrs.weight ? ` * ${at('weight')}` : ''}; let xhat = ${at('x')} * scale;`
      return `  let scale = ${at('rstd')};
  var sumGX = 0f;
${each(`${terms} sumGX += g * xhat;`)}
  let meanGX = sumAll(sumGX, lid) / f32(p.C);
${each(`${terms} ${put('dx', 'scale * (g - xhat * meanGX)')}`)}`
    },
  })
