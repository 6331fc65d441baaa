// The sections that belong to the whole run: training, data, recipe, machines.
import type { RunReport } from '../model/report-model.ts';
import { counted, inWords } from '../model/words.ts';
import type { Chart, Series } from './chart.ts';
import { thinned } from './charts.ts';
import type { Block, Section } from './section.ts';
import type { Cell, Column, Table } from './table.ts';

const mostEpochs = 30;

export function runSections(report: RunReport): Section[] {
  const { dataset, recipe } = report;
  const tables = (of: (Table | null)[], first?: number): Block[] =>
    of.flatMap((table) =>
      table === null ? [] : [{ kind: 'table', table, ...(first === undefined ? {} : { first }) }],
    );
  const charts = [curveChart(report, 'macroF1'), curveChart(report, 'loss')].filter(
    (chart) => chart !== null,
  );
  const sections: Section[] = [
    {
      id: 'members',
      title: 'Members and their training',
      blocks: [
        ...charts.map((chart): Block => ({ kind: 'chart', chart })),
        ...tables([memberTable(report), missingTable(report), submissionTable(report)]),
      ],
      parts: [],
    },
    {
      id: 'data',
      title: 'Data',
      blocks: [
        {
          kind: 'words',
          sentences: [`${dataset.root}, layout ${dataset.layout}. ${dataset.splits}`, findingWords(report)],
        },
        ...tables([countTable(report)]),
        ...tables([dataset.findings.length === 0 ? null : findingTable(report)], 40),
      ],
      parts: [],
    },
    {
      id: 'recipe',
      title: 'Recipe and versions',
      blocks: [
        { kind: 'words', sentences: [`${recipe.name}: ${recipe.description}`, ...report.versions] },
        { kind: 'text', title: 'The whole recipe', text: recipe.text },
      ],
      parts: [],
    },
  ];
  return sections;
}

function curveChart({ members }: RunReport, of: 'macroF1' | 'loss'): Chart | null {
  const drawn = members.filter(({ epochs }) => epochs.some((epoch) => epoch[of] !== null));
  if (drawn.length === 0) return null;
  const title = of === 'loss' ? 'Training loss by epoch' : 'Macro F1 on the validation scans by epoch';
  const values = drawn.flatMap(({ epochs }) => epochs.flatMap((epoch) => epoch[of] ?? []));
  const last = Math.max(...drawn.flatMap(({ epochs }) => epochs.map(({ epoch }) => epoch)));
  const series = drawn.map(({ name, epochs }): Series => ({
    name,
    ...(drawn.length > 8 ? { style: 'thin' } : {}),
    points: epochs.map((epoch) => [epoch.epoch, epoch[of]] as const),
  }));
  const shown = drawn.slice(0, 12);
  const epochs = thinned(Array.from({ length: last }, (_, i) => i + 1), mostEpochs); // prettier-ignore
  const best = drawn.map(({ name, bestEpoch, epochs: all }) => {
    const at = all.find(({ epoch }) => epoch === bestEpoch)?.macroF1;
    return at === undefined || at === null ? name : `${name} ${at.toFixed(3)} in epoch ${bestEpoch}`;
  });
  return {
    kind: 'lines',
    id: `chart-${of === 'loss' ? 'loss' : 'macro-f1'}-by-epoch`,
    title,
    alternative:
      of === 'loss'
        ? `Mean training loss of each epoch for ${counted(drawn.length, 'member')}, from ${Math.max(...values).toFixed(3)} at most to ${Math.min(...values).toFixed(3)} at least.`
        : `Macro F1 after each epoch for ${counted(drawn.length, 'member')}. Best epochs: ${best.slice(0, 12).join('; ')}.`,
    x: { title: 'epoch', low: 1, high: Math.max(2, last), whole: true },
    y: {
      title: of === 'loss' ? 'loss' : 'macro F1',
      low: 0,
      high: of === 'loss' ? roundedUp(Math.max(...values, 1e-6)) : 1,
    },
    series,
    data: {
      id: `chart-${of === 'loss' ? 'loss' : 'macro-f1'}-by-epoch`,
      title: `Data: ${title.toLowerCase()}`,
      notes: [
        ...(last > mostEpochs ? [`${mostEpochs} of ${last} epochs, evenly.`] : []),
        ...(drawn.length > shown.length ? [`The first ${shown.length} of ${drawn.length} members.`] : []),
      ],
      columns: [
        { title: 'epoch', kind: 'count' },
        ...shown.map(({ name }): Column => ({ title: name, kind: 'score' })),
      ],
      rows: epochs.map((epoch): Cell[] => [
        epoch,
        ...shown.map(({ epochs: own }) => own.find((each) => each.epoch === epoch)?.[of] ?? null),
      ]),
    },
  };
}

/** The next greater multiple of half its power of ten, such as 0.8 for 0.77. */
function roundedUp(value: number): number {
  const step = 10 ** Math.floor(Math.log10(value)) / 2;
  return Number((Math.ceil(value / step - 1e-9) * step).toPrecision(2));
}

function memberTable({ members }: RunReport): Table {
  const folds = members.some(({ fold }) => fold !== null);
  return {
    id: 'members',
    title: 'Members',
    notes: [
      'The duration is that of the epochs in the member’s history; waiting and predicting are not in it.',
    ],
    columns: [
      { title: 'member' },
      { title: 'architecture' },
      { title: 'seed', kind: 'count' },
      ...(folds ? [{ title: 'fold', kind: 'count' } as const] : []),
      { title: 'state' },
      { title: 'epochs', kind: 'count' },
      { title: 'best epoch', kind: 'count' },
      { title: 'minutes', kind: 'number' },
      { title: 'device' },
      { title: 'engine' },
      { title: 'Node.js' },
    ],
    rows: members.map((member): Cell[] => {
      const seconds = member.epochs.map((epoch) => epoch.seconds);
      const known = seconds.length > 0 && !seconds.includes(null);
      return [
        member.name,
        member.architecture,
        member.seed,
        ...(folds ? [member.fold] : []),
        member.state,
        member.epochs.length,
        member.bestEpoch,
        known ? seconds.reduce<number>((sum, value) => sum + value!, 0) / 60 : null,
        member.device,
        member.engine,
        member.node,
      ];
    }),
  };
}

function missingTable({ members }: RunReport): Table | null {
  const absent = members.filter(({ state }) => state !== 'done');
  if (absent.length === 0) return null;
  return {
    id: 'missing-members',
    title: 'Members that are not in the tables',
    notes: [],
    columns: [{ title: 'member' }, { title: 'state' }, { title: 'reason' }],
    rows: absent.map(({ name, state, problem }) => [name, state, problem]),
  };
}

function submissionTable({ submissions, members: all }: RunReport): Table | null {
  if (submissions.length === 0) return null;
  return {
    id: 'submissions',
    title: 'Submissions of the recipe',
    notes: [],
    columns: [
      { title: 'submission' },
      { title: 'members' },
      { title: 'combination' },
      { title: 'missing members' },
    ],
    rows: submissions.map(({ name, members, choice, missing }) => [
      name,
      members.length === all.length ? `all ${all.length} members` : inWords(members),
      choice ?? 'mean',
      missing.length === 0 ? 'none' : inWords(missing),
    ]),
  };
}

function countTable({ dataset, classes }: RunReport): Table {
  return {
    id: 'counts',
    title: 'Scans of the data set',
    notes: [],
    columns: [
      { title: 'split' },
      ...classes.map((title): Column => ({ title, kind: 'count' })),
      { title: 'class not known', kind: 'count' },
      { title: 'could not be prepared', kind: 'count' },
    ],
    rows: dataset.counts.map(({ split, perClass, unlabelled, failed }) => [
      split,
      ...perClass,
      unlabelled,
      failed,
    ]),
  };
}

function findingTable({ dataset }: RunReport): Table {
  return {
    id: 'findings',
    title: 'Findings about the data',
    notes: [],
    columns: [{ title: 'kind' }, { title: 'path' }, { title: 'finding' }],
    rows: dataset.findings.map(({ kind, path, message }) => [kind, path, message]),
  };
}

function findingWords({ dataset }: RunReport): string {
  if (dataset.findings.length === 0) return 'Nothing unusual was found in the data.';
  const counts = new Map<string, number>();
  for (const { kind } of dataset.findings) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const kinds = [...counts].sort(([, a], [, b]) => b - a).map(([kind, count]) => `${kind} (${count})`);
  return `${counted(dataset.findings.length, 'finding')} about the data: ${inWords(kinds)}.`;
}
