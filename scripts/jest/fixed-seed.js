/** One seed for every property, so that a test says the same today and tomorrow; FC_SEED tries another. */
import fc from 'fast-check'

fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 20261123) })
