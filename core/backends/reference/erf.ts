/**
 * The error function in float64: its series around 0 with all terms positive (Abramowitz and Stegun 7.1.6), the
 * continued fraction of the complement further out (7.1.14).
 */
export function erf(x: number): number {
  if (Number.isNaN(x)) return NaN
  const a = Math.abs(x)
  if (a > 6) return Math.sign(x) // the complement is below 2^-54
  if (a > 2.5) return Math.sign(x) * (1 - complement(a))
  let term = x
  let sum = x
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1)
    sum += term
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum
}

/** erfc(x) for x > 2, from the tail of the fraction inwards. */
function complement(x: number): number {
  let fraction = x
  for (let n = 60; n >= 1; n--) fraction = x + n / 2 / fraction
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction)
}
