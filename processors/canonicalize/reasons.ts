/** Why an input may leave no output: the closed lists that metrics, maps and documents share. */

/** Reasons that a map's `drop` rules may give. */
export const map_drop_reasons = {
  aggregate: 'a total over many users, not an action of one',
  bundle: 'a bundle or combined listing of other items',
  draft: 'not published yet',
  filtered: 'left out by a rule of the platform’s own',
  not_an_item: 'a line or listing that is no item: a gift card, a tip, a fee',
  not_for_sale: 'listed, but not for sale',
  other_event: 'a kind of event that no interaction stands for',
  parent_listing: 'a group of variants, not an item',
  partial: 'a change without the content it belongs to',
  test_order: 'a test of the shop’s owner',
  unpaid: 'an order that was not paid (yet)',
} as const

/** Reasons of the processor's own. */
export const own_drop_reasons = {
  duplicate: 'its event id came before, within the horizon',
  late: 'its event time is too far behind the log',
  no_lines: 'it lists nothing',
  stale: 'a newer version came before',
  tombstone: 'a deletion in a topic of events',
  unchanged: 'it says what is known already',
  unknown_item: 'the deletion of something never seen',
} as const

export type MapDropReason = keyof typeof map_drop_reasons
export type DropReason = MapDropReason | keyof typeof own_drop_reasons

/** Every drop reason of `canonicalize`, sorted. */
export const drop_reasons: readonly DropReason[] = [
  ...(Object.keys(map_drop_reasons) as MapDropReason[]),
  ...(Object.keys(own_drop_reasons) as (keyof typeof own_drop_reasons)[]),
].sort()
