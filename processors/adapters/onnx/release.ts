/** Large memory is given back when it is done with, and not at some collection later: weights are a hundred megabytes a thread. */

/** Detaches the buffer of `bytes`, which are empty from then on. Bytes that share their buffer with others are left alone. */
export const release = (bytes: Uint8Array): void => {
  const { buffer } = bytes
  if (buffer instanceof ArrayBuffer && !buffer.detached && bytes.byteLength === buffer.byteLength) buffer.transfer(0)
}
