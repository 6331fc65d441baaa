// models:export: writes a network with its weights as an ONNX file.
import { print, UserError, writeFileAtomic } from '@ct-ensemble/core';
import { Command } from 'commander';
import { type Described, describedIn } from '../description.ts';
import { ONNX_OPSET, onnxModel } from '../onnx/onnx.ts';
import { architectureOf, inputChannels } from '../registry.ts';
import { readSafetensors } from '../weights/safetensors.ts';
import { graphOfWeights } from '../onnx/weights-graph.ts';
import { size, views, words } from './options.ts';

interface Options {
  weights: string;
  out?: string;
  architecture?: string;
  views?: number[];
  size?: [number, number];
  classes?: string[];
  recipe?: string;
}

export function exportCommand(): Command {
  return new Command('export')
    .description(`Writes a network and its weights as ONNX, opset ${ONNX_OPSET}.`)
    .requiredOption(
      '--weights <file>',
      'safetensors file, such as the checkpoints/best.safetensors that a training writes',
    )
    .option('--out <file>', 'the ONNX file (default: the path of the weights with the ending .onnx)')
    .option('--architecture <name>', "if it is not in the weights' metadata")
    .option(
      '--views <slices>',
      'slices of each view, such as 64 or 32,16; "" for a network without a front',
      views,
    )
    .option('--size <edge>', 'edge of a slice, or HEIGHTxWIDTH', size)
    .option('--classes <names>', 'names of the classes, in the order of the outputs', words)
    .option('--recipe <name>', 'name of the recipe, for the metadata')
    .action(async ({ weights: file, out, size: given, ...options }: Options) => {
      const path = out ?? file.replace(/(\.safetensors)?$/, '.onnx');
      const { tensors, metadata } = await readSafetensors(file);
      const replaced = { ...options, ...(given && { size: given }) };
      const found = { ...describedIn(metadata, { file, except: Object.keys(replaced) }), ...replaced };
      const known = <Key extends keyof Described>(key: Key, option: string): NonNullable<Described[Key]> => {
        const value = found[key];
        if (value !== undefined) return value as NonNullable<Described[Key]>;
        throw new UserError(`the metadata lacks ${key}`, { file, remedy: `give ${option}` });
      };
      const architecture = known('architecture', '--architecture NAME');
      const views = known('views', '--views SLICES');
      const classes = known('classes', '--classes NAMES');
      const [height, width] = known('size', '--size EDGE');
      const shape = { views, classes: classes.length };
      const network = { architecture, ...shape, size: [height, width] as const };
      const { graph, tensors: exported } = await graphOfWeights(file, network, tensors);
      const model = onnxModel({
        graph,
        tensors: exported,
        output: architectureOf(architecture).output,
        name: architecture,
        metadata: {
          architecture,
          classes: JSON.stringify(classes),
          views: JSON.stringify(views),
          volume: JSON.stringify([inputChannels(shape), height, width]),
          values: 'grey values 0 … 255, divided by 255',
          recipe: found.recipe ?? '',
        },
      });
      await writeFileAtomic(path, [model]);
      print(`${path}: ${architecture}, opset ${ONNX_OPSET}, ${(model.length / 1e6).toFixed(1)} MB`);
    });
}
