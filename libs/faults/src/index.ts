export { type Ground, GroundFile, type GroundMember, readGround } from "./ground.ts";
export { DockerWorld, type DockerWorldOptions } from "./docker.ts";
export type { BrokerAccess } from "./healer/actions.ts";
export { clockHook, type HookHandler, type HookOptions, serveHooks, skewClock } from "./hooks.ts";
export { ProxyControl } from "./proxy/control.ts";
export { FaultProxy, type LinkReport } from "./proxy/proxy.ts";
export { PROXY_ENTRY } from "./proxy/entry.ts";
export type { ProxySettings } from "./proxy/settings.ts";
export { residentBytesOf } from "./processes.ts";
export { unixUs } from "./time.ts";
export { portsNeeded, Stage, type StageOptions } from "./stage.ts";
export { type Choice, chooseTargets } from "./targets.ts";
export type {
  ActiveFault,
  FaultEnd,
  FaultKind,
  FaultMember,
  FaultSpec,
  FaultTarget,
  FaultWorld,
} from "./types.ts";
export { LocalWorld, type LocalWorldOptions } from "./world.ts";
