/** Ends a generator of steps early, so that it frees its resources. Has no effect on a finished generator. */
export async function endSteps<Step, Result>(steps: AsyncGenerator<Step, Result>): Promise<void> {
  const unfinished: AsyncGenerator<Step, Result | undefined> = steps;
  await unfinished.return(undefined);
}
