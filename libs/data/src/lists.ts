// Lists of a whole data set. `list.push(...items)` passes each item as an argument, and from about 120 000 on the stack overflows.

/** Appends the items, however many there are. */
export function addAll<T>(list: T[], items: Iterable<T>) {
  for (const item of items) list.push(item);
}

/** Appends an item to the list of its group. */
export function addToGroup<K, T>(groups: Map<K, T[]>, key: K, item: T) {
  const group = groups.get(key);
  if (group === undefined) groups.set(key, [item]);
  else group.push(item);
}
