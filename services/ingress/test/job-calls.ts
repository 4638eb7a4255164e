/** Durable jobs at a stand's ingress, as a client of them: what is asked, and what comes back. */

import { setTimeout as sleep } from "node:timers/promises";
import type { JobView } from "@millrace/protocol";
import { expect } from "vitest";
import { row, type Stand } from "./stand.ts";

export interface JobAnswer {
  readonly status: number;
  readonly body: JobView & { readonly code?: string; readonly error?: string };
  readonly headers: Headers;
}

export interface Line {
  readonly item: number;
  readonly response?: { readonly outputs: readonly { readonly data: readonly number[] }[] };
  readonly error?: { readonly code: string; readonly message: string };
  readonly binary?: readonly string[];
}

type Headings = Readonly<Record<string, string>>;

const LOOKS_MAX = 400;
const LOOK_MS = 20;

/** @param standOf asked at each call: a stand is started after the tests are declared. */
export const jobCalls = (standOf: () => Stand) => {
  const call = async (path: string, init: RequestInit = {}): Promise<JobAnswer> => {
    const response = await standOf().fetch(path, init);
    const body = (await response.json()) as JobAnswer["body"];
    return { status: response.status, body, headers: response.headers };
  };
  return {
    call,
    submit: (document: unknown, headers: Headings = {}): Promise<JobAnswer> =>
      call("/v2/jobs", { method: "POST", body: JSON.stringify(document), headers }),
    submitLines: (query: string, body: string, headers: Headings = {}): Promise<JobAnswer> =>
      call(`/v2/jobs?${query}`, {
        method: "POST",
        body,
        headers: { "content-type": "application/x-ndjson", ...headers },
      }),
    ended: async (id: string): Promise<JobView> => {
      for (let looks = 0; looks < LOOKS_MAX; looks++) {
        const { body } = await call(`/v2/jobs/${id}`);
        if (body.ended_at !== undefined) return body;
        await sleep(LOOK_MS);
      }
      throw new Error(`job ${id} does not end`);
    },
    results: async (id: string): Promise<readonly Line[]> => {
      const response = await standOf().fetch(`/v2/jobs/${id}/results`);
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toBe("application/x-ndjson");
      const text = await response.text();
      const lines = text.split("\n").filter((line) => line !== "");
      return lines.map((line) => JSON.parse(line) as Line);
    },
  };
};

/** Rows whose first values count up. */
export const rows = (count: number): object[] =>
  Array.from({ length: count }, (_, at) => row(at, 1, 2, 3));

export const linesOf = (items: readonly object[]): string =>
  items.map((item) => JSON.stringify(item)).join("\n");

export const firsts = (lines: readonly Line[]): (number | undefined)[] =>
  lines.map((line) => line.response?.outputs[0]?.data[0]);
