// One member's run: loss, schedule, loop, checkpoints.
export {};
