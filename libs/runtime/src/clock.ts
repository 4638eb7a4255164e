/** The one clock of a process: whole microseconds since it started, never going back. */
export const nowUs = (): number => Math.floor(performance.now() * 1000);
