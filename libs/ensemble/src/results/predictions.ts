// The probabilities of one split as a table that a person reads and a spreadsheet opens.
import { csvOf } from './csv.ts';
import { predictions, type Probabilities } from './probabilities.ts';

/** The column after key and name: the split, or of out-of-fold probabilities the fold. */
export interface PlaceColumn {
  title: string;
  of: (key: string) => string;
}

/**
 * CSV with a row for each scan: key, name, split, predicted class, true class (empty if it is not known), one column
 * `probability_<class>` for each class, failure. A scan without probabilities has the reason in `failure` and neither
 * probabilities nor a predicted class.
 */
export function predictionsTable(
  p: Probabilities,
  place: PlaceColumn = { title: 'split', of: () => p.split },
): string {
  const nameOf = (label: number | null) => (label === null ? '' : p.classes[label]!);
  const predicted = predictions(p);
  const columns = p.classes.map((name) => `probability_${name}`);
  return csvOf([
    ['scan', 'name', place.title, 'predicted', 'true', ...columns, 'failure'],
    ...p.scans.map(({ key, name, label }, i) => {
      const about = [key, name, place.of(key), nameOf(predicted[i]!), nameOf(label)];
      return [...about, ...p.rows[i]!.map(String), ''];
    }),
    ...p.failed.map(({ key, name, label, reason }) => {
      const about = [key, name, place.of(key), '', nameOf(label)];
      return [...about, ...p.classes.map(() => ''), reason];
    }),
  ]);
}
