// Entry point of the tasks of `openPreparer` that decode images ahead of the thread that prepares their scan.
export { decodeAhead as default } from './decode-ahead.ts';
