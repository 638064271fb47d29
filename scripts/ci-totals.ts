/** Adds up jest's JSON reports and prints the closing line of the gate; fails when one is missing or anything failed. */
import { readFileSync } from 'node:fs'

type Report = { numPassedTests: number; numFailedTests: number; numPendingTests: number; numRuntimeErrorTestSuites: number }

let passed = 0
let failed = 0
let skipped = 0
for (const path of process.argv.slice(2)) {
  try {
    const report = JSON.parse(readFileSync(path, 'utf8')) as Report
    passed += report.numPassedTests
    failed += report.numFailedTests + report.numRuntimeErrorTestSuites
    skipped += report.numPendingTests
  } catch (error) {
    failed += 1
    console.error(`No report at ${path}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
process.exitCode = failed > 0 || passed === 0 ? 1 : 0
