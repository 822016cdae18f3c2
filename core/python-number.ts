/**
 * Prints a number as Python's `repr` does, because the original's commands were printed by Python and its users
 * compare them: 1e-05, not 0.00001, and 2e+22, not 2e22. A number has no int or float mark in JSON, so 1.0 is 1.
 */
export function pythonNumber(value: number): string {
  if (Object.is(value, -0)) return '-0.0'
  if (Number.isInteger(value) && Math.abs(value) < 1e16) return String(value)
  const [mantissa = '', exponentText = '0'] = value.toExponential().split('e')
  const exponent = Number(exponentText)
  if (exponent >= -4 && exponent < 16) return plainDecimal(value)
  const sign = exponent < 0 ? '-' : '+'
  return `${mantissa}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`
}

/** JavaScript itself prints a plain decimal for every exponent from -7 to 20, which covers Python's -4 to 15. */
const plainDecimal = (value: number): string => String(value)
