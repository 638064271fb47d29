/** Units of weight, length and volume as platforms write them, to grams, millimetres and millilitres. */

export type Dimension = 'weight' | 'length' | 'volume'

/** How much of the dimension's unit (g, mm, ml) one of these is. NIST SP 811, appendix B. */
const weight: Readonly<Record<string, number>> = {
  mg: 0.001,
  milligrams: 0.001,
  g: 1,
  gr: 1,
  gram: 1,
  grams: 1,
  kg: 1000,
  kilogram: 1000,
  kilograms: 1000,
  t: 1_000_000,
  tons: 907_184.74,
  oz: 28.349523125,
  ounce: 28.349523125,
  ounces: 28.349523125,
  lb: 453.59237,
  lbs: 453.59237,
  pound: 453.59237,
  pounds: 453.59237,
  hundredths_pounds: 4.5359237,
}
const length: Readonly<Record<string, number>> = {
  mm: 1,
  millimeter: 1,
  millimeters: 1,
  millimetre: 1,
  cm: 10,
  centimeter: 10,
  centimeters: 10,
  centimetre: 10,
  m: 1000,
  meter: 1000,
  meters: 1000,
  metre: 1000,
  in: 25.4,
  inch: 25.4,
  inches: 25.4,
  ft: 304.8,
  foot: 304.8,
  feet: 304.8,
  yd: 914.4,
  yard: 914.4,
  yards: 914.4,
  hundredths_inches: 0.254,
}
const volume: Readonly<Record<string, number>> = {
  ml: 1,
  milliliter: 1,
  milliliters: 1,
  millilitre: 1,
  cl: 10,
  dl: 100,
  l: 1000,
  liter: 1000,
  liters: 1000,
  litre: 1000,
  litres: 1000,
  m3: 1_000_000,
  'm³': 1_000_000,
  cubic_meters: 1_000_000,
  cm3: 1,
  'cm³': 1,
  cubic_centimeters: 1,
  fl_oz: 29.5735295625,
  fluid_ounces: 29.5735295625,
  gal: 3785.411784,
  gallon: 3785.411784,
  gallons: 3785.411784,
}
const dimensions: Readonly<Record<Dimension, ReadonlyMap<string, number>>> = {
  weight: new Map(Object.entries(weight)),
  length: new Map(Object.entries(length)),
  volume: new Map(Object.entries(volume)),
}

/** The unit a dimension is kept in. */
export const unit_of: Readonly<Record<Dimension, string>> = { weight: 'g', length: 'mm', volume: 'ml' }

/** The factor from a unit (any case, spaces or hyphens as underscores) to g, mm or ml; undefined when it is no unit of the dimension. */
export const factorOf = (unit: string, dimension: Dimension): number | undefined =>
  dimensions[dimension].get(
    unit
      .trim()
      .toLowerCase()
      .replace(/[\s-]+/gu, '_')
      .replace(/\.$/u, ''),
  )

/** Whether any dimension knows the unit. */
export const isUnit = (unit: string): boolean =>
  factorOf(unit, 'weight') !== undefined || factorOf(unit, 'length') !== undefined || factorOf(unit, 'volume') !== undefined

/** A measure with the digits that a measurement can have: 12 significant ones, so that 0.1 kg is 100 g and not 100.00000000000001. */
export const measured = (value: number, factor: number): number => Number((value * factor).toPrecision(12))
