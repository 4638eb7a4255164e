/** What running and managing durable jobs takes. */

import {
  DEAD_STREAM,
  JOB_CONSUMER,
  JOB_HOOK_STREAM,
  JOB_LANES,
  JOB_OBJECT_BUCKET,
  JOB_RESULT_STREAM,
  JOB_STATE_BUCKET,
  JOB_STREAM,
  jobLaneConsumer,
  subjects,
} from "@millrace/protocol";
import { lookUpStream } from "./rights.ts";

const JOB_STATE = `KV_${JOB_STATE_BUCKET}`;
const JOB_OBJECTS = `OBJ_${JOB_OBJECT_BUCKET}`;

/** Taking messages from a queue by its durable consumers, and saying what became of them. */
const takeFrom = (stream: string, consumer: string): readonly string[] => [
  `$JS.API.STREAM.INFO.${stream}`,
  `$JS.API.CONSUMER.INFO.${stream}.${consumer}`,
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
  `$JS.ACK.${stream}.${consumer}.>`,
  // The form with domain and account, which newer servers use.
  `$JS.ACK.*.*.${stream}.${consumer}.>`,
];

/** Only these can be made for the queue of jobs, each for its own lane: none listens to others. */
const LANES = Array.from({ length: JOB_LANES }, (_, lane) => {
  const consumer = `${JOB_STREAM}.${jobLaneConsumer(lane)}`;
  return `$JS.API.CONSUMER.CREATE.${consumer}.${subjects.jobLane(lane)}`;
});

/** Durable jobs, for the ingress: it takes them in, runs them, and files their results. */
export const RUN_JOBS: readonly string[] = [
  subjects.job("*", "*"),
  subjects.jobHook("*", "*"),
  subjects.jobResult("*", "*", "*"),
  subjects.jobDead("*", "*", "*"),
  `$KV.${JOB_STATE_BUCKET}.*.*`,
  `$O.${JOB_OBJECT_BUCKET}.>`,
  ...takeFrom(JOB_STREAM, "*"),
  ...takeFrom(JOB_HOOK_STREAM, JOB_CONSUMER),
  ...lookUpStream(JOB_STATE),
  ...lookUpStream(JOB_RESULT_STREAM),
  ...lookUpStream(JOB_OBJECTS),
  // An object that is written anew, or not to its end, takes its pieces away.
  `$JS.API.STREAM.PURGE.${JOB_OBJECTS}`,
];

/** Making a stream, changing its limits and looking at its state, but not into it. */
const makeStream = (stream: string): readonly string[] => [
  `$JS.API.STREAM.INFO.${stream}`,
  `$JS.API.STREAM.CREATE.${stream}`,
  `$JS.API.STREAM.UPDATE.${stream}`,
];

/** Durable jobs, for `admin`: it makes their storage, and reads and replays dead letters. */
export const MANAGE_JOBS: readonly string[] = [
  ...[JOB_STREAM, JOB_HOOK_STREAM, JOB_RESULT_STREAM, DEAD_STREAM, JOB_STATE, JOB_OBJECTS].flatMap(
    makeStream,
  ),
  `$JS.API.CONSUMER.INFO.${JOB_STREAM}.*`,
  ...LANES,
  `$JS.API.CONSUMER.INFO.${JOB_HOOK_STREAM}.${JOB_CONSUMER}`,
  `$JS.API.CONSUMER.CREATE.${JOB_HOOK_STREAM}.${JOB_CONSUMER}`,
  `$JS.API.STREAM.MSG.GET.${DEAD_STREAM}`,
  `$JS.API.STREAM.MSG.DELETE.${DEAD_STREAM}`,
  // A replayed chunk's result makes room for the next one.
  `$JS.API.STREAM.MSG.GET.${JOB_RESULT_STREAM}`,
  `$JS.API.STREAM.PURGE.${JOB_RESULT_STREAM}`,
  `$JS.API.STREAM.MSG.GET.${JOB_STATE}`,
  `$KV.${JOB_STATE_BUCKET}.*.*`,
  subjects.job("*", "*"),
];
