export { type Backoff, DEFAULT_BACKOFF, restartDelayMs } from "./backoff.ts";
export {
  type Comparison,
  type CompareInput,
  type CompareLimits,
  COMPARE_LIMITS,
  compareFleet,
  type Difference,
  type HeardWorker,
  type ListedMember,
  type Replacement,
} from "./compare.ts";
export { DockerHost, type DockerHostOptions, type DockerTemplate } from "./docker.ts";
export {
  checkPools,
  checkScale,
  type DriverView,
  FLEET_CODES,
  type FleetCode,
  type FleetDriver,
  type FleetFault,
  fleetFault,
  type FleetMember,
  type FleetResult,
  MEMBER_STATES,
  type MemberState,
  type Pool,
  POOL_MEMBERS_MAX,
  type PoolCount,
  poolKey,
  POOLS_MAX,
} from "./driver.ts";
export { FakeHost } from "./fake.ts";
export { type FileDriver, type FleetFile, openFleet, parseFleetFile } from "./fleet-file.ts";
export { HookFleet, type HookOptions, type HookRequest } from "./hook.ts";
export { InstanceFleet, type InstanceHost, type InstanceOptions } from "./instances.ts";
export {
  FLEET_BACKOFF,
  FleetKeeper,
  type FleetReport,
  type KeeperOptions,
  type KeptFault,
  type PoolReport,
  type PoolState,
} from "./keeper.ts";
export { type KubernetesOptions, openKubernetes, type ScaleTarget } from "./kubernetes.ts";
export { type Launch, memberVariables, ProcessHost, type ProcessHostOptions } from "./processes.ts";
export { NODE_FLAGS, nodeService } from "./node-service.ts";
export { LINE_CHARACTERS_MAX, type LineSplitter, splitLines } from "./lines.ts";
export {
  type ChildEvent,
  describeExit,
  type EndReason,
  type Exit,
  EXIT_MISCONFIGURED,
  supervise,
  Supervised,
  type SuperviseOptions,
} from "./supervise.ts";
