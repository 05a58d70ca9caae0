/**
 * Elementary functions in f32, spelled out in primitive operations of the scalar IR, so that generated WebAssembly and
 * WGSL compute the same polynomials.
 *
 * The coefficients are our own minimax fits (Lawson's iteration on the relative error), rounded to f32 from the lowest
 * degree up. Nothing here needs a fused multiply-add, and nothing breaks if a compiler forms one: wherever a difference
 * must be exact, its product is exact too. Special values are recognised and made as bits, since shader compilers may
 * assume that NaN and infinity do not occur. Bounds are written as `select(lt(hi, x), hi, x)` and
 * `select(lt(x, lo), lo, x)`, which WebAssembly has as `f32x4.pmin` and `f32x4.pmax`.
 *
 * Largest relative errors measured against float64 (one ulp is 0.6e-7 to 1.2e-7): see test/core/math.test.ts.
 */
import { constant, type Expr, rewrite } from './expr.ts'

const INF_BITS = 0x7f800000
const NAN_BITS = 0x7fc00000
const ONE_BITS = 0x3f800000
const SIGN_BITS = -0x80000000
const MAGNITUDE_BITS = 0x7fffffff
/** 1.5 * 2^23: a small integer added to it appears in the low bits of the sum. */
const INTEGER_TO_BITS = 12582912

const bits = (value: number): Expr => constant(value, 'i32')
const atMost = (x: Expr, hi: number): Expr => constant(hi, 'f32').lt(x).select(hi, x)
const atLeast = (x: Expr, lo: number): Expr => x.lt(lo).select(lo, x)

/** c[0] + c[1] x + c[2] x^2 + ... by Horner's scheme. */
function polynomial(x: Expr, c: readonly number[]): Expr {
  let sum: Expr = constant(c[c.length - 1], 'f32')
  for (let i = c.length - 2; i >= 0; i--) sum = sum.mul(x).add(c[i])
  return sum
}

// --- exponentials ---

/** (e^r - 1 - r) / r^2 on |r| <= ln(2) / 2; relative error of e^r - 1: 1.4e-8. */
const EXPM1 = [0.49999997, 0.16666546, 0.041667435, 0.0083662616, 0.0013870657]
/** (2^r - 1) / r on |r| <= 0.54; relative error of 2^r: 5e-9. */
const EXP2 = [0.69314724, 0.24022654, 0.055502623, 0.0096175671, 0.00134226, 0.00015615497]
const LOG2E = Math.LOG2E
/** ln(2) in two parts, the first with 9 bits, so that its product with an exponent is exact. */
const LN2_HI = 0.693359375
const LN2_LO = -2.1219444e-4

/** n = round(x / ln 2), r = x - n ln 2, and e^r - 1. */
function reduceExp(x: Expr): { n: Expr; em1: Expr } {
  const n = x.mul(LOG2E).roundSmall()
  const r = x.sub(n.mul(LN2_HI)).sub(n.mul(LN2_LO))
  return { n, em1: r.mul(r).mul(polynomial(r, EXPM1)).add(r) }
}

/** p * 2^n for an integer-valued n in -254..254, by two factors: overflow gives infinity, underflow denormals and 0. */
function scaleByPowerOf2(p: Expr, n: Expr): Expr {
  const biased = n.add(INTEGER_TO_BITS + 254).bitsToI32() // low bits: n + 2 * 127
  const half = biased.shr(1)
  const a = half.shl(23).bitsToF32()
  const b = biased.sub(half).shl(23).bitsToF32()
  return p.mul(a).mul(b)
}

function exp(x: Expr): Expr {
  const { n, em1 } = reduceExp(atMost(atLeast(x, -104), 89))
  return scaleByPowerOf2(em1.add(1), n)
}

/** 2^n (e^r - 1) + (2^n - 1), computed at half its size so that n = 128 does not overflow early. */
function expm1(x: Expr): Expr {
  const { n, em1 } = reduceExp(atMost(atLeast(x, -18), 89))
  const half = n
    .add(INTEGER_TO_BITS + 126)
    .bitsToI32()
    .shl(23)
    .bitsToF32() // 2^(n - 1)
  const y = em1.mul(half).add(half.sub(0.5)).mul(2)
  return x.abs().lt(5e-8).select(x, y) // keeps -0 and denormals
}

// --- logarithms ---

/** (ln(1 + f) - f + f^2 / 2) / f^3 on |f| <= 1/3; relative error of ln(1 + f): 3.7e-8. */
const LOG1P = [0.33333266, -0.25004238, 0.20007931, -0.16472325, 0.14042169, -0.15122186, 0.13820764]
/** The same with one more term, 4.6e-9: `pow` multiplies the error. */
const LOG1P_FINE = [
  0.33333215, -0.24999806, 0.20010427, -0.16680196, 0.14005734, -0.12187948, 0.13984594, -0.12880054,
]
/** Bits of 2/3: an exponent counts from there, so that the mantissa lies in [2/3, 4/3). */
const TWO_THIRDS_BITS = 0x3f2aaaab

/** k and f with x = 2^k (1 + f), f in [-1/3, 1/3], for positive finite x, denormals included. */
function splitExponent(x: Expr): { k: Expr; f: Expr } {
  const tiny = x.bitsToI32().lt(0x00800000)
  const b = tiny.select(x.mul(8388608), x).bitsToI32()
  const k = b.sub(TWO_THIRDS_BITS).shr(23)
  const f = b.sub(k.shl(23)).bitsToF32().sub(1)
  return { k: k.toF32().sub(tiny.select(23, 0)), f }
}

/** k ln 2 + ln(1 + f). */
function logOfParts(k: Expr, f: Expr): Expr {
  const tail = f.mul(f).mul(polynomial(f, LOG1P).mul(f).sub(0.5))
  return k.mul(LN2_HI).add(f.add(tail.add(k.mul(LN2_LO))))
}

/** ln's special values, by the bits of its argument; `positiveInfinity` is the answer to +inf and NaN. */
function logSpecials(argument: Expr, positiveInfinity: Expr, y: Expr): Expr {
  const b = argument.bitsToI32()
  const small = b
    .and(MAGNITUDE_BITS)
    .eq(0)
    .select(bits(SIGN_BITS | INF_BITS), bits(NAN_BITS)) // ln(0), ln(negative)
  const large = b.ge(INF_BITS).select(positiveInfinity.bitsToI32(), y.bitsToI32())
  return b.le(0).select(small, large).bitsToF32()
}

function log(x: Expr): Expr {
  const { k, f } = splitExponent(x)
  return logSpecials(x, x, logOfParts(k, f))
}

/** The exponent k comes from the bits of 1 + x, but f = 2^-k x + (2^-k - 1) from x itself: no digit is lost. */
function log1p(x: Expr): Expr {
  const u = x.add(1)
  const shifted = u.bitsToI32().sub(TWO_THIRDS_BITS).shr(23)
  const s4 = bits(0x40800000).sub(shifted.shl(23)).bitsToF32() // 4 * 2^-k: not 0 for the largest k
  const f = x.mul(0.25).mul(s4).add(s4.mul(0.25).sub(1))
  const y = logSpecials(u, x, logOfParts(shifted.toF32(), f))
  return x.abs().lt(3e-8).select(x, y) // keeps -0 and denormals
}

// --- sine and cosine ---

/** (sin r - r) / r^3 in r^2 on |r| <= 0.786; relative error 4e-9. */
const SIN = [-0.16666655, 0.0083321873, -0.000195179]
/** (cos r - 1 + r^2 / 2) / r^4 in r^2; relative error 1e-10. */
const COS = [0.041666646, -0.0013887309, 2.4432327e-5]
/** pi / 2 in parts of 6, 6, 7 and 24 bits: the products with a quadrant number below 2^17 are exact (Cody and Waite). */
const HALF_PI = [1.5625, 0.008056640625, 0.0002384185791015625, 1.2675908e-6]

/**
 * sin(x + quarterTurns * pi / 2). Absolute error below 2e-7 for |x| <= 2e5; beyond that the argument loses digits, the result
 * stays within [-1, 1].
 */
function sine(x: Expr, quarterTurns: number): Expr {
  const n = x.mul(0.63661977).round()
  let r = x
  for (const part of HALF_PI) r = r.sub(n.mul(part))
  r = atMost(atLeast(r, -0.8), 0.8)
  const quadrant = n.add(INTEGER_TO_BITS + quarterTurns).bitsToI32() // its low bits
  const z = r.mul(r)
  const sin = z.mul(r).mul(polynomial(z, SIN)).add(r)
  const cos = z.mul(z).mul(polynomial(z, COS)).add(z.mul(-0.5).add(1))
  const odd = quadrant.and(1).ne(0)
  const y = odd.select(cos, sin).bitsToI32().xor(quadrant.and(2).shl(30)).bitsToF32()
  // sin(-0) is -0, which the reduction above loses
  return quarterTurns === 0 ? x.eq(0).select(x, y) : y
}

// --- tanh and erf: odd rational functions x P(x^2) / Q(x^2) ---

// Fitted so that they pass 1 where f32 has reached it, and searched for the coefficients with the smallest error after
// rounding, with and without fused multiply-add: 3e-7.

const TANH_P = [1, 0.1339332, 0.0035102977, 2.0858784e-5, 1.3725094e-8]
const TANH_Q = [1, 0.4672664, 0.025932632, 0.00033099696, 7.92235e-7]
const ERF_P = [1.1283791, 0.1887591, 0.05262238, 0.0037138443, 0.00028740696, 2.1184358e-6]
const ERF_Q = [1, 0.50061613, 0.11351023, 0.014870305, 0.0011562534, 3.891062e-5]

function oddRational(x: Expr, bound: number, p: readonly number[], q: readonly number[]): Expr {
  const c = atMost(atLeast(x, -bound), bound)
  const z = c.mul(c)
  const y = c.mul(polynomial(z, p)).div(polynomial(z, q))
  return atMost(atLeast(y, -1), 1)
}

// --- power ---

/** The leading 12 bits of x: the product of two such numbers is exact. */
const leading = (x: Expr): Expr => x.bitsToI32().and(-4096).bitsToF32()

/** log2(x) as a sum hi + lo, hi with 12 bits: the logarithm of a power must be good to more digits than f32 has. */
function log2InTwoParts(x: Expr): { hi: Expr; lo: Expr } {
  const { k, f } = splitExponent(x)
  // ln(1 + f) = d + e, where d = f - f^2 / 2 with its rounding errors in e
  const fHi = leading(f)
  const halfSquare = fHi.mul(fHi).mul(0.5)
  const restOfSquare = f.sub(fHi).mul(f.add(fHi)).mul(0.5)
  const d = f.sub(halfSquare)
  const cubic = f.mul(f).mul(f).mul(polynomial(f, LOG1P_FINE))
  const e = f.sub(d).sub(halfSquare).add(cubic.sub(restOfSquare))
  // times log2(e) = 1.4423828125 + 0.00031222839, the first with 12 bits
  const dHi = leading(d)
  const product = dHi.mul(1.4423828125)
  const rest = dHi.mul(0.00031222839).add(d.sub(dHi).add(e).mul(LOG2E))
  // k + product + rest, largest first, with the rounding error of each sum
  const first = k.add(product)
  const sum = first.add(rest)
  const hi = leading(sum)
  const errors = k.sub(first).add(product).add(first.sub(sum).add(rest))
  return { hi, lo: sum.sub(hi).add(errors) }
}

/** |x|^y for finite x other than 0, and any y but NaN: 2^(y log2 |x|). */
function powMagnitude(x: Expr, y: Expr): Expr {
  const { hi, lo } = log2InTwoParts(x)
  const bounded = atMost(atLeast(y, -1.6e10), 1.6e10) // beyond it only x = 1 does not overflow
  const yHi = leading(bounded)
  const z = yHi.mul(hi)
  const zLo = bounded.sub(yHi).mul(hi).add(bounded.mul(lo))
  const zBounded = atMost(atLeast(z, -160), 130)
  const n = zBounded.round()
  const r = atMost(atLeast(zBounded.sub(n).add(zLo), -1), 1)
  return scaleByPowerOf2(r.mul(polynomial(r, EXP2)).add(1), n)
}

/** IEEE 754's `pow`: pow(x, 0) = pow(1, y) = 1, negative x only with an integer y, signed zeros and infinities. */
function generalPow(x: Expr, y: Expr): Expr {
  const xBits = x.bitsToI32()
  const xMagnitude = xBits.and(MAGNITUDE_BITS)
  const yMagnitude = y.bitsToI32().and(MAGNITUDE_BITS)
  const half = y.mul(0.5)
  const isInteger = y.floor().eq(y)
  const isOdd = isInteger.and(half.floor().ne(half))
  const isZero = xMagnitude.eq(0)
  const isInfinite = xMagnitude.eq(INF_BITS)

  const finite = powMagnitude(xMagnitude.bitsToF32(), y).bitsToI32()
  const toInfinity = isZero.eq(y.lt(0))
  const magnitude = isZero.or(isInfinite).select(toInfinity.select(bits(INF_BITS), bits(0)), finite)
  const signed = magnitude.or(isOdd.select(xBits.and(SIGN_BITS), bits(0)))

  const isRoot = xBits.lt(0).and(isInteger.not()).and(isZero.or(isInfinite).not())
  const undefinedPower = isRoot.or(xMagnitude.gt(INF_BITS)).or(yMagnitude.gt(INF_BITS))
  const isOne = yMagnitude.eq(0).or(xBits.eq(ONE_BITS))
  return isOne.select(bits(ONE_BITS), undefinedPower.select(bits(NAN_BITS), signed)).bitsToF32()
}

/** Constant exponents that need no logarithm; PyTorch takes the same short cuts (so (-inf)^0.5 is NaN, as there). */
function pow(x: Expr, y: Expr): Expr {
  if (x.type !== 'f32')
    throw new TypeError(`[pow] the power of ${x.type} values is not elementary: convert the base to float32`)
  if (y.op === 'const')
    switch (y.value) {
      case 0:
        return constant(1, 'f32')
      case 0.5:
        return x.sqrt()
      case 1:
        return x
      case 2:
        return x.mul(x)
      case 3:
        return x.mul(x).mul(x)
      case -0.5:
        return constant(1, 'f32').div(x.sqrt())
      case -1:
        return constant(1, 'f32').div(x)
      case -2:
        return constant(1, 'f32').div(x.mul(x))
    }
  return generalPow(x, y)
}

function expand(e: Expr): Expr {
  const [x, y] = e.args
  switch (e.op) {
    case 'exp':
      return exp(x)
    case 'expm1':
      return expm1(x)
    case 'log':
      return log(x)
    case 'log1p':
      return log1p(x)
    case 'sin':
      return sine(x, 0)
    case 'cos':
      return sine(x, 1)
    case 'tanh':
      return oddRational(x, 9, TANH_P, TANH_Q)
    case 'erf':
      return oddRational(x, 3.85, ERF_P, ERF_Q)
    case 'pow':
      return pow(x, y)
    default:
      return e
  }
}

// Expressions are interned for the life of the program, so this holds no more than they do.
const expanded = new Map<Expr, Expr>()

/** The same expression without `MathOp`s: f32 in, f32 out, accurate to 2 or 3 ulp (pow: 1e-6). */
export const expandMath = (e: Expr): Expr => rewrite(e, expand, expanded)
