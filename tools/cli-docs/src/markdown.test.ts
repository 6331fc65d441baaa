// docs/cli.md says what the commands take.
import { readFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { cliMarkdown } from './markdown.ts';
import { programs } from './programs.ts';

test('docs/cli.md is what the commands say of themselves', async () => {
  const file = new URL('../../../docs/cli.md', import.meta.url);
  // When this fails: npx nx run cli-docs:write
  expect(await readFile(file, 'utf8')).toBe(cliMarkdown(programs.map((build) => build())));
});

test('required options, choices, defaults of every kind, and characters that Markdown would take for its own', () => {
  const program = new Command('tool').addCommand(
    new Command('paint')
      .description('Paints a wall.')
      .requiredOption('--out <file>', 'file of the picture')
      .addOption(new Option('--colour <name|hex>', 'colour').choices(['red', 'blue']).default('red'))
      .option('--coats <n>', 'number of coats (default: as many as needed)')
      .option('--dry', 'paint nothing')
      .addOption(new Option('--note <text>', 'text').default('/home/x', 'runs/<name>'))
      .addOption(new Option('--tint <name>', 'tint').choices(['a', 'b', 'c', 'd']))
      .addOption(new Option('--secret').hideHelp()),
  );
  expect(cliMarkdown([program]).split('\n## ')[1]).toBe(
    `tool:paint

Paints a wall.

\`\`\`sh
npx nx run tool:paint -- --out FILE [options]
\`\`\`

| option                 | what for                 | default           |
| ---------------------- | ------------------------ | ----------------- |
| \`--out <file>\`         | file of the picture      | **required**      |
| \`--colour <name\\|hex>\` | colour: \`red\` or \`blue\`  | \`red\`             |
| \`--coats <n>\`          | number of coats          | as many as needed |
| \`--dry\`                | paint nothing            | off               |
| \`--note <text>\`        | text                     | runs/\\<name>      |
| \`--tint <name>\`        | tint, one of those below | none              |

\`--tint\`: \`a\`, \`b\`, \`c\`, \`d\`.
`,
  );
});
