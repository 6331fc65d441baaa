// models:summary: prints a network's layers, shapes and costs as a table.
import { print } from '@ct-ensemble/core';
import { Command, Option } from 'commander';
import { architectureNames, architectureOf } from '../registry.ts';
import { type SummaryRow, summarise, totals } from '../onnx/summary.ts';
import { traceNetwork } from '../onnx/trace.ts';
import { count, size, views } from './options.ts';

interface Options {
  architecture: string;
  views: number[];
  size?: [number, number];
  batch: number;
  classes: number;
  depth: number;
  json?: boolean;
}

export function summaryCommand(): Command {
  return new Command('summary')
    .description('Prints layers, shapes, parameters, multiply-adds and activation memory of a network.')
    .addOption(
      new Option('--architecture <name>', 'architecture of the network')
        .choices(architectureNames())
        .makeOptionMandatory(),
    )
    .option(
      '--views <slices>',
      'slices of each view, such as 64 or 32,16 (default: an image of 3 channels, no view)',
      views,
      [],
    )
    .option('--size <edge>', "edge of the image, or HEIGHTxWIDTH (default: the network's own)", size)
    .option('--batch <n>', 'volumes per batch', count, 1)
    .option('--classes <n>', 'number of classes', count, 2)
    .option('--depth <n>', 'number of leading parts of a name that are one row', count, 3)
    .option('--json', 'print JSON')
    .action(async ({ architecture, depth, json, size, ...options }: Options) => {
      const { edge } = architectureOf(architecture).input;
      const rows = summarise(
        await traceNetwork(architecture, { ...options, size: size ?? [edge, edge] }),
        depth,
      );
      const total = totals(rows);
      print(json ? JSON.stringify({ architecture, rows, total }, undefined, 1) : table(rows));
    });
}

function table(rows: readonly SummaryRow[]): string {
  const { parameters, multiplyAdds, activationBytes } = totals(rows);
  const cells = [
    ['layer', 'ops', 'output', 'parameters', 'multiply-adds', 'activations'],
    ...rows.map((row) => [
      row.layer,
      Object.entries(row.ops)
        .map(([kernel, times]) => (times === 1 ? kernel : `${kernel} × ${times}`))
        .join(', '),
      row.output.join(' × '),
      thousands(row.parameters),
      millions(row.multiplyAdds),
      megabytes(row.activationBytes),
    ]),
    ['total', '', '', thousands(parameters), millions(multiplyAdds), megabytes(activationBytes)],
  ];
  const widths = cells[0]!.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  const isText = (column: number) => column < 3;
  return cells
    .map((row) =>
      row.map((cell, i) => (isText(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  '),
    )
    .join('\n');
}

const thousands = (value: number) => value.toLocaleString('en-US');
const millions = (value: number) => `${(value / 1e6).toFixed(1)} M`;
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
