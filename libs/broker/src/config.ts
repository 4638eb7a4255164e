/** The nats-server's configuration as text, from the table of permissions and a few choices. */

import { DISCONNECTS } from "@millrace/protocol";
import { type Account, ACCOUNTS, type Grant, PERMISSIONS, type User } from "./permissions.ts";

/** Twice what any frame needs; the server's own hard limit is 64 MiB, and it warns above 8. */
export const PAYLOAD_BYTES_MAX = 8 * 1024 * 1024;
/**
 * What waits for one client: as much as an ingress takes of large answers at a time. By default the
 * server cuts off whoever has 64 MiB to read, which two answers of 60 MB are that come together.
 */
const PENDING_BYTES_MAX = 512 * 1024 * 1024;
const FILE_STORE_BYTES_MAX = 16 * 1024 ** 3;
const MEMORY_STORE_BYTES_MAX = 64 * 1024 ** 2;

/** One server's place among several: they find each other, and share JetStream's streams. */
export interface ClusterConfig {
  /** Where this one takes routes of the others. */
  readonly port: number;
  /** `host:port` of every server's routes; its own may be among them. */
  readonly routes: readonly string[];
  /** What a server must know to join; letters and digits only, as it is a part of the URLs. */
  readonly secret: string;
}

export interface ServerConfig {
  readonly publicKeys: Readonly<Record<User, string>>;
  readonly storeDirectory: string;
  readonly port: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Without it the monitor is off: it has no authentication, so it listens on loopback only. */
  readonly monitorPort?: number;
  readonly pidFile?: string;
  readonly serverName?: string;
  /** Bound of everything that JetStream stores on disk (I6). */
  readonly fileStoreBytesMax?: number;
  /** Absent for a server alone. */
  readonly cluster?: ClusterConfig;
}

/** A configuration file for nats-server of at least `SERVER_VERSION_MIN`. */
export function renderServerConfig(config: ServerConfig): string {
  const quoted = JSON.stringify;
  const top = [
    `server_name: ${quoted(config.serverName ?? "millrace")}`,
    `listen: ${quoted(`${config.host ?? "127.0.0.1"}:${config.port}`)}`,
    ...(config.monitorPort === undefined ? [] : [`http: "127.0.0.1:${config.monitorPort}"`]),
    ...(config.pidFile === undefined ? [] : [`pid_file: ${quoted(config.pidFile)}`]),
    `max_payload: ${PAYLOAD_BYTES_MAX}`,
    "# A frozen or unreachable client is cut off within three seconds.",
    'ping_interval: "1s"',
    "ping_max: 2",
    "# A client that does not read holds the server's memory no longer than this, and no more.",
    'write_deadline: "5s"',
    `max_pending: ${PENDING_BYTES_MAX}`,
    "",
    "jetstream {",
    `  store_dir: ${quoted(config.storeDirectory)}`,
    "  # Acknowledged means on the disk: the default would lose up to two minutes to a power cut.",
    "  sync_interval: always",
    `  max_file_store: ${config.fileStoreBytesMax ?? FILE_STORE_BYTES_MAX}`,
    `  max_memory_store: ${MEMORY_STORE_BYTES_MAX}`,
    "}",
    "",
    ...(config.cluster === undefined ? [] : clusterLines(config.cluster, config.host)),
    "system_account: SYS",
    "# No no_auth_user: a connection without a key is refused.",
    "accounts {",
  ];
  const accounts = ACCOUNTS.flatMap((account) => [
    `  ${account} {`,
    ...ACCOUNT_LINES[account].map((line) => `    ${line}`),
    "    users: [",
    ...PERMISSIONS.filter((grant) => grant.account === account).flatMap((grant) =>
      userLines(grant, config.publicKeys[grant.user]).map((line) => `      ${line}`),
    ),
    "    ]",
    "  }",
  ]);
  return [...top, ...accounts, "}", ""].join("\n");
}

function clusterLines({ port, routes, secret }: ClusterConfig, host?: string): readonly string[] {
  const urls = routes.map((route) =>
    JSON.stringify(`nats-route://${ROUTE_USER}:${secret}@${route}`),
  );
  return [
    "cluster {",
    `  name: ${ROUTE_USER}`,
    `  listen: ${JSON.stringify(`${host ?? "127.0.0.1"}:${port}`)}`,
    `  authorization { user: ${ROUTE_USER}, password: ${JSON.stringify(secret)} }`,
    `  routes: [${urls.join(", ")}]`,
    "  # Clients are told every server; gossip would lead them past a proxy in front of it.",
    "  no_advertise: true",
    "}",
    "",
  ];
}

const ROUTE_USER = "millrace";
const APP_DISCONNECTS = '"$SYS.ACCOUNT.APP.DISCONNECT"';

/** The broker's own disconnect events are the fastest sign of a lost member: milliseconds. */
const ACCOUNT_LINES: Readonly<Record<Account, readonly string[]>> = {
  APP: [
    "jetstream: enabled",
    `imports: [{ stream: { account: SYS, subject: ${APP_DISCONNECTS} }, to: "${DISCONNECTS}" }]`,
  ],
  SYS: [`exports: [{ stream: ${APP_DISCONNECTS}, accounts: [APP] }]`],
};

function userLines(grant: Grant, publicKey: string): readonly string[] {
  const { allowResponses, publish, subscribe, user } = grant;
  const allow = (verb: string, entries: readonly string[]): readonly string[] => [
    `  ${verb}: { allow: [`,
    ...entries.map((entry) => `    ${JSON.stringify(entry)}`),
    "  ] }",
  ];
  return [
    `{ # ${user}`,
    `  nkey: ${publicKey}`,
    "  permissions: {",
    ...[
      ...allow("publish", publish),
      ...allow("subscribe", subscribe),
      ...(allowResponses === undefined
        ? []
        : [
            `  allow_responses: { max: ${allowResponses.max}, ` +
              `expires: "${allowResponses.expiresMs}ms" }`,
          ]),
    ].map((line) => `  ${line}`),
    "  }",
    "}",
  ];
}
