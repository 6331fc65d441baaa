// The command dashboard: a live page of a run in the browser, for runs that are being trained and for finished ones.
import { once } from 'node:events';
import { print } from '@ct-ensemble/core';
import { runStatus } from '@ct-ensemble/ensemble';
import { Command } from 'commander';
import { openDashboard } from '../dashboard/server.ts';
import { portOption } from '../options.ts';

interface DashboardCommandOptions {
  run: string;
  port: number;
}

export function dashboardCommand(): Command {
  return new Command('dashboard')
    .description(
      'Serves a live page of a run on this machine until Ctrl-C: curves, devices, members and their logs.',
    )
    .requiredOption('--run <dir>', 'folder of the run')
    .addOption(portOption())
    .action(async ({ run, port }: DashboardCommandOptions) => {
      await runStatus(run); // Reports a folder without a run before the page does.
      const dashboard = await openDashboard({ run, port, keepsAlive: true });
      print(`Dashboard of ${run}: ${dashboard.address}`);
      print('Everybody on this machine who knows this address can see the run. Ctrl-C ends the page.');
      const ended = new AbortController();
      const { signal } = ended;
      await Promise.race([once(process, 'SIGINT', { signal }), once(process, 'SIGTERM', { signal })]);
      ended.abort();
      await dashboard.end();
    });
}
