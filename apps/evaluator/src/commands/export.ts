// The command export: the trained members of a run as one ONNX file, or as a folder for PyTorch.
import { print } from '@ct-ensemble/core';
import { type ExportOptions, exportOnnx, exportPyTorch } from '@ct-ensemble/ensemble';
import { Command, InvalidArgumentError, Option } from 'commander';

interface Options extends ExportOptions {
  format: 'onnx' | 'pytorch';
  out?: string;
}

export function exportCommand(): Command {
  return new Command('export')
    .description(
      'Writes the trained members of a run for other programs: one ONNX file that combines them, or a folder for PyTorch.',
    )
    .requiredOption('--run <dir>', 'folder of the run')
    .addOption(
      new Option('--format <format>', 'onnx: one file; pytorch: safetensors and a program in Python')
        .choices(['onnx', 'pytorch'])
        .default('onnx'),
    )
    .option('--out <path>', 'the ONNX file, or the new folder (default: ensemble.onnx, or ensemble-pytorch)')
    .addOption(
      new Option('--submission <name>', 'the members of this submission (default: all members)').conflicts(
        'single',
      ),
    )
    .option('--single <member>', 'this member alone')
    .option('--weights <numbers>', 'weight of each member, such as 0.5,0.3,0.2 (default: equal)', numbers)
    .option('--temperature <number>', 'temperature of the combined probabilities (default: none)', number)
    .action(async ({ format, out, ...options }: Options) => {
      if (format === 'onnx') {
        const file = out ?? 'ensemble.onnx';
        const { ensemble, bytes } = await exportOnnx(file, options);
        print(`${file}: ${combination(ensemble)}, ${(bytes / 1e6).toFixed(1)} MB`);
        for (const { name, volume } of ensemble.inputs)
          print(`  input ${name}: uint8 [batch, ${volume.join(', ')}]`);
      } else {
        const folder = out ?? 'ensemble-pytorch';
        print(`${folder}: ${combination(await exportPyTorch(folder, options))}`);
      }
    });
}

type Exported = Awaited<ReturnType<typeof exportPyTorch>>;

/** For example `mean of one, two`, or `0.7 one + 0.3 two, temperature 1.2`. */
function combination({ members, weights, temperature }: Exported): string {
  const names = members.map(({ name }) => name);
  const weighted = weights?.map((weight, i) => `${weight} ${names[i]}`).join(' + ');
  const mean = names.length === 1 ? names[0]! : `mean of ${names.join(', ')}`;
  return `${weighted ?? mean}${temperature === undefined ? '' : `, temperature ${temperature}`}`;
}

/** @throws {InvalidArgumentError} for anything that is not a finite number. */
function number(text: string): number {
  const value = text.trim() === '' ? NaN : Number(text);
  if (!Number.isFinite(value)) throw new InvalidArgumentError('give a number.');
  return value;
}

/** Numbers separated by commas. */
const numbers = (text: string) => text.split(',').map(number);
