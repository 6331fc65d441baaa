// Command line: evaluates a run and writes its submission.
export {};
