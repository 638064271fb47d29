/** Links as platforms give them: kept only if a browser may follow them. Nothing here is ever fetched. */

export const url_characters_max = 2048

// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the purpose
const followable = /^https?:\/\/(?!\/)[^\s\u0000-\u001f\u007f"<>\\^`{|}@/?#]+(?:[/?#][^\s\u0000-\u001f\u007f"<>\\^`{|}]*)?$/iu

/**
 * An http or https URL of at most 2 KiB characters, without user information; `//host/…` becomes https and blanks become `%20`.
 * Undefined for anything else, `javascript:` and `file:` among it.
 */
export const normaliseUrl = (raw: string): string | undefined => {
  let url = raw.trim()
  if (url.startsWith('//')) url = `https:${url}`
  if (url.includes(' ')) url = url.replaceAll(' ', '%20')
  return url.length <= url_characters_max && followable.test(url) ? url : undefined
}
