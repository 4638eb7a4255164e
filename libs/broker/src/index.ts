export { Brokers, type BrokersOptions, startBrokers } from "./cluster.ts";
export {
  type ClusterConfig,
  PAYLOAD_BYTES_MAX,
  renderServerConfig,
  type ServerConfig,
} from "./config.ts";
export {
  createCredentials,
  createRouteSecret,
  type Credential,
  type Credentials,
  seedFileOf,
} from "./credentials.ts";
export { findServer, type FindOptions, ServerNotFoundError } from "./find.ts";
export {
  type Account,
  ACCOUNTS,
  type Grant,
  inboxPrefix,
  PERMISSIONS,
  renderPermissionsTable,
  type User,
  USERS,
} from "./permissions.ts";
export { Broker, type BrokerOptions, startBroker } from "./start.ts";
export { isNewEnough, SERVER_VERSION, SERVER_VERSION_MIN } from "./version.ts";
export { aptWay, type Attempt, defaultWays, goWay, releaseWay, type Way } from "./ways.ts";
