/** Raw identifiers of people in places where they do not belong. */

const email = /[^\s@<>()[\]",;:]{1,64}@[^\s@<>()[\]",;:]{1,255}\.[\p{L}]{2,24}/u
const phone = /(?:^|[\s:(])\+\d(?:[\s().-]{0,2}\d){7,14}(?!\d)/u

/**
 * Whether a text holds an e-mail address, or a phone number in international form. Bare digits are order numbers and barcodes
 * far more often than phone numbers, so they pass.
 */
export const holdsRawId = (text: string): boolean =>
  (text.includes('@') && email.test(text)) || (text.includes('+') && phone.test(text))
