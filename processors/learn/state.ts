/** How learn keeps profiles and waiting interactions in its state: compact, versioned, byte-equal for equal content. */
import { Fault } from '../domain/fault.ts'
import type { Interaction } from '../domain/interaction.ts'
import type { Profile } from '../domain/profile.ts'
import { fromBytes, toBytes, type Vector } from '../domain/vector.ts'

const version = 1

export const profileKey = (user_key: string): string => `p/${user_key}`

/** Waiting interactions sort by the time they began to wait. */
export const waiting_prefix = 'w/'
export const waiting_count_key = 'waiting'
export const waitingKey = (since_ms: number, offset: number): string =>
  `${waiting_prefix}${String(since_ms).padStart(15, '0')}/${String(offset).padStart(16, '0')}`

const vectorBytes = (v: Vector | null): Buffer => (v === null ? Buffer.alloc(0) : toBytes(v))

/** Layout: version u8, length of JSON u32, of preference u32, of session u32, then the three parts. Little-endian. */
export const encodeProfile = (profile: Profile): Buffer => {
  const { preference, session, ...rest } = profile
  const json = Buffer.from(JSON.stringify(rest), 'utf8')
  const vectors = [vectorBytes(preference), vectorBytes(session)] as const
  const head = Buffer.allocUnsafe(13)
  head.writeUInt8(version, 0)
  head.writeUInt32LE(json.length, 1)
  head.writeUInt32LE(vectors[0].length, 5)
  head.writeUInt32LE(vectors[1].length, 9)
  return Buffer.concat([head, json, ...vectors])
}

export const decodeProfile = (bytes: Buffer): Profile => {
  if (bytes.length < 13 || bytes.readUInt8(0) !== version)
    throw new Fault('state.corrupt', `A profile in the state of learn has format ${bytes[0]}; this version reads ${version}.`)
  const json_end = 13 + bytes.readUInt32LE(1)
  const preference_end = json_end + bytes.readUInt32LE(5)
  const session_end = preference_end + bytes.readUInt32LE(9)
  if (session_end !== bytes.length) throw new Fault('state.corrupt', 'A profile in the state of learn is cut short.')
  const rest = JSON.parse(bytes.toString('utf8', 13, json_end)) as Omit<Profile, 'preference' | 'session'>
  const part = (from: number, to: number) => (from === to ? null : fromBytes(bytes.subarray(from, to)))
  return { ...rest, preference: part(json_end, preference_end), session: part(preference_end, session_end) }
}

export type Waiting = {
  readonly interaction: Interaction
  readonly offset: number
  readonly since_ms: number
  readonly bytes: Buffer | null
}

export const encodeWaiting = (waiting: Waiting): Buffer =>
  Buffer.from(JSON.stringify({ ...waiting, bytes: waiting.bytes === null ? null : waiting.bytes.toString('base64') }), 'utf8')

export const decodeWaiting = (bytes: Buffer): Waiting => {
  const plain = JSON.parse(bytes.toString('utf8')) as Omit<Waiting, 'bytes'> & { bytes: string | null }
  return { ...plain, bytes: plain.bytes === null ? null : Buffer.from(plain.bytes, 'base64') }
}
