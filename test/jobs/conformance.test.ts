/** The contract of `JobService`, `JobRunner` and the stores, which every store meets in full. */
import { afterAll, afterEach, beforeEach, describe } from 'vitest';
import { localKind } from './conformance/local-stage.js';
import { queueing } from './conformance/queueing.js';
import { reading } from './conformance/reading.js';
import { recovery } from './conformance/recovery.js';
import { redisKind } from './conformance/redis-stage.js';
import { running } from './conformance/running.js';
import type { Stage } from './conformance/stage.js';

for (const kind of [localKind, redisKind]) {
  const { name, missing } = kind;
  describe.skipIf(missing !== undefined)(`jobs in ${name}${missing ? `: ${missing}` : ''}`, () => {
    let stage: Stage;
    beforeEach(async () => {
      stage = await kind.open();
    });
    afterEach(() => stage.end());
    afterAll(() => kind.close());
    describe('queueing', () => queueing(() => stage));
    describe('running', () => running(() => stage));
    describe('reading', () => reading(() => stage));
    describe('recovery', () => recovery(() => stage));
  });
}
