/** A value that prints as `***` wherever it is printed by accident. */

export const redacted = '***'

/** Holds a secret in a private field: string conversion, JSON and util.inspect all give `***`; only `reveal` gives the value. */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The secret itself: call it where a client is opened, nowhere else. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return redacted
  }

  toJSON(): string {
    return redacted
  }

  get [Symbol.toStringTag](): string {
    return 'Secret'
  }

  [Symbol.toPrimitive](): string {
    return redacted
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return redacted
  }
}

/** A text without the user name and password that a URL in it may carry. */
export const withoutUserInfo = (text: string): string => text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^/@\s]*@/giu, `$1${redacted}@`)
