/** Work and peaks are those of the papers and data sheets. */
import { expect, test } from '@jest/globals'
import { devicesOf, flopPerToken, median, numbersOf, peakOf, shapeOf } from './gpu-figures.ts'

const minilm = { hidden_size: 384, num_hidden_layers: 6, intermediate_size: 1_536 }

test('a token of MiniLM-L6 costs 21.2 MFLOP in its matrices, and attention on top by the length of its text', () => {
  expect(flopPerToken(minilm, 0)).toBe(2 * 6 * 12 * 384 * 384)
  expect(flopPerToken(minilm, 128) - flopPerToken(minilm, 0)).toBe(6 * 4 * 384 * 128)
  // Twice the layers, twice the work.
  expect(flopPerToken({ ...minilm, num_hidden_layers: 12 }, 20)).toBe(2 * flopPerToken(minilm, 20))
})

test('a config without a shape is said to have none', () => {
  expect(shapeOf({ ...minilm, vocab_size: 3 })).toEqual(minilm)
  for (const config of [null, 'x', {}, { ...minilm, hidden_size: 0 }, { ...minilm, num_hidden_layers: '6' }])
    expect(shapeOf(config)).toBeNull()
})

test('peaks go by the name that nvidia-smi prints', () => {
  expect(
    [
      'NVIDIA H100 80GB HBM3',
      'NVIDIA H100 PCIe',
      'NVIDIA H200',
      'NVIDIA A100-SXM4-80GB',
      'NVIDIA A10G',
      'NVIDIA L4',
      'Tesla T4',
    ].map(peakOf),
  ).toEqual([989, 756, 989, 312, 125, 121, 65])
  expect(peakOf('NVIDIA L40S')).toBe(362)
  expect(peakOf('Voodoo 2')).toBeNull()
})

test('nvidia-smi’s lines are devices; what is no device is left out', () => {
  expect(devicesOf('NVIDIA H100 80GB HBM3, 81559 MiB, 570.10\n\n')).toEqual([
    { name: 'NVIDIA H100 80GB HBM3', memory: '81559 MiB', driver: '570.10' },
  ])
  expect(devicesOf('No devices were found')).toEqual([])
})

test('lists of sizes are sorted, doubles once, nonsense refused', () => {
  expect(numbersOf('16,1, 4,16', 4_096)).toEqual([1, 4, 16])
  for (const list of ['', '0', '1,x', '-1', '5000', '1.5', '1,,2']) expect(numbersOf(list, 4_096)).toBeNull()
  expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2])
})
