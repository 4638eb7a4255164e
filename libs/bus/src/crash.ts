/** Ends the process for a bug found where the exception itself would be swallowed. */
export function crash(bug: unknown): void {
  process.nextTick(() => {
    throw bug;
  });
}
